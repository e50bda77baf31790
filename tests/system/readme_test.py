"""Runs the commands of README.md: every ```sh block whose first line is `# tested`, one after the
other in one shell, in a temporary directory, with the programs in PATH.

A block may start a broker in the background with `&`; everything it started ends with the test. A
following ```text block, when there is one, is what the block before must print (lines that hold
`...` match anything in its place; order counts, lines in between do not).
"""

import os
import re
import signal
import subprocess

import harness

SECONDS = 120


def blocks(text):
    """[(first line number, commands, expected lines)] of the tested blocks."""
    found, fence = [], re.compile(r"^```(\w*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
    for match in fence.finditer(text):
        kind, body = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        if kind == "sh":
            tested = body.splitlines()[:1] == ["# tested"]
            if tested:
                found.append((line, body, []))
            previous_tested = tested
        elif kind == "text" and found and previous_tested:
            found[-1] = (*found[-1][:2], body.splitlines())
            previous_tested = False
    return found


class Readme(harness.Test):
    def test_the_readme_has_tested_blocks_and_they_work(self):
        with open(os.path.join(harness.source_dir(), "README.md"), encoding="utf-8") as file:
            found = blocks(file.read())
        self.assertTrue(found, "README.md has no ```sh block that begins with `# tested`")
        script = ["set -eu -o pipefail"]
        for line, commands, _ in found:
            script += [f"echo '--- README.md:{line}'", commands]
        code, output = self.run_shell("\n".join(script))
        self.assertEqual(code, 0, f"the README's commands end with {code}:\n{output}")
        parts = re.split(r"^--- README\.md:\d+$", output, flags=re.MULTILINE)[1:]
        for (line, _, expected), printed in zip(found, parts):
            self.check_output(line, expected, printed)

    def run_shell(self, script):
        """(exit code, output). Everything the script left running is ended."""
        directory = harness.temp_dir()
        log = os.path.join(directory, ".output")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LANCE_")}
        environment["PATH"] = harness.bindir() + ":" + environment["PATH"]
        with open(log, "wb") as output:
            with subprocess.Popen(["bash", "-c", script], cwd=directory, env=environment,
                                  stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                  start_new_session=True) as process:
                try:
                    code = process.wait(SECONDS)
                except subprocess.TimeoutExpired:
                    code = "a time-out"
                finally:
                    try:
                        os.killpg(process.pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
        with open(log, encoding="utf-8", errors="replace") as file:
            return code, file.read()

    def check_output(self, line, expected, printed):
        remaining = printed.splitlines()
        for wanted in expected:
            parts = wanted.rstrip().split("...")
            pattern = re.compile(".*".join(re.escape(part) for part in parts))
            while remaining and not pattern.fullmatch(remaining[0].rstrip()):
                remaining.pop(0)
            self.assertTrue(remaining, f"README.md:{line} promises the line {wanted!r}, "
                                       f"but the commands print:\n{printed}")
            remaining.pop(0)


if __name__ == "__main__":
    harness.main()
