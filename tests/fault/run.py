"""The long form of the faults: all kinds in turn, for as long as one likes, and a table at the end.

    run.py <bindir> --minutes N [--seed S] [--only kind,kind]     what ./dev fault runs

Each round of a kind is one run of its program with a seed of its own, drawn from S. A round that
breaks a promise does not end the run; its output is printed with the command that replays it. Exits
with 0, with 1 when a round failed, with 77 when this machine could do none of it.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SKIP = 77
# kind -> (program, the class that runs for as long as it is told)
KINDS = {
    "kill": ("kill_test.py", "Kill"),
    "power": ("power_test.py", "PowerCut"),
    "eio": ("eio_test.py", "Anything"),
    "nospace": ("nospace_test.py", "NoSpace"),
    "slow": ("slow_test.py", "Throttled"),
    "hang": ("slow_test.py", "Hanging"),
    "stop": ("stop_test.py", "Stop"),
}
ROUND_SECONDS = (20, 120)  # long enough to say something; many seeds rather than one long round
ENDING_SECONDS = 180  # the last cycle, its verification and the end of the program
COLUMNS = ("cycles", "acknowledged", "found", "unanswered", "refused", "megabytes")


def arguments(words):
    parser = argparse.ArgumentParser(prog="fault")
    parser.add_argument("bindir")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long in all (10)")
    parser.add_argument("--seed", type=lambda text: int(text, 0), default=None)
    parser.add_argument("--only", default=",".join(KINDS), metavar="KINDS",
                        help=f"some of {','.join(KINDS)}")
    given = parser.parse_args(words)
    given.only = given.only.split(",")
    if strangers := set(given.only) - set(KINDS):
        parser.error(f"no such kind of fault: {', '.join(sorted(strangers))}")
    return given


class Round:
    """One run of one program."""

    def __init__(self, kind, bindir, seed, seconds, directory=HERE):
        self.kind = kind
        program, test = KINDS[kind]
        self.words = [sys.executable, "-B", os.path.join(directory, program), bindir, test]
        self.bounds = {"LANCE_SEED": str(seed), "LANCE_SECONDS": f"{seconds:g}",
                       "LANCE_CYCLES": "1000000"}
        self.limit = seconds + ENDING_SECONDS
        self.tallies = []

    def run(self):
        try:
            done = subprocess.run(self.words, env={**os.environ, **self.bounds}, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  errors="replace", timeout=self.limit)
            self.code, self.text = done.returncode, done.stdout
        except subprocess.TimeoutExpired as late:
            self.code = None
            self.text = (late.stdout or b"").decode(errors="replace") + "\nit did not end in time"
        self.tallies = [json.loads(line.removeprefix("TALLY "))
                        for line in self.text.splitlines() if line.startswith("TALLY ")]
        if self.code == 0 and not self.tallies:
            self.code, self.text = 1, self.text + "\nit gave no tally"
        return self

    @property
    def verdict(self):
        return {0: "kept", SKIP: "skipped"}.get(self.code, "BROKEN")

    @property
    def replay(self):
        return " ".join([*(f"{key}={value}" for key, value in self.bounds.items()), *self.words])


def table(rounds):
    """One line per kind."""
    lines = [f"{'kind':9}{'rounds':>7}" + "".join(f"{name:>14}" for name in COLUMNS) + "  promises"]
    for kind in KINDS:
        own = [one for one in rounds if one.kind == kind]
        if not own:
            continue
        sums = [sum(tally[name] for one in own for tally in one.tallies) for name in COLUMNS]
        verdicts = {one.verdict for one in own}
        verdict = "BROKEN" if "BROKEN" in verdicts else "kept" if "kept" in verdicts else "skipped"
        lines.append(f"{kind:9}{len(own):7}" + "".join(f"{value:14}" for value in sums)
                     + f"  {verdict}")
    return "\n".join(lines)


def main(words, directory=HERE):
    given = arguments(words)
    seed = random.SystemRandom().getrandbits(32) if given.seed is None else given.seed
    rng = random.Random(seed)
    wanted = 60 * given.minutes
    each = min(max(wanted / len(given.only), ROUND_SECONDS[0]), ROUND_SECONDS[1], wanted)
    print(f"seed {seed}, rounds of {each:.0f} s", flush=True)
    ends = time.monotonic() + wanted
    rounds, able = [], list(given.only)
    while able and (not rounds or time.monotonic() < ends):
        for kind in list(able):
            if len(rounds) >= len(given.only) and time.monotonic() >= ends:
                break
            one = Round(kind, given.bindir, rng.getrandbits(32), each, directory).run()
            rounds.append(one)
            told = one.tallies[-1] if one.tallies else {}
            print(f"{kind}: {one.verdict} {told}", flush=True)
            if one.code == SKIP:
                able.remove(kind)
                print("\n".join(line for line in one.text.splitlines() if "SKIPPED" in line))
            elif one.code != 0:
                print(f"{one.text}\nreplay: {one.replay}", flush=True)
    print("\n" + table(rounds))
    broken = [one for one in rounds if one.verdict == "BROKEN"]
    for one in broken:
        print(f"replay: {one.replay}")
    if broken:
        return 1
    return SKIP if all(one.code == SKIP for one in rounds) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
