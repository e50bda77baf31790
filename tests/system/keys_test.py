"""Keys of the configuration, each seen from outside: what the running broker does differently, by
its replies, its log, and what the kernel says of its files, sockets and rings."""

import ctypes
import json
import os
import re
import signal
import socket
import struct
import time
import unittest

import harness
import lwp

SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438
_libc = ctypes.CDLL(None, use_errno=True)


def descriptors(pid, wanted):
    """The open files of a process whose link says what `wanted` looks for."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            if wanted(os.readlink(f"/proc/{pid}/fd/{name}")):
                found.append(int(name))
        except FileNotFoundError:
            pass  # closed meanwhile
    return found


def fdinfo(pid, descriptor):
    with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii", errors="replace") as file:
        return file.read()


def sockets_of(process):
    """Copies of the process's sockets; skips the test where that is not allowed."""
    pidfd = _libc.syscall(SYS_PIDFD_OPEN, process.pid, 0)
    if pidfd < 0:
        raise unittest.SkipTest("no pidfd_open")
    try:
        for descriptor in descriptors(process.pid, lambda link: link.startswith("socket:")):
            copy = _libc.syscall(SYS_PIDFD_GETFD, pidfd, descriptor, 0)
            if copy < 0:
                raise unittest.SkipTest("another process's descriptors may not be taken")
            yield socket.socket(fileno=copy)
    finally:
        os.close(pidfd)


class Keys(harness.Test):
    def broker(self, config="", **options):
        broker = harness.Broker(config=config, **options)
        self.addCleanup(broker.kill)
        return broker.start()

    def event(self, broker, name):
        """The first line of the log with this event."""
        lines = [line for line in broker.log().splitlines() if f"event={name} " in line + " "]
        self.assertTrue(lines, f"no {name} in\n{broker.log_tail()}")
        return lines[0]


class Network(Keys):
    def test_max_frame_bytes_is_the_largest_payload(self):
        broker = self.broker("[network]\nmax_frame_bytes = 8192\n")
        with broker.client() as client:
            client.ingest(b"x" * 8192, 0)
            hello = client.command(0x30, b'{"client":"test","features":[]}')
            self.assertEqual(hello.json()["limits"]["max_frame_bytes"], 8192)
            client.send(lwp.ingest_frame(2, b"x" * 8193, 0))
            self.assertTrue(client.closed_silently())
        with broker.client() as client:
            self.assertEqual(client.end(0), 8192)

    def nodelay(self, broker):
        with broker.client() as client:
            client.keepalive()
            here = client.sock.getsockname()
            for copy in sockets_of(broker.process):
                with copy:
                    try:
                        if copy.getpeername() == here:
                            return copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
                    except OSError:
                        pass  # a listener
        self.fail("the connection is not among the broker's sockets")

    def test_tcp_nodelay(self):
        self.assertTrue(self.nodelay(self.broker()), "the default")
        self.assertFalse(self.nodelay(self.broker("[network]\ntcp_nodelay = false\n")))

    def test_http_and_metrics_can_be_left_out(self):
        broker = self.broker('[http]\nbind = ""\n[metrics]\nbind = ""\n', addresses=False,
                             args=["--listen", "127.0.0.1:0"])
        self.assertFalse(broker.ready["http"])
        self.assertFalse(broker.ready["metrics"])
        listening = 0
        for copy in sockets_of(broker.process):
            with copy:
                listening += copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        self.assertEqual(listening, 1)


class Disk(Keys):
    @staticmethod
    def flags(broker):
        """How the segments are open, once there is one."""
        with broker.client() as client:
            client.ingest(b"x", 0)
        return [int(re.search(r"flags:\s*(\d+)", fdinfo(broker.process.pid, each))[1], 8)
                for each in descriptors(broker.process.pid, lambda link: link.endswith(".lnc"))]

    def test_o_direct(self):
        direct = self.flags(self.broker())
        if not any(each & os.O_DIRECT for each in direct):
            raise unittest.SkipTest("this file system does not take O_DIRECT")
        cached = self.flags(self.broker("[io]\no_direct = false\n"))
        self.assertTrue(cached)
        self.assertFalse(any(each & os.O_DIRECT for each in cached))

    def test_uring_sq_depth(self):
        def masks(broker):
            rings = descriptors(broker.process.pid, lambda link: "io_uring" in link)
            return {int(re.search(r"SqMask:\s*(\w+)", fdinfo(broker.process.pid, each))[1], 16)
                    for each in rings}

        if "backend=io_uring" not in self.event(self.broker(), "serving").replace('"', ""):
            raise unittest.SkipTest("no io_uring here")
        self.assertIn(255, masks(self.broker("[io]\nuring_sq_depth = 256\n")))
        self.assertIn(511, masks(self.broker("[io]\nuring_sq_depth = 512\n")))

    def test_linger_us_holds_a_lone_batch_back(self):
        broker = self.broker("[io]\nlinger_us = 300000\n")
        with broker.client() as client:
            client.ingest(b"x", 0)
            began = time.monotonic()
            client.ingest(b"x", 0)
            self.assertGreater(time.monotonic() - began, 0.25)

    def test_durability_level_is_that_of_topics_without_one(self):
        for level in ("fsync", "written", "memory"):
            with self.subTest(level):
                broker = self.broker(f'[durability]\nlevel = "{level}"\n')
                (made,) = broker.lnc("--json", "topic", "create", "t").json_lines()
                self.assertEqual(made["durability"], level)
                with broker.client() as client:
                    client.ingest(b"x", 0)
                    default = client.command(0x32, b'{"id":0}').json()
                self.assertEqual(default["durability"], level, "the default topic's too")


class Machine(Keys):
    def printed(self, **environment):
        outcome = harness.run(harness.program("lance"), "--print-config", env=environment)
        self.assertEqual(outcome.code, 0, outcome)
        return outcome.text

    def test_print_config_shows_what_was_chosen_for_this_machine(self):
        text = self.printed()
        for line in (r"^# backend: (io_uring|pwritev)", r"^# lanes: cpu", r"^# shards: \d+$",
                     r"^# memory for buffers: \d+ MiB$"):
            self.assertRegex(text, re.compile(line, re.M))
        self.assertIn("# backend: pwritev\n", self.printed(LANCE_IO_BACKEND="pwritev"))
        self.assertIn("# memory for buffers: 64 MiB\n", self.printed(LANCE_IO_BUFFER_BYTES="64MiB"))
        first = min(os.sched_getaffinity(0))
        self.assertIn(f"# lanes: cpu{first}/", self.printed(LANCE_LANES_CPUS=str(first)))

    def test_the_serving_line_tells_the_same(self):
        line = self.event(self.broker(), "serving")
        for word in ("backend=", "lanes=", "cpus=", "shards=", "buffers_mib="):
            self.assertIn(word, line)

    def test_hardware_that_is_not_there_is_mentioned_and_does_no_harm(self):
        broker = self.broker('[network]\nnic_pci_addr = "ffff:ff:1f.7"\n'
                             "[numa]\nnic_node = 900\nnvme_node = 901\n")
        for word in ("network.nic_pci_addr", "numa.nic_node = 900", "numa.nvme_node = 901"):
            self.assertIn(word, broker.log())
        with broker.client() as client:
            client.ingest(b"x", 0)


class Log(Keys):
    def test_json_is_one_object_per_line(self):
        broker = self.broker('[log]\nformat = "json"\n')
        lines = [line for line in broker.log().splitlines() if line.startswith("{")]
        events = {json.loads(line)["event"] for line in lines}
        self.assertIn("serving", events)
        self.assertNotIn("event=", broker.log())

    def test_the_level_hides_what_is_less_important(self):
        broker = self.broker('[log]\nlevel = "warning"\n')
        self.assertNotIn("serving", broker.log())

    def test_sighup_reads_the_level_again(self):
        broker = self.broker('[log]\nlevel = "warning"\n')
        with open(broker.config_path, "w", encoding="utf-8") as file:
            file.write('[log]\nlevel = "info"\n')
        broker.process.send_signal(signal.SIGHUP)
        self.assertTrue(harness.wait_until(lambda: "event=reloaded" in broker.log()))
        with broker.client() as client:
            client.ingest(b"served on", 0)
        # A file that went bad meanwhile changes nothing, and is named.
        with open(broker.config_path, "w", encoding="utf-8") as file:
            file.write('[log]\nlevle = "info"\n')
        broker.process.send_signal(signal.SIGHUP)
        self.assertTrue(harness.wait_until(lambda: "levle" in broker.log()))
        self.assertEqual(broker.stop(), 0)


class Ends(Keys):
    def test_drain_timeout_ms_bounds_a_drain_that_peers_hold_up(self):
        broker = self.broker("[node]\ndrain_timeout_ms = 500\n")
        with broker.client() as client:
            client.ingest(b"x" * (8 * harness.MIB), 0)
        stubborn = socket.create_connection(broker.address())
        self.addCleanup(stubborn.close)
        stubborn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # Asks for much and takes none of it: there is always a reply that has not left.
        stubborn.sendall(b"".join(lwp.control(lwp.FETCH, lwp.fetch_payload(0, 0, 1 << 20))
                                  for _ in range(200)))
        time.sleep(0.5)
        began = time.monotonic()
        broker.process.send_signal(signal.SIGTERM)
        self.assertEqual(broker.wait(15), 1, broker.log_tail())
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("in_time=false", broker.log())

    def test_sigquit_flushes_then_dies_of_its_own_hand(self):
        broker = self.broker('[durability]\nlevel = "memory"\n')
        with broker.client() as client:
            client.send(b"".join(lwp.ingest_frame(n, struct.pack("<I", n), 0)
                                 for n in range(1, 101)))
            for _ in range(100):
                client.receive()
        broker.process.send_signal(signal.SIGQUIT)
        self.assertEqual(broker.wait(), -signal.SIGABRT)
        with broker.start().client() as client:
            self.assert_stream(client, 0, b"".join(struct.pack("<I", n) for n in range(1, 101)))

    def test_the_ready_file_goes_with_the_node(self):
        broker = self.broker()
        self.assertEqual(set(broker.ready), {"pid", "node", "lwp", "peer", "http", "metrics"})
        self.assertIsNone(broker.ready["peer"], "there are no peers alone")
        self.assertEqual(broker.stop(), 0)
        self.assertFalse(os.path.exists(broker.ready_path))


if __name__ == "__main__":
    harness.main()
