"""What the fault programs share: bounds from the environment, topics that are replaced before they
grow too large, the tally at the end, and files kept where a promise was broken."""

import json
import os
import shutil
import time

import dropfs  # noqa: F401  (makes tests/system importable)
import harness
import load
import lwp
import promises

TOPIC_BYTES = 48 * harness.MIB  # more than one segment; then the topic is replaced
TOPICS = 3


def bounds(cycles, seconds):
    """(cycles, seconds) of the short form, or what LANCE_CYCLES and LANCE_SECONDS say."""
    return (int(os.environ.get("LANCE_CYCLES", cycles)),
            float(os.environ.get("LANCE_SECONDS", seconds)))


def config(rng, more="", direct=None):
    """A configuration by chance, small segments in each."""
    backend = rng.choice(("auto", "auto", "pwritev"))
    direct = direct or rng.choice(("true", "true", "false"))
    text = (f"[io]\nsegment_bytes = {32 * harness.MIB}\nbackend = \"{backend}\"\n"
            f"o_direct = {direct}\npreallocate = \"{rng.choice((0, 1, 4))}MiB\"\n{more}")
    print("configuration: " + " ".join(text.split("\n")), flush=True)
    return text


class Campaign:
    """One run of one kind of fault against one broker."""

    def __init__(self, test, kind, rng, seed, broker, topics=TOPICS):
        self.test, self.kind, self.rng, self.seed = test, kind, rng, seed
        self.broker = broker
        self.ledger = promises.Ledger()
        self.made = 0
        self.wanted = topics
        self.topics = []
        self.cycles = 0
        self.extra = {}
        self.started = time.monotonic()
        test.addCleanup(broker.kill)

    def start(self):
        self.broker.start()
        with self.broker.client() as client:
            self.keep_topics(client)

    def keep_topics(self, client):
        """Replaces topics that have grown, so that a long run fits on the disk."""
        for topic in list(self.topics):
            book = self.ledger.books[topic]
            if book.end > TOPIC_BYTES:
                self.drop_topic(client, topic)
        while len(self.topics) < self.wanted:
            self.made += 1
            name = f"kept-{self.made}"
            topic = client.create(name)["id"]
            self.ledger.created(name, topic)
            self.topics.append(topic)

    def drop_topic(self, client, topic):
        client.delete(topic)
        self.ledger.deleted(self.ledger.books[topic].name)
        self.topics.remove(topic)

    def load(self, **options):
        return load.Load(self.broker.address(), self.ledger, list(self.topics), self.rng,
                         **options)

    def over(self, seconds):
        return time.monotonic() - self.started > seconds

    def verify(self, whole=False, skip=()):
        with self.broker.client(timeout=60) as client:
            self.ledger.verify(client, whole, skip)
            self.keep_topics(client)

    def guarded(self, deed, *arguments, keep=None, **options):
        """Runs one cycle's deed; when it finds a broken promise, the files are kept."""
        try:
            return deed(*arguments, **options)
        except (AssertionError, lwp.Refused, harness.StartFailed, ConnectionError,
                TimeoutError) as fault:
            kept = self.broker.root + "-kept"
            self.broker.kill()
            shutil.copytree(self.broker.root, kept, dirs_exist_ok=True)
            if not self.broker.data_dir.startswith(self.broker.root):
                shutil.copytree(self.broker.data_dir, os.path.join(kept, "data"),
                                dirs_exist_ok=True)
            if keep is not None:
                keep(os.path.join(kept, "after-the-cut"))
            self.test.fail(f"cycle {self.cycles} of seed {self.seed}: {type(fault).__name__}: "
                           f"{fault}\nthe files are kept in {kept}")

    def tell(self):
        """The tally: one line that the long form adds up."""
        ledger = self.ledger
        facts = {"kind": self.kind, "cycles": self.cycles, "acknowledged": ledger.acknowledged,
                 "found": ledger.found, "unanswered": ledger.unknown,
                 "unanswered_found": ledger.unknown_found, "refused": ledger.refusals,
                 "commits": ledger.commits_acknowledged, "topics": ledger.topics_made,
                 "megabytes": ledger.bytes // 1_000_000,
                 "seconds": round(time.monotonic() - self.started, 1), **self.extra}
        print("TALLY " + json.dumps(facts), flush=True)
        return facts
