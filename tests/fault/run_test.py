"""The long form itself, with programs that only pretend."""

import contextlib
import io
import os
import sys
import tempfile
import unittest

import run

KEPT = '''
import os
tally = {"cycles": 3, "acknowledged": 10, "found": 9, "unanswered": 2, "refused": 1, "megabytes": 4}
assert os.environ["LANCE_SECONDS"] == "0.06", os.environ["LANCE_SECONDS"]
print("TALLY " + __import__("json").dumps(tally))
'''


class LongForm(unittest.TestCase):
    def outcome(self, **programs):
        """(exit code, output) of a run of these kinds, each played by such a program."""
        with tempfile.TemporaryDirectory() as directory:
            for kind, text in programs.items():
                with open(os.path.join(directory, run.KINDS[kind][0]), "w",
                          encoding="utf-8") as file:
                    file.write(text)
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                code = run.main(["bin", "--minutes", "0.001", "--seed", "7", "--only",
                                 ",".join(programs)], directory)
            return code, said.getvalue()

    def test_kept_promises_are_added_up(self):
        code, text = self.outcome(kill=KEPT, stop=KEPT)
        self.assertEqual(code, 0, text)
        self.assertIn("seed 7", text)
        self.assertRegex(text, r"(?m)^kill +1 +3 +10 +9 +2 +1 +4  kept$")
        self.assertRegex(text, r"(?m)^stop +1 +3 +10 +9 +2 +1 +4  kept$")

    def test_a_broken_promise_fails_the_run_and_can_be_replayed(self):
        code, text = self.outcome(kill="print('lost'); raise SystemExit(1)", stop=KEPT)
        self.assertEqual(code, 1)
        self.assertIn("lost", text)
        self.assertRegex(text, r"(?m)^kill .* BROKEN$")
        self.assertRegex(text, r"(?m)^stop .* kept$")
        self.assertRegex(text.splitlines()[-1],
                         r"^replay: LANCE_SEED=\d+ .*kill_test\.py bin Kill$")

    def test_a_program_that_says_nothing_has_not_kept_anything(self):
        code, text = self.outcome(kill="pass")
        self.assertEqual(code, 1)
        self.assertIn("it gave no tally", text)

    def test_skips_are_told_and_are_no_success_alone(self):
        skip = "print('SKIPPED it: no disk'); raise SystemExit(77)"
        code, text = self.outcome(power=skip)
        self.assertEqual(code, 77)
        self.assertIn("SKIPPED it: no disk", text)
        self.assertEqual(self.outcome(power=skip, stop=KEPT)[0], 0)

    def test_an_unknown_kind_is_refused(self):
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
            run.main(["bin", "--only", "fire"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])  # the directory of the binaries is not needed
