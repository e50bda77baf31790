"""Frames, replies and connection rules of LWP v1 as a client sees them (the twelve compatibility
rules that concern one node; topics, fetch and consumer book-keeping have programs of their own)."""

import hashlib
import json
import os
import random
import socket
import struct
import threading

import harness
import lwp

VECTORS = os.path.join(harness.source_dir(), "tests", "wire", "lwp_vectors.json")


def vectors():
    with open(VECTORS, encoding="utf-8") as file:
        return json.load(file)


class OwnBytes(harness.Test):
    """The client of these tests against the golden vectors: a wrong ruler measures nothing."""

    def test_frames_and_checksums_equal_the_golden_vectors(self):
        golden = vectors()
        for text, crc in golden["crc"]["wire_crc32_iso_hdlc"].items():
            self.assertEqual(f"{lwp.crc32(text.encode()):08x}", crc)
        for text, crc in golden["crc"]["crc32c_castagnoli"].items():
            self.assertEqual(f"{lwp.crc32c(text.encode()):08x}", crc)
        for case in golden["frames"]:
            fields = {key: int(value) for key, value in case["fields"].items()}
            frame = lwp.Frame(fields["flags"], fields["batch_id"],
                              bytes.fromhex(case["payload_hex"]),
                              timestamp_ns=fields["timestamp_ns"],
                              record_count=fields["record_count"], topic_id=fields["topic_id"])
            self.assertEqual(frame.encode().hex(), case["frame_hex"], case["name"])
            self.assertEqual(frame.encode(lwp.crc32c).hex(), case["frame_hex_if_crc32c"])


class Ingest(harness.SharedBroker):
    def test_an_ack_carries_the_batch_id_and_nothing_else(self):
        topic = self.topic()
        for batch_id in (1, 2, 54321, 2**63, 2**64 - 1, 0, 7, 7):
            reply = self.client.exchange(lwp.ingest_frame(batch_id, b"abc", topic))
            self.assertEqual((reply.kind, reply.batch_id, reply.payload), ("ack", batch_id, b""))
        self.assert_stream(self.client, topic, b"abc" * 8)

    def test_topic_zero_accepts_ingest_though_nobody_created_it(self):
        before = self.client.end(0)
        self.client.ingest(b"for the default topic", 0)
        self.assertEqual(self.client.read(0, before, before + 21), b"for the default topic")

    def test_an_unknown_topic_is_refused_and_the_connection_goes_on(self):
        self.assert_refused("TOPIC_NOT_FOUND", self.client.ingest, b"x", 4_000_000_000)
        self.client.keepalive()

    def test_payloads_are_opaque_and_come_back_unchanged(self):
        topic = self.topic()
        payloads = [bytes(range(256)), b"\0" * 1000, b"LANC" * 11, b"\xff" * 44, b"\n", b"\0"]
        for payload in payloads:
            self.client.ingest(payload, topic, records=3)
        self.assert_stream(self.client, topic, b"".join(payloads))

    def test_an_empty_ingest_is_acked_and_stores_nothing(self):
        topic = self.topic()
        self.client.ingest(b"before", topic)
        self.client.ingest(b"", topic, records=0)
        self.client.ingest(b"", topic, records=5)
        self.client.ingest(b"after", topic)
        self.assert_stream(self.client, topic, b"beforeafter")

    def test_a_payload_without_the_batch_flag_is_an_ingest(self):
        topic = self.topic()
        for flags in (0x00, 0x80):
            reply = self.client.exchange(lwp.ingest_frame(9, b"plain", topic, flags=flags))
            self.assertEqual((reply.kind, reply.batch_id), ("ack", 9))
        self.assert_stream(self.client, topic, b"plainplain")

    def test_the_client_s_timestamp_and_count_are_taken_as_they_come(self):
        topic = self.topic()
        for timestamp, count in ((0, 0), (2**64 - 1, 2**32 - 1), (1, 1)):
            frame = lwp.encode(lwp.BATCH, 5, b"x", timestamp_ns=timestamp, record_count=count,
                               topic_id=topic)
            self.assertEqual(self.client.exchange(frame).kind, "ack")
        self.assert_stream(self.client, topic, b"xxx")

    def test_sixteen_mebibytes_are_accepted_and_every_reply_stays_within_them(self):
        topic = self.topic()
        payload = random.Random(16).randbytes(lwp.MAX_PAYLOAD)
        self.client.ingest(payload, topic, timeout=30)
        self.assertEqual(self.client.end(topic), lwp.MAX_PAYLOAD)
        # The client refuses a reply over 16 MiB; a greedy fetch must still make progress.
        start, digest = 0, hashlib.sha256()
        while start < lwp.MAX_PAYLOAD:
            start, data = self.client.fetch(topic, start, 2**32 - 1)
            self.assertLessEqual(len(data), lwp.MAX_FETCH_DATA)
            self.assertTrue(data)
            digest.update(data)
        self.assertEqual(digest.digest(), hashlib.sha256(payload).digest())

    def test_one_byte_more_closes_the_connection_silently(self):
        frame = lwp.encode(lwp.BATCH, 1, payload_length=lwp.MAX_PAYLOAD + 1, payload_crc=1)
        self.client.send(frame)
        self.assertTrue(self.client.closed_silently())


class CompressedIngest(harness.SharedBroker):
    def send(self, payload, topic):
        return self.client.ingest(payload, topic, flags=lwp.BATCH | lwp.COMPRESSED)

    def test_compressed_batches_are_stored_plain(self):
        topic, expected = self.topic(), b""
        for case in vectors()["compression"]["vectors"]:
            self.send(bytes.fromhex(case["framed_hex"]), topic)
            expected += bytes.fromhex(case["plain_hex"])
        for length in (1, 14, 15, 269, 270, 271, 100_000):
            plain = random.Random(length).randbytes(length)
            self.send(lwp.lz4_envelope(plain), topic)
            expected += plain
        self.send(lwp.zstd_raw_envelope(b"zstd, raw block"), topic)
        self.send(lwp.envelope(0, 4, b"none"), topic)
        expected += b"zstd, raw block" + b"none"
        self.assert_stream(self.client, topic, expected)

    def test_bad_envelopes_are_refused_and_store_nothing(self):
        topic = self.topic()
        lz4 = lwp.lz4_envelope(b"seven bytes and a few more")
        bad = {
            "too short": b"\x01\x02",
            "only a header": lwp.envelope(1, 10, b""),
            "over 16 MiB": lwp.envelope(1, lwp.MAX_PAYLOAD + 1, b"\0\0\0\0\0\0"),
            "2^32-1": lwp.envelope(2, 2**32 - 1, b"\x28\xb5\x2f\xfd\x20"),
            "unknown algorithm": lwp.envelope(3, 4, b"none"),
            "claims more than it holds": lwp.envelope(1, 9999, lz4[5:]),
            "sizes disagree": lz4[:5] + struct.pack("<I", 3) + lz4[9:],
            "cut body": lz4[:-3],
            "match before the beginning": lwp.envelope(
                1, 40, struct.pack("<I", 40) + b"\x1f\x41\xff\xff\x20\x50abcde"),
            "not zstd": lwp.envelope(2, 4, b"none"),
        }
        for name, payload in bad.items():
            with self.subTest(name):
                self.assert_refused("INVALID_REQUEST TOO_LARGE UNSUPPORTED CORRUPT",
                                    self.send, payload, topic)
        self.client.ingest(b"still here", topic)
        self.assert_stream(self.client, topic, b"still here")

    def test_golden_rejects(self):
        for case in vectors()["compression"]["rejects"]:
            with self.subTest(case["name"]):
                self.assert_refused("INVALID_REQUEST TOO_LARGE UNSUPPORTED CORRUPT", self.send,
                                    bytes.fromhex(case["framed_hex"]), 0)


class Pipelining(harness.SharedBroker):
    def test_a_thousand_mixed_requests_are_answered_in_order(self):
        seed = harness.seed()
        rng = random.Random(seed)
        sink, frozen = self.topic(), self.topic()
        frozen_bytes = rng.randbytes(5000)
        self.client.ingest(frozen_bytes, frozen)
        requests, checks, stored = [], [], []

        def add(frame, check):
            requests.append(frame)
            checks.append(check)

        def ack(batch_id):
            return lambda r: (r.kind, r.batch_id) == ("ack", batch_id)

        for number in range(1, 1001):
            kind = rng.randrange(8)
            if kind <= 1:
                stored.append(struct.pack("<I", number) * rng.randrange(1, 200))
                add(lwp.ingest_frame(number, stored[-1], sink), ack(number))
            elif kind == 2:
                add(lwp.encode(lwp.KEEPALIVE), lambda r: r.kind == "keepalive")
            elif kind == 3:
                add(lwp.control(lwp.COMMIT, lwp.commit_payload(sink, 77, number)),
                    lambda r, n=number: r.code == lwp.COMMIT_ACK
                    and struct.unpack("<QQ", r.payload) == (77, n))
            elif kind == 4:
                start = rng.randrange(5000)
                add(lwp.control(lwp.FETCH, lwp.fetch_payload(frozen, start, 1)),
                    lambda r, s=start: r.code == lwp.FETCH_RESPONSE
                    and r.payload == struct.pack("<QII", s + 1, 1, 1) + frozen_bytes[s:s + 1])
            elif kind == 5:
                add(lwp.control(lwp.UNSUBSCRIBE, lwp.unsubscribe_payload(sink, number)),
                    ack(number))
            elif kind == 6:
                add(lwp.ingest_frame(number, b"nowhere", 3_999_999_999),
                    lambda r: r.code == lwp.ERROR and r.payload.startswith(b"TOPIC_NOT_FOUND: "))
            else:
                add(lwp.control(lwp.GET_TOPIC, struct.pack("<I", sink)),
                    lambda r: r.code == lwp.TOPIC_RESPONSE and r.json()["id"] == sink)
        sender = threading.Thread(target=self.client.sock.sendall, args=(b"".join(requests),))
        self.client.sock.settimeout(30)
        sender.start()
        for number, check in enumerate(checks, 1):
            reply = self.client.receive(30)
            self.assertTrue(check(reply), f"request {number} of seed {seed} got {reply!r}")
        sender.join()
        self.assertTrue(self.client.nothing_more())
        self.assert_stream(self.client, sink, b"".join(stored))

    def test_frames_split_at_every_byte(self):
        topic = self.topic()
        frame = lwp.ingest_frame(3, b"split me", topic)
        for cut in range(1, len(frame)):
            self.client.send(frame[:cut])
            # Two segments on the wire: TCP_NODELAY is set and the first has left by now.
            self.client.send(frame[cut:])
            reply = self.client.receive()
            self.assertEqual((reply.kind, reply.batch_id), ("ack", 3), f"cut at {cut}")
        self.assert_stream(self.client, topic, b"split me" * (len(frame) - 1))

    def test_frames_that_arrive_byte_by_byte(self):
        for byte in lwp.encode(lwp.KEEPALIVE) + lwp.control(lwp.LIST_TOPICS):
            self.client.send(bytes([byte]))
        self.assertEqual(self.client.receive().kind, "keepalive")
        self.assertEqual(self.client.receive().code, lwp.TOPIC_RESPONSE)

    def test_many_frames_in_one_write_cut_anywhere(self):
        rng = random.Random(harness.seed())
        topic = self.topic()
        stream = b"".join(lwp.ingest_frame(n, bytes([n % 251]) * (n % 97 + 1), topic)
                          for n in range(1, 401))
        position = 0
        while position < len(stream):
            step = rng.choice((1, 7, 43, 44, 45, 100, 1000, 20_000))
            self.client.send(stream[position:position + step])
            position += step
        for number in range(1, 401):
            reply = self.client.receive()
            self.assertEqual((reply.kind, reply.batch_id), ("ack", number))
        self.assert_stream(self.client, topic,
                           b"".join(bytes([n % 251]) * (n % 97 + 1) for n in range(1, 401)))

    def test_connections_do_not_disturb_each_other(self):
        topic = self.topic()
        clients = [self.broker.client() for _ in range(20)]
        for round_number in range(10):
            for index, client in enumerate(clients):
                client.send(lwp.ingest_frame(100 * index + round_number, b"%02d" % index, topic))
            for index, client in enumerate(clients):
                self.assertEqual(client.receive().batch_id, 100 * index + round_number)
        stream = self.client.read_all(topic)
        self.assertEqual(sorted(stream[i:i + 2] for i in range(0, len(stream), 2)),
                         sorted(b"%02d" % i for i in range(20) for _ in range(10)))
        for client in clients:
            client.close()


class Frames(harness.SharedBroker):
    def test_keepalive_is_answered_and_the_server_never_speaks_first(self):
        self.assertTrue(self.client.nothing_more(0.3))
        for _ in range(3):
            self.client.keepalive()
        self.assertTrue(self.client.nothing_more())

    def test_ack_unknown_and_backpressure_frames_are_ignored(self):
        before = self.broker.metrics().value("lance_backpressure_events_total")
        for flags in (0x08, 0x0C, 0x00, 0x80, 0x10, 0x14):
            payloads = (b"",) if flags in (0x00, 0x80) else (b"", b"with a payload")
            for payload in payloads:
                self.client.send(lwp.encode(flags, 1, payload))
                self.client.keepalive()
        self.assertTrue(self.client.nothing_more())
        self.assertTrue(
            self.broker.wait_metric("lance_backpressure_events_total", before + 4),
            "Backpressure frames from a client are counted")

    def test_the_first_matching_flag_decides(self):
        reply = self.client.exchange(lwp.encode(0x40 | 0x20 | 0x08 | 0x04, lwp.LIST_TOPICS))
        self.assertEqual(reply.code, lwp.TOPIC_RESPONSE)
        reply = self.client.exchange(lwp.encode(0x20 | 0x08 | 0x10 | 0x04, 5))
        self.assertEqual(reply.kind, "keepalive")

    def test_only_the_low_byte_of_the_batch_id_is_the_command(self):
        reply = self.client.exchange(lwp.encode(lwp.CONTROL, 0xABCDEF00 | lwp.LIST_TOPICS))
        self.assertEqual(reply.code, lwp.TOPIC_RESPONSE)

    def test_reserved_bytes_and_what_no_checksum_covers_are_accepted(self):
        for case in vectors()["rejects"]:
            if case["expect"].startswith("accepted"):
                reply = self.client.exchange(bytes.fromhex(case["frame_hex"]))
                self.assertEqual(reply.kind, "ack", case["name"])

    def test_a_tls_greeting_on_the_plain_port_is_closed_at_once(self):
        hello = bytes.fromhex("160301020001000001fc0303") + b"\x5a" * 500
        for size in (4, 5, 12, len(hello)):
            with self.broker.client() as client:
                client.send(hello[:size])
                self.assertTrue(client.closed_silently(2.0), f"after {size} bytes")


class Castagnoli(harness.SharedBroker):
    """A peer that opens with CRC-32C is answered in kind."""

    def setUp(self):
        super().setUp()
        self.other = self.broker.client(crc=lwp.crc32c)
        self.addCleanup(self.other.close)

    def test_everything_works_with_the_other_checksum(self):
        topic = self.topic(self.other)
        self.other.keepalive()
        self.other.ingest(b"from a CRC-32C client", topic)
        self.client.ingest(b" and from a zlib one", topic)
        expected = b"from a CRC-32C client and from a zlib one"
        self.assert_stream(self.other, topic, expected)
        self.assert_stream(self.client, topic, expected)
        self.assert_refused("TOPIC_NOT_FOUND", self.other.get, 3_000_000_000)
        self.broker.restart()
        with self.broker.client() as client:
            self.assert_stream(client, topic, expected)

    def test_the_choice_holds_for_the_connection(self):
        self.other.keepalive()
        self.other.send(lwp.encode(lwp.KEEPALIVE))
        self.assertTrue(self.other.closed_silently())
        self.client.keepalive()
        self.client.send(lwp.encode(lwp.KEEPALIVE, crc=lwp.crc32c))
        self.assertTrue(self.client.closed_silently())

    def test_the_payload_is_judged_by_the_same_sum(self):
        frame = lwp.encode(lwp.BATCH, 1, b"test", payload_crc=lwp.crc32(b"test"), crc=lwp.crc32c)
        self.other.send(frame)
        self.assertTrue(self.other.closed_silently())


class Commands(harness.SharedBroker):
    def raw(self, code, payload=b""):
        """The text of the error that answers a command; the connection must go on."""
        reply = self.client.exchange(lwp.control(code, payload))
        self.assertEqual(reply.code, lwp.ERROR, f"command {code:#04x} {payload!r}: {reply!r}")
        self.assertEqual(reply.batch_id, lwp.ERROR)
        word, sentence = lwp.parse_error(reply.payload.decode("utf-8"))
        self.assertTrue(word and sentence, reply.payload)
        self.client.keepalive()
        return word

    def test_unknown_and_server_only_codes_are_refused(self):
        server_only = (0x09, 0x11, 0x12, 0x23, 0x24, 0x80, 0x81, 0xFF)
        unknown = (0x00, 0x0A, 0x0F, 0x13, 0x1F, 0x25, 0x2F, 0x82, 0xA0, 0xFE)
        for code in server_only + unknown:
            for payload in (b"", b"some payload of a command"):
                self.assertIn(self.raw(code, payload), ("INVALID_REQUEST", "UNSUPPORTED"))

    def test_short_payloads_are_refused(self):
        wanted = {lwp.DELETE_TOPIC: 4, lwp.GET_TOPIC: 4, lwp.SET_RETENTION: 20,
                  lwp.CREATE_WITH_RETENTION: 2, lwp.FETCH: 16, lwp.SUBSCRIBE: 24,
                  lwp.UNSUBSCRIBE: 12, lwp.COMMIT: 20}
        for code, length in wanted.items():
            for short in sorted({0, 1, length // 2, length - 1}):
                with self.subTest(code=hex(code), length=short):
                    self.assertEqual(self.raw(code, b"\x01" * short), "INVALID_REQUEST")

    def test_excess_payload_is_ignored(self):
        topic = self.topic()
        self.client.ingest(b"abc", topic)
        more = b"and more"
        for code, payload, answer in (
                (lwp.GET_TOPIC, struct.pack("<I", topic), lwp.TOPIC_RESPONSE),
                (lwp.SET_RETENTION, lwp.retention_payload(topic, 0, 0), lwp.TOPIC_RESPONSE),
                (lwp.LIST_TOPICS, b"", lwp.TOPIC_RESPONSE),
                (lwp.CLUSTER_STATUS, b"", lwp.CLUSTER_STATUS_RESPONSE),
                (lwp.FETCH, lwp.fetch_payload(topic, 0, 9), lwp.FETCH_RESPONSE),
                (lwp.SUBSCRIBE, lwp.subscribe_payload(topic, 0, 5), lwp.SUBSCRIBE_ACK),
                (lwp.COMMIT, lwp.commit_payload(topic, 5, 1), lwp.COMMIT_ACK)):
            self.assertEqual(self.client.command(code, payload + more).code, answer)
        reply = self.client.exchange(
            lwp.control(lwp.UNSUBSCRIBE, lwp.unsubscribe_payload(topic, 5) + more))
        self.assertEqual((reply.kind, reply.batch_id), ("ack", 5))
        name = b"with-excess"
        payload = lwp.create_with_retention_payload(name, 60, 0) + more
        self.assertEqual(self.client.command(lwp.CREATE_WITH_RETENTION, payload).json()["name"],
                         "with-excess")

    def test_authenticate_while_authentication_is_off(self):
        """Who shows a token believes that it counts: it is told that it does not, and goes on."""
        for token in (b"secret", b"x"):
            reply = self.client.command(lwp.AUTHENTICATE, token)
            self.assertEqual(reply.code, lwp.AUTHENTICATE_RESPONSE)
            self.assertEqual(reply.payload[:1], b"\0")
            self.assertIn(b"switched off", reply.payload)
        self.client.ingest(b"and on", 0)

    def test_cluster_status_of_a_single_node(self):
        status = self.client.cluster_status()
        self.assertEqual(status["node_id"], self.broker.ready["node"])
        self.assertIs(status["is_leader"], True)
        self.assertIn(status["leader_id"], (status["node_id"], None))
        self.assertEqual((status["current_term"], status["node_count"], status["healthy_nodes"]),
                         (0, 1, 1))
        self.assertIs(status["quorum_available"], True)
        self.assertEqual(status["peer_states"], {})
        self.assertEqual(status["mode"], "standalone")

    def test_internal_logs_are_no_topics_for_clients(self):
        """The broker's own logs live beyond the ids a topic can get (2^31 and up)."""
        for topic in (2**32 - 1, 2**32 - 2, 2**31, 2**31 + 1):
            with self.subTest(topic):
                self.assert_refused("TOPIC_NOT_FOUND", self.client.ingest, b"forged", topic)
                self.assert_refused("TOPIC_NOT_FOUND", self.client.fetch_reply, topic, 0)
                self.assert_refused("TOPIC_NOT_FOUND", self.client.get, topic)
                self.assert_refused("TOPIC_NOT_FOUND", self.client.delete, topic)
                self.assert_refused("TOPIC_NOT_FOUND", self.client.subscribe, topic, 0, 1)
                self.assert_refused("TOPIC_NOT_FOUND", self.client.set_retention, topic, 1, 1)

    def test_a_storm_of_refusals_leaves_the_connection_usable(self):
        frames = [lwp.control(0xFE), lwp.control(lwp.FETCH), lwp.ingest_frame(1, b"x", 3_000_000_000),
                  lwp.control(lwp.CREATE_TOPIC, b"a/b")]
        self.client.send(b"".join(frames) * 50)
        for _ in range(200):
            self.assertEqual(self.client.receive().code, lwp.ERROR)
        self.client.keepalive()


class Shutdown(harness.Test):
    def test_what_was_received_is_acked_before_the_broker_goes(self):
        with harness.Broker() as broker:
            client = broker.client()
            topic = client.create("drained")["id"]
            client.send(b"".join(lwp.ingest_frame(n, b"%04d" % n, topic) for n in range(1, 301)))
            first = client.receive()
            self.assertEqual(first.batch_id, 1)
            broker.process.terminate()
            acked = 1
            try:
                while acked < 300:
                    self.assertEqual(client.receive().batch_id, acked + 1)
                    acked += 1
                self.assertTrue(client.closed_silently(10), "the connection closes at the end")
            except lwp.Closed as closed:
                self.assertEqual(closed.leftover, b"", "no reply is cut in two")
            self.assertEqual(broker.wait(), 0)
            with self.assertRaises(OSError):
                socket.create_connection(broker.address(), timeout=1).close()
            broker.start()
            with broker.client() as again:
                stream = again.read_all(topic)
                self.assertGreaterEqual(len(stream), 4 * acked)
                self.assertEqual(stream, b"".join(b"%04d" % n
                                                  for n in range(1, len(stream) // 4 + 1)))
            client.close()

    def test_both_signals_end_an_idle_broker_with_zero(self):
        for number in (2, 15):
            broker = harness.Broker().start()
            idle = broker.client()
            broker.process.send_signal(number)
            self.assertEqual(broker.wait(), 0)
            self.assertTrue(idle.closed_silently())
            idle.close()


if __name__ == "__main__":
    harness.main()
