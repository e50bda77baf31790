"""Makes a disk slow for one process: a control group whose writes to, and flushes of, the device are
throttled, of version 1 (blkio) or 2 (io)."""

import os
import time
import unittest

ROOT = "/sys/fs/cgroup"
PROBE_BYTES = 256 * 1024
PROBE_BPS = 256 * 1024


def whole_disk(path):
    """"major:minor" of the disk that a path lies on; SkipTest where there is none."""
    device = os.stat(path).st_dev
    about = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"
    if not os.path.exists(about):
        raise unittest.SkipTest(f"{path} does not lie on a block device")
    if os.path.exists(os.path.join(about, "partition")):
        about = os.path.dirname(os.path.realpath(about))
    with open(os.path.join(about, "dev"), encoding="ascii") as file:
        return file.read().strip()


class Throttle:
    """One control group. Raises SkipTest where none can be made or it slows nothing down."""

    def __init__(self, directory):
        self.device = whole_disk(directory)
        self.version = 1 if os.path.isdir(f"{ROOT}/blkio") else 2
        above = f"{ROOT}/blkio" if self.version == 1 else ROOT
        self.path = f"{above}/lance-fault-{os.getpid()}"
        try:
            if self.version == 2:
                with open(f"{ROOT}/cgroup.subtree_control", "w", encoding="ascii") as file:
                    file.write("+io")
            os.mkdir(self.path)
            self.limit(PROBE_BPS, 0)
        except OSError as error:
            self.close()
            raise unittest.SkipTest(f"cannot make a control group for the disk: {error}") from error
        seconds = self._probe(directory)
        self.release()
        if seconds < 0.5 * PROBE_BYTES / PROBE_BPS:
            self.close()
            raise unittest.SkipTest(f"the disk cannot be throttled: {PROBE_BYTES} bytes took "
                                    f"{seconds:.2f} s at {PROBE_BPS} bytes/s")

    def _write(self, name, text):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as file:
            file.write(text)

    def limit(self, bytes_per_second, writes_per_second):
        """0: no limit."""
        if self.version == 1:
            self._write("blkio.throttle.write_bps_device", f"{self.device} {bytes_per_second}")
            self._write("blkio.throttle.write_iops_device", f"{self.device} {writes_per_second}")
        else:
            self._write("io.max", f"{self.device} wbps={bytes_per_second or 'max'} "
                                  f"wiops={writes_per_second or 'max'}")

    def release(self):
        self.limit(0, 0)

    def join(self):
        """Called in the child before it becomes the broker."""
        self._write("cgroup.procs", str(os.getpid()))

    def _probe(self, directory):
        """Seconds that a child takes to write PROBE_BYTES to the device."""
        path = os.path.join(directory, "probe")
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            try:
                self.join()
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DSYNC)
                for _ in range(8):
                    os.write(descriptor, bytes(PROBE_BYTES // 8))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        seconds = time.monotonic() - began
        if os.path.exists(path):
            os.unlink(path)
        return seconds

    def close(self):
        """Processes in it must have ended."""
        if os.path.isdir(self.path):
            os.rmdir(self.path)
