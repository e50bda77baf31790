"""The tool `lnc` as people and scripts use it: words in, lines and exit codes out."""

import base64
import json
import os
import signal
import socket
import struct
import subprocess
import time

import harness

DONE, FAILED, USAGE, NOT_FOUND, UNAVAILABLE, DAMAGED = 0, 1, 2, 3, 5, 10


class Tool(harness.SharedBroker):
    """Helpers for tests of the tool against one broker."""

    def lnc(self, *words, **options):
        return self.broker.lnc(*words, **options)

    def ok(self, *words, **options):
        """Runs the tool, which must succeed."""
        outcome = self.lnc(*words, **options)
        self.assertEqual(outcome.code, DONE, f"lnc {' '.join(map(str, words))}: {outcome}")
        return outcome

    def fails(self, code, *words, **options):
        """Runs the tool, which must end with this code, a sentence on stderr, no data on stdout."""
        outcome = self.lnc(*words, **options)
        self.assertEqual(outcome.code, code, f"lnc {' '.join(map(str, words))}: {outcome}")
        self.assertTrue(outcome.err.strip(), "an error is told on stderr")
        self.assertEqual(outcome.out, b"")
        return outcome

    def new_topic(self):
        name = self.id().rsplit(".", 1)[1]
        self.ok("topic", "create", name)
        return name

    def consume(self, topic, *words):
        return self.ok("consume", "--topic", topic, *words).out


class MissionExamples(Tool):
    def test_produce_and_consume_as_the_mission_writes_them(self):
        self.ok("topic", "create", "events")
        made = self.ok("produce", "--topic", "events", "--data", '{"event": "click"}')
        self.assertEqual(made.out, b"acked 1\n")
        read = self.ok("consume", "--topic", "events", "--offset", "earliest")
        self.assertEqual(read.out, b'{"event": "click"}\n')

    def test_the_server_may_be_named_by_flag_or_environment(self):
        address = "%s:%d" % self.broker.address()
        for words, env in ((("--server", address), {"LANCE_SERVER": "127.0.0.1:1"}),
                           (("-s", address), {}), ((), {"LANCE_SERVER": address})):
            outcome = harness.lnc(*words, "topic", "list", env=env)
            self.assertEqual(outcome.code, DONE, outcome)


class Produce(Tool):
    def test_lines_of_stdin_become_records(self):
        topic = self.new_topic()
        lines = b"first\n\n  third with spaces  \n\xc3\xa4\xc3\xb6\xc3\xbc\nlast without newline"
        made = self.ok("produce", "--topic", topic, stdin=lines)
        self.assertEqual(made.out, b"acked 5\n")
        self.assertEqual(self.consume(topic), lines + b"\n")

    def test_a_file_of_lines(self):
        topic = self.new_topic()
        path = os.path.join(self.broker.root, "lines")
        content = b"".join(b"%d %s\n" % (n, b"x" * (n % 300)) for n in range(5000))
        with open(path, "wb") as file:
            file.write(content)
        made = self.ok("--json", "produce", "--topic", topic, "--file", path)
        (told,) = made.json_lines()
        self.assertEqual(told["acked"], 5000)
        self.assertEqual(self.consume(topic), content)

    def test_batches_may_be_small_and_compressed(self):
        content = b"".join(b"compressible line number %d\n" % n for n in range(2000))
        for words in (("--batch-bytes", "1000"), ("--linger-ms", "1"), ("--compress", "lz4"),
                      ("--batch-bytes", "64KiB", "--compress", "lz4")):
            with self.subTest(words):
                topic = f"batches-{time.monotonic_ns()}"
                self.ok("produce", "--topic", topic, "--create", *words, stdin=content)
                self.assertEqual(self.consume(topic), content)

    def test_records_are_framed_for_other_clients(self):
        topic = self.new_topic()
        self.ok("produce", "--topic", topic, "--data", "hello")
        identity = next(t["id"] for t in self.client.list() if t["name"] == topic)
        self.assertEqual(self.client.read_all(identity), b"\x01" + struct.pack("<I", 5) + b"hello")

    def test_raw_bytes_go_in_and_come_out_as_they_are(self):
        topic = self.new_topic()
        path = os.path.join(self.broker.root, "raw")
        content = bytes(range(256)) * 700
        with open(path, "wb") as file:
            file.write(content)
        self.ok("produce", "--topic", topic, "--raw", "--file", path)
        identity = next(t["id"] for t in self.client.list() if t["name"] == topic)
        self.assertEqual(self.client.read_all(identity), content)
        self.assertEqual(self.consume(topic, "--raw"), content)

    def test_a_missing_topic_is_made_once_and_mentioned(self):
        first = self.ok("produce", "--topic", "made-on-the-way", "--data", "x")
        self.assertIn("made-on-the-way", first.errors)
        second = self.ok("produce", "--topic", "made-on-the-way", "--create", "--data", "x")
        self.assertEqual(second.errors, "")
        self.assertEqual(self.consume("made-on-the-way"), b"x\nx\n")

    def test_json_tells_offsets_that_consume_accepts(self):
        topic = self.new_topic()
        offsets = []
        for text in ("one", "two", "three"):
            (told,) = self.ok("--json", "produce", "--topic", topic, "--data", text).json_lines()
            self.assertEqual(told["acked"], 1)
            offsets.append(told["end_offset"])
        self.assertEqual(offsets, sorted(set(offsets)))
        self.assertEqual(self.consume(topic, "--offset", str(offsets[1])), b"three\n")

    def test_what_consume_prints_as_json_can_be_produced_again(self):
        topic = self.new_topic()
        self.ok("produce", "--topic", topic, stdin=b"plain\n{\"json\": [1, 2]}\n\xff\xfe binary\n")
        lines = self.ok("--json", "consume", "--topic", topic).out
        self.ok("produce", "--topic", topic + "-copy", "--create", "--from-json", stdin=lines)
        self.assertEqual(self.consume(topic + "-copy"), self.consume(topic))

    def test_an_unknown_topic_is_not_found(self):
        self.fails(NOT_FOUND, "produce", "--topic", "never-made", "--no-create", "--data", "x")
        self.assertNotIn("never-made", [t["name"] for t in self.client.list()])


class Consume(Tool):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for number in range(10):
            made = cls.broker.lnc("produce", "--topic", "ten", "--create", "--data",
                                  f"record {number}")
            assert made.code == 0, made
            if number == 4:
                time.sleep(1.2)
                cls.middle = time.time()
                time.sleep(1.2)

    @staticmethod
    def lines(first, last=10):
        return b"".join(b"record %d\n" % n for n in range(first, last))

    def test_offsets(self):
        record = len(b"record 0") + 5
        for word, first in (("earliest", 0), ("0", 0), (str(3 * record), 3), ("latest", 10),
                            ("record:0", 0), ("record:7", 7), ("record:10", 10),
                            (f"@{int(self.middle)}", 5), ("@1970-01-01T00:00:00Z", 0)):
            with self.subTest(word):
                self.assertEqual(self.consume("ten", "--offset", word), self.lines(first))

    def test_without_an_offset_it_starts_at_the_earliest(self):
        self.assertEqual(self.consume("ten"), self.lines(0))

    def test_a_number_of_records(self):
        self.assertEqual(self.consume("ten", "-n", "3"), self.lines(0, 3))
        self.assertEqual(self.consume("ten", "--offset", "record:8", "-n", "50"), self.lines(8))
        self.assertEqual(self.consume("ten", "-n", "1", "--offset", "record:9"), self.lines(9))

    def test_json_has_one_object_per_record(self):
        objects = self.ok("--json", "consume", "--topic", "ten").json_lines()
        self.assertEqual(len(objects), 10)
        offsets = [entry["offset"] for entry in objects]
        self.assertEqual(offsets, [13 * n for n in range(10)])
        for number, entry in enumerate(objects):
            self.assertEqual((entry["topic"], entry["partition"], entry["record"], entry["value"]),
                             ("ten", 0, number, f"record {number}"))
            self.assertLess(abs(entry["time_ns"] / 1e9 - time.time()), 600)

    def test_hex(self):
        self.assertEqual(self.consume("ten", "--hex", "-n", "1").strip(),
                         b"record 0".hex().encode())

    def test_follow_shows_what_comes_and_ends_with_the_interrupt(self):
        topic = self.new_topic()
        self.ok("produce", "--topic", topic, "--data", "before")
        environment = dict(os.environ, LANCE_SERVER="%s:%d" % self.broker.address())
        with subprocess.Popen([harness.program("lnc"), "consume", "--topic", topic, "--follow"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment) as process:
            try:
                self.assertEqual(process.stdout.readline(), b"before\n")
                for number in range(3):
                    self.ok("produce", "--topic", topic, "--data", f"later {number}")
                    self.assertEqual(process.stdout.readline(), b"later %d\n" % number)
                self.assertIsNone(process.poll())
                process.send_signal(signal.SIGINT)
                self.assertIn(process.wait(10), (0, 130, -signal.SIGINT))
            finally:
                process.kill()

    def test_follow_with_a_number_ends_by_itself(self):
        self.assertEqual(self.consume("ten", "--follow", "-n", "10"), self.lines(0))

    def test_an_unknown_topic_is_not_found(self):
        self.fails(NOT_FOUND, "consume", "--topic", "never-made")

    def test_binary_records(self):
        topic = self.new_topic()
        identity = next(t["id"] for t in self.client.list() if t["name"] == topic)
        value = bytes(range(256))
        self.client.ingest(b"\x01" + struct.pack("<I", 256) + value, identity)
        self.assertEqual(self.consume(topic), value + b"\n")
        self.assertEqual(self.consume(topic, "--hex").strip(), value.hex().encode())
        (entry,) = self.ok("--json", "consume", "--topic", topic).json_lines()
        self.assertEqual(entry["offset"], 0)
        self.assertEqual(base64.b64decode(entry["value_base64"]), value)

    def test_records_that_span_many_fetches(self):
        topic = self.new_topic()
        content = b"".join(bytes([97 + n % 26]) * 700_000 + b"\n" for n in range(12))
        self.ok("produce", "--topic", topic, stdin=content)
        self.assertEqual(self.consume(topic), content)


class Topics(Tool):
    def listed(self):
        return {entry["name"]: entry for entry in self.ok("--json", "topic", "list").json_lines()}

    def test_create_list_describe_delete(self):
        self.ok("topic", "create", "one")
        self.assertIn("one", self.listed())
        self.assertIn("one", self.ok("topic", "list").text)
        (told,) = self.ok("--json", "topic", "describe", "one").json_lines()
        self.assertEqual((told["name"], told["id"]), ("one", self.listed()["one"]["id"]))
        self.assertIn("one", self.ok("topic", "describe", "one").text)
        self.ok("topic", "delete", "one", "--yes")
        self.assertNotIn("one", self.listed())
        self.fails(NOT_FOUND, "topic", "describe", "one")

    def test_delete_asks_before_it_destroys(self):
        topic = self.new_topic()
        outcome = self.lnc("topic", "delete", topic)
        self.assertIn(outcome.code, (FAILED, USAGE))
        self.assertIn("--yes", outcome.errors)
        self.assertIn(topic, self.listed())

    def test_sizes_and_ages_take_units(self):
        self.ok("topic", "create", "limited", "--max-age", "7d", "--max-bytes", "10GiB")
        identity = self.listed()["limited"]["id"]
        self.assertEqual(self.client.get(identity)["retention"],
                         {"max_age_secs": 7 * 86400, "max_bytes": 10 * 2**30})
        self.ok("topic", "set", "limited", "--max-age", "90m", "--max-bytes", "1MB")
        self.assertEqual(self.client.get(identity)["retention"],
                         {"max_age_secs": 5400, "max_bytes": 1_000_000})
        self.ok("topic", "set", "limited", "--max-age", "1h")
        self.assertEqual(self.client.get(identity)["retention"],
                         {"max_age_secs": 3600, "max_bytes": 1_000_000})

    def test_refusals(self):
        topic = self.new_topic()
        self.fails(FAILED, "topic", "create", topic)
        self.fails(NOT_FOUND, "topic", "delete", "never-made", "--yes")
        self.fails(NOT_FOUND, "topic", "set", "never-made", "--max-age", "1h")
        outcome = self.lnc("topic", "create", "bad/name")
        self.assertIn(outcome.code, (FAILED, USAGE))
        for words in (("--max-age", "soon"), ("--max-bytes", "-5"), ("--max-bytes", "10XB")):
            self.fails(USAGE, "topic", "create", "limits", *words)


class Usage(harness.Test):
    def free_port(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def test_help_and_version(self):
        for words in (("-h",), ("--help",), ("produce", "-h"), ("topic", "create", "--help")):
            outcome = harness.lnc(*words)
            self.assertEqual(outcome.code, DONE)
            self.assertIn("lnc", outcome.text)
        for word in ("-V", "--version"):
            self.assertRegex(harness.lnc(word).text, r"\d+\.\d+\.\d+")

    def test_wrong_words_are_usage_errors(self):
        for words in ((), ("produse",), ("produce",), ("produce", "--topic"),
                      ("produce", "--topic", "x", "--bogus"), ("topic",), ("topic", "create"),
                      ("consume", "--topic", "x", "--offset", "yesterday-ish"),
                      ("consume", "--topic", "x", "-n", "minus"),
                      ("produce", "--topic", "x", "--data", "y", "--file", "z")):
            outcome = harness.lnc(*words)
            self.assertEqual(outcome.code, USAGE, f"{words}: {outcome}")
            self.assertTrue(outcome.err.strip())

    def test_a_broker_that_is_not_there_is_unavailable(self):
        server = f"127.0.0.1:{self.free_port()}"
        for words in (("topic", "list"), ("produce", "--topic", "x", "--data", "y"),
                      ("consume", "--topic", "x")):
            started = time.monotonic()
            outcome = harness.lnc("--timeout", "2s", *words, server=server)
            self.assertEqual(outcome.code, UNAVAILABLE, outcome)
            self.assertIn(server, outcome.errors)
            self.assertLess(time.monotonic() - started, 20)

    def test_a_broker_that_says_nothing_is_unavailable_in_time(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(5)
            outcome = harness.lnc("--timeout", "1s", "topic", "list", timeout=30,
                                  server="127.0.0.1:%d" % silent.getsockname()[1])
        self.assertEqual(outcome.code, UNAVAILABLE, outcome)

    def test_a_file_that_is_not_there_fails(self):
        with harness.Broker() as broker:
            outcome = broker.lnc("produce", "--topic", "x", "--create", "--file", "/no/such/file")
            self.assertIn(outcome.code, (FAILED, USAGE, NOT_FOUND))
            self.assertIn("/no/such/file", outcome.errors)


class Segments(harness.Test):
    """`lnc segment`: offline, on the files of a broker that was stopped."""

    def setUp(self):
        self.broker = harness.Broker().start()
        self.addCleanup(self.broker.kill)
        with self.broker.client() as client:
            topic = client.create("inspected")["id"]
            for number in range(20):
                client.ingest(b"batch %02d " % number * 20, topic)
        self.assertEqual(self.broker.stop(), 0)
        self.path = next(p for p in self.broker.segments() if "/inspected/" in p)

    def test_verify_accepts_what_the_broker_wrote(self):
        for path in (self.path, self.broker.data_dir):
            outcome = harness.lnc("segment", "verify", path)
            self.assertEqual(outcome.code, DONE, outcome)
        outcome = harness.lnc("--json", "segment", "verify", self.path)
        self.assertEqual(outcome.code, DONE)
        self.assertTrue(outcome.json_lines())

    def test_dump_shows_the_batches(self):
        outcome = harness.lnc("segment", "dump", self.path)
        self.assertEqual(outcome.code, DONE, outcome)
        self.assertGreaterEqual(len(outcome.lines()), 20)
        outcome = harness.lnc("--json", "segment", "dump", self.path)
        batches = [entry for entry in outcome.json_lines() if entry.get("payload_bytes") == 180]
        self.assertEqual(len(batches), 20)
        self.assertEqual([entry["offset"] for entry in batches], [180 * n for n in range(20)])

    def test_verify_reports_damage(self):
        with open(self.path, "r+b") as file:
            content = file.read()
            file.seek(content.index(b"batch 07 ") + 50)
            file.write(b"#")
        for path in (self.path, self.broker.data_dir):
            outcome = harness.lnc("segment", "verify", path)
            self.assertEqual(outcome.code, DAMAGED, outcome)
            self.assertTrue(outcome.out.strip() or outcome.err.strip())

    def test_verify_reports_a_wrong_index(self):
        directory, name = os.path.split(self.path[:-4])
        index = os.path.join(directory, name.split("-")[0] + ".idx")
        with open(index, "rb") as file:
            original = file.read()
        for place in (3, 70, len(original) - 1):
            broken = bytearray(original)
            broken[place] ^= 1
            with open(index, "wb") as file:
                file.write(broken)
            outcome = harness.lnc("--json", "segment", "verify", self.path)
            self.assertEqual(outcome.code, DAMAGED, outcome)
            (told,) = outcome.json_lines()
            self.assertEqual((told["state"], told["index"]), ("ok", "wrong"))
            self.assertIn("1 of 1 indexes wrong", outcome.errors)
            self.assertEqual(harness.lnc("segment", "rebuild-index", self.path).code, DONE)
            self.assertEqual(harness.lnc("segment", "verify", self.path).code, DONE)

    def test_rebuild_index_gives_the_broker_s_own_bytes(self):
        # The index keeps its name when its segment is closed: "<first batch>_<first ns>.idx".
        directory, name = os.path.split(self.path[:-4])
        index = os.path.join(directory, name.split("-")[0] + ".idx")
        with open(index, "rb") as file:
            original = file.read()
        os.unlink(index)
        outcome = harness.lnc("segment", "rebuild-index", self.path)
        self.assertEqual(outcome.code, DONE, outcome)
        with open(index, "rb") as file:
            self.assertEqual(file.read(), original)

    def test_a_path_that_is_not_there(self):
        outcome = harness.lnc("segment", "verify", self.path + "-not")
        self.assertEqual(outcome.code, NOT_FOUND, outcome)

    def test_a_file_that_is_no_segment_is_damaged(self):
        path = os.path.join(self.broker.root, "9_9.lnc")
        with open(path, "wb") as file:
            file.write(b"this is not a segment\n" * 100)
        outcome = harness.lnc("segment", "verify", path)
        self.assertEqual(outcome.code, DAMAGED, outcome)


class Bench(harness.SharedBroker):
    def test_each_bench_measures_and_says_where(self):
        for kind in ("produce", "consume", "e2e"):
            outcome = self.broker.lnc("bench", kind, "--seconds", "1", "--size", "200")
            self.assertEqual(outcome.code, DONE, outcome)
            self.assertRegex(outcome.text, r"p99")
            self.assertRegex(outcome.text, r"fsync|durab")

    def test_json(self):
        outcome = self.broker.lnc("--json", "bench", "produce", "--seconds", "1")
        self.assertEqual(outcome.code, DONE, outcome)
        (told,) = outcome.json_lines()
        self.assertIn("p99", json.dumps(told))


if __name__ == "__main__":
    harness.main()
