"""Input and output that fails: the broker on dropfs, which answers EIO to writes, reads, syncs and
changes of names, once or for good, and loses what a failed sync should have kept.

    eio_test.py <bindir> [TestClass]    LANCE_CYCLES and LANCE_SECONDS bound it, LANCE_SEED replays
"""

import os
import random
import time

import campaign
import dropfs
import harness
import lwp
import promises
import selftelling

CYCLES, SECONDS = campaign.bounds(cycles=8, seconds=18)

# How a log that failed answers, and a batch that was under way when it did.
FAILED = ("INTERNAL", "READ_ONLY")
# What a broker says of files it cannot read, or of logs it could not open.
UNREAD = ("INTERNAL", "CORRUPT", "READ_ONLY", "TOPIC_NOT_FOUND")


class OnDropFs(harness.Test):
    def setUp(self):
        self.seed = harness.seed()
        self.rng = random.Random(self.seed)
        self.fs = dropfs.DropFs()
        self.addCleanup(self.fs.close)

    def campaign(self):
        broker = harness.Broker(config=campaign.config(self.rng, direct="true"),
                                data_dir=os.path.join(self.fs.path, "data"))
        return campaign.Campaign(self, "eio", self.rng, self.seed, broker)

    def wait_hit(self, operation, pattern="*", seconds=20):
        self.assertTrue(harness.wait_until(
            lambda: self.fs.hits().get((operation, pattern), 0) > 0, seconds),
            f"no {operation} of {pattern} came")


class Fences(OnDropFs):
    """After a failed write or sync nothing is acknowledged in that log any more; the other logs,
    and all reading, go on."""

    def fail_one_log(self, operation, times):
        run = self.campaign()
        run.guarded(run.start)
        victim, *others = run.topics
        pattern = f"data/segments/{run.ledger.books[victim].name}/*.lnc"
        load = run.load(allowed=FAILED)
        time.sleep(0.2)
        self.fs.fail(operation, "EIO", pattern, times=times)
        self.wait_hit(operation, pattern)
        time.sleep(0.2)
        before = load.acknowledged()
        self.assertTrue(harness.wait_until(lambda: load.acknowledged() > before, 10),
                        "the other logs do not go on")
        self.assertEqual(run.guarded(load.end, run.ledger), [])
        self.assertGreater(run.ledger.refusals, 0)
        with run.broker.client() as client:
            self.stays_fenced(client, victim)
            self.fs.clear()
            self.stays_fenced(client, victim)
            for topic in others:
                client.ingest(selftelling.batch(topic, 900_000, 1, 100), topic,
                              promises.records_of(1))
                run.ledger.produced(900_000, [(topic, 1)], [(topic, 1)], [])
            # What was acknowledged before is served; what failed is not shown.
            book = run.ledger.books[victim]
            shown = promises.read_batches(client, victim, 0, client.end(victim))
            there = {(batch.producer, batch.sequence) for batch in shown}
            acked = {(p, s) for p, sequences in book.acked.items() for s in sequences}
            self.assertEqual(there, acked)
            book.witness(shown)
        run.guarded(run.verify, skip=(victim,))
        self.assertEqual(run.broker.metrics().value("lance_fenced_logs"), 1)
        return run, victim

    def stays_fenced(self, client, topic):
        for sequence in range(10):
            self.assert_refused("READ_ONLY INTERNAL", client.ingest,
                                selftelling.batch(topic, 1, sequence, 100), topic)
            time.sleep(0.02)

    def unfence(self, run, victim):
        """A start does not lift the fence; an operator does, and then the log goes on."""
        run.broker.kill()
        run.broker.start()
        run.guarded(run.verify, whole=True, skip=(victim,))  # more of it may be there later
        with run.broker.client() as client:
            book = run.ledger.books[victim]
            there = {(batch.producer, batch.sequence)
                     for batch in promises.read_batches(client, victim, 0, client.end(victim))}
            self.assertEqual(there, {(p, s) for p, acked in book.acked.items() for s in acked})
            self.stays_fenced(client, victim)
            self.assertEqual(run.broker.metrics().value("lance_fenced_logs"), 1)
            name = run.ledger.books[victim].name
            outcome = run.broker.lnc("--json", "topic", "unfence", name)
            self.assertEqual(outcome.code, 0, outcome)
            (told,) = outcome.json_lines()
            self.assertEqual([one["state"] for one in told["partitions"]], ["open"])
            self.assertTrue(harness.wait_until(
                lambda: run.broker.metrics().value("lance_fenced_logs") == 0, 5))
            self.assertIn("is not fenced", run.broker.lnc("topic", "unfence", name).errors)
            client.ingest(selftelling.batch(victim, 900_001, 1, 100), victim,
                          promises.records_of(1))
            run.ledger.produced(900_001, [(victim, 1)], [(victim, 1)], [])
        run.broker.kill()
        run.broker.start()
        self.assertEqual(run.broker.metrics().value("lance_fenced_logs"), 0)
        run.guarded(run.verify, whole=True)

    def test_one_failed_sync_of_one_log(self):
        self.unfence(*self.fail_one_log("fsync", times=1))

    def test_one_failed_write_of_one_log(self):
        self.unfence(*self.fail_one_log("write", times=1))

    def test_a_disk_that_never_syncs_one_log_again(self):
        run, _ = self.fail_one_log("fsync", times=0)
        self.fs.cut()
        run.broker.kill()
        self.fs.revive()
        run.broker.start()
        run.guarded(run.verify, whole=True)

    def test_the_log_of_topics(self):
        run = self.campaign()
        run.guarded(run.start)
        self.fs.fail("fsync", "EIO", "data/segments/__meta/*.lnc", times=1)
        with run.broker.client() as client:
            for number in range(5):
                self.assert_refused("READ_ONLY INTERNAL", client.create, f"never-{number}")
                run.ledger.creating.add(f"never-{number}")
                self.assert_refused("READ_ONLY INTERNAL", client.commit, run.topics[0], 5, 77)
            listed = {entry["name"] for entry in client.list()}
            self.assertFalse({name for name in listed if name.startswith("never")})
        load = run.load(makes_topics=False, allowed=FAILED)
        time.sleep(0.3)
        run.guarded(load.end, run.ledger)
        self.assertEqual(run.ledger.refusals, 0, "records are refused, too")
        self.assertGreater(run.ledger.acknowledged, 0)
        run.broker.kill()
        run.broker.start()
        with run.broker.client() as client:
            self.assert_refused("READ_ONLY INTERNAL", client.create, "too-early")
            run.ledger.creating.add("too-early")
            outcome = run.broker.lnc("topic", "unfence", "__meta")
            self.assertEqual(outcome.code, 0, outcome)
            # What is there now may be more than this process has read of it at its start.
            self.assert_refused("READ_ONLY INTERNAL", client.create, "too-early")
        self.assertEqual(run.broker.stop(), 0)
        run.broker.start()
        run.guarded(run.verify, whole=True)
        with run.broker.client() as client:
            client.create("once-again")


class Reads(OnDropFs):
    def filled(self):
        run = self.campaign()
        run.guarded(run.start)
        load = run.load()
        time.sleep(0.7)
        run.guarded(load.end, run.ledger)
        run.guarded(run.verify)
        self.assertEqual(run.broker.stop(), 0)
        self.fs.drop_caches("data")  # or reads would not come to dropfs
        book = run.ledger.books[run.topics[0]]
        return run, book, f"data/segments/{book.name}/*.lnc"

    def test_a_read_that_fails_is_told_and_the_next_one_works(self):
        run, book, pattern = self.filled()
        run.broker.start()
        self.fs.fail("read", "EIO", pattern)
        with run.broker.client() as client:
            self.assert_refused("INTERNAL", client.read, book.topic, 0, book.end)
            for topic in run.topics[1:]:
                self.assertEqual(len(client.read_all(topic)), run.ledger.books[topic].end)
            self.fs.clear()
            self.assertEqual(len(client.read_all(book.topic)), book.end)
            client.ingest(selftelling.batch(book.topic, 1, 1, 10), book.topic,
                          promises.records_of(1))
            run.ledger.produced(1, [(book.topic, 1)], [(book.topic, 1)], [])
        run.guarded(run.verify, whole=True)

    def test_a_log_that_cannot_be_read_at_the_start_is_left_alone(self):
        run, book, pattern = self.filled()
        before = self.files(book.name)
        self.fs.drop_caches("data")
        self.fs.fail("read", "EIO", pattern)
        run.broker.start()
        with run.broker.client() as client:
            self.assert_refused(" ".join(UNREAD), client.end, book.topic)
            self.assert_refused(" ".join(UNREAD), client.ingest, b"x", book.topic)
            for topic in run.topics[1:]:
                self.assertEqual(len(client.read_all(topic)), run.ledger.books[topic].end)
        run.broker.kill()
        self.fs.clear()
        self.assertEqual(self.files(book.name), before)
        run.broker.start()
        run.guarded(run.verify, whole=True)

    def files(self, topic):
        directory = os.path.join(self.fs.path, "data", "segments", topic, "0")
        found = {}
        for name in sorted(os.listdir(directory)):
            if name.endswith(".lnc"):
                with open(os.path.join(directory, name), "rb") as file:
                    found[name] = file.read()
        return found


class Anything(OnDropFs):
    """Any operation fails anywhere, once or for a while; then the process or the power goes."""

    OPERATIONS = ("write", "write", "fsync", "fsync", "fsync", "fsyncdir", "create", "rename",
                  "unlink", "truncate", "fallocate", "open", "read", "mkdir", "lookup")

    def test_nothing_acknowledged_is_lost_and_nothing_altered(self):
        run = self.campaign()
        run.guarded(run.start)
        run.extra.update(hits=0, starts_failed=0)
        while run.cycles < CYCLES and not run.over(SECONDS):
            run.guarded(self.cycle, run, keep=self.fs.export)
            run.cycles += 1
        run.guarded(run.verify, whole=True)
        facts = run.tell()
        self.assertGreater(facts["acknowledged"], 5 * run.cycles, "too little load to say anything")
        self.assertGreater(facts["hits"], 0, "nothing failed")

    def break_something(self, run):
        names = [run.ledger.books[topic].name for topic in run.topics]
        pattern = self.rng.choice(("*", "data/segments/*.lnc", "data/segments/*.idx",
                                   "data/segments/__meta/*", "data/segments/passing*",
                                   f"data/segments/{self.rng.choice(names)}/*"))
        self.fs.fail(self.rng.choice(self.OPERATIONS), self.rng.choice(("EIO", "EIO", "ENOSPC")),
                     pattern, skip=self.rng.choice((0, 0, 3, 50)),
                     times=self.rng.choice((1, 1, 2, 0)))

    def mend(self, run):
        run.extra["hits"] += sum(self.fs.hits().values())
        self.fs.clear()

    def cycle(self, run):
        rng, broker = self.rng, run.broker
        load = run.load(allowed=UNREAD)
        for _ in range(rng.randrange(1, 4)):
            time.sleep(0.15 * rng.random())
            self.break_something(run)
        time.sleep(0.3 * rng.random())
        if rng.random() < 0.5:
            self.mend(run)
            time.sleep(0.1 * rng.random())
        cut = rng.random() < 0.4
        if cut:
            self.fs.cut(rng.choice((None, rng.getrandbits(32))))
        broker.kill()
        load.end(run.ledger)
        if cut:
            self.fs.revive()
        if rng.random() < 0.3:
            self.break_something(run)
            try:
                broker.start()
            except harness.StartFailed as failed:
                if failed.code is None or failed.code < 0:
                    raise
                run.extra["starts_failed"] += 1
            broker.kill()
        self.mend(run)
        broker.start()
        run.unfence()  # first: what failed may be there or not, but from then on for good
        run.verify(whole=run.cycles % 5 == 4)


if __name__ == "__main__":
    harness.main()
