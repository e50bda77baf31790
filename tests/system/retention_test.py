"""Retention: old segments go by age and by size, numbers go on, readers end well."""

import glob
import os
import threading
import time

import harness
import lwp
import selftelling

CONFIG = harness.SMALL_SEGMENTS + "[disk]\nballast_bytes = 0\n"
LOOK = CONFIG + "[retention]\ninterval_s = 1\n"
MIB = harness.MIB


def batch(topic, sequence, size=MIB):
    """Exactly `size` bytes that tell about themselves."""
    return selftelling.batch(topic, 1, sequence, size)[:size]


class RetentionTest(harness.Test):
    CONFIG = LOOK

    def setUp(self):
        self.broker = harness.Broker(config=self.CONFIG).start()
        self.addCleanup(self.broker.kill)
        self.client = self.broker.client()
        self.addCleanup(lambda: self.client.close())

    def extent(self, name):
        """The topic's only partition, as DescribeTopic tells it."""
        outcome = self.broker.lnc("--json", "topic", "describe", name)
        self.assertEqual(outcome.code, 0, outcome)
        return outcome.json_lines()[0]["partitions"][0]

    def wait_start(self, name, start, seconds=15):
        """Waits until the log begins at `start` (a number, or a condition on it)."""
        wanted = start if callable(start) else lambda at: at == start
        self.assertTrue(harness.wait_until(lambda: wanted(self.extent(name)["start"]), seconds, 0.2),
                        f"{name} stays at {self.extent(name)}")

    def wait_bytes(self, name, most):
        """Waits until the log is no larger: the last segment's growth is seen at the next look."""
        self.assertTrue(harness.wait_until(lambda: self.extent(name)["bytes"] <= most, 5, 0.2),
                        f"{name} stays at {self.extent(name)}")

    def ingest_mib(self, topic, count, first=0):
        """`count` batches of a MiB; their bytes."""
        sent = []
        for i in range(first, first + count):
            sent.append(batch(topic, i))
            self.client.ingest(sent[-1], topic, timeout=30)
        return b"".join(sent)

    def reconnect(self):
        self.client.close()
        self.client = self.broker.client()


class Age(RetentionTest):
    def test_an_idle_topic_is_emptied_and_its_numbers_go_on(self):
        topic = self.client.create_with_retention("aged", 2, 0)["id"]
        self.client.ingest(b"a" * 1000, topic, records=3)
        self.client.ingest(b"b" * 500, topic, records=2)
        self.assertEqual(self.client.read_all(topic), b"a" * 1000 + b"b" * 500)
        self.wait_start("aged", 1500)
        for again in (lambda: None, self.broker.restart, self.broker.crash):
            again()
            self.reconnect()
            extent = self.extent("aged")
            self.assertEqual((extent["start"], extent["end"], extent["records"]), (1500, 1500, 0))
            self.assertEqual(extent["first_record"], 5)
            self.assertEqual(self.client.end(topic), 1500)
            # Below the start: nothing yet, and the reader is led to the base.
            self.assertEqual(self.client.fetch(topic, 0), (1500, b""))
        self.client.ingest(b"c" * 10, topic)
        self.assertEqual(self.client.fetch(topic, 7), (1510, b"c" * 10))
        self.assertEqual(self.broker.metrics().value("lance_fenced_logs"), 0)

    def test_young_data_stays_and_a_policy_may_change(self):
        topic = self.client.create_with_retention("young", 3600, 0)["id"]
        self.client.ingest(b"stays", topic)
        time.sleep(3)
        self.assertEqual(self.client.read_all(topic), b"stays")
        self.client.set_retention(topic, 1, 0)
        self.wait_start("young", 5)
        self.assertTrue(self.broker.wait_metric("lance_retention_segments_deleted_total", 1))
        self.assertGreater(self.broker.metrics().value("lance_retention_bytes_deleted_total"), 5)
        self.assertIn("event=segments_dropped", self.broker.log())

    def test_a_topic_that_gets_a_little_now_and_then_loses_what_is_old(self):
        topic = self.client.create_with_retention("trickle", 2, 0)["id"]
        stream, deadline = b"", time.monotonic() + 20
        while self.extent("trickle")["start"] == 0:
            self.assertLess(time.monotonic(), deadline, "its first batch never went")
            stream += b"x%07d" % len(stream)
            self.client.ingest(stream[-8:], topic)
            time.sleep(0.2)
        start = self.extent("trickle")["start"]
        self.assertLess(start, len(stream))
        self.client.ingest(b"newest", topic)
        next_offset, data = self.client.fetch(topic, 0)
        self.assertTrue((stream + b"newest").endswith(data))
        self.assertEqual(next_offset, len(stream) + 6)

    def test_consumers_begin_at_the_earliest_that_is_kept(self):
        self.broker.lnc("topic", "create", "lines", "--max-age", "2s")
        self.broker.lnc("produce", "--topic", "lines", stdin=b"old\nolder\n")
        self.wait_start("lines", lambda start: start > 0)
        self.broker.lnc("topic", "set", "lines", "--max-age", "0")
        self.broker.lnc("produce", "--topic", "lines", stdin=b"new\nnewer\n")
        for offset in ("earliest", "0"):
            read = self.broker.lnc("consume", "--topic", "lines", "--offset", offset)
            self.assertEqual(read.out, b"new\nnewer\n", read)

    def test_bookkeeping_outlives_the_data(self):
        topic = self.client.create_with_retention("booked", 2, 0)["id"]
        self.client.ingest(b"z" * 100, topic)
        self.client.commit(topic, 9, 60)
        self.wait_start("booked", 100)
        self.broker.crash()
        self.reconnect()
        self.assertEqual(self.client.subscribe(topic, 0, 9)[1], 60)


class Size(RetentionTest):
    def test_a_topic_is_cut_to_its_size_and_readers_are_led_to_the_base(self):
        topic = self.client.create_with_retention("sized", 0, 24 * MIB)["id"]
        stream = self.ingest_mib(topic, 60)
        self.wait_start("sized", lambda start: start >= 36 * MIB)
        self.wait_bytes("sized", 24 * MIB)
        extent = self.extent("sized")
        self.assertGreaterEqual(extent["bytes"], 8 * MIB, "more was dropped than the limit asks")
        base = extent["start"]
        next_offset, data = self.client.fetch(topic, 0, 65536)
        self.assertEqual((next_offset, data), (base + 65536, stream[base:base + 65536]))
        self.assertEqual(self.client.read(topic, base, len(stream)), stream[base:])
        self.broker.crash()
        self.reconnect()
        self.assertEqual(self.client.read(topic, base, len(stream)), stream[base:])

    def test_an_idle_topic_over_its_size_goes(self):
        topic = self.client.create("late")["id"]
        self.ingest_mib(topic, 6)
        self.client.set_retention(topic, 0, 2 * MIB)
        self.wait_start("late", 6 * MIB)
        self.client.ingest(b"small", topic)
        time.sleep(2.5)
        self.assertEqual(self.client.fetch(topic, 0), (6 * MIB + 5, b"small"))

    def test_readers_under_way_see_right_bytes_at_every_offset(self):
        topic = self.client.create_with_retention("read", 0, 16 * MIB)["id"]
        size, batches, faults, seen = 256 * 1024, 300, [], [0, 0]
        stop = threading.Event()

        def expected(offset, length):
            first, last = offset // size, (offset + length - 1) // size
            text = b"".join(batch(topic, i, size) for i in range(first, last + 1))
            return text[offset - first * size:offset - first * size + length]

        def follow(restart):
            with self.broker.client() as client:
                at = 0
                while not stop.is_set():
                    try:
                        next_offset, data = client.fetch(topic, at, 1 << 20)
                    except lwp.Refused as refused:
                        faults.append(refused.text)
                        return
                    begin = next_offset - len(data)
                    if data and data != expected(begin, len(data)):
                        faults.append(f"wrong bytes at {begin}")
                    if begin < at:
                        faults.append(f"asked for {at}, got {begin}")
                    seen[0] += len(data)
                    seen[1] += begin > at
                    at = 0 if restart else next_offset

        readers = [threading.Thread(target=follow, args=(restart,)) for restart in (True, False)]
        for reader in readers:
            reader.start()
        for i in range(batches):
            self.client.ingest(batch(topic, i, size), topic, timeout=30)
            time.sleep(0.02)
        stop.set()
        for reader in readers:
            reader.join(20)
        self.assertEqual(faults, [])
        self.assertGreater(seen[0], 16 * MIB)
        self.assertGreater(seen[1], 0, "no reader was overtaken: nothing was shown")


class Defaults(RetentionTest):
    CONFIG = LOOK + "max_age_s = 2\nmax_bytes = \"12MiB\"\n"

    def test_topics_without_a_policy_follow_the_configuration(self):
        plain = self.client.create("plain")["id"]
        own = self.client.create_with_retention("own", 3600, 0)["id"]
        unlimited = self.client.create_with_retention("unlimited", 0, 0)["id"]
        for topic in (plain, own, unlimited, 0):
            self.client.ingest(b"old", topic)
        self.wait_start("plain", 3)
        self.assertTrue(harness.wait_until(lambda: self.client.fetch(0, 0) == (3, b""), 15, 0.2))
        self.assertEqual(self.client.read_all(own), b"old")
        self.assertEqual(self.client.read_all(unlimited), b"old")  # 0 is a policy of its own


class DefaultSize(RetentionTest):
    CONFIG = LOOK + "max_bytes = \"12MiB\"\n"

    def test_topics_without_a_policy_are_cut_to_the_configured_size(self):
        plain = self.client.create("plain")["id"]
        self.ingest_mib(plain, 30)
        self.wait_start("plain", lambda start: start >= 18 * MIB)
        self.wait_bytes("plain", 12 * MIB)
        self.assertEqual(self.extent("plain")["end"], 30 * MIB)


class Recycled(RetentionTest):
    BYTES = 64 * MIB

    def setUp(self):
        self.CONFIG = LOOK.replace("[io]\n", f"[io]\nrecycle_bytes = {self.BYTES}\n")
        super().setUp()

    def spares(self):
        return glob.glob(os.path.join(self.broker.data_dir, "segments", "*", "*", "recycled-*.spare"))

    def test_full_segments_that_go_are_kept_within_the_bound(self):
        topic = self.client.create("kept")["id"]
        stream = self.ingest_mib(topic, 100)  # three full segments and a part
        self.client.set_retention(topic, 2, 0)
        self.wait_start("kept", 100 * MIB)
        self.assertEqual(len(self.spares()), min(2, self.BYTES // (31 * MIB)))
        self.client.set_retention(topic, 0, 0)
        stream += self.ingest_mib(topic, 70, 100)
        self.assertEqual(self.spares(), [])  # two of three are segments again, or about to be
        for again in (lambda: None, self.broker.crash):
            again()
            self.reconnect()
            self.assertEqual(self.client.read(topic, 100 * MIB, len(stream)), stream[100 * MIB:])
        self.assertNotIn("event=torn_tail_set_aside", self.broker.log())


class NotRecycled(Recycled):
    BYTES = 0


class Interval(RetentionTest):
    CONFIG = CONFIG + "[retention]\ninterval_s = 3600\nmax_age_s = 1\n"

    def test_nothing_goes_before_the_interval_is_over(self):
        topic = self.client.create("waiting")["id"]
        self.client.ingest(b"still here", topic)
        time.sleep(4)
        self.assertEqual(self.client.read_all(topic), b"still here")


class SegmentBySegment(RetentionTest):
    CONFIG = CONFIG + "[retention]\ninterval_s = 3600\n"

    def test_a_busy_topic_is_cut_to_its_size_as_its_segments_close(self):
        topic = self.client.create_with_retention("busy", 0, 24 * MIB)["id"]
        self.ingest_mib(topic, 60)
        self.wait_start("busy", lambda start: start >= 24 * MIB)
        self.assertLessEqual(self.extent("busy")["bytes"], 36 * MIB)


class Unlimited(RetentionTest):
    def test_zero_keeps_everything(self):
        topic = self.client.create("kept")["id"]
        stream = self.ingest_mib(topic, 40)
        time.sleep(3)
        self.assertEqual(self.extent("kept")["start"], 0)
        self.assert_stream(self.client, topic, stream)
        self.assertEqual(self.broker.metrics().value("lance_retention_segments_deleted_total"), 0)


if __name__ == "__main__":
    harness.main()
