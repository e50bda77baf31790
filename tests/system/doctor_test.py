"""`lance doctor` on this machine and on made-up ones; `lance dev`, the throw-away node."""

import json
import os
import re
import signal
import socket
import subprocess
import time

import certificates
import harness

CHECKS = ("configuration", "kernel", "io_uring", "seccomp", "locked_memory", "open_files",
          "huge_pages", "clock", "clock_source", "cpu_placement", "cpu_frequency", "numa",
          "interrupts", "cpu_limit", "memory_limit", "data_directory", "direct_io", "flush",
          "disk_space", "ports", "backlog", "tls", "access", "exposure")
FREE = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0")


class Doctor(harness.Test):
    def setUp(self):
        self.root = harness.temp_dir()

    def doctor(self, *words, addresses=FREE, data_dir=None, env=None):
        """The outcome and the findings by name."""
        found = harness.run(harness.program("lance"), "doctor", "--json", *addresses, "--data-dir",
                            data_dir or os.path.join(self.root, "data"), *words, env=env,
                            cwd=self.root)
        told = found.json_lines()
        self.assertEqual(len(told), 1, found)
        self.assertEqual(told[0]["exit_code"], found.code)
        return found, {each["name"]: each for each in told[0]["checks"]}

    def config(self, text):
        path = os.path.join(self.root, "lance.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return "--config", path

    def test_every_check_is_told_with_what_why_and_how_to_fix(self):
        found, checks = self.doctor()
        self.assertEqual(tuple(checks), CHECKS)
        worst = "ok"
        for name, each in checks.items():
            self.assertIn(each["status"], ("ok", "skip", "warn", "fail"), name)
            self.assertTrue(each["what"], name)
            self.assertTrue(each["why"].endswith("."), name)
            self.assertEqual(bool(each["fix"]), each["status"] in ("warn", "fail"), name)
            if each["status"] in ("warn", "fail"):
                worst = max(worst, each["status"], key=("ok", "warn", "fail").index)
        self.assertEqual(found.code, ("ok", "warn", "fail").index(worst))
        self.assertRegex(checks["flush"]["what"], r"4 KiB written and flushed in \d+ us")
        self.assertFalse(os.path.exists(os.path.join(self.root, "data")), "it changes nothing")
        self.assertEqual(os.listdir(self.root), [])

    def test_the_text_says_the_same(self):
        text = harness.run(harness.program("lance"), "doctor", *FREE, "--data-dir",
                           os.path.join(self.root, "data"))
        self.assertEqual([line.split()[1] for line in text.lines() if re.match(r"\w", line)
                          and line.split()[0] in ("ok", "skip", "warn", "fail")], list(CHECKS))
        self.assertEqual(text.text.count("why: "), text.text.count("fix: "))
        self.assertRegex(text.lines()[-1], r"^\d+ ok, \d+ warn, \d+ fail, \d+ skip$")

    def test_a_node_that_would_not_run_ends_with_2(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = f"127.0.0.1:{taken.getsockname()[1]}"
            found, checks = self.doctor(addresses=("--listen", port, *FREE[2:]))
        self.assertEqual(found.code, 2)
        self.assertEqual(checks["ports"]["status"], "fail")
        self.assertIn(port, checks["ports"]["what"])

        in_the_way = os.path.join(self.root, "file")
        with open(in_the_way, "w", encoding="ascii") as file:
            file.write("no directory")
        found, checks = self.doctor(data_dir=os.path.join(in_the_way, "data"))
        self.assertEqual((found.code, checks["data_directory"]["status"]), (2, "fail"))

        found, checks = self.doctor(*self.config("[io]\nbatch_sise = 1\n"))
        self.assertEqual((found.code, checks["configuration"]["status"]), (2, "fail"))
        self.assertIn("batch_size", checks["configuration"]["what"] + checks["configuration"]["fix"])

    def test_what_is_open_to_others_without_a_lock_is_named(self):
        _, checks = self.doctor(addresses=("--listen", "0.0.0.0:0", *FREE[2:]))
        self.assertEqual(checks["exposure"]["status"], "warn", checks["exposure"])
        self.assertIn("network.bind", checks["exposure"]["what"])

    def test_the_certificate_and_its_end(self):
        made = certificates.Certificates(self.root)
        made.authority("ca")
        made.make("node", "ca")
        text = f"[tls]\ncert = \"{made.path('node.crt')}\"\nkey = \"{made.path('node.key')}\"\n"
        _, checks = self.doctor(*self.config(text))
        self.assertEqual(checks["tls"]["status"], "ok", checks["tls"])
        soon = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + 2 * 86400))
        made.make("node", "ca", begin="20200101000000Z", end=soon)
        _, checks = self.doctor(*self.config(text))
        self.assertEqual(checks["tls"]["status"], "warn", checks["tls"])
        made.make("node", "ca", begin="20200101000000Z", end="20210101000000Z")
        found, checks = self.doctor(*self.config(text))
        self.assertEqual((found.code, checks["tls"]["status"]), (2, "fail"), checks["tls"])

    def test_a_node_that_runs_already_is_seen(self):
        with harness.Broker(config=None) as broker:
            found, checks = self.doctor(addresses=("--listen", broker.ready["lwp"], *FREE[2:]),
                                        data_dir=broker.data_dir)
            self.assertIn("a broker runs", checks["data_directory"]["what"])
            self.assertNotEqual(found.code, 0)

    def test_apply_steers_interrupts_off_the_lanes_of_a_made_up_machine(self):
        tree = os.path.join(self.root, "tree")

        def file(path, text):
            os.makedirs(os.path.dirname(tree + path), exist_ok=True)
            with open(tree + path, "w", encoding="ascii") as made:
                made.write(text + "\n")

        for cpu in range(8):
            file(f"/sys/devices/system/cpu/cpu{cpu}/topology/core_id", str(cpu))
            file(f"/sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id", "0")
        file("/sys/devices/system/cpu/online", "0-7")
        file("/sys/devices/system/node/node0/cpulist", "0-7")
        for number in (40, 41):
            file(f"/sys/class/net/eth0/device/msi_irqs/{number}", "msix")
            file(f"/proc/irq/{number}/smp_affinity_list", "0-7")
        file("/proc/net/route", "Iface Destination Gateway Flags RefCnt Use Metric Mask\n"
             "eth0 00000000 0101A8C0 0003 0 0 100 00000000")
        file("/proc/interrupts", " CPU0\n 40: 1 PCI-MSI eth0-rx-0\n 41: 1 PCI-MSI eth0-rx-1")
        found, checks = self.doctor("--root", tree)
        self.assertEqual(checks["interrupts"]["status"], "warn", checks["interrupts"])
        self.assertIn("smp_affinity_list", checks["interrupts"]["fix"])
        found, checks = self.doctor("--root", tree, "--apply")
        self.assertEqual(checks["interrupts"]["status"], "ok", found)
        for number in (40, 41):
            with open(tree + f"/proc/irq/{number}/smp_affinity_list", encoding="ascii") as steered:
                self.assertRegex(steered.read(), r"^\d\n?$")


class Dev(harness.Test):
    def setUp(self):
        self.root = harness.temp_dir()

    def launch(self, *words):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LANCE_")}
        process = subprocess.Popen([harness.program("lance"), "dev", *words], cwd=self.root,
                                   env={**environment, "TMPDIR": self.root}, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def test_a_node_to_try_things_on_that_leaves_nothing(self):
        process = self.launch()
        greeting = ""
        while not greeting.splitlines()[-1:] or not greeting.splitlines()[-1].startswith("export "):
            line = process.stdout.readline()
            self.assertTrue(line, "it ended")
            greeting += line
        self.assertEqual(len(os.listdir(self.root)), 1)
        # A shell takes all of it, and lnc talks to the node.
        both = harness.run("bash", "-c", f"eval '{greeting}'; echo hello | \"$0\" produce --topic t "
                           "--create && \"$0\" consume --topic t", harness.program("lnc"))
        self.assertEqual(both.lines()[-1], "hello", both)
        health = re.search(r"http://(\S+?)/health", greeting).group(1)
        self.assertEqual(harness.run("bash", "-c", f"exec 3<>/dev/tcp/{health.replace(':', '/')}").code,
                         0)
        second = self.launch()  # as many as one likes
        while not second.stdout.readline().startswith("export "):
            self.assertIsNone(second.poll())
        for each in (process, second):
            each.send_signal(signal.SIGINT)
            self.assertEqual(each.wait(30), 0)
        self.assertEqual(os.listdir(self.root), [])

    def test_what_it_does_not_do(self):
        for words, part in ((("-n", "3"), "not built yet"), (("-n", "0"), "-n"),
                            (("--data-dir", "here"), "leave dev out")):
            process = self.launch(*words)
            _, errors = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 2, errors)
            self.assertIn(part, errors)
        self.assertEqual(os.listdir(self.root), [])

    def test_a_start_that_fails_leaves_nothing_either(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            process = self.launch("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
            _, errors = process.communicate(timeout=30)
        self.assertNotEqual(process.returncode, 0, errors)
        self.assertEqual(os.listdir(self.root), [])


if __name__ == "__main__":
    harness.main()
