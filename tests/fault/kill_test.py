"""kill -9 at random moments: under load, right after the start, during recovery, during a drain.

    kill_test.py <bindir>        LANCE_CYCLES and LANCE_SECONDS bound it, LANCE_SEED replays it
"""

import random
import signal
import time

import campaign
import harness

CYCLES, SECONDS = campaign.bounds(cycles=25, seconds=25)


class Kill(harness.Test):
    def test_nothing_acknowledged_is_lost_and_nothing_altered(self):
        seed = harness.seed()
        rng = random.Random(seed)
        run = campaign.Campaign(self, "kill", rng, seed,
                                harness.Broker(config=campaign.config(rng)))
        run.guarded(run.start)
        self.start_seconds, run.extra["kills"] = 0.3, 0
        while run.cycles < CYCLES and not run.over(SECONDS):
            run.guarded(self.cycle, run)
            run.cycles += 1
        run.guarded(run.verify, whole=True)
        self.assertEqual(run.broker.stop(), 0)
        facts = run.tell()
        self.assertGreater(facts["acknowledged"], 5 * run.cycles, "too little load to say anything")
        self.assertGreaterEqual(run.cycles, min(CYCLES, 5), "too few cycles to say anything")

    def cycle(self, run):
        rng, broker = run.rng, run.broker
        load = run.load()
        time.sleep(rng.choice((0.0, 0.01, 0.05, 0.1, 0.2, 0.4)) * rng.random())
        if rng.random() < 0.1:
            broker.process.send_signal(signal.SIGTERM)  # it drains, and does not come far
            time.sleep(0.05 * rng.random())
        broker.kill()
        run.extra["kills"] += 1
        load.end(run.ledger)
        while rng.random() < 0.3:  # the start itself, with its recovery, is hit too
            broker.launch()
            time.sleep(rng.random() * rng.choice((0.02, 1.2 * self.start_seconds)))
            broker.kill()
            run.extra["kills"] += 1
        started = time.monotonic()
        broker.start()
        self.start_seconds = min(2.0, time.monotonic() - started)
        run.verify(whole=run.cycles % 25 == 24)


if __name__ == "__main__":
    harness.main()
