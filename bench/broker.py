"""The broker under measurement: its process, its metrics and where its files lie."""

import ctypes
import glob
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

START_SECONDS = 30
STOP_SECONDS = 35  # the drain limit of 25 s and some
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Broker:
    """One `lance` on ports of the kernel's choice, with default configuration but for `settings`:
    keys as the environment has them, without LANCE_."""

    def __init__(self, bindir, directory, settings=None):
        ready = os.path.join(directory, "ready.json")
        self.data_dir = os.path.join(directory, "data")
        self.log_path = os.path.join(directory, "broker.log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [os.path.join(bindir, "lance"), "--data-dir", self.data_dir, "--listen",
                 "127.0.0.1:0", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0",
                 "--ready-file", ready],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory,
                env={k: v for k, v in os.environ.items() if not k.startswith("LANCE_")} |
                {"LANCE_" + key: value for key, value in (settings or {}).items()},
                preexec_fn=lambda: _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
        deadline = time.monotonic() + START_SECONDS
        while not os.path.exists(ready):
            if time.monotonic() > deadline or self.process.poll() is not None:
                sys.exit("the broker does not start:\n" + self.log_tail())
            time.sleep(0.01)
        with open(ready, encoding="utf-8") as file:
            self.facts = json.load(file)

    def log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return "\n".join(file.read().splitlines()[-20:])

    def metrics(self):
        with urllib.request.urlopen(f"http://{self.facts['metrics']}/metrics", timeout=10) as reply:
            return Metrics(reply.read().decode())

    def disk_reads(self):
        """Bytes the process has had read from the device so far."""
        with open(f"/proc/{self.process.pid}/io", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("read_bytes"))

    def rss(self):
        """Bytes of memory that the process has now."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS"))

    def segments(self, topic):
        return sorted(glob.glob(os.path.join(self.data_dir, "segments", topic, "0", "*.lnc")))

    def stop(self):
        self.process.terminate()
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            sys.exit("the broker did not drain in time")
        if code != 0:
            sys.exit(f"the broker ended with {code}:\n{self.log_tail()}")


class Metrics:
    """One reading of /metrics: the value of each series by its full name with labels."""

    def __init__(self, text):
        self.series = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                self.series[name] = float(value)

    def value(self, name):
        return self.series.get(name, 0.0)

    def since(self, before, name):
        return self.value(name) - before.value(name)

    def quantiles_us(self, before, name, label=""):
        """p50 and p99 of what was observed since `before`, in microseconds, interpolated within
        the exported 1-2-5 buckets (right to a factor of two at worst); None without any."""
        begin = name + "_bucket{" + (label + "," if label else "")
        counts = []
        for series, value in self.series.items():
            if series.startswith(begin) and 'le="' in series:
                bound = series.split('le="')[1].split('"')[0]
                counts.append((float(bound.replace("+Inf", "inf")), value - before.value(series)))
        counts.sort()
        total = counts[-1][1] if counts else 0
        if total == 0:
            return None
        return {"p50": _quantile(counts, 0.5 * total) * 1e6,
                "p99": _quantile(counts, 0.99 * total) * 1e6}


def _quantile(counts, wanted):
    lower, below = 0.0, 0.0
    for bound, count in counts:
        if count >= wanted and count > below:
            if bound == float("inf"):
                return lower
            return lower + (bound - lower) * (wanted - below) / (count - below)
        lower, below = bound, count
    return lower
