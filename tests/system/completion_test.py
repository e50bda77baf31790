"""The completion scripts in the shells they are for: sourced, and asked what may follow."""

import os
import shutil
import subprocess

import harness

# What is typed, up to the word that is to be completed; what must be offered; what must not.
ASKED = ((("",), ("produce", "consume", "topic", "completion"), ("create",)),
         (("topic", ""), ("create", "list", "describe", "set", "delete"), ("produce",)),
         (("topic", "cr"), ("create",), ("list",)),
         (("produce", "--"), ("--topic", "--file", "--server"), ("--follow", "create")),
         (("consume", "--fo"), ("--follow",), ("--file",)),
         (("segment", "verify", "--j"), ("--json",), ("--dry-run",)))


class Completion(harness.Test):
    def script(self, shell):
        told = harness.lnc("completion", shell)
        self.assertEqual(told.code, 0, told)
        path = os.path.join(harness.temp_dir(), "completion." + shell)
        with open(path, "wb") as file:
            file.write(told.out)
        return path

    def ask(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False,
                              env={**os.environ, "HOME": harness.temp_dir()})
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return [line.split("\t")[0] for line in done.stdout.split("\n") if line]

    def check(self, shell, offered_for):
        if not shutil.which(shell):
            self.skipTest(shell + " is not installed")
        script = self.script(shell)
        for words, offered, kept_back in ASKED:
            with self.subTest(words):
                found = offered_for(script, words)
                self.assertEqual(set(offered) - set(found), set())
                self.assertEqual(set(kept_back) & set(found), set())

    def test_bash(self):
        self.check("bash", lambda script, words: self.ask(
            "bash", "--norc", "-c", 'source "$0"; COMP_WORDS=(lnc "$@"); COMP_CWORD=$#; _lnc; '
            'printf "%s\\n" "${COMPREPLY[@]}"', script, *words))
        self.assertIn("complete -o default -F _lnc lnc", self.ask(
            "bash", "--norc", "-c", 'source "$0"; complete -p lnc', self.script("bash")))

    def test_zsh(self):
        # compadd is what shows words in a running shell; here it prints those that fit.
        self.check("zsh", lambda script, words: self.ask(
            "zsh", "-f", "-c", 'compdef() { :; }; _files() { :; }; '
            'compadd() { shift; local w; for w in "$@"; do '
            '[[ $w == ${words[CURRENT]}* ]] && print -r -- $w; done; return 0; }; '
            'source "$0"; words=(lnc "$@"); CURRENT=$(( $# + 1 )); _lnc', script, *words))

    def test_fish(self):
        self.check("fish", lambda script, words: self.ask(
            "fish", "--no-config", "-c", f"source {script}; complete -C '{' '.join(('lnc',) + words)}'"))


if __name__ == "__main__":
    harness.main()
