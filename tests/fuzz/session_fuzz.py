"""Mutates a valid session against a live broker.

    session_fuzz.py <bindir> [--sessions N | --seconds N] [--from N]

A session is recorded first: every command there is, with every reply checked. Then, again and
again, some of its frames are repeated, dropped, reordered, split, cut, flipped with and without
their sums put right, or made to lie about their length, and sent on a connection of their own; now
and then a mutated HTTP request goes to the health or the metrics port. Meanwhile a healthy
connection goes on ingesting. What must hold:

  * the broker lives, answers /health/live, and its memory stays bounded;
  * every reply on any connection is well-formed, and there are no more of them than requests;
  * a connection whose peer has said all it will say is closed: nothing hangs;
  * the healthy connection gets every acknowledgement in time, and its data is unaltered, at the end
    and after a restart.

LANCE_SEED chooses the mutations; it is printed. Session n depends on the seed and on n alone, so
that --from n --sessions 1 repeats one that failed.
"""

import argparse
import json
import os
import random
import socket
import struct
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

import harness  # noqa: E402
import lwp  # noqa: E402

DEFAULT_SESSIONS = 200
CHECK_EVERY = 20  # sessions between two looks at the broker as a whole
HEALTHY_SECONDS_MAX = 5.0  # for one acknowledgement, on a machine that does other things too
# The longest a connection may stay open after its peer's last byte.
CLOSE_SECONDS_MAX = 10.0
# Buffers are there from the start; topics and connections come and go.
RSS_GROWTH_MAX = 256 * harness.MIB
FETCH_WAIT_MS = 20
HTTP_SECONDS_MAX = 15.0  # a connection of the health port is closed after ten at most

INGEST = "ingest"
# What changes a log that it names by number.
CHANGING = {INGEST, lwp.DELETE_TOPIC, lwp.SET_RETENTION, lwp.SUBSCRIBE, lwp.UNSUBSCRIBE,
            lwp.COMMIT}
HELLO, CREATE_X, DESCRIBE, SET_TOPIC, OFFSET_LOOKUP = 0x30, 0x31, 0x32, 0x33, 0x34
REGISTER_PRODUCER = 0x38


class Broken(Exception):
    """A promise was broken."""


def as_json(value):
    return json.dumps(value).encode()


def recorded(topic, spare, name):
    """The valid session. `spare` is a topic it may delete; `name` is of one that it makes."""
    records = struct.pack("<BI", 1, 5) + b"hello"
    yield lwp.encode(lwp.KEEPALIVE)
    yield lwp.control(HELLO, as_json({"client": "session_fuzz", "features": []}))
    yield lwp.control(lwp.CREATE_TOPIC, name)
    yield lwp.control(lwp.CREATE_WITH_RETENTION,
                      lwp.create_with_retention_payload(name + b"-r", 3600, 1 << 30))
    yield lwp.control(CREATE_X, as_json({"name": name.decode() + "-x", "durability": "written",
                                         "max_bytes": 1 << 30}))
    yield lwp.control(lwp.LIST_TOPICS)
    yield lwp.control(lwp.GET_TOPIC, struct.pack("<I", topic))
    yield lwp.control(lwp.SET_RETENTION, lwp.retention_payload(topic, 7200, 0))
    yield lwp.control(SET_TOPIC, as_json({"name": name.decode() + "-x", "max_age_secs": 60}))
    yield lwp.control(DESCRIBE, as_json({"id": topic}))
    yield lwp.control(lwp.CLUSTER_STATUS)
    yield lwp.ingest_frame(1, records, topic)
    yield lwp.ingest_frame(2, lwp.lz4_envelope(records * 20), topic, flags=lwp.BATCH | 1)
    yield lwp.ingest_frame(3, lwp.zstd_raw_envelope(records), topic, flags=lwp.BATCH | 1)
    yield lwp.ingest_frame(4, bytes(6000), topic)
    yield lwp.control(lwp.FETCH, lwp.fetch_payload(topic, 0, 4096))
    yield lwp.control(lwp.FETCH, lwp.fetch_payload(topic, lwp.END, 1))
    yield lwp.control(lwp.FETCH_BATCHES,
                      lwp.fetch_batches_payload(topic, 0, 65536, 1, FETCH_WAIT_MS))
    for kind in range(4):
        yield lwp.control(OFFSET_LOOKUP, struct.pack("<IIQ", topic, kind, 0))
    yield lwp.control(lwp.SUBSCRIBE, lwp.subscribe_payload(topic, 0, 77))
    yield lwp.control(lwp.COMMIT, lwp.commit_payload(topic, 77, 10))
    yield lwp.control(lwp.UNSUBSCRIBE, lwp.unsubscribe_payload(topic, 77))
    yield lwp.control(lwp.AUTHENTICATE, b"a token")
    # A new one: a log remembers 10,000 and then takes no further ones, which is an answer too.
    yield lwp.control(REGISTER_PRODUCER, bytes(16))
    yield lwp.ingest_frame(1, records, topic)
    yield lwp.control(lwp.DELETE_TOPIC, struct.pack("<I", spare))


def with_sums(frame, crc=lwp.crc32):
    """The frame with checksums that hold, as far as it is one."""
    if len(frame) < lwp.HEADER_BYTES:
        return frame
    fixed = bytearray(frame)
    fixed[0:5] = lwp.MAGIC + b"\x01"
    length = struct.unpack_from("<I", fixed, 32)[0]
    payload = bytes(fixed[lwp.HEADER_BYTES:lwp.HEADER_BYTES + length])
    struct.pack_into("<I", fixed, 36, crc(payload) if payload else 0)
    struct.pack_into("<I", fixed, 8, crc(bytes(fixed[:8])))
    return bytes(fixed)


def flip(rng, frame, front=0):
    changed = bytearray(frame)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        bit = rng.randrange(front * 8, len(changed) * 8)
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def flip_raw(rng, frames, at):
    frames[at] = flip(rng, frames[at])


def flip_fixed(rng, frames, at):
    frames[at] = with_sums(flip(rng, frames[at]))


def flip_payload(rng, frames, at):
    if len(frames[at]) > lwp.HEADER_BYTES:
        frames[at] = with_sums(flip(rng, frames[at], lwp.HEADER_BYTES))


def other_payload(rng, frames, at):
    """Another length, sums that hold: too short, too long, or of another command."""
    frame, length = frames[at], rng.choice((0, 1, 3, 4, 8, 15, 16, 20, 24, 33, 300))
    payload = (frame[lwp.HEADER_BYTES:] + rng.randbytes(length))[:length]
    if rng.random() < 0.3:
        payload = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    changed = bytearray(frame[:lwp.HEADER_BYTES] + payload)
    struct.pack_into("<I", changed, 32, len(payload))
    if frame[5] & lwp.CONTROL and rng.random() < 0.3:
        changed[12] = rng.randrange(256)
    frames[at] = with_sums(bytes(changed))


def lie_about_length(rng, frames, at):
    changed = bytearray(frames[at])
    length = struct.unpack_from("<I", changed, 32)[0]
    lie = rng.choice((length + 1, max(0, length - 1), 0, 1 << 16, lwp.MAX_PAYLOAD,
                      lwp.MAX_PAYLOAD + 1, 2**31, 2**32 - 1))
    struct.pack_into("<I", changed, 32, lie & 0xFFFFFFFF)
    frames[at] = bytes(changed)


def truncate(rng, frames, at):
    frames[at] = frames[at][:rng.randrange(len(frames[at]))]


def drop(_, frames, at):
    del frames[at]


def repeat(rng, frames, at):
    frames[at:at] = [frames[at]] * rng.choice((1, 2, 30))


def swap(rng, frames, at):
    other = rng.randrange(len(frames))
    frames[at], frames[other] = frames[other], frames[at]


def garbage(rng, frames, at):
    frames.insert(at, rng.randbytes(rng.choice((1, 4, 44, 500))))


def other_sum(_, frames, at):
    """CRC-32C, in the middle of a connection or from its first frame on."""
    frames[at] = with_sums(frames[at], lwp.crc32c)


MUTATIONS = (flip_raw, flip_fixed, flip_fixed, flip_payload, flip_payload, other_payload,
             other_payload, lie_about_length, truncate, drop, repeat, swap, garbage, other_sum)


def mutated(rng, frames):
    frames = list(frames)
    if rng.random() < 0.7:  # a part: what comes first is reached more often than what comes last
        begin = rng.randrange(len(frames))
        frames = frames[begin:begin + rng.randrange(1, 8)]
    if rng.random() < 0.1:
        frames = [with_sums(frame, lwp.crc32c) for frame in frames]
    for _ in range(rng.choice((1, 1, 2, 4))):
        if frames:
            position = rng.randrange(len(frames))
            if len(frames[position]) >= lwp.HEADER_BYTES:  # not one that was cut before
                rng.choice(MUTATIONS)(rng, frames, position)
    return b"".join(frames)


def touches(stream, topic, codes):
    """Whether a frame of the stream, cut as a broker would, names that topic in one of these
    commands (INGEST among them)."""
    while len(stream) >= lwp.HEADER_BYTES and stream[:4] == lwp.MAGIC:
        flags, = struct.unpack_from("<B", stream, 5)
        code = stream[12]
        length, = struct.unpack_from("<I", stream, 32)
        log, = struct.unpack_from("<I", stream, 40)
        payload = stream[lwp.HEADER_BYTES:lwp.HEADER_BYTES + length]
        if flags & lwp.CONTROL:
            if code in codes and payload[:4] == struct.pack("<I", topic):
                return True
        elif log == topic and INGEST in codes:
            return True
        stream = stream[lwp.HEADER_BYTES + length:]
    return False


def is_whole(stream, crc):
    """Whether the stream is frames and nothing else. A broker closes at a frame that is none, over
    the reply that it was sending."""
    while stream:
        length, = struct.unpack_from("<I", stream, 32) if len(stream) >= lwp.HEADER_BYTES else (0,)
        frame, stream = stream[:lwp.HEADER_BYTES + length], stream[lwp.HEADER_BYTES + length:]
        if length > lwp.MAX_PAYLOAD or with_sums(frame, crc) != frame:
            return False
        if len(frame) < lwp.HEADER_BYTES + length:
            return False
    return True


def send_in_pieces(rng, sock, stream):
    how = rng.random()
    try:
        if how < 0.6:
            sock.sendall(stream)
        elif how < 0.8:
            cut = rng.randrange(len(stream) + 1)
            sock.sendall(stream[:cut])
            time.sleep(0.002)
            sock.sendall(stream[cut:])
        else:
            at = 0
            while at < len(stream):
                size = rng.choice((1, 2, 11, 43, 44, 45, 1000))
                sock.sendall(stream[at:at + size])
                at += size
        return True
    except ConnectionError:
        return False  # closed over what came before: as it should


def play(address, rng, stream):
    """Sends the stream on a new connection and reads what comes; the number of replies."""
    crc = lwp.crc32
    if len(stream) >= 12 and lwp.crc32c(stream[:8]) == struct.unpack_from("<I", stream, 8)[0]:
        crc = lwp.crc32c
    with lwp.Client(address, timeout=CLOSE_SECONDS_MAX, crc=crc) as client:
        send_in_pieces(rng, client.sock, stream)
        if rng.random() < 0.1:  # a reset while replies are under way
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return 0
        try:
            client.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        replies = 0
        while True:
            try:
                client.receive()
                replies += 1
            except lwp.Closed as closed:
                if closed.leftover and is_whole(stream, crc):
                    raise Broken(f"closed in the middle of a reply: {closed.leftover[:60].hex()}"
                                 ) from None
                break
            except TimeoutError:
                raise Broken(f"still open {CLOSE_SECONDS_MAX} s after the last byte") from None
        if replies > len(stream) // lwp.HEADER_BYTES:
            raise Broken(f"{replies} replies to {len(stream)} bytes")
        return replies


HTTP_REQUESTS = (
    b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nConnection: close\r\n\r\n",
    b"POST /admin/ready HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok",
    b"GET /admin/config?x=%00&y=../../etc HTTP/1.0\r\n\r\n",
    b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: x\r\nRange: bytes=0-1\r\nAuthorization: Digest a\r\n\r\n",
)


def play_http(address, rng):
    request = rng.choice(HTTP_REQUESTS)
    for _ in range(rng.choice((0, 1, 2, 5))):
        at = rng.randrange(len(request) + 1)
        request = rng.choice((
            request[:at] + rng.randbytes(rng.choice((1, 2, 30))) + request[at:],
            request[:at] + request[at + rng.randrange(1, 5):], request[:at] + request[:at],
            request.replace(b"\r\n", rng.choice((b"\n", b"\r", b"\r\n\r\n", b"\r\n ")), 1),
            request.replace(b"/", b"/" + rng.choice((b"%2e%2e/", b"A" * 3000, b"\x80\xff")), 1),
            request.replace(b"2", b"-1", 1), request.replace(b"5", b"ffffffffffffffff", 1)))[:60_000]
    with socket.create_connection(address, timeout=HTTP_SECONDS_MAX) as sock:
        try:
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := sock.recv(1 << 16):
                answer += chunk
        except (TimeoutError, socket.timeout):
            raise Broken(f"HTTP {request[:200]!r}: open after {HTTP_SECONDS_MAX} s") from None
        except ConnectionError:
            return
    if answer and not answer.startswith(b"HTTP/1."):
        raise Broken(f"HTTP {request[:200]!r} answered {answer[:100]!r}")


class Healthy(threading.Thread):
    """The connection beside: ingests numbered batches one after the other, each in its time."""

    def __init__(self, broker, topic):
        super().__init__(daemon=True)
        self.client = broker.client(timeout=HEALTHY_SECONDS_MAX)
        self.topic = topic
        self.sent = []
        self.failure = None
        self.slowest = 0.0
        self.over = threading.Event()

    def run(self):
        try:
            while not self.over.is_set():
                payload = b"%08d|" % len(self.sent)
                begin = time.monotonic()
                self.client.ingest(payload, self.topic)
                self.slowest = max(self.slowest, time.monotonic() - begin)
                self.sent.append(payload)
                time.sleep(0.005)
        except Exception as failure:  # told to the main thread
            self.failure = failure

    def finish(self):
        self.over.set()
        self.join()
        self.client.close()
        if self.failure:
            raise Broken(f"the healthy connection: {self.failure!r}")


class Fuzzer:
    def __init__(self, broker, seed):
        self.broker = broker
        self.seed = seed
        self.sessions = 0
        self.replies = 0
        with broker.client() as client:
            self.healthy_topic = client.create("healthy-beside-it")["id"]
            self.topic = client.create("fuzzed")["id"]
        self.healthy = Healthy(broker, self.healthy_topic)
        self.frames = []
        self.record()
        self.rss = broker.rss()

    def record(self):
        """Plays the valid session, with every reply looked at; what is mutated from then on."""
        with self.broker.client() as client:
            spare = client.create("spare")["id"]
            self.frames = list(recorded(self.topic, spare, b"made"))
            for number, frame in enumerate(self.frames):
                reply = client.exchange(frame)
                refused = reply.code == lwp.ERROR and frame[12] != lwp.AUTHENTICATE
                if refused:
                    raise Broken(f"frame {number} of the valid session: {reply!r}")
        self.tidy()

    def tidy(self):
        """Deletes what mutated commands made, so that memory and disk tell about leaks only."""
        with self.broker.client() as client:
            topics = {topic["id"] for topic in client.list()}
            if self.healthy_topic not in topics:
                raise Broken("the healthy topic has gone")
            for topic in topics - {self.healthy_topic, self.topic}:
                client.delete(topic)

    def check(self):
        if not self.broker.running():
            raise Broken("the broker died")
        if self.healthy.failure:
            self.healthy.finish()
        status, _, body = self.broker.http("/health/live")
        if status != 200:
            raise Broken(f"/health/live answers {status}: {body}")
        growth = self.broker.rss() - self.rss
        if growth > RSS_GROWTH_MAX:
            raise Broken(f"{growth // harness.MIB} MiB more memory than at the start")

    def play_one(self, number):
        rng = random.Random(f"{self.seed}/{number}")
        if rng.random() < 0.1:
            play_http(self.broker.address(rng.choice(("http", "metrics"))), rng)
        stream = mutated(rng, self.frames)
        if (not stream or touches(stream, self.healthy_topic, CHANGING)
                or touches(stream, self.topic, {lwp.DELETE_TOPIC})):
            return
        try:
            self.replies += play(self.broker.address(), rng, stream)
        except (Broken, lwp.ProtocolFault) as broken:
            raise Broken(f"{broken}\nthe stream: {stream[:4000].hex()}") from None
        except ConnectionError as refused:
            raise Broken(f"no connection: {refused}") from None

    def run(self, first, sessions, seconds):
        end = time.monotonic() + seconds if seconds else None
        number = first
        self.healthy.start()
        try:
            while (number < first + sessions) if end is None else time.monotonic() < end:
                self.play_one(number)
                self.sessions += 1
                if number % CHECK_EVERY == CHECK_EVERY - 1:
                    self.check()
                    self.tidy()
                number += 1
            self.check()
        except Exception as broken:
            raise Broken(f"LANCE_SEED={self.seed} session {number}: {broken}") from broken
        self.healthy.finish()
        self.compare()

    def compare(self):
        """The healthy topic holds what was acknowledged, now and after a restart."""
        for moment in ("at the end", "after a restart"):
            with self.broker.client(timeout=30) as client:
                if client.read_all(self.healthy_topic) != b"".join(self.healthy.sent):
                    raise Broken(f"the healthy topic's data has changed {moment}")
            if moment == "at the end":
                self.broker.restart()


def broker_environment():
    """Of a sanitized broker: a small quarantine, so that memory can be judged."""
    suppressions = os.path.join(harness.source_dir(), "tests", "checks", "lsan.supp")
    return {"ASAN_OPTIONS": "quarantine_size_mb=8:abort_on_error=1",
            "LSAN_OPTIONS": f"print_suppressions=0:suppressions={suppressions}",
            "UBSAN_OPTIONS": "print_stacktrace=1:abort_on_error=1"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bindir")
    parser.add_argument("--sessions", type=int, default=DEFAULT_SESSIONS)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--from", type=int, default=0, dest="first")
    chosen = parser.parse_args()
    harness.set_bindir(chosen.bindir)
    seed = harness.seed()
    with harness.Broker(env=broker_environment()).start(120) as broker:
        fuzzer = None
        try:
            fuzzer = Fuzzer(broker, seed)
            fuzzer.run(chosen.first, chosen.sessions, chosen.seconds)
            code = broker.stop()
            if code != 0:
                raise Broken(f"SIGTERM ended the broker with {code}")
        except Broken as broken:
            time.sleep(1)  # a sanitizer may still be writing
            print(f"BROKEN: {broken}\n--- broker log:\n{broker.log_tail(120)}")
            sys.exit(1)
    print(f"sessions {fuzzer.sessions}, replies {fuzzer.replies}, healthy batches "
          f"{len(fuzzer.healthy.sent)}, slowest {fuzzer.healthy.slowest * 1000:.0f} ms")


if __name__ == "__main__":
    main()
