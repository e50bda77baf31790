"""A small disk that fills up and is freed, again and again, under load: by what is produced, by a
foreign file, to the mark or to the last block; with kills and starts while it is full. What
disk_full_test.py and disk_watermark_test.py of tests/system do not ask: whether all that was
acknowledged on the way is there.

    nospace_test.py <bindir>     LANCE_CYCLES and LANCE_SECONDS bound it, LANCE_SEED replays it
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
from disk_full_test import mount_small_disk

CYCLES, SECONDS = campaign.bounds(cycles=6, seconds=25)
# Room for two segments each of all topics that the load has, and as much again for what comes and goes.
DISK = 1024 * harness.MIB
RESUME_SECONDS = 30.0
# READ_ONLY is what a full disk answers; a batch under way when the last block went may fail instead.
FULL = ("READ_ONLY", "INTERNAL", "TOPIC_NOT_FOUND")
EXIT_FULL = 10  # the broker could not write even what it must


class NoSpace(harness.Test):
    def setUp(self):
        self.seed = harness.seed()
        self.rng = random.Random(self.seed)
        root = harness.temp_dir()
        self.disk = mount_small_disk(root, self.addCleanup, DISK)
        self.filler = os.path.join(self.disk, "filler")
        # 0.999: the mark is out of the way, and writes meet the full disk itself.
        mark = self.rng.choice((0.9, 0.95, 0.999))
        more = f"[disk]\nwarn = 0.8\nstop_writes = {mark}\nballast_bytes = \"16MiB\"\n"
        self.broker = harness.Broker(config=campaign.config(self.rng, more),
                                     data_dir=os.path.join(self.disk, "data"))
        self.run_ = campaign.Campaign(self, "nospace", self.rng, self.seed, self.broker)

    def test_nothing_acknowledged_is_lost_and_writes_resume(self):
        run = self.run_
        run.guarded(run.start)
        run.extra.update(exits=0, starts_refused=0, kills=0, slowest_resume=0.0)
        while run.cycles < CYCLES and not run.over(SECONDS):
            run.guarded(self.cycle, run)
            run.cycles += 1
        run.guarded(run.verify, whole=True)
        self.assertEqual(self.broker.stop(), 0)
        facts = run.tell()
        self.assertGreater(facts["acknowledged"], 5 * run.cycles, "too little load to say anything")
        self.assertGreater(facts["refused"], 0, "the disk was never full")
        self.assertGreaterEqual(run.cycles, min(CYCLES, 2), "too few cycles to say anything")

    def fill(self, leave):
        """A foreign file takes all but so many bytes; with 0, every last block."""
        with open(self.filler, "ab", buffering=0) as file:
            facts = os.statvfs(self.disk)
            more = facts.f_bavail * facts.f_frsize - max(leave, 65536)
            try:
                if more > 0:
                    os.posix_fallocate(file.fileno(), file.tell(), more)
                file.seek(0, os.SEEK_END)
                while leave == 0 and file.write(b"\1" * 4096):
                    pass
            except OSError:
                pass  # the broker was quicker

    def free(self):
        if os.path.exists(self.filler):
            os.unlink(self.filler)

    def cycle(self, run):
        rng, broker = self.rng, self.broker
        load = run.load(allowed=FULL, pause=0.002)
        time.sleep(0.3 * rng.random())
        for _ in range(rng.randrange(1, 4)):
            self.fill(rng.choice((0, 0, 65536, harness.MIB, 8 * harness.MIB, 40 * harness.MIB)))
            time.sleep(0.3 * rng.random())
        # Refusals are noticed once a second or with the next write that fails.
        harness.wait_until(lambda: not broker.running() or self.refuses(load), 3)
        fate = rng.random()
        if fate < 0.3:
            broker.kill()
            run.extra["kills"] += 1
        elif fate < 0.6:
            self.free()
            time.sleep(0.3 * rng.random())
            self.fill(0)
        broken = load.end(run.ledger)
        if broker.running():
            self.assertEqual([one for one in broken if not isinstance(one, lwp.Refused)], [])
            with broker.client(timeout=60) as client:
                self.serves(run, client)
        else:
            self.ended(run)
            if rng.random() < 0.5:
                self.start_while_full(run)
        self.free()
        if not broker.running():
            self.ended(run)
            broker.start()
        self.resumes(run)
        run.verify(whole=run.cycles % 5 == 4)

    @staticmethod
    def refuses(load):
        return any(getattr(worker, "refused", None) for worker in load.workers)

    def ended(self, run):
        """The broker has ended: we killed it, or it said that it cannot go on."""
        if self.broker.process is not None:
            self.assertEqual(self.broker.wait(), EXIT_FULL, self.broker.log_tail())
            run.extra["exits"] += 1

    def start_while_full(self, run):
        try:
            self.broker.start()
        except harness.StartFailed as failed:
            if failed.code != EXIT_FULL:
                raise
            run.extra["starts_refused"] += 1
            return
        with self.broker.client(timeout=60) as client:
            self.serves(run, client)

    def serves(self, run, client):
        """Full as the disk is. A topic made meanwhile may still wait for the room of its log."""
        def waits(book):
            try:
                client.end(book.topic)
            except lwp.Refused as refused:
                return (refused.code in ("TOPIC_NOT_FOUND", "INTERNAL")
                        and not book.seen and not book.acked)
            return False

        run.ledger.verify_topics(client)
        run.ledger.verify(client, skip=[topic for topic, book in run.ledger.books.items()
                                        if waits(book)])

    def resumes(self, run):
        """Every topic takes records again, without a restart."""
        began, sequence = time.monotonic(), 0
        producer = 1_000_000 + run.cycles
        with self.broker.client(timeout=60) as client:
            run.ledger.verify_topics(client)
            for topic in list(run.ledger.books):
                while True:
                    sequence += 1
                    batch = [(topic, sequence)]
                    payload = selftelling.batch(topic, producer, sequence, 1000)
                    try:
                        client.ingest(payload, topic, promises.records_of(sequence))
                    except lwp.Refused as refused:
                        run.ledger.produced(producer, batch, [], batch)
                        if time.monotonic() - began > RESUME_SECONDS:
                            raise promises.Violation(f"topic {topic} does not resume: {refused}"
                                                     ) from refused
                        time.sleep(0.05)
                    else:
                        run.ledger.produced(producer, batch, batch, [])
                        break
        run.extra["slowest_resume"] = max(run.extra["slowest_resume"],
                                          round(time.monotonic() - began, 2))


class Topics(harness.Test):
    def test_a_topic_whose_log_found_no_room_is_there_once_there_is(self):
        fs = dropfs.DropFs()
        self.addCleanup(fs.close)
        broker = harness.Broker(data_dir=os.path.join(fs.path, "data"))
        self.addCleanup(broker.kill)
        broker.start()
        with broker.client() as client:
            fs.fail("mkdir", "ENOSPC", "data/segments/late*")
            self.assert_refused("INTERNAL READ_ONLY", client.create, "late")
            late = {entry["name"]: entry["id"] for entry in client.list()}["late"]
            self.assert_refused("TOPIC_NOT_FOUND READ_ONLY", client.ingest, b"early", late)
            fs.clear()

            def accepted():
                try:
                    client.ingest(b"in time", late)
                    return True
                except lwp.Refused:
                    return False

            self.assertTrue(harness.wait_until(accepted, 10), broker.log_tail())
            self.assertEqual(client.read_all(late), b"in time")
            # And a deletion while it waits takes it away for good.
            fs.fail("mkdir", "ENOSPC", "data/segments/gone*")
            self.assert_refused("INTERNAL READ_ONLY", client.create, "gone")
            gone = {entry["name"]: entry["id"] for entry in client.list()}["gone"]
            client.delete(gone)
            fs.clear()
            time.sleep(1.5)
            self.assert_refused("TOPIC_NOT_FOUND", client.ingest, b"x", gone)
            self.assertFalse(os.path.exists(os.path.join(fs.path, "data", "segments", "gone")))


if __name__ == "__main__":
    harness.main()
