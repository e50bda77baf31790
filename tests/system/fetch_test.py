"""Fetch over LWP v1: the table of the protocol's section 10, line by line, and the golden cases."""

import json
import os
import random
import socket
import struct
import threading
import time

import harness
import lwp


class ReadAgain(harness.Test):
    """Closed segments that are read again and again come through the page cache, as far as
    io.reread_bytes goes."""

    def held_after(self, config):
        """lance_reread_bytes after six readings of a log of one closed segment."""
        with harness.Broker(config=config + f"segment_bytes = {32 * harness.MIB}\n"
                                            "tail_cache_bytes = 65536\n") as broker:
            with broker.client(timeout=60) as client:
                topic = client.create("again")["id"]
                piece = random.Random(4).randbytes(1_000_000)
                for _ in range(45):
                    client.ingest(piece, topic)
                for _ in range(6):
                    self.assertEqual(client.read_all(topic), 45 * piece)
            time.sleep(1.2)  # gauges are a second old at most
            return broker.metrics().value("lance_reread_bytes")

    def test_up_to_the_bytes_of_the_configuration(self):
        held = self.held_after("[io]\n")
        self.assertGreater(held, 20_000_000)
        self.assertLess(held, 33 * harness.MIB)
        self.assertEqual(self.held_after("[io]\nreread_bytes = 0\n"), 0)
        self.assertEqual(self.held_after("[io]\nreread_bytes = 20000000\n"), 0)


def golden():
    path = os.path.join(harness.source_dir(), "tests", "wire", "lwp_vectors.json")
    with open(path, encoding="utf-8") as file:
        return json.load(file)["fetch"]


class Table(harness.SharedBroker):
    def catching_up(self, topic, start, max_bytes=100):
        reply = self.client.fetch_reply(topic, start, max_bytes)
        self.assertEqual((reply.code, len(reply.payload)), (lwp.CATCHING_UP, 8), repr(reply))
        return struct.unpack("<Q", reply.payload)[0]

    def test_start_before_the_end_gives_data(self):
        topic = self.topic()
        self.client.ingest(b"0123456789", topic)
        for start in range(10):
            for budget in (1, 2, 9, 10, 11, 65536, 2**32 - 1):
                self.assertEqual(self.client.fetch(topic, start, budget),
                                 (min(10, start + budget), b"0123456789"[start:start + budget]))

    def test_start_at_the_end_gives_an_empty_reply_that_repeats_the_offset(self):
        topic = self.topic()
        for end in (0, 7, 14):
            self.assertEqual(self.client.fetch(topic, end, 100), (end, b""))
            self.client.ingest(b"sevenby", topic)

    def test_start_past_the_end_gives_catching_up_with_the_end(self):
        topic = self.topic()
        self.assertEqual(self.catching_up(topic, 1), 0)
        self.client.ingest(b"four", topic)
        for start in (5, 6, 2**32, 2**63, lwp.END - 1):
            for budget in (0, 1, 2**32 - 1):
                self.assertEqual(self.catching_up(topic, start, budget), 4)

    def test_the_highest_offset_asks_for_the_end(self):
        topic = self.topic()
        for end in (0, 3, 6):
            for budget in (0, 1, 2**32 - 1):
                self.assertEqual(self.client.fetch(topic, lwp.END, budget), (end, b""))
            self.client.ingest(b"abc", topic)

    def test_a_zero_budget_gives_an_empty_reply(self):
        topic = self.topic()
        self.client.ingest(b"abc", topic)
        for start in range(4):
            self.assertEqual(self.client.fetch(topic, start, 0), (start, b""))

    def test_an_unknown_topic_is_refused(self):
        for start in (0, 1, lwp.END):
            self.assert_refused("TOPIC_NOT_FOUND", self.client.fetch_reply, 3_000_000_000, start)

    def test_topic_zero_is_fetchable(self):
        start = self.client.end(0)
        self.client.ingest(b"default", 0)
        self.assertEqual(self.client.fetch(0, start, 100), (start + 7, b"default"))

    def test_a_fetch_never_waits(self):
        topic = self.topic()
        for _ in range(20):
            reply = self.client.exchange(
                lwp.control(lwp.FETCH, lwp.fetch_payload(topic, 0, 65536)), timeout=1.0)
            self.assertEqual(reply.code, lwp.FETCH_RESPONSE)


class Golden(harness.SharedBroker):
    def test_the_golden_cases_to_the_byte(self):
        data = golden()
        topic = self.topic()
        # One batch: then no reply may end earlier than asked, and every byte is determined.
        self.client.ingest(b"".join(bytes.fromhex(h) for h in data["segment_files_hex"]), topic)
        for case in data["cases"]:
            reply = self.client.fetch_reply(topic, int(case["start_offset"]), case["max_bytes"])
            name = "FetchResponse" if reply.code == lwp.FETCH_RESPONSE else "CatchingUp"
            self.assertEqual((name, reply.payload.hex()), (case["reply"], case["payload_hex"]),
                             case)

    def test_in_several_batches_every_reply_is_a_piece_of_the_stream(self):
        data = golden()
        topic = self.topic()
        for piece in data["segment_files_hex"]:
            self.client.ingest(bytes.fromhex(piece), topic)
        stream = b"".join(bytes.fromhex(h) for h in data["segment_files_hex"])
        for start in range(len(stream)):
            for budget in range(1, 30):
                next_offset, got = self.client.fetch(topic, start, budget)
                self.assertTrue(got)
                self.assertEqual((next_offset, got),
                                 (start + len(got), stream[start:start + len(got)]))


class Reading(harness.SharedBroker):
    def test_random_reads_across_batches_and_segments_before_and_after_restart(self):
        rng = random.Random(harness.seed())
        topic, stream = self.topic(), bytearray()
        while len(stream) < 70 * harness.MIB:  # three segments
            batch = rng.randbytes(rng.choice((1, 100, 4000, 4096, 65536, 300_000, 3_000_000)))
            self.client.ingest(batch, topic)
            stream += batch
        stream = bytes(stream)

        def check(client):
            for _ in range(200):
                start = rng.randrange(len(stream))
                budget = rng.choice((1, 10, 4096, 65536, 1 << 20, 1 << 24))
                next_offset, data = client.fetch(topic, start, budget)
                self.assertTrue(data)
                self.assertEqual(next_offset, start + len(data))
                self.assertTrue(data == stream[start:next_offset], f"bytes differ at {start}")
            for budget in (65536, 1_000_000, 1 << 24):
                self.assertTrue(client.read_all(topic, budget) == stream)

        check(self.client)
        self.broker.restart()
        with self.broker.client() as client:
            check(client)
            client.ingest(b"after", topic)
            self.assertEqual(client.read(topic, len(stream), len(stream) + 5), b"after")

    def test_acknowledged_bytes_are_visible_to_everybody_at_once(self):
        topic = self.topic()
        with self.broker.client() as reader:
            for number in range(300):
                self.client.ingest(b"%03d" % number, topic)
                self.assertEqual(reader.fetch(topic, 3 * number, 100),
                                 (3 * number + 3, b"%03d" % number))

    def test_a_follower_sees_one_growing_stream_of_whole_batches(self):
        topic, batches, seen = self.topic(), 400, bytearray()
        failures = []

        def produce():
            try:
                with self.broker.client() as producer:
                    for number in range(batches):
                        producer.ingest(struct.pack("<I", number) * 250, topic)
            except Exception as failure:  # told to the main thread
                failures.append(failure)

        thread = threading.Thread(target=produce)
        thread.start()
        while len(seen) < batches * 1000 and not failures:
            next_offset, data = self.client.fetch(topic, len(seen), 65536)
            self.assertEqual(next_offset, len(seen) + len(data))
            seen += data
            self.assertEqual(self.client.end(topic) % 1000, 0, "half a batch is visible")
        thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(bytes(seen),
                         b"".join(struct.pack("<I", n) * 250 for n in range(batches)))

    def test_slow_readers_do_not_hold_up_others(self):
        topic = self.topic()
        block = random.Random(1).randbytes(1 << 20)
        for _ in range(8):
            self.client.ingest(block, topic)
        lazy = [self.broker.client() for _ in range(8)]
        for client in lazy:  # asks for 64 MiB of replies each and reads none of it
            client.send(lwp.control(lwp.FETCH, lwp.fetch_payload(topic, 0, 1 << 23)) * 8)
        for _ in range(20):
            self.client.ingest(b"still served", topic, timeout=5)
        for client in lazy:
            client.close()
        self.client.keepalive()


class Crowds(harness.Test):
    """More readers at once than there are buffers, or messages, for them."""

    def test_readers_who_take_nothing_do_not_keep_the_buffers_from_others(self):
        config = harness.SMALL_SEGMENTS + "buffer_bytes = 50331648\n"
        with harness.Broker(config=config) as broker, broker.client() as healthy:
            topic = healthy.create("crowded")["id"]
            for _ in range(4):
                healthy.ingest(bytes(1 << 20), topic)
            lazy = []
            for _ in range(120):
                peer = socket.socket()
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                peer.connect(broker.address())
                peer.sendall(lwp.control(lwp.FETCH, lwp.fetch_payload(topic, 0, 1 << 22)) * 4)
                lazy.append(peer)
            for _ in range(5):
                self.assertGreater(len(healthy.fetch(topic, 0, 1 << 20)[1]), 0)
            for peer in lazy:
                peer.close()

    def test_every_connection_may_wait_for_more_at_once(self):
        with harness.Broker() as broker, broker.client() as healthy:
            topic = healthy.create("awaited")["id"]
            waiting = [broker.client() for _ in range(600)]
            ask = lwp.control(lwp.FETCH_BATCHES,
                              lwp.fetch_batches_payload(topic, 0, 1 << 20, 1, 20_000))
            for client in waiting:  # and each has asked for something else behind it
                client.send(ask + lwp.encode(lwp.KEEPALIVE))
            for _ in range(3):
                self.assertEqual(healthy.end(topic), 0)
            healthy.ingest(b"for all of you", topic)
            for client in waiting:
                reply = client.receive()
                self.assertEqual((reply.code, reply.payload[-14:]),
                                 (lwp.BATCHES_REPLY, b"for all of you"))
                self.assertEqual(client.receive().kind, "keepalive")
                client.close()


if __name__ == "__main__":
    harness.main()
