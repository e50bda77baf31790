"""Hostile and broken peers: silent closes, bounded memory, a broker that goes on serving."""

import json
import os
import random
import resource
import socket
import struct
import threading
import time

import harness
import lwp

CROWD = 1000


def raise_descriptor_limit(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= wanted


class FramingFaults(harness.SharedBroker):
    """Each closes the connection without one byte of reply, stores nothing and is counted."""

    def assert_closes(self, data, name, crc=lwp.crc32):
        with self.broker.client(crc=crc) as client:
            client.keepalive()
            client.send(data)
            self.assertTrue(client.closed_silently(), f"{name}: not closed silently")
        self.client.keepalive()

    def test_faults_of_the_header(self):
        good = lwp.ingest_frame(1, b"test")
        faults = {
            "magic": lwp.encode(lwp.BATCH, 1, b"test", magic=b"JUNK"),
            "magic, last byte": lwp.encode(lwp.BATCH, 1, b"test", magic=b"LAND"),
            "version 0": lwp.encode(lwp.BATCH, 1, b"test", version=0),
            "version 2": lwp.encode(lwp.BATCH, 1, b"test", version=2),
            "header_crc 0": lwp.encode(lwp.BATCH, 1, b"test", header_crc=0),
            "flags changed": good[:5] + b"\x0c" + good[6:],
            "reserved changed": good[:6] + b"\x01" + good[7:],
            "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + b" " * 44,
            "zeros": bytes(44),
            "only four wrong bytes": b"QUIT",
        }
        for name, data in faults.items():
            with self.subTest(name):
                self.assert_closes(data, name)

    def test_faults_of_the_payload(self):
        topic = self.topic()
        good = bytearray(lwp.ingest_frame(1, b"test", topic))
        faults = {"payload_crc": lwp.encode(lwp.BATCH, 1, b"test", payload_crc=1, topic_id=topic),
                  "payload": bytes(good[:-1]) + b"T",
                  "control payload": lwp.encode(lwp.CONTROL, 1, b"name", payload_crc=5),
                  "ack payload": lwp.encode(lwp.ACK, 1, b"ignored?", payload_crc=5)}
        for name, data in faults.items():
            with self.subTest(name):
                self.assert_closes(data, name)
        self.assertEqual(self.client.end(topic), 0)

    def test_over_size_closes_before_the_payload_arrives(self):
        for flags in (lwp.BATCH, lwp.CONTROL, lwp.KEEPALIVE, lwp.ACK, 0):
            for length in (lwp.MAX_PAYLOAD + 1, 2**31 - 1, 2**31, 2**32 - 1):
                with self.subTest(flags=hex(flags), length=length):
                    self.assert_closes(lwp.encode(flags, 1, payload_length=length, payload_crc=1),
                                       "over size")

    def test_golden_rejects(self):
        path = os.path.join(harness.source_dir(), "tests", "wire", "lwp_vectors.json")
        with open(path, encoding="utf-8") as file:
            cases = json.load(file)["rejects"]
        for case in cases:
            if case["expect"].startswith("close"):
                with self.subTest(case["name"]):
                    self.assert_closes(bytes.fromhex(case["frame_hex"]), case["name"])

    def test_faults_are_counted(self):
        before = self.broker.metrics().value("lance_crc_failures_total")
        for _ in range(5):
            self.assert_closes(lwp.encode(lwp.BATCH, 1, b"test", payload_crc=7), "payload_crc")
        self.assertTrue(self.broker.wait_metric("lance_crc_failures_total", before + 5))

    def test_every_single_bit_of_the_protected_header(self):
        good = lwp.encode(lwp.KEEPALIVE)
        for bit in range(12 * 8):
            bad = bytearray(good)
            bad[bit // 8] ^= 1 << bit % 8
            with self.broker.client() as client:
                client.send(bytes(bad))
                self.assertTrue(client.closed_silently(), f"bit {bit}")


class Memory(harness.SharedBroker):
    def settled_rss(self):
        time.sleep(0.3)
        return self.broker.rss()

    def test_a_header_that_claims_four_gibibytes_costs_no_memory(self):
        self.client.keepalive()
        before = self.settled_rss()
        for _ in range(100):
            with self.broker.client() as client:
                client.send(lwp.encode(lwp.BATCH, 1, payload_length=2**32 - 1, payload_crc=1))
                self.assertTrue(client.closed_silently())
        self.assertLess(self.settled_rss() - before, 16 * harness.MIB)

    def crowd(self, greeting):
        """Connections that each sent something unfinished, as many as the broker takes."""
        self.assertTrue(raise_descriptor_limit(2 * CROWD + 200), "descriptor limit too low")
        peers = []
        for _ in range(CROWD):
            peer = socket.create_connection(self.broker.address(), timeout=10)
            peers.append(peer)
            self.addCleanup(peer.close)
            peer.sendall(greeting)
        return peers

    def assert_serves(self, topic):
        started = time.monotonic()
        for number in range(50):
            self.client.ingest(b"healthy %02d" % number, topic)
        self.assertTrue(self.client.read_all(topic).endswith(b"healthy 49"))
        self.assertLess(time.monotonic() - started, 10)

    def check_crowd(self, greeting):
        topic = self.topic()
        before = self.settled_rss()
        peers = self.crowd(greeting)
        self.assert_serves(topic)
        growth = self.settled_rss() - before
        self.assertLess(growth, 64 * harness.MIB, f"{growth} bytes for {CROWD} idle connections")
        for peer in peers:
            peer.close()
        self.assert_serves(topic)
        self.assertTrue(harness.wait_until(
            lambda: self.broker.metrics().value("lance_connections_active") <= 3, 10, 0.2))

    def test_half_headers(self):
        self.check_crowd(lwp.encode(lwp.KEEPALIVE)[:22])

    def test_half_frames(self):
        self.check_crowd(lwp.ingest_frame(1, b"h" * 1000)[:500])

    def test_largest_frames_barely_begun(self):
        self.check_crowd(lwp.encode(lwp.BATCH, 1, payload_length=lwp.MAX_PAYLOAD, payload_crc=1)
                         + b"x" * 100)

    def test_connections_that_come_and_go(self):
        before = self.settled_rss()
        for _ in range(2000):
            with self.broker.client() as client:
                client.send(lwp.encode(lwp.KEEPALIVE)[:30])
        self.client.keepalive()
        self.assertLess(self.settled_rss() - before, 16 * harness.MIB)

    def test_requests_without_reading_replies_are_bounded(self):
        topic = self.topic()
        self.client.ingest(b"z" * 1_000_000, topic)
        before = self.settled_rss()
        greedy = [self.broker.client() for _ in range(20)]
        request = lwp.control(lwp.FETCH, lwp.fetch_payload(topic, 0, 1 << 20))
        for client in greedy:
            client.sock.settimeout(0.05)
            try:
                for _ in range(200):  # 200 MB of replies per connection, none of them read
                    client.sock.sendall(request)
            except (TimeoutError, socket.timeout):
                pass  # the broker stopped reading: as it should
        self.assert_serves(self.topic())
        self.assertLess(self.settled_rss() - before, 256 * harness.MIB)
        for client in greedy:
            client.close()


class Fuzz(harness.SharedBroker):
    def test_random_bytes(self):
        rng = random.Random(harness.seed())
        for _ in range(300):
            data = rng.randbytes(rng.choice((1, 3, 4, 12, 43, 44, 45, 200, 5000)))
            with self.broker.client() as client:
                client.send(data)
                if len(data) >= 4:
                    self.assertTrue(client.closed_silently(), data[:50].hex())
        self.client.keepalive()

    def test_mutated_frames(self):
        seed = harness.seed()
        rng = random.Random(seed)
        topic = self.topic()
        self.client.ingest(b"sentinel", topic)
        frames = [lwp.ingest_frame(1, b"payload", topic), lwp.encode(lwp.KEEPALIVE),
                  lwp.control(lwp.FETCH, lwp.fetch_payload(topic, 0, 100)),
                  lwp.control(lwp.CREATE_TOPIC, b"fuzzed"),
                  lwp.ingest_frame(2, lwp.lz4_envelope(b"packed"), topic, flags=5),
                  lwp.control(lwp.COMMIT, lwp.commit_payload(topic, 1, 2))]
        for _ in range(500):
            stream = bytearray(b"".join(rng.choice(frames) for _ in range(rng.randrange(1, 6))))
            for _ in range(rng.randrange(1, 4)):
                stream[rng.randrange(len(stream))] = rng.randrange(256)
            with self.broker.client() as client:
                client.send(bytes(stream[:rng.randrange(1, len(stream) + 1)]))
        self.client.keepalive()
        self.assertEqual(self.client.read(topic, 0, 8), b"sentinel")

    def test_every_command_with_random_payloads(self):
        """Valid frames, any command, any payload: one reply each, in order, never a hang."""
        rng = random.Random(harness.seed())
        for _ in range(40):
            count = 50
            with self.broker.client() as client:
                for _ in range(count):
                    length = rng.choice((0, 1, 4, 8, 12, 16, 20, 24, 26, 60, 300))
                    payload = rng.choice((bytes(length), rng.randbytes(length),
                                          b"\xff" * length))
                    client.send(lwp.control(rng.randrange(256), payload))
                for number in range(count):
                    reply = client.receive()
                    self.assertIn(reply.kind, ("control", "ack"), f"reply {number}: {reply!r}")
                    if reply.code == lwp.ERROR:
                        word, _ = lwp.parse_error(reply.payload.decode("utf-8"))
                        self.assertIsNotNone(word, reply.payload)
                client.keepalive()


class ConnectionLimit(harness.Test):
    LIMIT = 20

    def test_connections_over_the_limit_are_refused_cleanly(self):
        config = harness.SMALL_SEGMENTS + f"[network]\nmax_connections = {self.LIMIT}\n"
        with harness.Broker(config=config) as broker:
            inside = [broker.client() for _ in range(self.LIMIT)]
            for client in inside:
                client.keepalive()
            for _ in range(10):
                try:
                    with broker.client(timeout=5) as extra:
                        extra.send(lwp.encode(lwp.KEEPALIVE))
                        self.assertTrue(extra.closed_silently(5))
                except ConnectionError:
                    pass  # refused outright is as clean
            for client in inside:
                client.keepalive()
            for client in inside[:5]:
                client.close()

            def admitted():
                try:
                    with broker.client() as client:
                        client.keepalive()
                        return True
                except (lwp.Closed, ConnectionError):
                    return False

            self.assertTrue(harness.wait_until(admitted, 5), "a freed place can be taken")
            for client in inside[5:]:
                client.keepalive()
                client.close()

    def test_active_and_total_connections_are_counted(self):
        with harness.Broker() as broker:
            clients = [broker.client() for _ in range(7)]
            for client in clients:
                client.keepalive()
            self.assertTrue(broker.wait_metric("lance_connections_total", 7))
            self.assertEqual(broker.metrics().value("lance_connections_active"), 7)
            for client in clients:
                client.close()
            self.assertTrue(harness.wait_until(
                lambda: broker.metrics().value("lance_connections_active") == 0, 5, 0.1))


class Churn(harness.SharedBroker):
    def test_peers_that_vanish_in_mid_request_leave_the_others_alone(self):
        rng = random.Random(harness.seed())
        topic, stop, failures = self.topic(), threading.Event(), []

        def vandal():
            try:
                while not stop.is_set():
                    client = self.broker.client()
                    frame = lwp.ingest_frame(1, b"V" * rng.randrange(1, 20_000), 0)
                    client.send(frame[:rng.randrange(1, len(frame))])
                    if rng.random() < 0.5:  # a reset instead of an orderly end
                        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                               struct.pack("ii", 1, 0))
                    client.close()
            except Exception as failure:  # told to the main thread
                failures.append(failure)

        threads = [threading.Thread(target=vandal) for _ in range(3)]
        for thread in threads:
            thread.start()
        expected = []
        for number in range(500):
            expected.append(b"%05d" % number)
            self.client.ingest(expected[-1], topic)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assert_stream(self.client, topic, b"".join(expected))


if __name__ == "__main__":
    harness.main()
