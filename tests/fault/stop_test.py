"""SIGSTOP: the broker stands still for a while, as under a debugger or on a starved machine, and goes
on; or is killed as it stands. A stop breaks no connection and no promise.

    stop_test.py <bindir>        LANCE_CYCLES and LANCE_SECONDS bound it, LANCE_SEED replays it
"""

import random
import signal
import time

import campaign
import harness
import promises

CYCLES, SECONDS = campaign.bounds(cycles=12, seconds=20)
GO_ON_SECONDS = 20.0


class Stop(harness.Test):
    def test_it_goes_on_where_it_stood(self):
        seed = harness.seed()
        rng = random.Random(seed)
        run = campaign.Campaign(self, "stop", rng, seed,
                                harness.Broker(config=campaign.config(rng)))
        run.guarded(run.start)
        run.extra.update(stops=0, killed=0)
        while run.cycles < CYCLES and not run.over(SECONDS):
            run.guarded(self.cycle, run)
            run.cycles += 1
        run.guarded(run.verify, whole=True)
        self.assertEqual(run.broker.stop(), 0)
        facts = run.tell()
        self.assertGreater(facts["acknowledged"], 5 * run.cycles, "too little load to say anything")
        self.assertGreaterEqual(run.cycles, min(CYCLES, 3), "too few cycles to say anything")

    def cycle(self, run):
        rng, broker = run.rng, run.broker
        load = run.load()
        for _ in range(rng.randrange(1, 5)):
            time.sleep(0.1 * rng.random())
            broker.process.send_signal(signal.SIGSTOP)
            run.extra["stops"] += 1
            time.sleep(rng.choice((0.01, 0.1, 0.5, 2.0)) * rng.random())
            if rng.random() < 0.15:
                broker.kill()
                run.extra["killed"] += 1
                load.end(run.ledger)
                broker.start()
                return run.verify()
            before = load.acknowledged()
            broker.process.send_signal(signal.SIGCONT)
            if not harness.wait_until(lambda: load.acknowledged() > before, GO_ON_SECONDS):
                raise promises.Violation("it does not go on")
        broken = load.end(run.ledger)
        if broken:
            raise promises.Violation(f"a stop broke connections: {broken}")
        run.verify(whole=run.cycles % 10 == 9)
        return None


if __name__ == "__main__":
    harness.main()
