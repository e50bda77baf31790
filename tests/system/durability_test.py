"""kill -9 at random moments under load, damaged files, and what must survive all of it.

    durability_test.py <bindir> [TestClass ...]     LANCE_CYCLES sets the number of kills (200)
"""

import hashlib
import json
import os
import random
import re
import shutil
import threading
import time

import harness
import lwp
import selftelling

CYCLES = int(os.environ.get("LANCE_CYCLES", "200"))
CYCLES_SECONDS = 120  # the loop ends early, and says so, on a machine too slow for all cycles
TOPICS = 4
PRODUCERS = 6


class Model:
    """What the broker has promised, for all topics, over all crashes."""

    def __init__(self):
        self.acked = {}  # topic -> {(producer, sequence)} acknowledged and not yet seen again
        self.verified = {}  # topic -> bytes of the stream that were checked after some restart
        self.digests = {}  # topic -> sha256 over those bytes
        self.last = {}  # (topic, producer) -> the newest sequence in the stream
        self.batches = 0

    def verify_new(self, client, topic, watched):
        """Checks what came since the last restart. `watched` is (start, bytes): what a reader had
        seen before the crash, which must stand where it stood."""
        start = self.verified.get(topic, 0)
        end = client.end(topic)
        if end < start:
            raise AssertionError(f"topic {topic} shrank from {start} to {end}")
        stream = client.read(topic, start, end)
        seen_at, seen = watched
        if seen_at != start or stream[:len(seen)] != seen:
            raise AssertionError(f"topic {topic}: bytes read before the crash have changed")
        missing = self.acked.pop(topic, set())
        for _, producer, sequence in selftelling.parse(stream, topic, start):
            # One producer, one connection: its batches stand in the order of their sending.
            if sequence <= self.last.get((topic, producer), -1):
                raise AssertionError(f"topic {topic}: {producer}/{sequence} out of order or twice")
            self.last[topic, producer] = sequence
            missing.discard((producer, sequence))
            self.batches += 1
        if missing:
            raise AssertionError(f"topic {topic}: {len(missing)} acknowledged batches are lost, "
                                 f"among them {sorted(missing)[:5]}")
        self.verified[topic] = end
        self.digests.setdefault(topic, hashlib.sha256()).update(stream)

    def verify_all(self, client):
        """Reads every stream from its beginning: nothing old may have moved or changed."""
        for topic, end in self.verified.items():
            digest = hashlib.sha256(client.read(topic, 0, end))
            if digest.digest() != self.digests[topic].digest():
                raise AssertionError(f"topic {topic}: its first {end} bytes have changed")


class Producer(threading.Thread):
    """Pipelines batches of several topics over one connection until the broker dies."""

    WINDOW = 32

    def __init__(self, address, number, topics, rng):
        super().__init__(daemon=True)
        self.address, self.number, self.topics, self.rng = address, number, topics, rng
        self.acked = []
        self.fault = None

    def run(self):
        waiting, sequence = [], 0
        try:
            with lwp.Client(self.address, timeout=20) as client:
                while True:
                    frames = []
                    while len(waiting) < self.WINDOW:
                        sequence += 1
                        topic = self.rng.choice(self.topics)
                        length = self.rng.choice((0, 10, 100, 1000, 1000, 5000, 5000, 30_000))
                        if self.rng.random() < 0.002:
                            length = 1_000_000
                        payload = selftelling.batch(topic, self.number, sequence, length)
                        frames.append(lwp.ingest_frame(sequence, payload, topic))
                        waiting.append((topic, sequence))
                    client.send(b"".join(frames))
                    for _ in range(self.rng.randrange(1, self.WINDOW)):
                        reply = client.receive()
                        if reply.kind != "ack" or reply.batch_id != waiting[0][1]:
                            raise AssertionError(f"expected ack {waiting[0][1]}, got {reply!r}")
                        self.acked.append(waiting.pop(0))
        except (ConnectionError, TimeoutError):
            pass  # the kill
        except Exception as fault:
            self.fault = fault


class Watcher(threading.Thread):
    """Follows the topics from given offsets and keeps what it saw."""

    def __init__(self, address, positions):
        super().__init__(daemon=True)
        self.address = address
        self.seen = {topic: (start, bytearray()) for topic, start in positions.items()}
        self.fault = None

    def run(self):
        try:
            with lwp.Client(self.address, timeout=20) as client:
                while True:
                    for topic, (start, data) in self.seen.items():
                        _, more = client.fetch(topic, start + len(data), 1 << 20)
                        data += more
        except (ConnectionError, TimeoutError):
            pass
        except Exception as fault:
            self.fault = fault


class KillLoop(harness.Test):
    def test_nothing_acknowledged_is_ever_lost(self):
        seed = harness.seed()
        rng = random.Random(seed)
        broker = harness.Broker().start()
        self.addCleanup(broker.kill)
        with broker.client() as client:
            topics = [0] + [client.create(f"kept-{n}")["id"] for n in range(TOPICS - 1)]
        model, started, acked, done = Model(), time.monotonic(), 0, 0
        for cycle in range(CYCLES):
            if time.monotonic() - started > CYCLES_SECONDS:
                break
            positions = {topic: model.verified.get(topic, 0) for topic in topics}
            watcher = Watcher(broker.address(), positions)
            producers = [Producer(broker.address(), cycle * PRODUCERS + n, topics,
                                  random.Random(rng.getrandbits(64))) for n in range(PRODUCERS)]
            for thread in [watcher, *producers]:
                thread.start()
            time.sleep(rng.choice((0.0, 0.005, 0.02, 0.05, 0.1, 0.2)) * rng.random())
            broker.kill()
            for thread in [watcher, *producers]:
                thread.join(30)
                self.assertIsNone(thread.fault, f"cycle {cycle} of seed {seed}: {thread.fault!r}")
            for producer in producers:
                acked += len(producer.acked)
                for topic, sequence in producer.acked:
                    model.acked.setdefault(topic, set()).add((producer.number, sequence))
            broker.start()
            try:
                with broker.client(timeout=30) as client:
                    for topic in topics:
                        start, data = watcher.seen[topic]
                        model.verify_new(client, topic, (start, bytes(data)))
                    if cycle % 25 == 24:
                        model.verify_all(client)
            except (AssertionError, lwp.Refused) as fault:
                kept = broker.root + "-kept"
                broker.kill()
                shutil.copytree(broker.root, kept, dirs_exist_ok=True)
                self.fail(f"cycle {cycle} of seed {seed}: {fault}\nthe files are kept in {kept}")
            done += 1
        with broker.client(timeout=30) as client:
            model.verify_all(client)
        self.assertEqual(broker.stop(), 0)
        megabytes = sum(model.verified.values()) / 1e6
        print(f"{done} kills, {acked} acknowledged batches, {model.batches} found, "
              f"{megabytes:.0f} MB, 0 lost")
        self.assertGreaterEqual(done, min(CYCLES, 10), "too few cycles to say anything")
        self.assertGreater(acked, 10 * done, "too little load to say anything")

    def test_kill_while_topics_are_made_and_deleted(self):
        rng = random.Random(harness.seed())
        with harness.Broker() as broker:
            alive, highest = {}, 0  # name -> id, as acknowledged
            for cycle in range(25):
                doubtful = set()
                killer = threading.Timer(rng.random() * 0.05, broker.process.kill)
                killer.start()
                try:
                    with broker.client() as client:
                        for number in range(100):
                            name = f"t{cycle}-{number}"
                            doubtful.add(name)
                            topic = client.create(name)["id"]
                            self.assertGreater(topic, highest)
                            highest, alive[name] = topic, topic
                            doubtful.discard(name)
                            if rng.random() < 0.7:
                                victim = rng.choice(sorted(alive))
                                doubtful.add(victim)
                                client.delete(alive.pop(victim))
                                doubtful.discard(victim)
                except ConnectionError:
                    pass
                killer.join()
                broker.crash()
                with broker.client() as client:
                    listed = {topic["name"]: topic["id"] for topic in client.list()}
                    for name, topic in alive.items():
                        self.assertEqual(listed.get(name), topic, name)
                    self.assertLessEqual(set(listed) - set(alive), doubtful)
                    for name in list(listed):
                        highest = max(highest, listed[name])
                        if name not in alive or len(alive) > 10:
                            client.delete(listed[name])
                            alive.pop(name, None)


class Files(harness.Test):
    """One topic filled in a known way; then somebody damages its files while the broker is down."""

    COUNT = 40

    def setUp(self):
        self.broker = harness.Broker().start()
        self.addCleanup(self.broker.kill)
        with self.broker.client() as client:
            self.topic = client.create("damaged")["id"]
            self.other = client.create("bystander")["id"]
            for number in range(self.COUNT):
                client.ingest(selftelling.batch(self.topic, 1, number, 700 + number), self.topic)
            client.ingest(b"bystander", self.other)
            self.stream = client.read_all(self.topic)
        self.sizes = [len(selftelling.batch(self.topic, 1, n, 700 + n)) for n in range(self.COUNT)]

    def active_file(self):
        """The newest segment of the topic, with the position just after its last batch."""
        paths = [path for path in self.broker.segments() if "/damaged/" in path]
        self.assertTrue(paths)
        with open(paths[-1], "rb") as file:
            content = file.read()
        return paths[-1], len(content.rstrip(b"\0")), content

    def damage(self, path, position, data):
        with open(path, "r+b") as file:
            file.seek(position)
            file.write(data)

    def assert_all_there(self):
        """Everything is there, and the log goes on: appends, survives the next two starts."""
        for number, again in enumerate((self.broker.crash, self.broker.restart)):
            with self.broker.client() as client:
                self.assert_stream(client, self.topic, self.stream)
                self.assertEqual(client.read_all(self.other), b"bystander")
                more = selftelling.batch(self.topic, 2, number, 900)
                client.ingest(more, self.topic)
                self.stream += more
            again()
        with self.broker.client() as client:
            self.assert_stream(client, self.topic, self.stream)

    def assert_prefix_or_refusal(self):
        """Acknowledged bytes were destroyed behind the broker's back: it may serve whole batches up
        to the damage or refuse, but never half or altered ones; the other topic is untouched."""
        with self.broker.client() as client:
            self.assertEqual(client.read_all(self.other), b"bystander")
            client.ingest(b"!", self.other)
            try:
                got = client.read_all(self.topic)
            except lwp.Refused as refused:
                self.assertIn(refused.code, ("CORRUPT", "READ_ONLY"), refused.text)
                return None
            self.assertTrue(self.stream.startswith(got))
            return len(selftelling.parse(got, self.topic))

    def test_garbage_after_the_last_batch_of_a_crashed_broker(self):
        rng = random.Random(harness.seed())
        for length in (1, 5, 111, 112, 113, 4096, 20_000):
            self.broker.kill()
            path, end, _ = self.active_file()
            self.damage(path, end, rng.randbytes(length - 1) + b"\x01")
            self.broker.start()
            with self.broker.client() as client:
                self.assert_stream(client, self.topic, self.stream)
                more = selftelling.batch(self.topic, 3, len(self.stream), 50)
                client.ingest(more, self.topic)
                self.stream += more
        self.assert_all_there()

    def test_garbage_added_to_what_was_closed_cleanly(self):
        """No crash explains it: all data is served, and appending is refused in so many words."""
        self.broker.stop()
        path, end, _ = self.active_file()
        self.damage(path, end, b"scribbled by somebody" * 50)
        self.broker.start()
        with self.broker.client() as client:
            self.assert_stream(client, self.topic, self.stream)
            try:
                client.ingest(b"more", self.topic)
            except lwp.Refused as refused:
                self.assertIn(refused.code, ("READ_ONLY", "CORRUPT"), refused.text)
            else:
                self.assert_stream(client, self.topic, self.stream + b"more")
            client.ingest(b"others go on", self.other)

    def last_batch_bytes(self, content, end):
        """What the file holds for the last batch: everything after the payload before it."""
        before = selftelling.batch(self.topic, 1, self.COUNT - 2, 700 + self.COUNT - 2)
        start = content.rindex(before) + len(before)
        return start, content[start:end]

    def test_an_old_batch_after_the_end_never_passes_for_a_new_one(self):
        self.broker.kill()
        path, end, content = self.active_file()
        _, last = self.last_batch_bytes(content, end)
        self.damage(path, end, last)
        self.broker.start()
        self.assert_all_there()

    def test_a_torn_write_after_the_end(self):
        self.broker.kill()
        path, end, content = self.active_file()
        _, last = self.last_batch_bytes(content, end)
        for size in (1, 50, len(last) // 2, len(last) - 1):
            self.broker.kill()
            self.damage(path, end, last[:size])
            self.broker.start()
            with self.broker.client() as client:
                self.assert_stream(client, self.topic, self.stream)
        self.assert_all_there()

    def test_the_last_batch_cut_zeroed_or_altered(self):
        for stop in ("kill", "stop"):
            for name in ("cut", "zeroed", "altered"):
                with self.subTest(stop=stop, damage=name):
                    self.setUp()
                    getattr(self.broker, stop)()
                    path, end, content = self.active_file()
                    start, last = self.last_batch_bytes(content, end)
                    middle = start + len(last) // 2
                    if name == "cut":
                        os.truncate(path, middle)
                    elif name == "zeroed":
                        self.damage(path, middle, bytes(end - middle))
                    else:
                        self.damage(path, middle, bytes([content[middle] ^ 0x40]))
                    self.broker.start()
                    count = self.assert_prefix_or_refusal()
                    if count is not None:
                        self.assertGreaterEqual(count, self.COUNT - 1, "healthy batches were lost")
                    self.broker.kill()

    def test_bit_rot_in_the_middle_is_never_served(self):
        self.broker.stop()
        path, _, content = self.active_file()
        victim = selftelling.batch(self.topic, 1, 5, 705)
        at = content.index(victim) + 300
        self.damage(path, at, bytes([content[at] ^ 1]))
        self.broker.start()
        self.assert_prefix_or_refusal()
        with self.broker.client() as client:
            position = 0
            for size in self.sizes:
                try:
                    next_offset, data = client.fetch(self.topic, position, size)
                    self.assertEqual(data, self.stream[next_offset - len(data):next_offset])
                except (lwp.Refused, lwp.ProtocolFault):
                    pass
                position += size

    def digests(self, ending):
        found = {}
        for path in self.broker.segments(ending):
            with open(path, "rb") as file:
                found[path] = hashlib.sha256(file.read()).hexdigest()
        return found

    def test_a_lost_or_damaged_index_is_rebuilt_to_the_byte(self):
        with self.broker.client() as client:
            big = bytes(200_000)
            for number in range(180):  # 36 MB: one segment is closed
                client.ingest(b"%03d" % number + big, self.other)
        self.assertEqual(self.broker.stop(), 0)
        logs, indexes = self.digests(".lnc"), self.digests(".idx")
        self.assertGreaterEqual(len(indexes), 2)

        def shorten(path):
            os.truncate(path, os.path.getsize(path) // 2)

        def empty(path):
            os.truncate(path, 0)

        def scribble(path):
            size = os.path.getsize(path)
            self.damage(path, size // 3, b"\xde\xad\xbe\xef")

        def other_header(path):
            self.damage(path, 0, b"\xff" * 64)

        for deed in (os.unlink, shorten, empty, scribble, other_header):
            with self.subTest(deed.__name__):
                for path in self.broker.segments(".idx"):
                    deed(path)
                self.broker.start()
                with self.broker.client() as client:
                    self.assert_stream(client, self.topic, self.stream)
                    middle = 9 + 90 * 200_003
                    self.assertEqual(client.read(self.other, middle, middle + 3), b"090")
                self.assertEqual(self.broker.stop(), 0)
                after = self.digests(".lnc")
                same = [path for path, digest in logs.items() if after.get(path) == digest]
                self.assertTrue(same, "no segment stayed as it was")
                rebuilt = self.digests(".idx")
                for path in same:
                    index = re.sub(r"(-\d+)?\.lnc$", ".idx", path)
                    if index in indexes:
                        self.assertEqual(rebuilt.get(index), indexes[index], index)


class Directory(harness.Test):
    def test_append_and_restart_many_times(self):
        with harness.Broker() as broker:
            expected = b""
            with broker.client() as client:
                topic = client.create("again")["id"]
            for number in range(12):
                with broker.client() as client:
                    self.assert_stream(client, topic, expected)
                    piece = b"<%d>" % number * (number + 1)
                    client.ingest(piece, topic)
                    expected += piece
                (broker.restart if number % 2 else broker.crash)()
            with broker.client() as client:
                self.assert_stream(client, topic, expected)

    def test_a_second_broker_on_the_same_directory_is_refused(self):
        with harness.Broker() as broker:
            second = harness.Broker(data_dir=broker.data_dir)
            with self.assertRaises(harness.StartFailed) as caught:
                second.start(seconds=10)
            self.assertNotIn(caught.exception.code, (0, None))
            self.assertGreaterEqual(caught.exception.code, 1, "ended by a signal")
            self.assertRegex(caught.exception.log.lower(), "in use|lock|another|already")
            with broker.client() as client:
                client.ingest(b"undisturbed", 0)
            broker.kill()
            second.start()  # the lock of a dead process holds nobody up
            second.kill()

    def test_a_format_of_the_future_is_refused_and_left_alone(self):
        with harness.Broker() as broker:
            with broker.client() as client:
                client.ingest(b"precious", 0)
            self.assertEqual(broker.stop(), 0)
            path = os.path.join(broker.data_dir, "node.json")
            with open(path, encoding="utf-8") as file:
                original = file.read()
            content = json.loads(original)
            keys = [key for key in content if "format" in key]
            self.assertEqual(len(keys), 1, content)
            content[keys[0]] = 9999
            with open(path, "w", encoding="utf-8") as file:
                json.dump(content, file)
            with self.assertRaises(harness.StartFailed) as caught:
                broker.start(seconds=10)
            self.assertGreaterEqual(caught.exception.code or -1, 1)
            self.assertRegex(caught.exception.log, "9999")
            with open(path, "w", encoding="utf-8") as file:
                file.write(original)
            broker.start()
            with broker.client() as client:
                self.assertEqual(client.read_all(0), b"precious")


if __name__ == "__main__":
    harness.main()
