"""`lnc export` and `lnc import`: a topic goes into one file and comes back with the same bytes at the
same offsets and record numbers; a damaged or cut file is refused with its place before anything is
sent."""

import json
import os
import pty
import random
import resource
import struct
import subprocess

import harness
import lwp

DONE, FAILED, NOT_FOUND, UNAVAILABLE, DAMAGED = 0, 1, 3, 5, 10


def batches(client, topic):
    """[(offset, first record, record count, payload)] of the whole topic."""
    found, start = [], 0
    while True:
        reply = client.expect(
            client.exchange(lwp.control(0x36, lwp.fetch_batches_payload(topic, start, 1 << 22))),
            0x37)
        next_offset, _, end, count, _ = struct.unpack_from("<QQQII", reply.payload)
        entries = [struct.unpack_from("<QQQII", reply.payload, 32 + 32 * n) for n in range(count)]
        at = 32 + 32 * count
        for offset, record, _, records, length in entries:
            found.append((offset, record, records, reply.payload[at:at + length]))
            at += length
        if count == 0 or next_offset >= end:
            return found
        start = next_offset


class Export(harness.SharedBroker):
    def setUp(self):
        super().setUp()
        self.directory = harness.temp_dir()
        self.file = os.path.join(self.directory, "topic.lnctopic")

    def filled(self, name, count=200):
        rng = random.Random(harness.seed())
        topic = self.client.create(name)["id"]
        for _ in range(count):
            self.client.ingest(rng.randbytes(rng.choice((1, 10, 1000, 70_000))), topic,
                               records=rng.choice((1, 2, 50)))
        return topic

    def exported(self, name, count=200):
        topic = self.filled(name, count)
        outcome = self.broker.lnc("--json", "export", name, "-o", self.file)
        self.assertEqual(outcome.code, DONE, outcome)
        self.assertEqual(outcome.errors, "")
        self.assertEqual(os.listdir(self.directory), ["topic.lnctopic"])
        return topic, outcome.json_lines()[0]

    def id_of(self, name):
        return next(topic["id"] for topic in self.client.list() if topic["name"] == name)

    def test_the_same_bytes_and_numbers_come_back(self):
        topic, told = self.exported("whole")
        original = batches(self.client, topic)
        self.assertEqual(len(original), 200)
        self.assertEqual((told["batches"], told["start_offset"], told["end_offset"]),
                         (200, 0, self.client.end(topic)))
        self.assertEqual(told["records"], sum(batch[2] for batch in original))
        self.assertEqual(told["file_bytes"], os.path.getsize(self.file))
        outcome = self.broker.lnc("--json", "import", self.file, "--topic", "again")
        self.assertEqual(outcome.code, DONE, outcome)
        (imported,) = outcome.json_lines()
        self.assertEqual((imported["batches"], imported["records"], imported["bytes"]),
                         (told["batches"], told["records"], told["bytes"]))
        self.assertEqual(batches(self.client, self.id_of("again")), original)
        # In words, into a topic that is there and empty.
        self.client.create("empty")
        outcome = self.broker.lnc("import", self.file, "--topic", "empty")
        self.assertEqual(outcome.code, DONE, outcome)
        self.assertIn(f"200 batches, offsets 0 to {told['end_offset']}\n", outcome.text)
        self.assertEqual(batches(self.client, self.id_of("empty")), original)

    def test_an_empty_topic(self):
        self.exported("nothing", 0)
        outcome = self.broker.lnc("import", self.file, "--topic", "nothing-again")
        self.assertEqual(outcome.code, DONE, outcome)
        self.assertEqual(self.client.end(self.id_of("nothing-again")), 0)

    def test_the_policy_comes_along(self):
        outcome = self.broker.lnc("topic", "create", "strict", "--durability", "written",
                                  "--max-age", "5d")
        self.assertEqual(outcome.code, DONE, outcome)
        self.assertEqual(self.broker.lnc("export", "strict", "-o", self.file).code, DONE)
        self.assertEqual(self.broker.lnc("import", self.file, "--topic", "strict2").code, DONE)

        def policy(name):
            told = json.loads(self.broker.lnc("--json", "topic", "describe", name).text)
            return [told.get(key) for key in ("durability", "mode", "max_age_secs", "max_bytes")]

        self.assertEqual(policy("strict"), policy("strict2"))
        self.assertEqual(policy("strict2")[2], 5 * 86400)

    def test_a_topic_that_is_not_empty_is_added_to_only_when_asked(self):
        self.exported("source", 20)
        target = self.client.create("target")["id"]
        self.client.ingest(b"before", target)
        outcome = self.broker.lnc("import", self.file, "--topic", "target")
        self.assertEqual(outcome.code, FAILED, outcome)
        self.assertIn("--append", outcome.errors)
        self.assertEqual(self.client.end(target), 6)
        outcome = self.broker.lnc("import", self.file, "--topic", "target", "--append")
        self.assertEqual(outcome.code, DONE, outcome)
        self.assertEqual(self.client.read_all(target),
                         b"before" + self.client.read_all(self.id_of("source")))

    def test_a_damaged_or_cut_file_is_refused_with_its_place_and_nothing_is_sent(self):
        self.exported("good", 50)
        with open(self.file, "rb") as file:
            whole = file.read()
        rng = random.Random(harness.seed())
        places = [0, 9, 13, 20, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(10))]
        for number, place in enumerate(places):
            with self.subTest(place=place):
                broken = bytearray(whole)
                broken[place] ^= 1 << rng.randrange(8)
                with open(self.file, "wb") as file:
                    file.write(broken)
                outcome = self.broker.lnc("import", self.file, "--topic", f"never{number}")
                self.assertEqual(outcome.code, DAMAGED, outcome)
                self.assertRegex(outcome.errors, r"damaged at byte \d+: ")
                cut = rng.randrange(len(whole))
                with open(self.file, "wb") as file:
                    file.write(whole[:cut])
                outcome = self.broker.lnc("import", self.file, "--topic", f"never{number}")
                self.assertEqual(outcome.code, DAMAGED, outcome)
                self.assertIn(f"ends early, at byte {cut}", outcome.errors)
        self.assertFalse([topic for topic in self.client.list() if "never" in topic["name"]])

    def test_what_is_not_there(self):
        outcome = self.broker.lnc("export", "no-such-topic", "-o", self.file)
        self.assertEqual(outcome.code, NOT_FOUND, outcome)
        self.assertEqual(os.listdir(self.directory), [])
        outcome = self.broker.lnc("import", self.file, "--topic", "x")
        self.assertEqual(outcome.code, NOT_FOUND, outcome)
        self.filled("nowhere", 1)
        outcome = self.broker.lnc("export", "nowhere", "-o", "/no/such/directory/file")
        self.assertEqual(outcome.code, FAILED, outcome)
        outcome = harness.lnc("export", "x", "-o", self.file, server="127.0.0.1:1")
        self.assertEqual(outcome.code, UNAVAILABLE, outcome)

    def test_the_bar_is_for_terminals_and_not_for_quiet_ones(self):
        self.filled("barred", 20)

        def on_terminal(*words):
            master, slave = pty.openpty()
            done = subprocess.run(
                [harness.program("lnc"), "--server", "%s:%d" % self.broker.address(), *words],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave, timeout=60, check=False)
            os.close(slave)
            seen = b""
            try:
                while piece := os.read(master, 65536):
                    seen += piece
            except OSError:
                pass
            os.close(master)
            self.assertEqual(done.returncode, DONE)
            return seen

        export = ("export", "barred", "-o", self.file)
        self.assertRegex(on_terminal(*export), rb"export \[#* *\] +\d+% ")
        self.assertEqual(on_terminal("--quiet", *export), b"")
        self.assertRegex(on_terminal("import", self.file, "--topic", "barred2"),
                         rb"verify \[#* *\](.|\n)*import \[#* *\] +\d+% ")
        self.assertEqual(on_terminal("--quiet", "import", self.file, "--topic", "barred3"), b"")
        outcome = self.broker.lnc("import", self.file, "--topic", "barred3", "--append")
        self.assertNotIn("[#", outcome.errors)  # a pipe

        verify = ("segment", "verify", os.path.dirname(self.broker.segments()[0]))
        self.assertRegex(on_terminal(*verify), rb"verify \[#* *\] +\d+% ")
        self.assertEqual(on_terminal("--quiet", *verify), b"")
        self.assertEqual(harness.lnc(*verify).errors, "")
        bench = ("bench", "produce", "--seconds", "1s")
        self.assertRegex(on_terminal(*bench), rb"bench \[#* *\] +\d+% \d s of 1 s")
        self.assertEqual(on_terminal("--quiet", *bench), b"")
        self.assertNotIn("bench [", self.broker.lnc(*bench).errors)

    def test_memory_is_bounded(self):
        topic = self.client.create("large")["id"]
        for _ in range(40):
            self.client.ingest(bytes(4 * harness.MIB), topic)
        for words in (("export", "large", "-o", self.file), ("import", self.file, "--topic", "l2")):
            done = subprocess.Popen([harness.program("lnc"), "--server",
                                     "%s:%d" % self.broker.address(), *words],
                                    stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(done.pid, 0)
            done.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(done.returncode, DONE)
            self.assertLess(usage.ru_maxrss * 1024, 80 * harness.MIB)  # of 160 MiB


if __name__ == "__main__":
    harness.main()
