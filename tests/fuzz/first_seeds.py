"""Writes the first seeds of every target: valid inputs, made from the formats' texts alone.

    python3 tests/fuzz/first_seeds.py [directory]        (default: tests/fuzz/seeds)

What campaigns found to be worth keeping lies beside them; `./dev fuzz --merge` brings it there.
"""

import json
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

import lwp  # noqa: E402


def write(root, target, name, data):
    directory = os.path.join(root, target)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "wb") as file:
        file.write(data)


def tlv(kind, value):
    return struct.pack("<BI", kind, len(value)) + value


def keyed(key, value):
    return tlv(0x10, struct.pack("<H", len(key)) + key + value)


def frames():
    records = tlv(1, b"hello") + keyed(b"key", b"value")
    for crc, name in ((lwp.crc32, "iso"), (lwp.crc32c, "castagnoli")):
        stream = b"".join((
            lwp.encode(lwp.KEEPALIVE, crc=crc), lwp.control(lwp.CREATE_TOPIC, b"orders", crc),
            lwp.encode(lwp.BATCH, 7, records, record_count=2, topic_id=3, crc=crc),
            lwp.encode(lwp.ACK, 7, crc=crc), lwp.encode(lwp.BACKPRESSURE, crc=crc)))
        yield name, b"\x00\x03\x00\x04\x2b" + stream
        # In pieces that fill the connection's own memory first, and in one that is more than it.
        yield name + "-large-at-once", b"\x00\x01\xc8" + lwp.encode(lwp.BATCH, 8, bytes(6000),
                                                                   crc=crc)
        yield name + "-large", b"\x00\x01\x90" + lwp.encode(lwp.BATCH, 8, bytes(6000), crc=crc)
    yield "torn", b"\x00\x00" + lwp.encode(lwp.BATCH, 9, b"abcdef")[:47]
    yield "lies", b"\x00\x00" + lwp.encode(lwp.BATCH, 9, b"abc", payload_length=1 << 24)


# In the order of control_target.cpp.
def control_payloads():
    topic = {"id": 5, "name": "orders", "created_at": 1700000000, "topic_epoch": 1,
             "partitions": 1, "replicas": 1, "mode": "L1", "durability": "fsync",
             "retention": {"max_age_secs": 60, "max_bytes": 7}}
    partition = {"partition": 0, "log_id": 5, "start": 0, "end": 9, "durable_end": 9, "records": 1,
                 "first_record": 0, "segments": 1, "bytes": 4096, "state": "open"}
    description = dict(topic, partitions=[partition])
    status = {"node_id": 1, "is_leader": True, "leader_id": 1, "current_term": 2, "node_count": 3,
              "healthy_nodes": 2, "quorum_available": True, "peer_states": {"2": "connected"},
              "mode": "standalone"}
    policy = {"name": "orders", "partitions": 4, "replicas": 3, "mode": "L2",
              "durability": "written", "max_age_secs": 1, "max_bytes": 0}
    batch = struct.pack("<QQQII", 0, 0, 5, 1, 6) + b"abcdef"
    as_json = lambda value: json.dumps(value).encode()  # noqa: E731
    return [
        b"orders", struct.pack("<I", 5), lwp.retention_payload(5, 60, 7),
        lwp.create_with_retention_payload("orders", 60, 7), b"token",
        lwp.fetch_payload(5, 0, 65536), lwp.subscribe_payload(5, 0, 9),
        lwp.unsubscribe_payload(5, 9), lwp.commit_payload(5, 9, 100),
        b"\x01" + struct.pack("<H", 13) + b"Authenticated",
        struct.pack("<QII", 106, 6, 1) + b"abcdef", struct.pack("<Q", 100),
        struct.pack("<QQ", 9, 100), struct.pack("<QQ", 9, 100),
        struct.pack("<IIQ", 5, 3, 1700000000), struct.pack("<QQQ", 1, 2, 3),
        lwp.fetch_batches_payload(5, 0, 65536, 1, 100),
        struct.pack("<QQQII", 6, 0, 6, 1, 0) + batch, struct.pack("<QII", 7, 1, 0),
        as_json(topic), as_json({"topics": [topic, dict(topic, id=6, name="second")]}),
        as_json({"deleted": 5}),
        as_json({"topic_id": 5, "retention": {"max_age_secs": 60, "max_bytes": 7}}),
        as_json(policy), as_json({"name": "orders", "max_bytes": 5}), as_json({"id": 5}),
        as_json(description), as_json(status),
        as_json({"client": "lnc 0.1", "features": ["fetch_batches"]}),
        as_json({"server": "lance", "node": 1, "version": "0.1.0", "features": ["hello"],
                 "backend": "io_uring", "limits": {"max_frame_bytes": 16777216}}),
        b"NOT_LEADER: redirect to 127.0.0.1:1992"]


def tlvs():
    stream = tlv(1, b"a") + tlv(1, b"") + keyed(b"k", b"v") + tlv(0x80, b"x" * 40)
    yield "stream", b"\x00\x00\x02" + stream
    yield "stream-torn", b"\x00\x01\x00\x07" + stream[:-3]
    yield "extended", b"\x01\x00\x05" + struct.pack("<BHI", 0xFF, 300, 3) + b"abc" + stream
    batches = b"".join(struct.pack("<QQQII", offset, number, 5, count, len(stream))
                       for offset, number, count in ((0, 0, 4), (len(stream), 4, 9)))
    reply = struct.pack("<QQQII", 2 * len(stream), 0, 2 * len(stream), 2, 0) + batches + 2 * stream
    yield "batches", b"\x08\x00\x00" + reply
    yield "batches-raw", b"\x18\x00\x00" + reply


def envelopes():
    text = b"so much of this is the same, so much of this is the same, so much of this"
    yield "lz4", b"\x00" + lwp.lz4_envelope(text)
    yield "zstd", b"\x00" + lwp.zstd_raw_envelope(text)
    yield "lz4-matches", b"\x00" + lwp.envelope(
        1, 100, struct.pack("<I", 100) + b"\x1fa\x01\x00\x3b\x50aaaaa")
    yield "claims", b"\x00" + lwp.envelope(1, 1 << 24, b"\x00\x00\x00\x01abc")
    yield "plain-lz4", b"\xc0\x20\x00\x04" + text
    yield "plain-zstd", b"\xc1\x09\x00\x01" + text


def batch(log, number, offset, record, payload, key, previous, flags=0, count=1):
    payload_crc = (lwp.crc32c if flags & 8 else lwp.crc32)(payload)
    head = struct.pack("<BIBH", 0, 107, 1, flags)
    rest = struct.pack("<IQQQQIIIIQQQQQQ", log, number, 1, offset, record, count, len(payload),
                       payload_crc, 0, 1000 + key, key, 1000 + key, 0, 0, 0)
    crc = lwp.crc32c(struct.pack("<I", previous) + head + rest)
    return head + struct.pack("<I", crc) + rest + payload, crc


def segment(flags=0):
    """The file and the entries of its index."""
    log, first, offset, record = 5, 11, 100, 20
    previous = lwp.crc32c(struct.pack("<IQ", log, first))
    data, entries = b"", []
    payloads = [tlv(1, b"one"), tlv(1, b"two") * 3, b"raw bytes", b""]
    for at, payload in enumerate(payloads):
        position = len(data)
        image, previous = batch(log, first + at, offset, record, payload, at + 1, previous,
                                flags | (2 if at == 0 else 0))
        entries.append(struct.pack("<QQQIIQIIQQ", 1001 + at, at + 1, offset, position,
                                   len(payload), record, 1, previous, 1, 1001 + at))
        data += image
        offset += len(payload)
        record += 1
    return data, entries


def segments():
    for name, how in (("active", 0), ("active-behind", 1), ("active-without", 2),
                      ("active-damaged", 3), ("closed", 4), ("closed-damaged", 7),
                      ("examined", 8), ("examined-closed", 12)):
        yield name, struct.pack("<BHB", how, 130, 0x10) + segment()[0]
    yield "castagnoli", b"\x08\x00\x00\x00" + segment(8)[0]
    yield "torn", b"\x08\x00\x00\x00" + segment()[0][:-5]
    yield "zeros-behind", b"\x08\x00\x00\x00" + segment()[0] + bytes(300)


def indexes():
    _, entries = segment()
    first_crc = struct.unpack_from("<I", entries[0], 44)[0]
    head = b"LNCIDX\x00\x01" + struct.pack("<IIQQQQIQ", 64, 5, 11, 100, 20, 1001, first_crc, 0)
    head += struct.pack("<I", lwp.crc32c(head))
    for name, value in (("offset", 110), ("record", 21), ("time", 1003)):
        yield name, value.to_bytes(8, "big") + head + b"".join(entries)
    yield "head", bytes(8) + head


def journals():
    def entry(kind, fields):
        data = bytes([1, kind]) + fields
        return bytes([len(data)]) + data

    offsets = b"".join(entry(0x20, struct.pack("<IQQ", log, consumer, 7 * consumer))
                       for log, consumer in ((1, 1), (1, 2), (2, 1)))
    def row(number, name):
        return struct.pack("<IQQIIBBBQQ", number, 1700000000, 1, 1, 1, 0, 0, 1, 60, 7) + name

    changed = struct.pack("<IBIIBBQQ", 1, 0x3C, 0, 0, 1, 2, 5, 6)
    yield "topics", (b"\x02" + entry(0x01, row(1, b"orders")) + entry(0x01, row(2, b"second"))
                     + entry(0x03, changed) + entry(0x02, struct.pack("<I", 2))
                     + entry(0x05, row(7, b"kept")) + offsets)
    yield "offsets", b"\x01" + offsets + entry(0x21, struct.pack("<I", 1))
    yield "ids", b"\x00" + entry(0x04, struct.pack("<I", 9)) + entry(0x02, struct.pack("<I", 3))


def peers():
    def frame(kind, body, bulk=b""):
        head = b"LNCP" + struct.pack("<BBHIII", 1, kind, 0, len(body), len(bulk), lwp.crc32c(body))
        return head + struct.pack("<I", lwp.crc32c(head)) + body + bulk

    def message(kind, flags, *numbers, tail=b""):
        fields = struct.pack("<BBHIQ", kind, flags, 0, 5, 9)
        fields += b"".join(struct.pack("<Q", each) for each in numbers) + tail
        return struct.pack("<I", 4 + len(fields)) + fields

    members = struct.pack("<BBHHHH", 3, 1, 1, 2, 3, 4)
    append = message(3, 0, 1, 10, 20, 4, 12, tail=struct.pack("<IIQQQQQ", 2, 1, 10, 4, 15, 9, 15)
                     + members)
    others = (message(1, 1, 1, 2), message(1, 2, 1, 2), message(2, 5, 3), message(4, 4, 1, 2, 3, 1, 2, 3),
              message(5, 0, 1, 2), message(6, 0, 1, 2, 3), message(7, 0, 1),
              message(8, 0, 1, 2, 3, 1, tail=members))
    hello = (struct.pack("<BBBBHHQQ", 1, 1, 1, 0, 3, 0, 7, 5) + b"c" * 16 + b"i" * 16
             + b"\x06orders" + b"\x0d10.0.0.3:1992" + b"\x01b")
    yield "hello", b"\x00" + frame(1, hello) + frame(2, b"\x02not our cluster")
    yield "append", b"\x01" + frame(0x11, append, b"batches")
    yield "messages", b"\x01" + frame(0x10, b"".join(others) + append)
    for number, each in enumerate(others):
        yield f"message-{number}", b"\x01" + frame(0x10, each)


def configs():
    root = os.path.dirname(os.path.dirname(HERE))
    with open(os.path.join(root, "config", "lance.toml"), "rb") as file:
        text = file.read()
    sections, current = [], []
    for line in text.splitlines(keepends=True):
        if line.startswith(b"[") and current:
            sections.append(b"".join(current))
            current = []
        if not line.lstrip().startswith(b"#"):
            current.append(line)
    sections.append(b"".join(current))
    for number, part in enumerate(sections):
        if part.strip():
            yield f"section-{number:02}", part
    yield "wrong", b"[node]\nid = 'x'\n[nodes]\nid = 1\n[io]\nsegment_bytes = \"128MiB\"\nrng = 3\n"
    yield "syntax", b"a = { b = [1, 2.5, 1979-05-27, '''x''', \"\\u00e9\"], c.d = inf }\n[[e]]\n"


def https():
    for number, text in enumerate((
            "GET /health", "GET /health/live", "GET /health/ready", "GET /health/startup",
            "GET /metrics", "GET /admin/info", "GET /admin/config", "POST /admin/ready",
            "DELETE /admin/ready", "PUT /x")):
        yield f"health-{number}", b"\x0e" + text.encode()
    yield "metrics", b"\x01GET /metrics"
    yield "metrics-post", b"\x01POST /metrics"
    yield "config", b"\x00GET /admin/config \xff\x80\"\\"


def texts():
    yield "node_json", "node", json.dumps({
        "format_version": 1, "node_id": 3, "cluster_uuid": "",
        "node_uuid": "0192f0c1-2345-7abc-8def-0123456789ab", "incarnation": 4}).encode()
    yield "control_entry", "term", bytes((1, 1))
    yield "control_entry", "members", bytes((2, 1, 3, 1, 1, 0, 2, 0, 4, 3, 9, 0))
    for name, rows in (("none", ()), ("three", ((1, 0, 0, 1), (7, 2, 1, 5), (9, 65535, 1, 2**64 - 1)))):
        votes = b"LNCVOT\0\1" + struct.pack("<II", len(rows), 0)
        votes += b"".join(struct.pack("<IHBBQ", log, node, voted, 0, term)
                          for log, node, voted, term in rows)
        yield "votes", name, votes + struct.pack("<I", lwp.crc32c(votes))
    for name, text in (("plain", b"1234\n"), ("no-newline", b"0"), ("largest", b"%d\n" % (2**64 - 1)),
                       ("too-large", b"%d\n" % 2**64), ("no-number", b"-1\n"), ("name", b"reader")):
        yield "offset_file", name, text
    for name, text in (
            ("value", b'{"value":"hello"}'), ("keyed", b'{"key":"k","value":"v","offset":7}'),
            ("base64", b'{"key_base64":"AAE=","value_base64":"/////w=="}'),
            ("escapes", b'{"value":"\\u00e9\\ud83d\\ude00\\n\\u0000"}'), ("array", b"[[[[1]]]]")):
        yield "json_record", name, text
    now = (1_700_000_000 * 10**9).to_bytes(8, "big")
    for number, text in enumerate((
            "64KiB", "1.5GB", "10 GiB", "1h30m", "250ms", "-5m", "2025-01-31T12:00:00Z",
            "2025-01-31T12:00:00.123+02:00", "@1700000000.5", "record:17", "earliest",
            "127.0.0.1:1992", "[::1]:1992,example.org", "00000000000000000001_00000000000000000002.lnc",
            "00000000000000000001_00000000000000000002-00000000000000000003.lnc",
            "00000000000000000001_00000000000000000002.idx", "next.spare")):
        yield "units", f"text-{number:02}", now + text.encode()


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "seeds")
    for target, made in (("frame", frames()), ("tlv", tlvs()), ("envelope", envelopes()),
                         ("segment", segments()), ("index", indexes()), ("journal", journals()),
                         ("peer", peers()),
                         ("config", configs()), ("http", https())):
        for name, data in made:
            write(root, target, name, data)
    for number, payload in enumerate(control_payloads()):
        write(root, "control", f"payload-{number:02}", bytes([number]) + payload)
    for target, name, data in texts():
        write(root, target, name, data)


if __name__ == "__main__":
    main()
