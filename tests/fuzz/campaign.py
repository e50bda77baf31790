"""Runs the fuzzers of a fuzz build: what `./dev fuzz` calls.

    campaign.py <build directory> [--minutes N] [--runs N] [--target T]... [--jobs N] [--merge]

Every decoder gets the same share of the minutes, or the same number of executions, and with both
whichever ends first; then a valid session is mutated against the sanitized broker
(session_fuzz.py; target `session`). What a run learns is kept in <build>/corpus/<target>, so that
the next one goes on from there; --merge brings a small part that reaches as much to
tests/fuzz/seeds. An input that breaks something is left as <build>/corpus/found/<target>-*; the
program then ends with 1. The last lines are a table for the README.
"""

import argparse
import concurrent.futures
import datetime
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SEEDS = os.path.join(HERE, "seeds")
SESSION = "session"

INPUT_BYTES_MAX = 4096  # every layout fits, and decoders stay quick
# Frames and files that are only interesting when they are longer than a decoder's own pieces.
LONGER = {"frame": 8192, "segment": 8192}
MALLOC_LIMIT_MB = 64  # a single allocation; the targets' own caps on all of them are lower
RSS_LIMIT_MB = 1024
TIMEOUT_SECONDS = 2  # catches what never ends; the targets' own limit is 100 ms of CPU time
# What goes into the tree: enough to reach what is known, small enough to be looked at.
SEED_FILES_MAX = 100
SEED_BYTES_MAX = 4096


class Story:
    """How the campaign of one target went."""

    def __init__(self, target):
        self.target = target
        self.runs = 0
        self.seconds = 0.0
        self.coverage = 0
        self.failure = None

    @property
    def speed(self):
        return self.runs / self.seconds if self.seconds else 0.0


def environment():
    settings = dict(os.environ)
    # What an input frees is little: a small quarantine holds it, and is a quarter quicker.
    settings.setdefault("ASAN_OPTIONS", "quarantine_size_mb=4:detect_stack_use_after_return=0")
    settings.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    return settings


def fuzz(build, target, runs, seconds):
    story = Story(target)
    corpus = os.path.join(build, "corpus", target)
    found = os.path.join(build, "corpus", "found")
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(found, exist_ok=True)
    words = [os.path.join(build, "fuzzers", f"fuzz_{target}"), corpus,
             os.path.join(SEEDS, target), f"-max_len={LONGER.get(target, INPUT_BYTES_MAX)}",
             f"-timeout={TIMEOUT_SECONDS}", f"-malloc_limit_mb={MALLOC_LIMIT_MB}",
             f"-rss_limit_mb={RSS_LIMIT_MB}", f"-artifact_prefix={found}/{target}-",
             "-print_final_stats=1"]
    if runs:
        words.append(f"-runs={runs}")
    if seconds:
        words.append(f"-max_total_time={max(1, int(seconds))}")
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        code = subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, env=environment(),
                              check=False).returncode
        log.seek(0)
        text = log.read()
    story.seconds = time.monotonic() - begin
    executed = re.search(r"stat::number_of_executed_units:\s*(\d+)", text)
    story.runs = int(executed.group(1)) if executed else 0
    coverage = re.findall(r" cov: (\d+)", text)
    story.coverage = int(coverage[-1]) if coverage else 0
    if code != 0:
        story.failure = f"{shlex.join(words)} ended with {code}\n" + "\n".join(
            text.splitlines()[-60:])
    return story


def fuzz_session(build, seconds):
    story = Story(SESSION)
    begin = time.monotonic()
    words = [sys.executable, "-B", os.path.join(HERE, "session_fuzz.py"), build, "--seconds",
             str(max(1, int(seconds)))]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=environment(), check=False)
    story.seconds = time.monotonic() - begin
    sessions = re.search(r"sessions (\d+)", done.stdout)
    story.runs = int(sessions.group(1)) if sessions else 0
    if done.returncode != 0:
        story.failure = f"{shlex.join(words)} ended with {done.returncode}\n{done.stdout}"
    return story


def merge(build, target):
    """Seeds in the tree and what was found beside them, cut down to what reaches something."""
    seeds = os.path.join(SEEDS, target)
    corpus = os.path.join(build, "corpus", target)
    with tempfile.TemporaryDirectory(prefix="lance-merge-") as kept:
        subprocess.run([os.path.join(build, "fuzzers", f"fuzz_{target}"), "-merge=1",
                        f"-max_len={SEED_BYTES_MAX}", kept, seeds, corpus],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(),
                       check=True)
        names = sorted(os.listdir(kept), key=lambda name: (
            os.path.getsize(os.path.join(kept, name)), name))
        # Small ones reach the most per byte; the first seeds stay whatever happens.
        room = SEED_FILES_MAX - len(os.listdir(seeds))
        have = {open(os.path.join(seeds, name), "rb").read() for name in os.listdir(seeds)}
        step = max(1, len(names) // max(1, room))
        for name in names[::step][:max(0, room)]:
            with open(os.path.join(kept, name), "rb") as file:
                data = file.read()
            if data not in have:
                with open(os.path.join(seeds, name[:16]), "wb") as file:
                    file.write(data)


def table(stories):
    lines = ["| target | executions | seconds | per second | edges |", "|---|---:|---:|---:|---:|"]
    for story in stories:
        lines.append(f"| {story.target} | {story.runs:,} | {story.seconds:,.0f} | "
                     f"{story.speed:,.0f} | {story.coverage or ''} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--minutes", type=float, help="of all targets together (default 10)")
    parser.add_argument("--runs", type=int, help="executions of each decoder")
    parser.add_argument("--target", action="append", help="only this one; may be repeated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="targets side by side")
    parser.add_argument("--merge", action="store_true", help="bring what was learnt to the seeds")
    chosen = parser.parse_args()
    build = os.path.abspath(chosen.build)
    known = sorted(os.listdir(SEEDS)) + [SESSION]
    targets = chosen.target or known
    for target in targets:
        if target not in known:
            parser.error(f"no target {target}; there are {' '.join(known)}")
    if chosen.minutes is None and chosen.runs is None:
        chosen.minutes = 10
    seconds = chosen.minutes and chosen.minutes * 60 * min(chosen.jobs, len(targets)) / len(targets)
    print(f"{datetime.datetime.now().astimezone():%Y-%m-%d %H:%M}: {' '.join(targets)}; "
          f"{chosen.runs or 'any number of'} executions, "
          f"{f'{seconds:.0f} s' if seconds else 'any time'} each, {chosen.jobs} side by side",
          flush=True)

    stories = []
    with concurrent.futures.ThreadPoolExecutor(chosen.jobs) as pool:
        under_way = [pool.submit(fuzz_session, build, seconds or 600) if target == SESSION
                     else pool.submit(fuzz, build, target, chosen.runs, seconds)
                     for target in targets]
        for one in concurrent.futures.as_completed(under_way):
            story = one.result()
            stories.append(story)
            print(f"{'FOUND  ' if story.failure else 'ok     '}{story.target}: {story.runs:,} in "
                  f"{story.seconds:.0f} s", flush=True)
            if story.failure:
                print(story.failure, flush=True)
    if chosen.merge:
        for target in targets:
            if target != SESSION:
                merge(build, target)
    print(table(sorted(stories, key=lambda story: targets.index(story.target))))
    sys.exit(1 if any(story.failure for story in stories) else 0)


if __name__ == "__main__":
    main()
