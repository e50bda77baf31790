"""dropfs itself: what is durable, what a cut takes, what fails when it is told to."""

import errno
import mmap
import os
import random
import subprocess
import threading
import time

import dropfs
import harness

SECTOR = 512


class Mounted(harness.Test):
    def setUp(self):
        self.fs = dropfs.DropFs(megabytes=64)
        self.addCleanup(self.fs.close)

    def path(self, name):
        return os.path.join(self.fs.path, name)

    def write(self, name, data, at=0, sync=False, flags=0):
        descriptor = os.open(self.path(name), os.O_RDWR | os.O_CREAT | flags, 0o640)
        try:
            os.pwrite(descriptor, data, at)
            if sync:
                os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def sync_directory(self, name=""):
        descriptor = os.open(self.path(name), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def power_cycle(self, seed=None):
        did = self.fs.cut(seed)
        self.fs.revive()
        return did


class Forgetting(Mounted):
    def test_unsynced_bytes_are_read_and_then_lost(self):
        self.write("kept", b"a" * 8192, sync=True)
        self.sync_directory()
        self.write("kept", b"b" * 8192)
        self.write("kept", b"c" * 4096, at=8192)
        self.assertEqual(self.read("kept"), b"b" * 8192 + b"c" * 4096)
        did = self.power_cycle()
        self.assertEqual(self.read("kept"), b"a" * 8192)
        self.assertEqual(did["sectors_lost"], 24)
        self.assertEqual((did["sizes_lost"], did["sectors_kept"]), (1, 0))

    def test_synced_bytes_stay_over_many_cuts(self):
        for number in range(5):
            self.write("log", bytes([number + 1]) * 5000, at=5000 * number, sync=True)
            self.sync_directory()
            self.power_cycle(seed=number)
            self.assertEqual(self.read("log"),
                             b"".join(bytes([n + 1]) * 5000 for n in range(number + 1)))

    def test_a_file_without_a_synced_name_is_gone(self):
        self.write("synced data only", b"x", sync=True)
        self.power_cycle()
        self.assertEqual(os.listdir(self.fs.path), [])

    def test_a_rename_without_a_directory_sync_did_not_happen(self):
        self.write("old", b"x", sync=True)
        self.sync_directory()
        os.rename(self.path("old"), self.path("new"))
        self.power_cycle()
        self.assertEqual(os.listdir(self.fs.path), ["old"])
        os.rename(self.path("old"), self.path("new"))
        self.sync_directory()
        self.power_cycle()
        self.assertEqual(os.listdir(self.fs.path), ["new"])
        self.assertEqual(self.read("new"), b"x")

    def test_a_rename_between_directories_is_whole_or_not(self):
        os.mkdir(self.path("a"))
        os.mkdir(self.path("b"))
        self.write("a/file", b"x", sync=True)
        self.sync_directory("a")
        self.sync_directory()
        os.rename(self.path("a/file"), self.path("b/file"))
        self.power_cycle()
        self.assertEqual((os.listdir(self.path("a")), os.listdir(self.path("b"))), (["file"], []))
        os.rename(self.path("a/file"), self.path("b/file"))
        self.sync_directory("a")  # one of the two is enough
        self.power_cycle()
        self.assertEqual((os.listdir(self.path("a")), os.listdir(self.path("b"))), ([], ["file"]))

    def test_an_unlinked_file_comes_back(self):
        self.write("gone", b"x", sync=True)
        self.sync_directory()
        os.unlink(self.path("gone"))
        self.assertEqual(os.listdir(self.fs.path), [])
        self.power_cycle()
        self.assertEqual(self.read("gone"), b"x")

    def test_directories_need_their_parents(self):
        os.makedirs(self.path("one/two"))
        self.write("one/two/file", b"x", sync=True)
        self.sync_directory("one/two")
        self.sync_directory("one")
        self.power_cycle()
        self.assertEqual(os.listdir(self.fs.path), [])

    def test_truncation_and_allocation_wait_for_a_sync(self):
        self.write("file", b"a" * 10_000, sync=True)
        self.sync_directory()
        os.truncate(self.path("file"), 3000)
        self.assertEqual(self.read("file"), b"a" * 3000)
        self.power_cycle()
        self.assertEqual(self.read("file"), b"a" * 10_000)
        descriptor = os.open(self.path("file"), os.O_RDWR)
        os.ftruncate(descriptor, 3000)
        os.posix_fallocate(descriptor, 0, 9000)
        self.assertEqual(self.read("file"), b"a" * 3000 + bytes(6000))
        os.fsync(descriptor)
        os.close(descriptor)
        self.power_cycle()
        self.assertEqual(self.read("file"), b"a" * 3000 + bytes(6000))

    def test_by_chance_each_sector_is_the_old_or_the_new_and_a_seed_repeats_it(self):
        outcomes = []
        for seed in (7, 7, 8):
            self.write("file", b"o" * 65_536, sync=True)
            self.sync_directory()
            self.write("file", b"n" * 65_536)
            did = self.power_cycle(seed)
            content = self.read("file")
            sectors = [content[at:at + SECTOR] for at in range(0, len(content), SECTOR)]
            self.assertLessEqual(set(sectors), {b"o" * SECTOR, b"n" * SECTOR})
            self.assertEqual(did["sectors_kept"], sectors.count(b"n" * SECTOR))
            self.assertEqual(did["sectors_lost"], sectors.count(b"o" * SECTOR))
            outcomes.append(content)
        self.assertEqual(outcomes[0], outcomes[1])
        self.assertNotEqual(outcomes[0], outcomes[2])

    def test_by_chance_a_front_of_the_names_is_kept(self):
        fronts = set()
        for seed in range(20):
            for number in range(6):
                self.write(f"f{number}", b"x")
            self.power_cycle(seed)
            names = sorted(os.listdir(self.fs.path))
            self.assertEqual(names, [f"f{n}" for n in range(len(names))])
            fronts.add(len(names))
            for name in names:
                os.unlink(self.path(name))
            self.sync_directory()
        self.assertGreater(len(fronts), 3)

    def test_what_the_newest_cut_left_can_be_taken_out(self):
        os.mkdir(self.path("d"))
        self.write("d/file", bytes(5000) + b"x" * 5000, sync=True)
        self.sync_directory("d")
        self.sync_directory()
        self.power_cycle()
        self.write("d/file", b"later", sync=True)
        out = os.path.join(harness.temp_dir(), "out")
        self.fs.export(out)
        with open(os.path.join(out, "d", "file"), "rb") as file:
            self.assertEqual(file.read(), bytes(5000) + b"x" * 5000)


class Behaving(Mounted):
    """An ordinary file system as long as nothing happens."""

    def test_direct_and_buffered_and_mapped_agree(self):
        rng = random.Random(harness.seed())
        model = bytearray(1 << 20)
        direct = os.open(self.path("file"), os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o640)
        plain = os.open(self.path("file"), os.O_RDWR)
        os.posix_fallocate(plain, 0, len(model))
        room = mmap.mmap(-1, 65_536)  # aligned memory
        for _ in range(200):
            length = 4096 * rng.randrange(1, 16)
            at = 4096 * rng.randrange((len(model) - length) // 4096 + 1)
            data = rng.randbytes(length)
            model[at:at + length] = data
            if rng.random() < 0.5:
                room[:length] = data
                os.pwritev(direct, [memoryview(room)[:length]], at)
            else:
                os.pwrite(plain, data, at)
            self.assertEqual(os.pread(plain, length, at), data)
        self.assertEqual(self.read("file"), bytes(model))
        with mmap.mmap(plain, len(model), mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
            self.assertEqual(mapped[:], bytes(model))
        os.close(direct)
        os.close(plain)

    def test_holes_are_found(self):
        self.write("file", b"x", at=1 << 20)
        with open(self.path("file"), "rb") as file:
            self.assertEqual(os.lseek(file.fileno(), 0, os.SEEK_DATA), 1 << 20)
            self.assertEqual(os.lseek(file.fileno(), 0, os.SEEK_HOLE), 0)
            self.assertRaises(OSError, os.lseek, file.fileno(), 2 << 20, os.SEEK_DATA)

    def test_an_open_file_outlives_its_name(self):
        with open(self.path("file"), "w+b") as file:
            os.unlink(self.path("file"))
            file.write(b"still")
            file.flush()
            file.seek(0)
            self.assertEqual(file.read(), b"still")

    def test_names_refuse_what_they_must(self):
        os.makedirs(self.path("a/b"))
        self.write("file", b"x")
        for error, deed in (
                (errno.ENOENT, lambda: os.rename(self.path("none"), self.path("x"))),
                (errno.ENOTEMPTY, lambda: os.rmdir(self.path("a"))),
                (errno.EEXIST, lambda: os.mkdir(self.path("file"))),
                (errno.EINVAL, lambda: os.rename(self.path("a"), self.path("a/b/c"))),
                (errno.EEXIST, lambda: os.open(self.path("file"), os.O_CREAT | os.O_EXCL))):
            with self.assertRaises(OSError) as caught:
                deed()
            self.assertEqual(caught.exception.errno, error)

    def test_it_is_full_at_its_capacity(self):
        with open(self.path("file"), "wb", buffering=0) as file:
            os.posix_fallocate(file.fileno(), 0, 60 << 20)
            with self.assertRaises(OSError) as caught:
                os.posix_fallocate(file.fileno(), 0, 65 << 20)
            self.assertEqual(caught.exception.errno, errno.ENOSPC)
        facts = os.statvfs(self.fs.path)
        self.assertEqual(facts.f_bavail * facts.f_frsize, 4 << 20)
        os.unlink(self.path("file"))
        self.assertEqual(os.statvfs(self.fs.path).f_bavail * 4096, 64 << 20)


class Failing(Mounted):
    def assert_fails(self, error, deed, *arguments):
        with self.assertRaises(OSError) as caught:
            deed(*arguments)
        self.assertEqual(caught.exception.errno, error)

    def test_the_nth_of_an_operation_on_matching_names_fails(self):
        self.write("a.lnc", b"x")
        self.write("b.idx", b"x")
        self.fs.fail("write", "EIO", "*.lnc", skip=1, times=2)
        self.write("a.lnc", b"first")
        self.assert_fails(errno.EIO, self.write, "a.lnc", b"second")
        self.write("b.idx", b"other")
        self.assert_fails(errno.EIO, self.write, "a.lnc", b"third")
        self.write("a.lnc", b"fourth")
        self.assertEqual(self.fs.hits(), {("write", "*.lnc"): 2})
        self.assertEqual(self.read("a.lnc"), b"fourth")

    def test_read_and_full_and_clear(self):
        self.write("file", b"x")
        self.fs.fail("read", "EIO")
        self.fs.fail("write", "ENOSPC")
        self.fs.fail("fsyncdir", "EIO")
        self.assert_fails(errno.EIO, self.read, "file")
        self.assert_fails(errno.ENOSPC, self.write, "file", b"y")
        self.assert_fails(errno.EIO, self.sync_directory)
        self.fs.clear()
        self.write("file", b"y")
        self.sync_directory()
        self.assertEqual(self.read("file"), b"y")

    def test_after_a_failed_sync_the_next_succeeds_and_keeps_nothing(self):
        self.write("file", b"a" * 4096, sync=True)
        self.sync_directory()
        self.fs.fail("fsync", "EIO", times=1)
        self.assert_fails(errno.EIO, self.write, "file", b"b" * 4096, 0, True)
        self.write("file", b"c", at=5000, sync=True)  # as if all were well
        self.assertEqual(self.read("file")[:4097], b"b" * 4096 + b"\0")
        descriptor = os.open(self.path("file"), os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
        self.assertEqual(self.read("file"), b"a" * 4096 + bytes(904) + b"c")
        self.write("file", b"d" * 3000)
        self.fs.fail("fsync", "EIO", times=1, skip=0)
        self.assert_fails(errno.EIO, self.write, "file", b"", 0, True)
        os.truncate(self.path("file"), 4096)
        self.sync_directory()
        self.power_cycle()
        self.assertEqual(self.read("file"), b"a" * 4096 + bytes(904) + b"c")

    def test_a_delay_holds_one_operation_and_no_other_until_it_is_cleared(self):
        self.write("file", b"x")
        self.fs.delay("fsync", 60_000)
        waiting = threading.Thread(target=self.write, args=("file", b"y", 0, True))
        waiting.start()
        time.sleep(0.2)
        self.write("other", b"z")
        self.assertEqual(self.read("other"), b"z")
        self.assertTrue(waiting.is_alive())
        self.fs.clear()
        waiting.join(5)
        self.assertFalse(waiting.is_alive())
        self.fs.delay("write", 100)
        started = time.monotonic()
        self.write("file", b"slow")
        self.assertGreater(time.monotonic() - started, 0.09)

    def test_after_a_cut_everything_fails_until_it_is_mounted_anew(self):
        self.write("file", b"x", sync=True)
        self.sync_directory()
        held = os.open(self.path("file"), os.O_RDWR)
        self.fs.cut()
        self.assert_fails(errno.EIO, os.pwrite, held, b"y", 0)
        self.assert_fails(errno.EIO, os.fsync, held)
        self.assert_fails(errno.EIO, os.listdir, self.fs.path)
        os.close(held)
        self.fs.revive()
        self.assertEqual(self.read("file"), b"x")

    def test_it_refuses_nonsense(self):
        for line in ("nonsense", "fail write", "fail write BAD *"):
            with self.assertRaises(AssertionError):
                self.fs.ask(line)
        self.fs.close()
        done = subprocess.run([harness.program("dropfs")], capture_output=True, check=False)
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    harness.main()
