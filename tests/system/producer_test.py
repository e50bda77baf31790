"""Idempotent producers: what the broker makes of their numbers, before and after a restart, and the
whole way through our client while the broker is killed again and again.

    producer_test.py <bindir> [TestClass ...]     LANCE_CYCLES sets the number of kills (25)
"""

import json
import os
import random
import socket
import struct
import subprocess
import threading
import time
import unittest

import harness
import lwp

CYCLES = int(os.environ.get("LANCE_CYCLES", "25"))
CYCLES_SECONDS = 90  # the loop ends early, and says so, on a machine too slow for all cycles
HELLO, REGISTER, REGISTERED = 0x30, 0x38, 0x39


def register(client, producer=0, epoch=0):
    """The producer's id, as the broker has it."""
    reply = client.expect(client.command(REGISTER, struct.pack("<QII", producer, epoch, 0)),
                          REGISTERED)
    found, found_epoch, reserved = struct.unpack("<QII", reply.payload)
    if found_epoch != epoch or reserved or (producer and found != producer):
        raise AssertionError(f"registered {producer}/{epoch}, answered {reply.payload.hex()}")
    return found


def send(client, topic, number, payload=None):
    """'acked', or the code of the refusal."""
    reply = client.exchange(lwp.ingest_frame(number, payload or b"batch %d;" % number, topic))
    if reply.code == lwp.ERROR:
        return lwp.parse_error(lwp.error_text(reply))[0]
    if reply.kind != "ack" or reply.batch_id != number:
        raise AssertionError(f"{reply!r} for batch {number}")
    return "acked"


class Numbers(harness.Test):
    def setUp(self):
        self.broker = harness.Broker()
        self.addCleanup(self.broker.kill)
        self.broker.start()

    def read(self, topic):
        with self.broker.client() as client:
            return client.read_all(topic)

    def test_hello_says_so(self):
        with self.broker.client() as client:
            said = client.command(HELLO, b'{"client":"test","features":[]}').json()
        self.assertIn("idempotence", said["features"])

    def test_each_number_is_stored_once_and_in_order(self):
        with self.broker.client() as client:
            topic = client.create("once")["id"]
            producer = register(client)
            self.assertNotEqual(producer, 0)
            self.assertEqual([send(client, topic, n) for n in (1, 2, 2, 1, 3)], ["acked"] * 5)
            self.assertEqual(send(client, topic, 5), "OUT_OF_SEQUENCE")
            self.assertEqual(send(client, topic, 0), "OUT_OF_SEQUENCE")
            self.assertEqual(send(client, topic, 4), "acked")
        self.assertEqual(self.read(topic), b"batch 1;batch 2;batch 3;batch 4;")
        self.assertTrue(self.broker.wait_metric("lance_producer_duplicates_total", 2))
        self.assertTrue(self.broker.wait_metric("lance_producer_refusals_total", 2))
        self.assertEqual(self.broker.metrics().value("lance_producer_duplicates_total"), 2)

    def test_numbers_are_counted_for_each_log(self):
        with self.broker.client() as client:
            one, other = client.create("one")["id"], client.create("other")["id"]
            register(client)
            self.assertEqual([send(client, one, 1), send(client, other, 1), send(client, one, 2)],
                             ["acked"] * 3)
            self.assertEqual(send(client, other, 3), "OUT_OF_SEQUENCE")

    def test_a_window_of_frames_is_judged_in_its_order(self):
        with self.broker.client() as client:
            topic = client.create("window")["id"]
            register(client)
            frames = [lwp.ingest_frame(n, b"%d;" % n, topic) for n in (1, 2, 2, 3, 5, 4)]
            client.send(b"".join(frames))
            replies = [client.receive() for _ in frames]
        self.assertEqual([reply.batch_id for reply in replies[:4]], [1, 2, 2, 3])
        self.assertEqual(lwp.parse_error(lwp.error_text(replies[4]))[0], "OUT_OF_SEQUENCE")
        self.assertEqual(self.read(topic), b"1;2;3;4;")

    def test_who_is_nobody_is_never_judged(self):
        with self.broker.client() as client:
            topic = client.create("nobody")["id"]
            self.assertEqual([send(client, topic, n) for n in (7, 7, 3)], ["acked"] * 3)
        self.assertEqual(self.read(topic), b"batch 7;batch 7;batch 3;")

    def test_a_later_epoch_fences_the_earlier_one_off(self):
        with self.broker.client() as old, self.broker.client() as new:
            topic = old.create("fenced")["id"]
            producer = register(old)
            self.assertEqual(send(old, topic, 1), "acked")
            register(new, producer, 1)
            self.assertEqual(send(new, topic, 2), "OUT_OF_SEQUENCE")
            self.assertEqual(send(new, topic, 1, b"anew;"), "acked")
            self.assertEqual(send(old, topic, 2), "FENCED")
        self.assertEqual(self.read(topic), b"batch 1;anew;")

    def test_who_is_not_known_begins_at_one(self):
        with self.broker.client() as client:
            topic = client.create("unknown")["id"]
            register(client, 4711)
            self.assertEqual(send(client, topic, 2), "UNKNOWN_PRODUCER")
            self.assertEqual(send(client, topic, 1), "acked")
            register(client, 4712)  # the same connection, somebody else
            self.assertEqual(send(client, topic, 1), "acked")
            self.assertEqual(send(client, topic, 1), "acked")
        self.assertEqual(self.read(topic), b"batch 1;batch 1;")

    def test_a_registration_that_cannot_be_read_is_refused(self):
        with self.broker.client() as client:
            for payload in (b"", bytes(15), struct.pack("<QII", 0, 1, 0)):
                with self.assertRaises(lwp.Refused) as refused:
                    client.command(REGISTER, payload)
                self.assertIn("INVALID_REQUEST", str(refused.exception))
            client.keepalive()

    def test_two_producers_get_two_names(self):
        with self.broker.client() as one, self.broker.client() as other:
            self.assertNotEqual(register(one), register(other))

    def test_numbers_hold_over_kills_and_orderly_ends(self):
        with self.broker.client() as client:
            topic = client.create("kept")["id"]
            producer = register(client)
            for n in range(1, 4):
                self.assertEqual(send(client, topic, n), "acked")
        for again in (self.broker.crash, self.broker.restart, self.broker.crash):
            again()
            with self.broker.client() as client:
                register(client, producer)
                self.assertEqual(send(client, topic, 3), "acked")
                self.assertEqual(send(client, topic, 5), "OUT_OF_SEQUENCE")
        with self.broker.client() as client:
            register(client, producer)
            self.assertEqual(send(client, topic, 4), "acked")
        self.assertEqual(self.read(topic), b"batch 1;batch 2;batch 3;batch 4;")

    def test_numbers_hold_over_segments(self):
        payload = os.urandom(2 << 20)
        with self.broker.client(timeout=30) as client:
            topic = client.create("rolled")["id"]
            producer = register(client)
            for n in range(1, 40):  # two segments of 32 MiB, and some
                self.assertEqual(send(client, topic, n, payload), "acked")
        self.broker.crash()
        with self.broker.client(timeout=30) as client:
            register(client, producer)
            self.assertEqual(send(client, topic, 39, payload), "acked")
            self.assertEqual(send(client, topic, 40, payload), "acked")
            self.assertEqual(client.end(topic), 40 * len(payload))


def lasting_address():
    """A free port that the kernel gives to nobody: of its own range, a client that keeps calling
    while the broker is away is given that very port in the end, and answers itself."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        lowest = int(file.read().split()[0])
    while True:
        port = random.SystemRandom().randrange(lowest // 2, lowest)
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
                return f"127.0.0.1:{port}"
            except OSError:
                continue


class Tool(harness.Test):
    """lnc produce --idempotent."""

    def setUp(self):
        self.broker = harness.Broker(args=["--listen", lasting_address(), "--http", "127.0.0.1:0",
                                           "--metrics", "127.0.0.1:0"], addresses=False)
        self.addCleanup(self.broker.kill)
        self.broker.start()

    def producers_of(self, topic):
        """Producer ids in the headers of a topic's batches."""
        path = [p for p in self.broker.segments() if f"/{topic}/" in p]
        self.assertEqual(len(path), 1, path)
        dumped = harness.lnc("--json", "segment", "dump", path[0]).text.splitlines()
        lines = [json.loads(line) for line in dumped]
        return [line["producer"] for line in lines if "producer" in line]

    def test_the_flag_is_heard(self):
        for words in ((), ("--idempotent",)):
            topic = "plain" if not words else "numbered"
            outcome = self.broker.lnc("produce", "--topic", topic, "--data", "x", "--create", *words)
            self.assertEqual(outcome.code, 0, outcome.err)
        self.broker.stop()
        self.assertEqual(self.producers_of("plain"), [])
        self.assertEqual(len(self.producers_of("numbered")), 1)

    def test_kill_after_kill_every_line_is_there_once_and_in_order(self):
        rng = random.Random(harness.seed())
        with self.broker.client() as client:
            topic = client.create("exactly")["id"]
        line = [harness.program("lnc"), "-s", self.broker.ready["lwp"], "--timeout", "120s",
                "produce", "--topic", "exactly", "--idempotent", "--batch-bytes", "2KiB",
                "--linger-ms", "1"]
        tool = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        self.addCleanup(tool.kill)
        fed, done = [0], threading.Event()

        def feed():
            while not done.is_set():
                some = b"".join(b"%09d %s\n" % (fed[0] + i, b"x" * rng.randrange(200))
                                for i in range(20))
                tool.stdin.write(some)
                tool.stdin.flush()
                fed[0] += 20
                time.sleep(0.002)
            tool.stdin.close()

        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
        begun, kills = time.monotonic(), 0
        while kills < CYCLES and time.monotonic() - begun < CYCLES_SECONDS:
            time.sleep(rng.uniform(0.05, 0.4))
            self.broker.kill()
            self.broker.start()
            kills += 1
        done.set()
        feeder.join()
        self.assertEqual(tool.wait(120), 0, tool.stderr.read())
        read = self.broker.lnc("consume", "--topic", "exactly").out.splitlines()
        numbers = [int(text.split()[0]) for text in read]
        repeated = self.broker.metrics().value("lance_producer_duplicates_total")
        print(f"{kills} kills, {fed[0]} records, {repeated:.0f} repeated batches since the last")
        self.assertEqual(numbers, list(range(fed[0])))
        self.assertGreater(kills, 3)


if __name__ == "__main__":
    harness.main()
