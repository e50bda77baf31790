"""What others judge us by: systemd's view of our unit and its filter of system calls, Prometheus's
view of our metrics."""

import ctypes
import os
import shutil
import subprocess
import unittest

import harness

EXPOSURE_MAX = 2.5  # of systemd's 10; a daemon without any sandbox has 9.2
NOT_PERMITTED = 1  # EPERM


def unit():
    with open(os.path.join(harness.source_dir(), "config", "lance.service"),
              encoding="utf-8") as file:
        return file.read()


def setting(name):
    """The values of a key of the unit, words of all its lines."""
    return [word for line in unit().splitlines() if line.startswith(name + "=")
            for word in line.partition("=")[2].split()]


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is missing")
class Unit(harness.Test):
    def setUp(self):
        self.path = os.path.join(harness.temp_dir(), "lance.service")
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(unit().replace("/usr/bin/lance", harness.program("lance"))
                       .replace("=lance\n", "=root\n", 2))

    def test_systemd_understands_all_of_it(self):
        told = harness.run("systemd-analyze", "verify", self.path)
        self.assertEqual((told.code, told.errors), (0, ""))

    def test_the_sandbox_is_as_tight_as_it_was(self):
        told = harness.run("systemd-analyze", "security", "--offline=true",
                           f"--threshold={int(EXPOSURE_MAX * 10)}", self.path)
        self.assertEqual(told.code, 0, told.lines()[-1:])

    def test_what_it_says_of_us_is_so(self):
        stops = 25 + 10  # node.drain_timeout_ms by default, and what the logs then take
        self.assertGreaterEqual(int(setting("TimeoutStopSec")[0]), stops)
        self.assertEqual(setting("RestartPreventExitStatus"), ["2", "10"])
        environment = dict(each.split("=") for each in setting("Environment"))
        told = harness.run(harness.program("lance"), "--print-config", env=environment)
        for path in environment.values():
            self.assertIn(f'"{path}"', told.text)


class Filter(harness.Test):
    """The broker with no more system calls than the unit grants."""

    def allowed_calls(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is missing")
        calls, groups = set(), setting("SystemCallFilter")
        while groups:
            told = harness.run("systemd-analyze", "syscall-filter", groups.pop())
            self.assertEqual(told.code, 0, told)
            for line in told.lines()[1:]:
                word = line.strip()
                if word.startswith("@"):
                    groups.append(word)
                elif word and not word.startswith("#"):
                    calls.add(word)
        return calls

    def test_the_broker_works_as_without(self):
        try:
            seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        except OSError:
            self.skipTest("libseccomp is missing")
        seccomp.seccomp_init.restype = ctypes.c_void_p
        refuse, allow = 0x00050000 | NOT_PERMITTED, 0x7FFF0000
        numbers = [number for number in (seccomp.seccomp_syscall_resolve_name(call.encode())
                                         for call in self.allowed_calls()) if number >= 0]
        self.assertGreater(len(numbers), 200)

        def restrict():
            context = ctypes.c_void_p(seccomp.seccomp_init(refuse))
            for number in numbers:
                seccomp.seccomp_rule_add(context, allow, number, 0)
            if seccomp.seccomp_load(context) != 0:
                os._exit(99)

        plain = harness.Broker(config=None).start()
        self.addCleanup(plain.kill)
        inside = harness.Broker(config=None, before_exec=restrict).start()
        self.addCleanup(inside.kill)
        for broker in (plain, inside):
            made = broker.lnc("produce", "--topic", "t", "--create", stdin=b"hello\n")
            self.assertEqual(made.code, 0, made)
            self.assertEqual(broker.lnc("consume", "--topic", "t").out, b"hello\n")

        def chosen(broker):
            return next(line for line in broker.log().splitlines() if "event=serving" in line
                        ).partition(" backend=")[2]

        self.assertTrue(chosen(plain))
        self.assertEqual(chosen(inside), chosen(plain))
        self.assertEqual(inside.stop(), 0)


class Prometheus(harness.Test):
    def promtool(self):
        found = shutil.which("promtool", path=os.pathsep.join(
            (os.path.join(harness.source_dir(), "build", "tools"), os.environ["PATH"])))
        if not found:
            self.skipTest("promtool is missing: ./dev test fetches it")
        return found

    def test_promtool_finds_nothing_to_say(self):
        tool = self.promtool()
        with harness.Broker(config=None) as broker:
            broker.lnc("produce", "--topic", "t", "--create", stdin=b"hello\n")
            broker.lnc("consume", "--topic", "t")
            _, _, body = broker.http("/metrics", name="metrics")
        told = subprocess.run([tool, "check", "metrics"], check=False, capture_output=True,
                              input=body if isinstance(body, bytes) else body.encode(), timeout=60)
        self.assertEqual((told.returncode, told.stdout + told.stderr), (0, b""))


if __name__ == "__main__":
    harness.main()
