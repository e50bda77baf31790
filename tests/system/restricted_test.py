"""The core of the broker under the restrictions real machines have: no io_uring, no privileges and
little locked memory, one CPU, little memory."""

import os
import pwd
import random
import resource
import shutil
import threading
import unittest

import harness
import lwp
import selftelling


class Story:
    """What must work everywhere; each restriction runs it."""

    def make_broker(self):
        raise NotImplementedError

    def check_backend(self, broker):
        """What the restriction must have switched."""

    def test_the_core_works(self):
        broker = self.make_broker()
        self.addCleanup(broker.kill)
        broker.start()
        self.check_backend(broker)
        streams = self.ingest_from_many(broker)
        self.read_everything(broker, streams)
        self.use_the_tool(broker)
        broker.crash()
        self.read_everything(broker, streams)
        broker.restart()
        self.read_everything(broker, streams)
        self.assertEqual(broker.stop(), 0)

    def ingest_from_many(self, broker):
        """Eight pipelining connections, a topic each; {topic: stream} of what was acknowledged."""
        with broker.client() as client:
            topics = [client.create(f"core-{n}")["id"] for n in range(8)]
        streams, failures = {}, []

        def produce(topic):
            try:
                rng = random.Random(topic)
                sizes = [rng.choice((1, 100, 5000, 100_000)) for _ in range(200)] + [1_000_000]
                batches = [selftelling.batch(topic, 1, n, size) for n, size in enumerate(sizes)]
                with broker.client(timeout=60) as client:
                    for first in range(0, len(batches), 16):
                        group = batches[first:first + 16]
                        client.send(b"".join(lwp.ingest_frame(first + n + 1, payload, topic)
                                             for n, payload in enumerate(group)))
                        for number in range(len(group)):
                            reply = client.receive()
                            if (reply.kind, reply.batch_id) != ("ack", first + number + 1):
                                raise AssertionError(f"got {reply!r}")
                streams[topic] = b"".join(batches)
            except Exception as failure:  # told to the main thread
                failures.append(failure)

        threads = [threading.Thread(target=produce, args=(topic,)) for topic in topics]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        return streams

    def read_everything(self, broker, streams):
        with broker.client(timeout=60) as client:
            for topic, stream in streams.items():
                self.assert_stream(client, topic, stream)
                for start in (1, len(stream) // 2, len(stream) - 1):
                    self.assertEqual(client.fetch(topic, start, 1)[1], stream[start:start + 1])
            self.assert_refused("TOPIC_NOT_FOUND", client.end, 4_000_000_000)
            client.keepalive()

    def use_the_tool(self, broker):
        lines = b"".join(b"line %d\n" % n for n in range(100))
        made = broker.lnc("produce", "--topic", "tool", "--create", stdin=lines)
        self.assertEqual(made.code, 0, made)
        read = broker.lnc("consume", "--topic", "tool", "--offset", "earliest")
        self.assertEqual((read.code, read.out), (0, lines), read.errors)


class NoIoUring(Story, harness.Test):
    def make_broker(self):
        wrapper = harness.program("nouring")
        if not os.access(wrapper, os.X_OK):
            raise unittest.SkipTest("nouring is not built: libseccomp is missing")
        return harness.Broker(wrapper=[wrapper])

    def check_backend(self, broker):
        self.assertIn("pwritev", broker.log(), "the start-up log names the backend")

    def test_a_backend_that_must_be_io_uring_refuses_to_start(self):
        broker = self.make_broker()
        broker.env = {"LANCE_IO_BACKEND": "uring"}
        self.addCleanup(broker.kill)
        with self.assertRaises(harness.StartFailed) as caught:
            broker.start(seconds=10)
        self.assertGreaterEqual(caught.exception.code or -1, 1)
        self.assertIn("uring", caught.exception.log)


class ChosenFallback(Story, harness.Test):
    """The same code by the operator's choice, so that it is tested where seccomp is missing too."""

    def make_broker(self):
        return harness.Broker(env={"LANCE_IO_BACKEND": "pwritev"})

    def check_backend(self, broker):
        self.assertIn("pwritev", broker.log())


class NotRoot(Story, harness.Test):
    MEMLOCK = 64 * 1024

    def make_broker(self):
        if os.geteuid() != 0:
            raise unittest.SkipTest("not root: nothing to give up")
        root = harness.temp_dir(owner_of_all=True)
        binary = os.path.join(root, "lance")  # the build may lie where nobody may go
        shutil.copy(harness.program("lance"), binary)
        os.chmod(binary, 0o755)
        nobody = pwd.getpwnam("nobody")

        def before_exec():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (self.MEMLOCK, self.MEMLOCK))
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)

        return harness.Broker(root=root, binary=binary, before_exec=before_exec)

    def check_backend(self, broker):
        with open(f"/proc/{broker.process.pid}/status", encoding="ascii") as file:
            uids = [line.split()[1] for line in file if line.startswith("Uid:")]
        self.assertNotEqual(uids, ["0"])


class OneCpu(Story, harness.Test):
    def make_broker(self):
        cpu = min(os.sched_getaffinity(0))
        return harness.Broker(before_exec=lambda: os.sched_setaffinity(0, {cpu}))

    def check_backend(self, broker):
        self.assertEqual(len(os.sched_getaffinity(broker.process.pid)), 1)


class LittleMemory(Story, harness.Test):
    LIMIT = 256 * harness.MIB

    def make_broker(self):
        group = self.make_group()

        def before_exec():
            with open(os.path.join(group, "cgroup.procs"), "w", encoding="ascii") as file:
                file.write(str(os.getpid()))

        return harness.Broker(before_exec=before_exec)

    def make_group(self):
        """A memory cgroup (version 1 or 2) with the limit."""
        errors = []
        for parent, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                              ("/sys/fs/cgroup", "memory.max")):
            group = os.path.join(parent, f"lance-test-{os.getpid()}")
            try:
                os.mkdir(group)
            except OSError as error:
                errors.append(str(error))
                continue
            try:
                with open(os.path.join(group, limit), "w", encoding="ascii") as file:
                    file.write(str(self.LIMIT))
                self.addCleanup(self.remove_group, group)
                return group
            except OSError as error:
                errors.append(str(error))
                os.rmdir(group)
        raise unittest.SkipTest("no memory cgroup can be made: " + "; ".join(errors))

    @staticmethod
    def remove_group(group):
        harness.wait_until(lambda: not open(os.path.join(group, "cgroup.procs")).read(), 5)
        os.rmdir(group)


if __name__ == "__main__":
    harness.main()
