"""A disk that fills up: marks, refusal and resuming, the ballast, starting on a full disk, exit code
10. Needs the right to mount (tests of disk_full_test.py). LANCE_CYCLES sets the number of times the
disk is filled and freed (5)."""

import os
import time

import harness
import lwp
from disk_full_test import mount_small_disk
from retention_test import batch

MIB = harness.MIB
DISK = 384 * MIB
READY = '{"status":"ready","data_plane_ready":true,"coordinator_ready":true}'


def config(warn=0.85, stop_writes=0.95, ballast_mib=16, interval_s=3600):
    return (harness.SMALL_SEGMENTS + f"[retention]\ninterval_s = {interval_s}\n"
            f"[disk]\nwarn = {warn}\nstop_writes = {stop_writes}\n"
            f"ballast_bytes = \"{ballast_mib}MiB\"\n")


class DiskTest(harness.Test):
    CONFIG = config()

    def setUp(self):
        root = harness.temp_dir()
        self.disk = mount_small_disk(root, self.addCleanup, DISK)
        self.filler = os.path.join(self.disk, "filler")
        self.broker = harness.Broker(config=self.CONFIG, root=root,
                                     data_dir=os.path.join(self.disk, "data"))
        self.addCleanup(self.broker.kill)
        self.ballast = os.path.join(self.disk, "data", "ballast")

    def free(self):
        facts = os.statvfs(self.disk)
        return facts.f_bavail * facts.f_frsize

    def total(self):
        facts = os.statvfs(self.disk)
        return (facts.f_blocks - facts.f_bfree + facts.f_bavail) * facts.f_frsize

    def fill_to(self, free_bytes):
        """A foreign file takes all but so much."""
        with open(self.filler, "ab") as file:
            more = self.free() - free_bytes
            if more > 0:
                os.posix_fallocate(file.fileno(), file.tell(), more)

    def fill_all(self):
        """A foreign file takes every last block."""
        self.fill_to(64 * 1024)
        with open(self.filler, "ab", buffering=0) as file:
            try:
                while file.write(b"\1" * 4096):
                    pass
            except OSError:
                pass

    def wait_watermark(self, value, seconds=10):
        self.assertTrue(
            harness.wait_until(
                lambda: self.broker.metrics().value("lance_disk_watermark") == value, seconds, 0.1),
            f"the watermark is not {value}: {self.free()} of {self.total()} bytes free")

    def accepts(self, client, topic, payload=b"more"):
        try:
            client.ingest(payload, topic, timeout=30)
            return True
        except lwp.Refused as refused:
            self.assertEqual(refused.code, "READ_ONLY", refused.text)
            return False


class Marks(DiskTest):
    CONFIG = config(warn=0.60, stop_writes=0.75)

    def test_producers_are_refused_and_come_back_by_themselves(self):
        self.broker.start()
        with self.broker.client() as client:
            topic, other = client.create("kept")["id"], client.create("other")["id"]
            client.ingest(b"before", topic)
            self.wait_watermark(0)
            metrics = self.broker.metrics()
            self.assertEqual(metrics.value("lance_disk_total_bytes"), self.total())
            self.assertTrue(harness.wait_until(
                lambda: abs(self.broker.metrics().value("lance_disk_free_bytes") - self.free())
                < 4 * MIB, 10, 0.1))
            self.fill_to(int(self.total() * 0.35))
            self.wait_watermark(1)
            client.ingest(b" warned", topic)  # a warning forbids nothing
            self.fill_to(int(self.total() * 0.20))
            self.wait_watermark(2)
            self.assert_refused("READ_ONLY", client.ingest, b"no", topic)
            self.assert_refused("READ_ONLY", client.create, "new")
            self.assertEqual(client.read_all(topic), b"before warned")
            self.assertEqual(client.commit(topic, 1, 6), (1, 6))
            client.set_retention(topic, 3600, 0)
            self.assertEqual(client.delete(other), {"deleted": other})
            self.assertEqual(self.broker.http("/health/ready")[::2], (200, READY))
            self.assertTrue(os.path.exists(self.ballast))  # stopped is not full
            os.unlink(self.filler)
            self.wait_watermark(0)
            client.ingest(b" after", topic)
            client.create("new")
            self.assertEqual(client.read_all(topic), b"before warned after")
        for level in ("warn", "stop_writes", "ok"):
            self.assertIn(f"event=disk_watermark to={level}", self.broker.log())

    def test_a_node_started_beyond_the_mark_refuses_and_serves(self):
        self.broker.start()
        with self.broker.client() as client:
            topic = client.create("kept")["id"]
            client.ingest(b"before", topic)
        self.broker.stop()
        self.fill_to(int(self.total() * 0.20))
        free = self.free()
        self.broker.start()
        with self.broker.client() as client:
            self.assert_refused("READ_ONLY", client.ingest, b"no", topic)
            self.assertEqual(client.read_all(topic), b"before")
            # No log has made itself room but the journal.
            self.assertGreater(self.free(), free - 8 * MIB)
            client.delete(topic)
            os.unlink(self.filler)
            self.assertTrue(harness.wait_until(lambda: self.accepts(client, 0), 10, 0.1))


class Pressure(DiskTest):
    CONFIG = config(warn=0.60, stop_writes=0.75)

    def test_retention_runs_at_once_when_a_mark_is_reached(self):
        self.broker.start()
        with self.broker.client() as client:
            old = client.create_with_retention("old", 1, 0)["id"]
            client.ingest(b"x" * 1000, old)
            time.sleep(2.5)
            self.assertEqual(client.fetch(old, 0)[0], 1000)
            self.assertEqual(len(client.read_all(old)), 1000)  # the interval is an hour
            self.fill_to(int(self.total() * 0.35))
            self.assertTrue(
                harness.wait_until(lambda: client.fetch(old, 0) == (1000, b""), 10, 0.1))

    def test_a_topic_that_filled_the_disk_frees_it_while_its_producers_are_refused(self):
        self.broker.start()
        with self.broker.client() as client:
            topic = client.create("own")["id"]
            deadline, sent = time.monotonic() + 60, 0
            while self.accepts(client, topic, bytes(MIB)):
                sent += MIB
                self.assertLess(time.monotonic(), deadline)
            # Nobody can append, so nothing rolls by itself.
            client.set_retention(topic, 0, 4 * MIB)
            self.assertTrue(harness.wait_until(lambda: self.accepts(client, topic), 20, 0.2),
                            "the log did not give its space back")
            self.assertEqual(client.end(topic), sent + 4)


class Ballast(DiskTest):
    def test_it_is_there_goes_when_the_disk_is_full_and_comes_again(self):
        self.broker.start()
        facts = os.stat(self.ballast)
        self.assertEqual(facts.st_size, 16 * MIB)
        self.assertGreaterEqual(facts.st_blocks * 512, 16 * MIB)
        self.assertTrue(self.broker.wait_metric("lance_disk_ballast_bytes", 16 * MIB))
        with self.broker.client() as client:
            topic, other = client.create("kept")["id"], client.create("other")["id"]
            client.ingest(b"before", topic)
            self.fill_to(1 * MIB)
            self.assertTrue(harness.wait_until(lambda: not os.path.exists(self.ballast), 10, 0.05))
            self.wait_watermark(2)
            self.assertEqual(self.broker.metrics().value("lance_disk_ballast_bytes"), 0)
            self.assertGreater(self.free(), 16 * MIB)
            time.sleep(1.5)
            self.assertFalse(self.accepts(client, topic))  # its space is not the producers'
            self.assertEqual(client.read_all(topic), b"before")
            client.commit(topic, 1, 3)
            client.delete(other)
            os.unlink(self.filler)
            self.assertTrue(harness.wait_until(lambda: os.path.exists(self.ballast), 10, 0.05))
            self.wait_watermark(0)
            self.assertTrue(self.broker.wait_metric("lance_disk_ballast_bytes", 16 * MIB))
            self.assertTrue(self.accepts(client, topic))
        for event in ("ballast_made", "ballast_released"):
            self.assertIn(f"event={event}", self.broker.log())

    def test_a_full_disk_can_be_started_and_serves_reads_and_deletes(self):
        self.broker.start()
        with self.broker.client() as client:
            topic = client.create("kept")["id"]
            others = [client.create(f"other-{i}")["id"] for i in range(2)]
            client.ingest(b"before", topic)
        for end, other in zip((self.broker.kill, self.broker.stop), others):
            self.assertTrue(harness.wait_until(lambda: os.path.exists(self.ballast), 10, 0.05))
            end()
            self.fill_all()
            self.assertLess(self.free(), 8192)
            self.broker.start()
            with self.broker.client() as client:
                self.assertFalse(os.path.exists(self.ballast))
                self.assertEqual(client.read_all(topic), b"before")
                self.assertFalse(self.accepts(client, topic))
                client.commit(topic, 1, 2)
                self.assertEqual(self.broker.http("/health/ready")[::2], (200, READY))
                client.delete(other)
                self.assertNotIn(other, [each["id"] for each in client.list()])
                os.unlink(self.filler)
                self.assertTrue(harness.wait_until(lambda: self.accepts(client, 0), 10, 0.1))


class NoBallast(DiskTest):
    CONFIG = config(ballast_mib=0)

    def test_zero_bytes_are_no_file(self):
        self.broker.start()
        time.sleep(1.5)
        self.assertFalse(os.path.exists(self.ballast))
        self.assertEqual(self.broker.metrics().value("lance_disk_ballast_bytes"), 0)

    def test_exit_code_10_when_the_start_cannot_write_what_it_must(self):
        os.mkdir(os.path.join(self.disk, "data"))
        self.fill_all()
        with self.assertRaises(harness.StartFailed) as caught:
            self.broker.start()
        self.assertEqual(caught.exception.code, 10, caught.exception.log)
        self.assertIn("make room on that disk", caught.exception.log)
        os.unlink(self.filler)
        self.broker.start()

    def test_exit_code_10_when_the_journal_can_not_go_on(self):
        self.broker.start()
        with self.broker.client() as client:
            topic = client.create("kept")["id"]
            client.ingest(b"before", topic)
        self.broker.stop()
        self.fill_to(1 * MIB)  # node.json finds room, the journal's next segment does not
        self.broker.start()
        with self.broker.client() as client:
            self.assertEqual(client.read_all(topic), b"before")
            self.assert_refused("READ_ONLY", client.delete, topic)
            self.assertEqual(self.broker.wait(40), 10, self.broker.log_tail())
        self.assertIn("the log of topics could not be written", self.broker.log_tail())
        os.unlink(self.filler)
        self.broker.start()
        with self.broker.client() as client:
            self.assertEqual(client.read_all(topic), b"before")
            client.delete(topic)


class Cycles(DiskTest):
    def test_filling_and_freeing_again_and_again(self):
        cycles = int(os.environ.get("LANCE_CYCLES", "5"))
        self.broker.start()
        written, slowest = 0, 0.0
        with self.broker.client() as client:
            kept = client.create("kept")["id"]
            expected = b""
            for cycle in range(cycles):
                name = f"filled-{cycle}"
                topic = client.create(name)["id"]
                sequence, deadline = 0, time.monotonic() + 60
                while self.accepts(client, topic, batch(topic, sequence)):
                    sequence += 1
                    self.assertLess(time.monotonic(), deadline, "the disk did not fill in time")
                self.assertGreater(sequence, 64, f"cycle {cycle} found hardly any room")
                written += sequence
                self.assertEqual(client.end(topic), sequence * MIB)
                last = batch(topic, sequence - 1)
                self.assertEqual(client.read(topic, (sequence - 1) * MIB, sequence * MIB), last)
                if cycle % 2 == 0:
                    client.delete(topic)
                else:  # or its own limit takes it
                    client.set_retention(topic, 0, 1)
                began, more = time.monotonic(), b"cycle %d " % cycle
                self.assertTrue(
                    harness.wait_until(lambda: self.accepts(client, kept, more), 30, 0.05),
                    f"cycle {cycle}: writes did not resume")
                slowest = max(slowest, time.monotonic() - began)
                expected += more
                self.assertEqual(client.read_all(kept), expected)
                if cycle % 2 == 1:
                    client.delete(topic)
                if cycle % 5 == 4:
                    client.close()
                    self.broker.crash()
                    client = self.broker.client()
                    self.assertEqual(client.read_all(kept), expected)
            self.assert_stream(client, kept, expected)
        print(f"      {cycles} cycles, {written} MiB, resumed after {slowest:.1f} s at most")


if __name__ == "__main__":
    harness.main()
