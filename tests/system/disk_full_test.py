"""A full disk: a typed refusal, a broker that goes on serving, and writes that resume by
themselves. Needs the right to mount (a small ext4 image on a loop device, else tmpfs)."""

import os
import shutil
import subprocess
import time
import unittest

import harness
import lwp
import selftelling

DISK = 512 * harness.MIB
CONFIG = harness.SMALL_SEGMENTS + "[disk]\nballast_bytes = 8388608\n"


def mount_small_disk(directory, unmount_later, size=DISK):
    """Mounts a disk of so many bytes; raises SkipTest where that is not permitted."""
    mounted = os.path.join(directory, "disk")
    os.mkdir(mounted)
    image = os.path.join(directory, "image")
    with open(image, "wb") as file:
        file.truncate(size)
    tries = []
    if shutil.which("mkfs.ext4", path="/usr/sbin:/sbin:" + os.environ.get("PATH", "")):
        tries.append(f"PATH=$PATH:/usr/sbin:/sbin; mkfs.ext4 -q -m 0 -O ^has_journal {image} && "
                     f"mount -o loop {image} {mounted}")
    tries.append(f"mount -t tmpfs -o size={size} tmpfs {mounted}")
    errors = []
    for command in tries:
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            unmount_later(subprocess.run, ["umount", "-l", mounted], check=False)
            return mounted
        errors.append(done.stderr.strip())
    raise unittest.SkipTest("cannot mount a small disk: " + "; ".join(errors))


class DiskFull(harness.Test):
    def setUp(self):
        root = harness.temp_dir()
        self.disk = mount_small_disk(root, self.addCleanup)
        self.broker = harness.Broker(config=CONFIG, root=root,
                                     data_dir=os.path.join(self.disk, "data"))
        self.addCleanup(self.broker.kill)
        self.sequence = 0

    def fill(self, client, topic, batches=3000, seconds=60):
        """Ingests until the broker refuses; the bytes that were acknowledged."""
        acked, deadline = [], time.monotonic() + seconds
        for _ in range(batches):
            self.assertLess(time.monotonic(), deadline, "the disk did not fill in time")
            payload = selftelling.batch(topic, 1, self.sequence, 500_000)
            self.sequence += 1
            try:
                client.ingest(payload, topic, timeout=30)
            except lwp.Refused as refused:
                self.assertEqual(refused.code, "READ_ONLY", refused.text)
                self.assertTrue(refused.sentence)
                return acked
            acked.append(payload)
        self.fail(f"{batches} batches went onto a disk of {DISK} bytes")
        return acked

    def assert_resumes(self, client, topic, payload):
        def accepted():
            try:
                client.ingest(payload, topic, timeout=30)
                return True
            except lwp.Refused as refused:
                self.assertEqual(refused.code, "READ_ONLY", refused.text)
                return False

        self.assertTrue(harness.wait_until(accepted, 30, 0.25), "writes did not resume")

    def assert_serves_while_full(self, client, topic, stream):
        self.assert_stream(client, topic, stream)
        client.keepalive()
        self.assertIn(topic, [entry["id"] for entry in client.list()])
        self.assertEqual(client.end(topic), len(stream))
        self.assertIs(client.cluster_status()["is_leader"], True)
        status, _, _ = self.broker.http("/health/live")
        self.assertEqual(status, 200)
        for _ in range(3):  # refused again and again, on a connection that goes on
            self.assert_refused("READ_ONLY", client.ingest, b"n" * 500_000, topic)

    def test_refuses_serves_and_resumes_when_a_foreign_file_goes(self):
        self.broker.start()
        with self.broker.client() as client:
            topic = client.create("filled")["id"]
            kept = selftelling.batch(topic, 9, 0, 1000)
            client.ingest(kept, topic)
            filler = os.path.join(self.disk, "filler")
            free = os.statvfs(self.disk)
            with open(filler, "wb") as file:
                os.posix_fallocate(file.fileno(), 0,
                                   max(1, free.f_bavail * free.f_frsize - 20 * harness.MIB))
            acked = self.fill(client, topic)
            stream = kept + b"".join(acked)
            self.assert_serves_while_full(client, topic, stream)
            os.unlink(filler)
            more = selftelling.batch(topic, 9, 1, 1000)
            self.assert_resumes(client, topic, more)
            self.assert_stream(client, topic, stream + more)
        self.broker.crash()
        with self.broker.client() as client:
            self.assert_stream(client, topic, stream + more)
            client.ingest(b"and on", topic)

    def test_deleting_a_topic_frees_the_disk_and_a_full_one_can_be_started(self):
        self.broker.start()
        with self.broker.client() as client:
            heavy, light = client.create("heavy")["id"], client.create("light")["id"]
            client.ingest(b"light", light)
            acked = b"".join(self.fill(client, heavy))
            self.assertGreater(len(acked), DISK // 4, "refused long before the disk was full")
            self.assert_serves_while_full(client, heavy, acked)
        for again in (self.broker.crash, self.broker.restart):
            again()
            with self.broker.client() as client:
                self.assert_stream(client, heavy, acked)
                self.assertEqual(client.read_all(light)[:5], b"light")
        with self.broker.client() as client:
            before = client.read_all(light)
            client.delete(heavy)
            self.assert_resumes(client, light, b"resumed")
            self.assert_stream(client, light, before + b"resumed")
            self.fill(client, light)  # the freed space can be used


if __name__ == "__main__":
    harness.main()
