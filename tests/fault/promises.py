"""The checker of acknowledged records: what the broker has promised, for all topics and consumers,
over all faults, and whether it is kept.

A ledger knows of every batch whether it was sent, acknowledged, refused or left without an answer;
of every topic whether it was made or deleted; of every consumer what it committed. After a fault
and a restart verify() reads what is there:

- every acknowledged batch is there, unaltered, in the order of its connection;
- a batch without an answer, or refused in mid-flight, is whole or absent, and never comes back
  once it was absent; nothing half is visible; no earlier batch is missing where a later one of the
  same connection and topic is there;
- what was ever seen, by a reader before the fault or by an earlier verification, stands where it
  stood: offset, record number, count, time, bytes;
- offsets and record numbers follow one another without gap;
- topics whose making was acknowledged are there with their id, deleted ones are not, ids never come
  back; of those without an answer either holds, and a topic that is there is whole;
- a consumer's committed offset is the acknowledged one, or the one in flight behind it.
"""

import collections
import struct
import zlib

import lwp
import selftelling

REPLY = struct.Struct("<QQQII")
ENTRY = struct.Struct("<QQQII")

# One batch as a reader sees it; equal ones have equal bytes, too.
Batch = collections.namedtuple("Batch", "offset first_record time_ns records length crc producer "
                                        "sequence")


class Violation(AssertionError):
    """A promise was broken."""


def records_of(sequence):
    """How many records a batch claims: told by its number, so that it can be checked."""
    return sequence % 7 + 1


def fetch_batches(client, topic, start, max_bytes=1 << 20):
    """(next offset, [Batch]) of one FetchBatches, with everything about it checked."""
    reply = client.command(lwp.FETCH_BATCHES,
                           lwp.fetch_batches_payload(topic, start, max_bytes))
    client.expect(reply, lwp.BATCHES_REPLY)
    next_offset, _, end, count, reserved = REPLY.unpack_from(reply.payload)
    if reserved or next_offset > end:
        raise Violation(f"topic {topic}: a reply that ends at {next_offset} of {end}")
    found, position = [], REPLY.size + count * ENTRY.size
    expected = start
    for number in range(count):
        offset, first, time_ns, records, length = ENTRY.unpack_from(
            reply.payload, REPLY.size + number * ENTRY.size)
        payload = reply.payload[position:position + length]
        position += length
        told = selftelling.parse(payload, topic, offset)
        if offset != expected or len(told) != 1:
            raise Violation(f"topic {topic}: {len(told)} batches in the one at {offset}, expected "
                            f"one at {expected}")
        expected = offset + length
        _, producer, sequence = told[0]
        if records != records_of(sequence):
            raise Violation(f"topic {topic}: batch at {offset} says {records} records, was sent "
                            f"with {records_of(sequence)}")
        found.append(Batch(offset, first, time_ns, records, length, zlib.crc32(payload), producer,
                           sequence))
    if position != len(reply.payload) or expected != next_offset:
        raise Violation(f"topic {topic}: reply of {len(reply.payload)} bytes, {position} counted")
    return next_offset, found


def read_batches(client, topic, start, end):
    """All batches of [start, end), which must all be there."""
    found = []
    while start < end:
        start, some = fetch_batches(client, topic, start)
        if not some:
            raise Violation(f"topic {topic}: nothing at {start}, though it ends at {end}")
        found += some
    return found


class Book:
    """One topic."""

    def __init__(self, topic, name):
        self.topic, self.name = topic, name
        self.seen = []  # [Batch], as verified or witnessed
        self.sent = {}  # producer -> [sequence], not yet looked for
        self.acked = {}  # producer -> {sequence}, not yet looked for
        self.refused = {}

    @property
    def end(self):
        return self.seen[-1].offset + self.seen[-1].length if self.seen else 0

    @property
    def end_record(self):
        return self.seen[-1].first_record + self.seen[-1].records if self.seen else 0

    def witness(self, batches):
        """What a reader has seen, from self.end on."""
        for batch in batches:
            if batch.offset < self.end:
                continue
            if batch.offset != self.end or batch.first_record != self.end_record:
                raise Violation(f"topic {self.name}: {batch} was seen, expected offset {self.end}, "
                                f"record {self.end_record}")
            self.seen.append(batch)

    def verify(self, client, checked):
        """Everything from batch number `checked` on is read and compared."""
        start = self.seen[checked].offset if checked < len(self.seen) else self.end
        end = client.end(self.topic)
        if end < self.end:
            raise Violation(f"topic {self.name}: ends at {end}, {self.end} were seen")
        found = read_batches(client, self.topic, start, end)
        known = self.seen[checked:]
        for before, after in zip(known, found):
            if before != after:
                raise Violation(f"topic {self.name}: seen as {before}, now {after}")
        self.witness(found[len(known):])

    def settle(self, checked):
        """The batches from number `checked` on are all that will ever come of what was sent."""
        present = {}
        for batch in self.seen[checked:]:
            present.setdefault(batch.producer, []).append(batch.sequence)
        for producer, sequences in present.items():
            if producer not in self.sent:
                raise Violation(f"topic {self.name}: batches {producer}/{sequences[:5]} came back "
                                "from the dead, or were never sent")
        unknown_there = 0
        for producer, sent in self.sent.items():
            there = present.get(producer, [])
            acked, refused = self.acked.get(producer, set()), self.refused.get(producer, set())
            if lost := acked - set(there):
                raise Violation(f"topic {self.name}: {len(lost)} acknowledged batches are lost, "
                                f"among them {producer}/{sorted(lost)[:5]}; sent {len(sent)}, "
                                f"acknowledged {len(acked)}, there {len(there)}, end {self.end}")
            if any(a >= b for a, b in zip(there, there[1:])) or not set(there) <= set(sent):
                raise Violation(f"topic {self.name}: {producer}'s batches stand as {there[:50]}")
            unknown_there += len(set(there) - acked)
            if there:
                holes = {s for s in sent if s < there[-1]} - set(there) - refused
                if holes:
                    raise Violation(f"topic {self.name}: {producer}/{sorted(holes)[:5]} are "
                                    f"missing before {producer}/{there[-1]}")
        self.sent, self.acked, self.refused = {}, {}, {}
        return unknown_there


class Ledger:
    def __init__(self):
        self.books = {}  # topic id -> Book
        self.names = {}  # name -> id, of topics that are there for certain
        self.creating = set()  # names without an answer
        self.deleting = {}  # name -> id, without an answer
        self.highest = 0
        self.commits = {}  # (topic, consumer) -> (acknowledged, last sent)
        self.checked = {}  # topic -> number of batches settled
        self.acknowledged = self.found = self.unknown = self.unknown_found = self.refusals = 0
        self.bytes = self.commits_acknowledged = self.topics_made = 0

    # What happens, told by those who do it. One thread at a time: loads tell it when they ended.

    def created(self, name, topic):
        if topic <= self.highest and topic != 0:
            raise Violation(f"topic {name} got id {topic}, not above {self.highest}")
        self.highest = max(self.highest, topic)
        self.creating.discard(name)
        self.names[name] = topic
        self.books[topic] = Book(topic, name)
        self.checked[topic] = 0
        self.topics_made += 1

    def deleted(self, name):
        topic = self.deleting.pop(name, None)
        if topic is None:
            topic = self.names.pop(name)
        self._forget(topic)

    def _forget(self, topic):
        self.books.pop(topic, None)
        self.checked.pop(topic, None)
        self.commits = {key: value for key, value in self.commits.items() if key[0] != topic}

    def produced(self, producer, sent, acked, refused):
        """Of one connection: [(topic, sequence)] each, in order."""
        self.acknowledged += len(acked)
        self.refusals += len(refused)
        self.unknown += len(sent) - len(acked) - len(refused)
        for name, pairs in (("sent", sent), ("acked", acked), ("refused", refused)):
            for topic, sequence in pairs:
                if topic not in self.books:
                    continue  # deleted meanwhile, with an answer
                of = getattr(self.books[topic], name)
                if name == "sent":
                    of.setdefault(producer, []).append(sequence)
                else:
                    of.setdefault(producer, set()).add(sequence)

    def committed(self, topic, consumer, acked, sent):
        before = self.commits.get((topic, consumer), (0, 0))
        self.commits[topic, consumer] = (max(before[0], acked), max(before[1], sent))

    # What is there.

    def verify_topics(self, client):
        listed = {entry["name"]: entry["id"] for entry in client.list()}
        for name, topic in self.names.items():
            if listed.get(name) != topic:
                raise Violation(f"topic {name} with id {topic} is listed as {listed.get(name)}")
        for name, topic in list(self.deleting.items()):
            if name not in listed:
                self.deleted(name)
            elif listed[name] != topic:
                raise Violation(f"topic {name} had id {topic}, now {listed[name]}")
            else:
                self.names[name] = self.deleting.pop(name)
        for name in list(self.creating):
            self.creating.discard(name)
            if name in listed:
                self.created(name, listed[name])
        if strangers := set(listed) - set(self.names) - {"default"}:
            raise Violation(f"topics {sorted(strangers)} are listed; they are deleted, or never "
                            "were made")

    def verify_commits(self, client):
        for (topic, consumer), (acked, sent) in self.commits.items():
            _, offset = client.subscribe(topic, 0, consumer)
            if not acked <= offset <= sent:
                raise Violation(f"consumer {consumer} of topic {topic} stands at {offset}; "
                                f"{acked} was acknowledged, {sent} the newest it sent")
            self.commits[topic, consumer] = (offset, offset)

    def verify(self, client, whole=False, skip=()):
        """After a restart, or when all that was sent has its answer. whole: everything is read
        again, not only what is new. skip: topics that are left alone this time."""
        self.verify_topics(client)
        for topic, book in self.books.items():
            if topic in skip:
                continue
            checked = self.checked[topic]
            book.verify(client, 0 if whole else checked)
            self.unknown_found += book.settle(checked)
            self.found += len(book.seen) - checked
            self.bytes += sum(batch.length for batch in book.seen[checked:])
            self.checked[topic] = len(book.seen)
        self.verify_commits(client)
