"""Batches that tell about themselves, and a checker that reads a stream of them back.

A batch is `magic u32 | topic u32 | producer u32 | sequence u32 | length u32 | body | crc u32 | A5`;
the body is a piece of one random block chosen by (producer, sequence), so that a changed, cut,
doubled or exchanged batch is noticed without keeping what was sent. The last byte is never zero:
a file's last non-zero byte ends its last batch.
"""

import random
import struct
import zlib

HEAD = struct.Struct("<IIIII")
MAGIC = 0x4C4E4354
OVERHEAD = HEAD.size + 5
_BLOCK = random.Random(1992).randbytes(1 << 21)


def body(producer, sequence, length):
    start = (producer * 7919 + sequence * 104_729) % (1 << 20)
    return _BLOCK[start:start + length]


def batch(topic, producer, sequence, length):
    """A batch whose body has this many bytes, at most 1 MiB."""
    data = HEAD.pack(MAGIC, topic, producer, sequence, length) + body(producer, sequence, length)
    return data + struct.pack("<IB", zlib.crc32(data), 0xA5)


class BadStream(AssertionError):
    """The stream is not a sequence of whole, unaltered batches."""


def parse(stream, topic, base=0):
    """[(offset, producer, sequence)] of a stream that must consist of whole batches."""
    found, position, view = [], 0, memoryview(stream)
    while position < len(stream):
        if len(stream) - position < OVERHEAD:
            raise BadStream(f"topic {topic}: half a batch at {base + position}")
        magic, owner, producer, sequence, length = HEAD.unpack_from(stream, position)
        end = position + HEAD.size + length
        if magic != MAGIC or owner != topic or length > 1 << 20:
            raise BadStream(f"topic {topic}: no batch begins at {base + position}")
        if end + 5 > len(stream):
            raise BadStream(f"topic {topic}: half a batch at {base + position}")
        crc, last = struct.unpack_from("<IB", stream, end)
        if last != 0xA5 or crc != zlib.crc32(view[position:end]):
            raise BadStream(f"topic {topic}: altered batch at {base + position}")
        if view[position + HEAD.size:end] != body(producer, sequence, length):
            raise BadStream(f"topic {topic}: another body at {base + position}")
        found.append((base + position, producer, sequence))
        position = end + 5
    return found
