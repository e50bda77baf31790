"""What a broker is put through while a fault comes: connections that produce to several topics with
a pipeline each, one that makes and deletes topics, one that commits offsets, one that reads along.
All is told to a promises.Ledger when it has ended."""

import itertools
import random
import threading

import lwp
import promises
import selftelling

WINDOW = 32  # batches without an answer per connection
SIZES = (0, 10, 100, 1000, 1000, 5000, 5000, 30_000)
BIG = 700_000
_producers = itertools.count(1)


class Worker(threading.Thread):
    """One connection. Ends when it is told to, with the connection, or with a refusal whose code
    is allowed: what it asked for then has no answer."""

    def __init__(self, address, timeout, allowed):
        super().__init__(daemon=True)
        self.address, self.timeout, self.allowed = address, timeout, allowed
        self.ending = threading.Event()
        self.fault = None
        self.broken = None  # what ended the connection before it was told to

    def run(self):
        try:
            with lwp.Client(self.address, timeout=self.timeout) as client:
                self.work(client)
        except (ConnectionError, TimeoutError) as broken:
            self.broken = broken
        except lwp.Refused as refused:
            self.broken = refused
            if refused.code not in self.allowed:
                self.fault = refused
        except Exception as fault:
            self.fault = fault

    def work(self, client):
        raise NotImplementedError

    def tell(self, ledger):
        raise NotImplementedError


class Producer(Worker):
    """Goes on after allowed refusals. pause: seconds between two rounds."""

    def __init__(self, address, topics, rng, timeout, allowed, pause):
        super().__init__(address, timeout, allowed)
        self.number = next(_producers)
        self.topics, self.rng, self.pause = topics, rng, pause
        self.sent, self.acked, self.refused = [], [], []
        self.waiting = []

    def frame(self):
        sequence = len(self.sent) + 1
        topic = self.rng.choice(self.topics)
        length = BIG if self.rng.random() < 0.003 else self.rng.choice(SIZES)
        self.sent.append((topic, sequence))
        self.waiting.append((topic, sequence))
        return lwp.ingest_frame(sequence, selftelling.batch(topic, self.number, sequence, length),
                                topic, promises.records_of(sequence))

    def take_reply(self, client):
        reply = client.receive()
        which = self.waiting[0]
        if reply.code == lwp.ERROR:
            refused = lwp.Refused(lwp.error_text(reply))
            if refused.code not in self.allowed:
                raise refused
            self.refused.append(which)
        elif reply.kind == "ack" and reply.batch_id == which[1]:
            self.acked.append(which)
        else:
            raise AssertionError(f"expected the answer to {which}, got {reply!r}")
        self.waiting.pop(0)

    def work(self, client):
        while not self.ending.is_set():
            window = self.rng.randrange(1, WINDOW + 1)
            frames = [self.frame() for _ in range(max(0, window - len(self.waiting)))]
            client.send(b"".join(frames))
            for _ in range(self.rng.randrange(0, len(self.waiting)) + 1):
                self.take_reply(client)
            if self.pause:
                self.ending.wait(self.pause)
        while self.waiting:
            self.take_reply(client)

    def tell(self, ledger):
        ledger.produced(self.number, self.sent, self.acked, self.refused)


class TopicMaker(Worker):
    """Makes topics under a few names, writes into them, deletes them, again and again."""

    NAMES = tuple(f"passing-{n}" for n in range(4))

    def __init__(self, address, ledger, rng, timeout, allowed):
        super().__init__(address, timeout, allowed)
        self.rng = rng
        self.alive = {name: ledger.names[name] for name in self.NAMES if name in ledger.names}
        self.deeds = []  # as calls of the ledger, in order
        self.number = next(_producers)
        self.sequence = 0

    def work(self, client):
        while not self.ending.is_set():
            name = self.rng.choice(self.NAMES)
            if name not in self.alive:
                self.deeds.append(lambda to, name=name: to.creating.add(name))
                topic = client.create(name)["id"]
                self.deeds.append(lambda to, name=name, topic=topic: to.created(name, topic))
                self.alive[name] = topic
            elif self.rng.random() < 0.5:
                topic = self.alive.pop(name)
                self.deeds.append(lambda to, name=name: to.deleting.update(
                    {name: to.names.pop(name)}))
                client.delete(topic)
                self.deeds.append(lambda to, name=name: to.deleted(name))
            else:
                self.ingest(client, self.alive[name])

    def ingest(self, client, topic):
        self.sequence += 1
        sent = [(topic, self.sequence)]
        self.deeds.append(lambda to: to.produced(self.number, sent, [], []))
        payload = selftelling.batch(topic, self.number, self.sequence, self.rng.choice(SIZES))
        reply = client.exchange(lwp.ingest_frame(self.sequence, payload, topic,
                                                 promises.records_of(self.sequence)))
        if reply.code == lwp.ERROR:
            raise lwp.Refused(lwp.error_text(reply))
        if reply.kind != "ack" or reply.batch_id != self.sequence:
            raise AssertionError(f"expected the ack of {sent}, got {reply!r}")
        self.deeds.append(lambda to: to.produced(self.number, [], sent, []))

    def tell(self, ledger):
        for deed in self.deeds:
            deed(ledger)


class Committer(Worker):
    """Commits rising offsets for a few consumers."""

    def __init__(self, address, topics, ledger, rng, timeout, allowed):
        super().__init__(address, timeout, allowed)
        self.rng = rng
        self.positions = {(topic, consumer): list(ledger.commits.get((topic, consumer), (0, 0)))
                          for topic in topics for consumer in (1, 2)}
        self.count = 0

    def work(self, client):
        while not self.ending.is_set():
            key = self.rng.choice(sorted(self.positions))
            position = self.positions[key]
            position[1] += self.rng.randrange(1, 100)
            client.commit(*key, position[1])
            position[0] = position[1]
            self.count += 1

    def tell(self, ledger):
        ledger.commits_acknowledged += self.count
        for key, (acked, sent) in self.positions.items():
            if sent:
                ledger.committed(*key, acked, sent)


class Reader(Worker):
    """Follows the topics from where the ledger stands, and keeps what it saw."""

    def __init__(self, address, topics, ledger, timeout, allowed):
        super().__init__(address, timeout, allowed)
        self.positions = {topic: ledger.books[topic].end for topic in topics}
        self.seen = {topic: [] for topic in topics}

    def work(self, client):
        while not self.ending.is_set():
            got = 0
            for topic, position in self.positions.items():
                self.positions[topic], batches = promises.fetch_batches(client, topic, position)
                self.seen[topic] += batches
                got += len(batches)
            if not got:
                self.ending.wait(0.005)

    def tell(self, ledger):
        for topic, batches in self.seen.items():
            ledger.books[topic].witness(batches)


class Load:
    """All of them at once against one broker. allowed: codes of refusals that are no fault."""

    def __init__(self, address, ledger, topics, rng, producers=3, allowed=(), timeout=20.0,
                 makes_topics=True, pause=0.0):
        def own():
            return random.Random(rng.getrandbits(64))

        self.workers = [Producer(address, topics, own(), timeout, allowed, pause)
                        for _ in range(producers)]
        self.workers.append(Committer(address, topics, ledger, own(), timeout, allowed))
        self.workers.append(Reader(address, topics, ledger, timeout, allowed))
        if makes_topics:
            self.workers.append(TopicMaker(address, ledger, own(), timeout, allowed))
        for worker in self.workers:
            worker.start()

    def acknowledged(self):
        return sum(len(worker.acked) for worker in self.workers if isinstance(worker, Producer))

    def end(self, ledger, seconds=30.0):
        """Ends all, raises what one of them found, tells the ledger; the exceptions that broke
        connections."""
        for worker in self.workers:
            worker.ending.set()
        for worker in self.workers:
            worker.join(seconds)
            if worker.is_alive():
                raise promises.Violation(f"{type(worker).__name__} hangs")
            if worker.fault is not None:
                raise promises.Violation(f"{type(worker).__name__}: {worker.fault!r}"
                                         ) from worker.fault
        for worker in self.workers:
            worker.tell(ledger)
        return [worker.broken for worker in self.workers if worker.broken is not None]
