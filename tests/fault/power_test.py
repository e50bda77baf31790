"""Power cuts: the broker on dropfs, which drops what was not synced, by sector, by size and by name,
under load, during recovery, right after the start.

    power_test.py <bindir>       LANCE_CYCLES and LANCE_SECONDS bound it, LANCE_SEED replays it
"""

import os
import random
import time

import campaign
import dropfs
import harness
import promises

CYCLES, SECONDS = campaign.bounds(cycles=12, seconds=22)
# What a broker may still say that notices the cut before it ends.
AFTER_THE_CUT = ("INTERNAL", "READ_ONLY", "CORRUPT")


class PowerCut(harness.Test):
    def test_nothing_acknowledged_is_lost_and_nothing_altered(self):
        seed = harness.seed()
        rng = random.Random(seed)
        self.fs = dropfs.DropFs()
        self.addCleanup(self.fs.close)
        broker = harness.Broker(config=campaign.config(rng),
                                data_dir=os.path.join(self.fs.path, "data"))
        run = campaign.Campaign(self, "power", rng, seed, broker)
        run.guarded(run.start)
        run.extra.update(cuts=0)
        self.start_seconds = 0.3
        while run.cycles < CYCLES and not run.over(SECONDS):
            run.guarded(self.cycle, run, keep=self.fs.export)
            run.cycles += 1
        run.guarded(run.verify, whole=True)
        self.assertEqual(broker.stop(), 0)
        facts = run.tell()
        self.assertGreater(facts["acknowledged"], 5 * run.cycles, "too little load to say anything")
        self.assertGreaterEqual(run.cycles, min(CYCLES, 3), "too few cycles to say anything")
        self.assertGreater(facts["sectors_lost"], 0, "no cut took anything")

    def test_the_checker_notices_a_broker_that_acknowledges_before_it_flushes(self):
        """Told to by its configuration; else this file would prove nothing."""
        rng = random.Random(harness.seed())
        self.fs = dropfs.DropFs()
        self.addCleanup(self.fs.close)
        broker = harness.Broker(config=campaign.config(rng, '[durability]\nlevel = "written"\n'),
                                data_dir=os.path.join(self.fs.path, "data"))
        run = campaign.Campaign(self, "power", rng, 0, broker)
        run.start()
        for _ in range(20):
            load = run.load(makes_topics=False)
            time.sleep(0.05 + 0.2 * rng.random())
            broker.kill()
            self.fs.cut()
            self.fs.revive()
            load.end(run.ledger)
            broker.start()
            try:
                run.verify()
            except promises.Violation as noticed:
                self.assertRegex(str(noticed), "acknowledged batches are lost|were seen")
                return
        self.fail("twenty cuts, and nothing was noticed")

    def cycle(self, run):
        rng, broker = run.rng, run.broker
        load = run.load(allowed=AFTER_THE_CUT)
        time.sleep(rng.choice((0.0, 0.01, 0.05, 0.1, 0.2, 0.4)) * rng.random())
        self.cut(run)
        load.end(run.ledger)
        while rng.random() < 0.3:  # the start itself, with its recovery, is hit too
            broker.launch()
            time.sleep(rng.random() * rng.choice((0.05, 1.2 * self.start_seconds)))
            self.cut(run)
        started = time.monotonic()
        broker.start()
        self.start_seconds = min(2.0, time.monotonic() - started)
        run.verify(whole=run.cycles % 10 == 9)

    def cut(self, run):
        """The process ends with the power, or has just noticed that nothing works any more."""
        rng = run.rng
        seed = rng.choice((None, rng.getrandbits(32), rng.getrandbits(32)))
        if rng.random() < 0.5:
            run.broker.kill()
            did = self.fs.cut(seed)
        else:
            did = self.fs.cut(seed)
            time.sleep(rng.choice((0, 0, 0.02)))
            run.broker.kill()
        self.fs.revive()
        run.extra["cuts"] += 1
        for word, count in did.items():
            run.extra[word] = run.extra.get(word, 0) + count


if __name__ == "__main__":
    harness.main()
