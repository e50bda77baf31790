"""Tests of campaign.py, with programs that stand in for the fuzzers and say how they were called."""

import os
import stat
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))

# Writes its words down; makes an input that would be kept; ends as FAIL says.
STAND_IN = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/$(basename "$0").words"
echo "#9 DONE   cov: 42 ft: 43"
echo "stat::number_of_executed_units: 12345"
exit ${FAIL:-0}
"""


class Campaign(unittest.TestCase):
    def setUp(self):
        home = tempfile.TemporaryDirectory(prefix="lance-campaign-")
        self.addCleanup(home.cleanup)
        self.build = home.name
        self.fuzzers = os.path.join(home.name, "fuzzers")
        os.mkdir(self.fuzzers)
        for target in os.listdir(os.path.join(HERE, "seeds")):
            path = os.path.join(self.fuzzers, f"fuzz_{target}")
            with open(path, "w", encoding="utf-8") as file:
                file.write(STAND_IN)
            os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)

    def run_campaign(self, *words, fail=0):
        return subprocess.run(
            [sys.executable, "-B", os.path.join(HERE, "campaign.py"), self.build, *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            env={**os.environ, "FAIL": str(fail)})

    def words_of(self, target):
        with open(os.path.join(self.fuzzers, f"fuzz_{target}.words"), encoding="utf-8") as file:
            return file.read().split()

    def ran(self):
        return sorted(name[5:-6] for name in os.listdir(self.fuzzers) if name.endswith(".words"))

    def test_runs_of_chosen_targets(self):
        done = self.run_campaign("--runs", "77", "--target", "tlv", "--target", "frame")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(self.ran(), ["frame", "tlv"])
        words = self.words_of("tlv")
        self.assertIn("-runs=77", words)
        self.assertFalse([word for word in words if word.startswith("-max_total_time")])
        self.assertIn("-max_len=4096", words)
        self.assertIn("-max_len=8192", self.words_of("frame"))
        self.assertIn("| tlv | 12,345 |", done.stdout)

    def test_every_input_has_its_limits(self):
        self.run_campaign("--runs", "1", "--target", "config")
        words = " ".join(self.words_of("config"))
        for limit in ("-timeout=", "-malloc_limit_mb=", "-rss_limit_mb="):
            self.assertIn(limit, words)

    def test_minutes_are_shared(self):
        done = self.run_campaign("--minutes", "2", "--jobs", "2", "--target", "tlv", "--target",
                                 "frame", "--target", "units", "--target", "index")
        self.assertEqual(done.returncode, 0, done.stdout)
        for target in ("tlv", "frame", "units", "index"):
            self.assertIn("-max_total_time=60", self.words_of(target))
        self.assertIn("2 side by side", done.stdout)

    def test_a_finding_ends_it_with_1_and_is_shown(self):
        done = self.run_campaign("--runs", "1", "--target", "tlv", fail=77)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("FOUND  tlv", done.stdout)
        self.assertIn("ended with 77", done.stdout)
        self.assertIn("corpus/found/tlv-", " ".join(self.words_of("tlv")))

    def test_unknown_targets_are_refused(self):
        done = self.run_campaign("--target", "nothing")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no target nothing", done.stdout)
        self.assertEqual(self.ran(), [])

    def test_merge_is_asked_for(self):
        self.run_campaign("--runs", "1", "--target", "tlv")
        self.assertNotIn("-merge=1", self.words_of("tlv"))
        self.run_campaign("--runs", "1", "--target", "tlv", "--merge")
        self.assertIn("-merge=1", self.words_of("tlv"))


if __name__ == "__main__":
    unittest.main()
