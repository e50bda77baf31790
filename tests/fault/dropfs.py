"""Mounts dropfs, the file system that forgets, and talks to it; see dropfs/dropfs.cpp."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
import harness  # noqa: E402  (the path first)

MOUNT_SECONDS = 10.0


class DropFs:
    """One mounted dropfs. Raises SkipTest where it was not built or may not be mounted."""

    def __init__(self, megabytes=2048):
        binary = harness.program("dropfs")
        if not os.access(binary, os.X_OK):
            raise unittest.SkipTest("dropfs was not built: libfuse3 is missing")
        if not os.path.exists("/dev/fuse"):
            raise unittest.SkipTest("this machine has no /dev/fuse")
        self.root = harness.temp_dir()
        self.path = os.path.join(self.root, "mounted")
        self.control_path = os.path.join(self.root, "control")
        self.log_path = os.path.join(self.root, "dropfs.log")
        os.mkdir(self.path)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([binary, self.path, self.control_path,
                                             str(megabytes)], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        atexit.register(self.close)
        mounted = harness.wait_until(
            lambda: self.process.poll() is not None or os.path.ismount(self.path), MOUNT_SECONDS)
        if not mounted or self.process.poll() is not None:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                reason = log.read().strip()
            self.close()
            raise unittest.SkipTest(f"cannot mount dropfs: {reason}")

    def close(self):
        """Unmounts; brokers on it must have ended."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        subprocess.run(["umount", "-l", self.path], stderr=subprocess.DEVNULL, check=False)
        self.process = None

    def ask(self, line):
        """The lines that answer a command, without the closing "ok"."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(30)
            control.connect(self.control_path)
            control.sendall(line.encode() + b"\n")
            text = ""
            while True:
                piece = control.recv(65536).decode()
                text += piece
                if not piece:
                    raise AssertionError(f"dropfs hung up on {line!r} after {text!r}")
                last = text.splitlines()[-1]
                if text.endswith("\n") and last.startswith(("ok", "error")):
                    break
        if not last.startswith("ok"):
            raise AssertionError(f"dropfs answered {line!r} with {text!r}")
        return text.splitlines()[:-1]

    def fail(self, operation, errno_name, pattern="*", skip=0, times=0):
        self.ask(f"fail {operation} {errno_name} {pattern} {skip} {times}")

    def delay(self, operation, milliseconds, pattern="*", skip=0, times=0):
        self.ask(f"delay {operation} {milliseconds} {pattern} {skip} {times}")

    def clear(self):
        self.ask("clear")

    def cut(self, seed=None):
        """Power off. What it did, as {word: count}."""
        lines = self.ask("cut" if seed is None else f"cut {seed}")
        return {word: int(count) for word, count in (line.split() for line in lines)}

    def revive(self):
        self.ask("revive")

    def export(self, directory):
        self.ask(f"export {directory}")

    def drop_caches(self, directory):
        """The kernel forgets what it remembers of the synced content of these files."""
        for where, _, names in os.walk(os.path.join(self.path, directory)):
            for name in names:
                descriptor = os.open(os.path.join(where, name), os.O_RDONLY)
                try:
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(descriptor)

    def hits(self):
        """How often each rule was hit: {(operation, pattern): hits}."""
        return {tuple(line.split()[1:3]): int(line.split()[3])
                for line in self.ask("report") if line.startswith("rule ")}

    def asked(self, operation):
        """How often the kernel has asked for an operation."""
        for line in self.ask("report"):
            if line.startswith(f"asked {operation} "):
                return int(line.split()[2])
        return 0
