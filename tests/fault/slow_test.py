"""A slow disk: the device throttled by a control group, and dropfs with operations that hang.
Slowness is waited for, not reported as failure; nothing is lost in it, and no other log waits longer
than the device itself makes it.

    slow_test.py <bindir> [TestClass]    LANCE_CYCLES and LANCE_SECONDS bound it, LANCE_SEED replays
"""

import os
import random
import time

import campaign
import dropfs
import harness
import promises
import throttle

CYCLES, SECONDS = campaign.bounds(cycles=6, seconds=18)
GO_ON_SECONDS = 30.0


class Slow(harness.Test):
    def setUp(self):
        self.seed = harness.seed()
        self.rng = random.Random(self.seed)

    def go(self, run):
        run.guarded(run.start)
        run.extra.update(kills=0, slowest_acknowledgement=0.0)
        while run.cycles < CYCLES and not run.over(SECONDS):
            run.guarded(self.cycle, run)
            run.cycles += 1
        run.guarded(run.verify, whole=True)
        self.assertEqual(run.broker.stop(), 0)
        facts = run.tell()
        self.assertGreater(facts["acknowledged"], 5 * run.cycles, "too little load to say anything")
        self.assertEqual(facts["refused"], 0, "slowness was reported as failure")
        self.assertGreaterEqual(run.cycles, min(CYCLES, 2), "too few cycles to say anything")
        return facts

    def slow_down(self):
        raise NotImplementedError

    def speed_up(self):
        raise NotImplementedError

    def cycle(self, run):
        rng, broker = self.rng, run.broker
        load = run.load(timeout=60.0)
        time.sleep(0.2 * rng.random())
        self.slow_down()
        time.sleep(0.2 + 1.5 * rng.random())
        self.assertEqual(broker.http("/health/live")[0], 200, "a slow disk is no dead broker")
        kills = rng.random() < 0.3
        if kills:
            broker.kill()
            run.extra["kills"] += 1
        self.speed_up()
        if not kills:
            before, began = load.acknowledged(), time.monotonic()
            if not harness.wait_until(lambda: load.acknowledged() > before, GO_ON_SECONDS):
                raise promises.Violation("it does not go on")
            run.extra["slowest_acknowledgement"] = round(
                max(run.extra["slowest_acknowledgement"], time.monotonic() - began), 2)
        broken = load.end(run.ledger, seconds=60)
        if kills:
            broker.start()
        elif broken:
            raise promises.Violation(f"a slow disk broke connections: {broken}")
        run.verify(whole=run.cycles % 5 == 4)


class Throttled(Slow):
    def test_nothing_is_lost_on_a_throttled_device(self):
        root = harness.temp_dir()
        self.throttle = throttle.Throttle(root)
        self.addCleanup(self.throttle.close)
        broker = harness.Broker(config=campaign.config(self.rng), root=root,
                                before_exec=self.throttle.join)
        self.go(campaign.Campaign(self, "slow", self.rng, self.seed, broker))

    def slow_down(self):
        self.throttle.limit(self.rng.choice((0, 256 * 1024, 1 << 20, 4 << 20)),
                            self.rng.choice((0, 5, 20, 100)))

    def speed_up(self):
        self.throttle.release()


class Hanging(Slow):
    def test_nothing_is_lost_where_operations_hang(self):
        self.fs = dropfs.DropFs()
        self.addCleanup(self.fs.close)
        broker = harness.Broker(config=campaign.config(self.rng),
                                data_dir=os.path.join(self.fs.path, "data"))
        run = campaign.Campaign(self, "hang", self.rng, self.seed, broker)
        self.addCleanup(self.fs.clear)  # before the broker is killed: it may hang in the kernel
        self.go(run)

    def slow_down(self):
        rng = self.rng
        for _ in range(rng.randrange(1, 3)):
            self.fs.delay(rng.choice(("write", "fsync", "fsync", "fsyncdir", "create", "read")),
                          rng.choice((5, 50, 500, 3000)),
                          rng.choice(("*", "data/segments/kept*/*.lnc", "data/segments/*.idx",
                                      "data/segments/__meta/*")),
                          skip=rng.choice((0, 3)), times=rng.choice((0, 1, 20)))

    def speed_up(self):
        self.fs.clear()


if __name__ == "__main__":
    harness.main()
