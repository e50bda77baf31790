"""Bits that turn on the disk, while the broker runs and while it is stopped: never a wrong byte to a
reader, the damage named to the reader and in events, metrics and the topic's state, everything around
it served; found by nobody's reading too; repaired offline, and only there."""

import json
import os
import random
import re
import shutil
import time

import harness
import lwp

BATCH = 300_000
COUNT = 130  # 39 MB: one segment is closed
DAMAGED = 10


def config(bytes_per_s, interval_s):
    return (f"[io]\nsegment_bytes = 33554432\nscrub_bytes_per_s = {bytes_per_s}\n"
            f"scrub_interval_s = {interval_s}\n")


class Rot(harness.Test):
    def given(self, text):
        """A broker with one topic that has a closed segment."""
        self.broker = harness.Broker(config=text).start()
        self.addCleanup(self.broker.kill)
        rng = random.Random(harness.seed())
        with self.broker.client() as client:
            self.topic = client.create("rotten")["id"]
            self.stream = b""
            for _ in range(COUNT):
                batch = rng.randbytes(BATCH)
                client.ingest(batch, self.topic)
                self.stream += batch
        self.assertTrue(harness.wait_until(lambda: len(self.files()) >= 2 and "-" in
                                           os.path.basename(self.files()[0])))
        return self.files()[0]

    def files(self, ending=".lnc"):
        return [path for path in self.broker.segments(ending) if "/rotten/" in path]

    def turn(self, path, position, bit=3):
        with open(path, "r+b") as file:
            file.seek(position)
            byte = file.read(1)[0]
            file.seek(position)
            file.write(bytes([byte ^ 1 << bit]))
            file.flush()
            os.fsync(file.fileno())

    def position(self, number):
        """Of the payload of the batch with this place in the stream, from 0, in the first file."""
        return number * (112 + BATCH) + 112

    def assert_refused_only(self, number):
        """Everything is read but this batch, which is refused with its place."""
        begin, end = number * BATCH, (number + 1) * BATCH
        with self.broker.client() as client:
            self.assertEqual(client.read(self.topic, 0, begin), self.stream[:begin])
            for start in (begin, begin + 1, end - 1):
                for size in (1, 4096, 1 << 20):
                    with self.assertRaises(lwp.Refused) as caught:
                        client.fetch(self.topic, start, size)
                    self.assertEqual(caught.exception.code, "CORRUPT")
                    self.assertIn(f"from offset {begin} ", caught.exception.text)
                    self.assertIn(f"offset {end} is behind it", caught.exception.text)
            # A read that begins before it ends before it.
            next_offset, data = client.fetch(self.topic, begin - 100, 1 << 20)
            self.assertEqual((next_offset, data), (begin, self.stream[begin - 100:begin]))
            self.assertEqual(client.read(self.topic, end, len(self.stream)), self.stream[end:])

    def state(self):
        outcome = self.broker.lnc("--json", "topic", "describe", "rotten")
        self.assertEqual(outcome.code, 0, outcome)
        return json.loads(outcome.text)["partitions"][0]["state"]

    def events(self, name):
        return re.findall(rf"^.*event={name} .*$", self.broker.log(), re.MULTILINE)

    def test_the_first_read_finds_it_and_says_it_once(self):
        path = self.given(config(0, 0))
        self.broker.restart()  # nothing in memory
        self.turn(path, self.position(7) + 123_456)
        self.assert_refused_only(7)
        self.assert_refused_only(7)
        (event,) = self.events("batch_damaged")
        self.assertIn(f"offset={7 * BATCH} ", event)
        self.assertIn(f"end={8 * BATCH} ", event)
        metrics = self.broker.metrics()
        self.assertEqual(metrics.value("lance_crc_failures_total"), 1)
        self.assertEqual(metrics.value("lance_damaged_batches"), 1)
        self.assertGreater(metrics.value("lance_errors_total", type="checksum"), 0)
        self.assertEqual(self.state(), "corrupt")
        with self.broker.client() as client:  # producers go on, and so do other logs
            client.ingest(b"more", self.topic)
            other = client.create("sound")["id"]
            client.ingest(b"elsewhere", other)
            self.assertEqual(client.read_all(other), b"elsewhere")
        # Nothing half is exported.
        target = os.path.join(self.broker.root, "rotten.lnctopic")
        outcome = self.broker.lnc("export", "rotten", "-o", target)
        self.assertEqual(outcome.code, DAMAGED, outcome)
        self.assertIn(f"offset {7 * BATCH} ", outcome.errors)
        self.assertFalse([name for name in os.listdir(self.broker.root) if "lnctopic" in name])

    def test_the_scrub_finds_it_while_running_without_a_reader(self):
        path = self.given(config(512 * harness.MIB, 1))
        self.assertTrue(self.broker.wait_metric("lance_scrub_segments_total", 1))
        self.assertEqual(self.broker.metrics().value("lance_damaged_batches"), 0)
        self.assertEqual(self.state(), "open")
        self.turn(path, self.position(20) + 5)
        self.assertTrue(self.broker.wait_metric("lance_damaged_batches", 1, seconds=20))
        self.assertTrue(self.broker.wait_metric("lance_scrub_errors_total", 1))
        self.assertGreater(self.broker.metrics().value("lance_scrub_bytes_total"),
                           os.path.getsize(path))
        self.assertEqual(self.state(), "corrupt")
        (event,) = self.events("batch_damaged")
        self.assertIn(f"offset={20 * BATCH} ", event)
        with self.broker.client() as client:  # where memory still has it, the bytes are right
            try:
                _, data = client.fetch(self.topic, 20 * BATCH, 1000)
                self.assertEqual(data, self.stream[20 * BATCH:20 * BATCH + 1000])
            except lwp.Refused as refused:
                self.assertEqual(refused.code, "CORRUPT")
        time.sleep(2.5)  # further passes say nothing new, and change nothing
        self.assertLess(self.broker.metrics().value("lance_scrub_last_pass_age_seconds"), 2.5)
        self.assertTrue(self.events("scrub_pass"))
        self.assertEqual(len(self.events("batch_damaged")), 1)
        with open(path, "rb") as file:
            file.seek(self.position(20))
            self.assertNotEqual(file.read(BATCH), self.stream[20 * BATCH:21 * BATCH])
        # The bit turns back, as with a bad cable: the next pass takes the damage off.
        self.turn(path, self.position(20) + 5)
        self.assertTrue(harness.wait_until(lambda: self.state() == "open", 20))
        with self.broker.client() as client:
            self.assertEqual(client.read_all(self.topic), self.stream)

    def test_a_rotten_index_is_written_anew_while_running(self):
        self.given(config(512 * harness.MIB, 1))
        index = self.files(".idx")[0]
        with open(index, "rb") as file:
            original = file.read()
        self.turn(index, 64 + 64 * 9 + 17)  # the offset of the tenth batch
        self.assertTrue(
            self.broker.wait_metric("lance_scrub_indexes_rebuilt_total", 1, seconds=20))
        with open(index, "rb") as file:
            self.assertEqual(file.read(), original)
        self.assertTrue(self.events("index_rebuilt"))
        with self.broker.client() as client:
            self.assertEqual(client.read_all(self.topic), self.stream)
        self.assertEqual(self.state(), "open")

    def test_the_pace_is_kept_and_zero_is_never(self):
        path = self.given(config(4 * harness.MIB, 3600))
        self.broker.restart()
        time.sleep(3)
        read = self.broker.metrics().value("lance_scrub_bytes_total")
        self.assertLess(read, 20 * harness.MIB)
        self.assertGreater(read, 1 * harness.MIB)
        self.assertGreater(os.path.getsize(path), 30_000_000)
        for text in (config(0, 3600), config(harness.MIB, 0)):
            self.assertEqual(self.broker.stop(), 0)
            self.broker = harness.Broker(config=text, root=self.broker.root).start()
            self.addCleanup(self.broker.kill)
            time.sleep(1)
            self.assertEqual(self.broker.metrics().value("lance_scrub_bytes_total"), 0)

    def test_rot_while_stopped_is_found_and_repaired_offline(self):
        path = self.given(config(512 * harness.MIB, 3600))
        self.assertEqual(self.broker.stop(), 0)
        self.turn(path, self.position(3) + 99)
        self.turn(path, self.position(60) - 50)  # a header
        outcome = harness.lnc("segment", "verify", path)
        self.assertEqual(outcome.code, DAMAGED, outcome)
        self.broker.start()
        self.assertTrue(self.broker.wait_metric("lance_damaged_batches", 2, seconds=20))
        self.assertEqual(self.state(), "corrupt")

        outcome = harness.lnc("segment", "repair", path)
        self.assertEqual(outcome.code, 5, outcome)  # the broker holds the directory
        self.assertEqual(self.broker.stop(), 0)
        with open(path, "rb") as file:
            damaged = file.read()
        outcome = harness.lnc("segment", "repair", "--dry-run", path)
        self.assertEqual(outcome.code, DAMAGED, outcome)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), damaged)
        outcome = harness.lnc("--json", "segment", "repair", path)
        self.assertEqual(outcome.code, 0, outcome)
        (told,) = outcome.json_lines()
        self.assertEqual([(lost["offset"], lost["end_offset"]) for lost in told["lost"]],
                         [(3 * BATCH, 4 * BATCH), (60 * BATCH, 61 * BATCH)])
        with open(told["original"], "rb") as file:
            self.assertEqual(file.read(), damaged)
        self.assertEqual(harness.lnc("segment", "verify", self.broker.data_dir).code, 0)
        self.assertEqual(harness.lnc("segment", "repair", path).code, 0)

        self.broker.start()
        with self.broker.client() as client:
            for lost in (3, 60):
                with self.assertRaises(lwp.Refused) as caught:
                    client.fetch(self.topic, lost * BATCH, 10)
                self.assertEqual(caught.exception.code, "CORRUPT")
            for begin, end in ((0, 3), (4, 60), (61, COUNT)):
                self.assertEqual(client.read(self.topic, begin * BATCH, end * BATCH),
                                 self.stream[begin * BATCH:end * BATCH])
            client.ingest(b"and on", self.topic)
            self.assertEqual(client.end(self.topic), len(self.stream) + 6)
        self.assertEqual(self.events("batch_damaged")[2:], [])  # lost ones are no news

    def test_diff_tells_where_two_copies_differ(self):
        path = self.given(config(0, 0))
        self.assertEqual(self.broker.stop(), 0)
        copy = os.path.join(self.broker.root, os.path.basename(path))
        with open(path, "rb") as source, open(copy, "wb") as target:
            target.write(source.read())
        outcome = harness.lnc("segment", "diff", path, copy)
        self.assertEqual((outcome.code, outcome.out), (0, b""), outcome)
        self.turn(copy, self.position(11) + 7)
        outcome = harness.lnc("--json", "segment", "diff", path, copy)
        self.assertEqual(outcome.code, 1, outcome)
        (told,) = outcome.json_lines()
        self.assertEqual((told["batch"], told["position"], told["damaged"]),
                         (12, self.position(11) + 7, ["b"]))
        with open(copy, "r+b") as file:
            file.truncate(self.position(50) - 112)
        outcome = harness.lnc("segment", "diff", path, copy)
        self.assertEqual(outcome.code, 1, outcome)
        self.assertIn("they differ from byte %d on, batch 12" % (self.position(11) + 7), outcome.text)

    def test_diff_compares_directories_segment_by_segment(self):
        path = self.given(config(0, 0))
        self.assertEqual(self.broker.stop(), 0)
        copy = os.path.join(self.broker.root, "copy")
        shutil.copytree(self.broker.data_dir, copy)
        outcome = harness.lnc("segment", "diff", self.broker.data_dir, copy)
        self.assertEqual((outcome.code, outcome.out), (0, b""), outcome)
        copied = os.path.join(copy, os.path.relpath(path, self.broker.data_dir))
        self.turn(copied, 60)
        os.unlink(os.path.join(copy, os.path.relpath(self.files()[1], self.broker.data_dir)))
        outcome = harness.lnc("--json", "segment", "diff", self.broker.data_dir, copy)
        self.assertEqual(outcome.code, 1, outcome)
        told = sorted(outcome.json_lines(), key=lambda each: each["a"])
        self.assertEqual([(each["a"], each["b"]) for each in told],
                         [(path, copied), (self.files()[1], "")])
        self.assertEqual((told[0]["position"], told[0]["damaged"]), (60, ["b"]))


if __name__ == "__main__":
    harness.main()
