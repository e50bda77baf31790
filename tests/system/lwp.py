"""LWP v1 as bytes and as a small blocking client, written from the protocol's text alone.

It shares no code with the broker: frames, both checksums and all payload layouts are built here
from struct, zlib and a table, so that a test which passes says something about the specification
and not about a mistake made twice.
"""

import json
import re
import socket
import struct
import time
import zlib

MAGIC = b"LANC"
HEADER_BYTES = 44
MAX_PAYLOAD = 16 * 1024 * 1024
MAX_FETCH_DATA = 16_777_156
END = 2**64 - 1

COMPRESSED, BATCH, ACK, BACKPRESSURE, KEEPALIVE, CONTROL = 0x01, 0x04, 0x08, 0x10, 0x20, 0x40

CREATE_TOPIC, DELETE_TOPIC, LIST_TOPICS, GET_TOPIC = 0x01, 0x02, 0x03, 0x04
SET_RETENTION, CREATE_WITH_RETENTION, CLUSTER_STATUS = 0x05, 0x06, 0x07
AUTHENTICATE, AUTHENTICATE_RESPONSE = 0x08, 0x09
FETCH, FETCH_RESPONSE, CATCHING_UP = 0x10, 0x11, 0x12
SUBSCRIBE, UNSUBSCRIBE, COMMIT, SUBSCRIBE_ACK, COMMIT_ACK = 0x20, 0x21, 0x22, 0x23, 0x24
FETCH_BATCHES, BATCHES_REPLY = 0x36, 0x37
TOPIC_RESPONSE, CLUSTER_STATUS_RESPONSE, ERROR = 0x80, 0x81, 0xFF

_HEADER = struct.Struct("<4sBBHIQQIIII")
_ERROR_TEXT = re.compile(r"^([A-Z][A-Z_]*): (\S.*)$", re.DOTALL)


def crc32(data):
    """CRC-32/ISO-HDLC, the checksum of the wire."""
    return zlib.crc32(data) & 0xFFFFFFFF


def _castagnoli_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CASTAGNOLI = _castagnoli_table()


def crc32c(data):
    """CRC-32C (Castagnoli), for peers that open a connection with it. Slow: small frames only."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CASTAGNOLI[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


class ProtocolFault(AssertionError):
    """The broker sent bytes that the protocol does not allow."""


class Closed(ConnectionError):
    """The broker closed the connection. `leftover` holds the bytes of an unfinished frame."""

    def __init__(self, leftover=b""):
        super().__init__(f"connection closed, {len(leftover)} bytes of a frame left over")
        self.leftover = leftover


class Refused(Exception):
    """An ErrorResponse; `code` and `sentence` are its two halves."""

    def __init__(self, text):
        super().__init__(text)
        self.text = text
        match = _ERROR_TEXT.match(text)
        self.code, self.sentence = match.groups() if match else (None, text)


class Frame:
    """One frame, header fields by their names in the protocol."""

    __slots__ = ("flags", "batch_id", "timestamp_ns", "record_count", "topic_id", "payload")

    def __init__(self, flags, batch_id=0, payload=b"", *, timestamp_ns=0, record_count=0,
                 topic_id=0):
        self.flags = flags
        self.batch_id = batch_id
        self.payload = payload
        self.timestamp_ns = timestamp_ns
        self.record_count = record_count
        self.topic_id = topic_id

    def encode(self, crc=crc32):
        return encode(self.flags, self.batch_id, self.payload, timestamp_ns=self.timestamp_ns,
                      record_count=self.record_count, topic_id=self.topic_id, crc=crc)

    @property
    def kind(self):
        """The class of the frame by the first match rule, as a word."""
        for bit, word in ((CONTROL, "control"), (KEEPALIVE, "keepalive"), (ACK, "ack"),
                          (BACKPRESSURE, "backpressure")):
            if self.flags & bit:
                return word
        return "ingest" if self.flags & BATCH or self.payload else "unknown"

    @property
    def code(self):
        """The command code of a control frame."""
        return self.batch_id & 0xFF if self.flags & CONTROL else None

    def json(self):
        return json.loads(self.payload.decode("utf-8"))

    def __repr__(self):
        head = self.payload[:60]
        return (f"Frame({self.kind} flags={self.flags:#04x} batch_id={self.batch_id:#x} "
                f"payload[{len(self.payload)}]={head!r})")


def encode(flags, batch_id=0, payload=b"", *, timestamp_ns=0, record_count=0, topic_id=0,
           reserved=0, version=1, magic=MAGIC, header_crc=None, payload_length=None,
           payload_crc=None, crc=crc32):
    """The bytes of a frame. Everything a test wants to be wrong can be given."""
    if header_crc is None:
        header_crc = crc(struct.pack("<4sBBH", magic, version, flags, reserved))
    if payload_crc is None:
        payload_crc = crc(payload) if payload else 0
    if payload_length is None:
        payload_length = len(payload)
    return _HEADER.pack(magic, version, flags, reserved, header_crc, batch_id, timestamp_ns,
                        record_count, payload_length, payload_crc, topic_id) + payload


def control(code, payload=b"", crc=crc32):
    return encode(CONTROL, code, payload, crc=crc)


def ingest_frame(batch_id, payload, topic_id=0, records=1, flags=BATCH, crc=crc32):
    return encode(flags, batch_id, payload, timestamp_ns=time.time_ns(), record_count=records,
                  topic_id=topic_id, crc=crc)


def fetch_payload(topic_id, start, max_bytes):
    return struct.pack("<IQI", topic_id, start, max_bytes)


def fetch_batches_payload(topic_id, start, max_bytes, min_bytes=0, max_wait_ms=0):
    return struct.pack("<IIQIIII", topic_id, 0, start, max_bytes, max_wait_ms, min_bytes, 0)


def subscribe_payload(topic_id, start, consumer_id, max_batch_bytes=65536):
    return struct.pack("<IQIQ", topic_id, start, max_batch_bytes, consumer_id)


def unsubscribe_payload(topic_id, consumer_id):
    return struct.pack("<IQ", topic_id, consumer_id)


def commit_payload(topic_id, consumer_id, offset):
    return struct.pack("<IQQ", topic_id, consumer_id, offset)


def retention_payload(topic_id, max_age_secs, max_bytes):
    return struct.pack("<IQQ", topic_id, max_age_secs, max_bytes)


def create_with_retention_payload(name, max_age_secs, max_bytes):
    name = name.encode() if isinstance(name, str) else name
    return struct.pack("<H", len(name)) + name + struct.pack("<QQ", max_age_secs, max_bytes)


def envelope(algorithm, original_size, body):
    """The compression envelope around a body."""
    return struct.pack("<BI", algorithm, original_size) + body


def lz4_literal_block(plain):
    """A raw LZ4 block that holds everything as one run of literals."""
    length = len(plain)
    if length < 15:
        return bytes([length << 4]) + plain
    head = bytearray([0xF0])
    rest = length - 15
    while rest >= 255:
        head.append(255)
        rest -= 255
    head.append(rest)
    return bytes(head) + plain


def lz4_envelope(plain):
    return envelope(1, len(plain), struct.pack("<I", len(plain)) + lz4_literal_block(plain))


def zstd_raw_envelope(plain):
    """A zstd frame with one raw block, single segment, content size in one byte (under 256)."""
    assert len(plain) < 256
    block = ((len(plain) << 3) | 1).to_bytes(3, "little")
    return envelope(2, len(plain), b"\x28\xb5\x2f\xfd\x20" + bytes([len(plain)]) + block + plain)


def error_text(reply):
    """The text of an ErrorResponse, which must be UTF-8 whatever the request held."""
    try:
        return reply.payload.decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolFault(f"error text is not UTF-8: {reply.payload!r}") from None


def parse_error(text):
    """(code, sentence) of an error text; both None when it is not `CODE: sentence`."""
    match = _ERROR_TEXT.match(text)
    return match.groups() if match else (None, None)


class Client:
    """One connection. Blocking, with a deadline on every read; not for use by two threads, except
    that one may send while another receives."""

    def __init__(self, address, timeout=10.0, crc=crc32):
        self.crc = crc
        self.timeout = timeout
        self.sock = socket.create_connection(address, timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._next_batch = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.settimeout(self.timeout)
        self.sock.sendall(data)

    def _fill(self, wanted, deadline):
        while len(self._buffer) < wanted:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no reply in time; {len(self._buffer)} bytes of it are here")
            self.sock.settimeout(left)
            try:
                chunk = self.sock.recv(1 << 20)
            except ConnectionError:
                chunk = b""
            if not chunk:
                raise Closed(bytes(self._buffer))
            self._buffer += chunk

    def receive(self, timeout=None):
        """The next frame, with every promise about a server's frame checked."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        self._fill(HEADER_BYTES, deadline)
        (magic, version, flags, reserved, header_crc, batch_id, timestamp, records, length,
         payload_crc, topic_id) = _HEADER.unpack_from(self._buffer)
        if magic != MAGIC or version != 1:
            raise ProtocolFault(f"reply begins with {bytes(self._buffer[:8]).hex()}")
        if header_crc != self.crc(bytes(self._buffer[:8])):
            raise ProtocolFault(f"reply's header_crc is {header_crc:08X} for flags {flags:#04x}")
        if HEADER_BYTES + length > MAX_PAYLOAD:
            raise ProtocolFault(f"reply of {HEADER_BYTES + length} bytes, over 16 MiB")
        self._fill(HEADER_BYTES + length, deadline)
        payload = bytes(self._buffer[HEADER_BYTES:HEADER_BYTES + length])
        del self._buffer[:HEADER_BYTES + length]
        if payload_crc != (self.crc(payload) if payload else 0):
            raise ProtocolFault(f"reply's payload_crc is {payload_crc:08X}, flags {flags:#04x}")
        if reserved or timestamp or records or topic_id:
            raise ProtocolFault("a reply's reserved, timestamp, count and topic fields must be 0")
        if flags not in (ACK, BACKPRESSURE, KEEPALIVE, CONTROL):
            raise ProtocolFault(f"a server never sends flags {flags:#04x}")
        return Frame(flags, batch_id, payload)

    def nothing_more(self, seconds=0.15):
        """True when the broker stays silent for that long and keeps the connection open."""
        if self._buffer:
            return False
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(1, socket.MSG_PEEK) is None
        except (TimeoutError, socket.timeout):
            return True
        except ConnectionError:
            return False

    def closed_silently(self, timeout=5.0):
        """True when the broker closes without one byte; False on a byte or on silence."""
        if self._buffer:
            return False
        self.sock.settimeout(timeout)
        try:
            return self.sock.recv(1) == b""
        except (TimeoutError, socket.timeout):
            return False
        except ConnectionError:
            return True

    # Requests that wait for their one reply.

    def exchange(self, data, timeout=None):
        self.send(data)
        return self.receive(timeout)

    def command(self, code, payload=b"", timeout=None):
        """The reply to a control command; an ErrorResponse is raised as Refused."""
        reply = self.exchange(control(code, payload, self.crc), timeout)
        if reply.code == ERROR:
            raise Refused(error_text(reply))
        return reply

    def expect(self, reply, code):
        if reply.code != code:
            raise ProtocolFault(f"expected reply {code:#04x}, got {reply!r}")
        return reply

    def next_batch_id(self):
        self._next_batch += 1
        return self._next_batch - 1

    def ingest(self, payload, topic_id=0, records=1, flags=BATCH, timeout=None):
        """Sends one batch and waits for its ack; returns the batch id."""
        batch_id = self.next_batch_id()
        reply = self.exchange(
            ingest_frame(batch_id, payload, topic_id, records, flags, self.crc), timeout)
        if reply.code == ERROR:
            raise Refused(error_text(reply))
        if reply.kind != "ack" or reply.batch_id != batch_id or reply.payload:
            raise ProtocolFault(f"expected the ack of batch {batch_id}, got {reply!r}")
        return batch_id

    def keepalive(self):
        reply = self.exchange(encode(KEEPALIVE, crc=self.crc))
        if reply.kind != "keepalive" or reply.batch_id or reply.payload:
            raise ProtocolFault(f"expected a keepalive, got {reply!r}")

    def create(self, name):
        name = name.encode() if isinstance(name, str) else name
        return self.expect(self.command(CREATE_TOPIC, name), TOPIC_RESPONSE).json()

    def create_with_retention(self, name, max_age_secs, max_bytes):
        payload = create_with_retention_payload(name, max_age_secs, max_bytes)
        return self.expect(self.command(CREATE_WITH_RETENTION, payload), TOPIC_RESPONSE).json()

    def delete(self, topic_id):
        payload = struct.pack("<I", topic_id)
        return self.expect(self.command(DELETE_TOPIC, payload), TOPIC_RESPONSE).json()

    def list(self):
        return self.expect(self.command(LIST_TOPICS), TOPIC_RESPONSE).json()["topics"]

    def get(self, topic_id):
        payload = struct.pack("<I", topic_id)
        return self.expect(self.command(GET_TOPIC, payload), TOPIC_RESPONSE).json()

    def set_retention(self, topic_id, max_age_secs, max_bytes):
        payload = retention_payload(topic_id, max_age_secs, max_bytes)
        return self.expect(self.command(SET_RETENTION, payload), TOPIC_RESPONSE).json()

    def cluster_status(self):
        return self.expect(self.command(CLUSTER_STATUS), CLUSTER_STATUS_RESPONSE).json()

    def fetch_reply(self, topic_id, start, max_bytes=65536):
        """The frame that answers a fetch: FetchResponse or CatchingUp."""
        return self.command(FETCH, fetch_payload(topic_id, start, max_bytes))

    def fetch(self, topic_id, start, max_bytes=65536):
        """(next_offset, data) of a fetch that must answer with data or with an empty reply."""
        reply = self.expect(self.fetch_reply(topic_id, start, max_bytes), FETCH_RESPONSE)
        next_offset, returned, indicator = struct.unpack_from("<QII", reply.payload)
        data = reply.payload[16:]
        if returned != len(data) or returned > max_bytes:
            raise ProtocolFault(f"bytes_returned {returned}, data {len(data)}, asked {max_bytes}")
        if indicator != (1 if data else 0):
            raise ProtocolFault(f"record_count {indicator} with {len(data)} bytes")
        return next_offset, data

    def end(self, topic_id):
        next_offset, data = self.fetch(topic_id, END, 1)
        if data:
            raise ProtocolFault("the question for the end was answered with data")
        return next_offset

    def read(self, topic_id, start, stop, max_bytes=1 << 20):
        """The bytes [start, stop), which must all be there."""
        parts = []
        while start < stop:
            next_offset, data = self.fetch(topic_id, start, min(max_bytes, stop - start))
            if not data or next_offset != start + len(data):
                raise ProtocolFault(f"at {start} of {stop}: {len(data)} bytes, next {next_offset}")
            parts.append(data)
            start = next_offset
        return b"".join(parts)

    def read_all(self, topic_id, max_bytes=1 << 20):
        return self.read(topic_id, 0, self.end(topic_id), max_bytes)

    def subscribe(self, topic_id, start, consumer_id):
        reply = self.command(SUBSCRIBE, subscribe_payload(topic_id, start, consumer_id))
        self.expect(reply, SUBSCRIBE_ACK)
        return struct.unpack("<QQ", reply.payload)

    def unsubscribe(self, topic_id, consumer_id):
        reply = self.command(UNSUBSCRIBE, unsubscribe_payload(topic_id, consumer_id))
        if reply.kind != "ack" or reply.payload:
            raise ProtocolFault(f"expected an ack, got {reply!r}")
        return reply.batch_id

    def commit(self, topic_id, consumer_id, offset):
        reply = self.command(COMMIT, commit_payload(topic_id, consumer_id, offset))
        self.expect(reply, COMMIT_ACK)
        return struct.unpack("<QQ", reply.payload)
