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
META = "__meta"  # the name an operator has for the log of topics


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

    def unfence(self):
        """What an operator does once the disk is well: all logs take writes again."""
        if not harness.wait_until(lambda: self.broker.metrics().value("lance_recovering_logs") == 0,
                                  30):
            raise AssertionError("logs are still being recovered after 30 s")
        with self.broker.client(timeout=60) as client:
            names = [entry["name"] for entry in client.list()]
        lifted = [name for name in [*names, META]
                  if self.broker.lnc("topic", "unfence", name).code == 0]
        self.extra["unfenced"] = self.extra.get("unfenced", 0) + len(lifted)
        if META in lifted:  # what is in it now may be more than was read at the start
            self.broker.stop()
            self.broker.start()
        if still := self.broker.metrics().value("lance_fenced_logs"):
            raise AssertionError(f"{still} logs are fenced after unfence")

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
