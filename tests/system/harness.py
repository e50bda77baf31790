"""Runs the real programs for the system tests: one broker in one temporary directory, its ready
file, its log, its metrics, the tool, and the frame around a test program.

A test program is called as `<name>.py <bindir> [TestClass[.test_name] ...]`. It exits with 0, with
1 when something failed, and with 77 when every test was skipped (a machine that lacks what the
tests need is reported, never passed over). Ports are chosen by the kernel, so that programs may run
side by side.
"""

import atexit
import ctypes
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import lwp

START_SECONDS = 30.0  # generous: a loaded machine with slow disks starts slowly
STOP_SECONDS = 35.0  # the drain limit of 25 s and some
SKIP = 77
MIB = 1024 * 1024
# The smallest segments there are: tests make many topics and want files to roll soon.
SMALL_SEGMENTS = "[io]\nsegment_bytes = 33554432\n"
_PR_SET_PDEATHSIG = 1

_bindir = None
_brokers = []
_libc = ctypes.CDLL(None, use_errno=True)


def bindir():
    return _bindir


def set_bindir(path):
    """Where the programs are; ends the program with 1 when they are not."""
    global _bindir
    _bindir = os.path.abspath(path)
    for name in ("lance", "lnc"):
        if not os.access(program(name), os.X_OK):
            print(f"{program(name)} is not there: build it first")
            sys.exit(1)
    atexit.register(_kill_all)


def program(name):
    return os.path.join(_bindir, name)


def source_dir():
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def seed():
    """The seed of this run: LANCE_SEED, or a fresh one. Printed where it is used."""
    text = os.environ.get("LANCE_SEED")
    value = int(text, 0) if text else random.SystemRandom().getrandbits(32)
    print(f"LANCE_SEED={value} replays this run", flush=True)
    return value


def temp_dir(owner_of_all=False):
    """A directory that disappears with the program."""
    path = tempfile.mkdtemp(prefix="lance-test-")
    if owner_of_all:
        os.chmod(path, 0o777)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def wait_until(condition, seconds=10.0, every=0.02):
    """The condition's first true value within the time, else its last value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(every)


class StartFailed(Exception):
    """The broker ended, or did not get ready in time. `code` is None in the second case."""

    def __init__(self, code, log):
        super().__init__(f"broker exit code {code}; its log:\n{log}")
        self.code = code
        self.log = log


class Broker:
    """One `lance` process and its data directory, which outlives the process.

    config: text of a configuration file, or None for none; wrapper: words put before the command
    line; before_exec: called in the child before it runs."""

    def __init__(self, config=SMALL_SEGMENTS, args=(), env=None, wrapper=(), before_exec=None,
                 root=None, data_dir=None, addresses=True, binary=None):
        self.root = root or temp_dir()
        self.data_dir = os.path.join(self.root, "data") if data_dir is None else data_dir
        self.log_path = os.path.join(self.root, "broker.log")
        self.ready_path = os.path.join(self.root, "ready.json")
        self.args = list(args)
        self.env = env or {}
        self.wrapper = list(wrapper)
        self.before_exec = before_exec
        self.addresses = addresses
        self.binary = binary or program("lance")
        self.process = None
        self.ready = None
        self.config_path = None
        if config is not None:
            self.config_path = os.path.join(self.root, "lance.toml")
            with open(self.config_path, "w", encoding="utf-8") as file:
                file.write(config)
        _brokers.append(self)

    def command_line(self):
        line = [*self.wrapper, self.binary, "--ready-file", self.ready_path]
        if self.data_dir is not False:
            line += ["--data-dir", self.data_dir]
        if self.addresses:
            line += ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--metrics",
                     "127.0.0.1:0"]
        if self.config_path:
            line += ["--config", self.config_path]
        return line + self.args

    def _in_child(self):
        if self.before_exec:
            self.before_exec()
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def launch(self):
        """Starts the process and does not wait for it."""
        if os.path.exists(self.ready_path):
            os.unlink(self.ready_path)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LANCE_")}
        environment.update(self.env)
        with open(self.log_path, "ab") as log:
            log.write(f"--- {' '.join(self.command_line())}\n".encode())
            log.flush()
            self.process = subprocess.Popen(
                self.command_line(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment, cwd=self.root, preexec_fn=self._in_child)
        return self

    def start(self, seconds=START_SECONDS):
        self.launch()
        deadline = time.monotonic() + seconds
        while not os.path.exists(self.ready_path):
            code = self.process.poll()
            if code is not None:
                self.process = None
                raise StartFailed(code, self.log_tail())
            if time.monotonic() > deadline:
                self.kill()
                raise StartFailed(None, self.log_tail())
            time.sleep(0.001)
        with open(self.ready_path, encoding="utf-8") as file:
            self.ready = json.load(file)
        return self

    def __enter__(self):
        return self.start() if self.process is None else self

    def __exit__(self, *_):
        self.kill()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def wait(self, seconds=STOP_SECONDS):
        """The exit code; the process is killed, and None returned, when it does not end."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        self.process = None
        return code

    def stop(self):
        """Asks for a drain with SIGTERM; the exit code, or None when it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self):
        """kill -9, if it runs."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self):
        """A clean stop and a new start on the same data."""
        code = self.stop()
        if code != 0:
            raise AssertionError(f"SIGTERM ended the broker with {code}:\n{self.log_tail()}")
        return self.start()

    def crash(self):
        """kill -9 and a new start on the same data."""
        self.kill()
        return self.start()

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def log_tail(self, lines=40):
        return "\n".join(self.log().splitlines()[-lines:]) if os.path.exists(self.log_path) else ""

    def address(self, name="lwp"):
        host, _, port = self.ready[name].rpartition(":")
        return host, int(port)

    def client(self, **options):
        return lwp.Client(self.address(), **options)

    def http(self, path, method="GET", name="http", body=None, headers=None):
        """(status, content type, body text) of one request to the health or metrics port."""
        connection = http.client.HTTPConnection(*self.address(name), timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, reply.getheader("Content-Type", ""), reply.read().decode()
        finally:
            connection.close()

    def metrics(self):
        status, _, text = self.http("/metrics", name="metrics")
        if status != 200:
            raise AssertionError(f"GET /metrics answered {status}")
        return Metrics(text)

    def wait_metric(self, name, at_least, seconds=5.0, **labels):
        """Waits until a metric has grown to a value (they are refreshed every second)."""
        return wait_until(lambda: self.metrics().value(name, **labels) >= at_least, seconds, 0.1)

    def rss(self):
        """Resident bytes of the broker itself, not of a wrapper: wrappers exec."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def lnc(self, *words, **options):
        return lnc(*words, server="%s:%d" % self.address(), **options)

    def segments(self, ending=".lnc"):
        """Paths of the files with this ending below segments/, sorted."""
        found = []
        for directory, _, names in os.walk(os.path.join(self.data_dir, "segments")):
            found += [os.path.join(directory, name) for name in names if name.endswith(ending)]
        return sorted(found)


class Metrics:
    """Prometheus text, taken apart. A line that does not parse is an error."""

    def __init__(self, text):
        self.text = text
        self.samples = []
        self.types = {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.types[name] = kind
            elif line and not line.startswith("#"):
                self.samples.append(self._sample(line))

    @staticmethod
    def _sample(line):
        name, brace, rest = line.partition("{")
        if not brace:
            name, value = line.split()[:2]
            return name, {}, float(value)
        body, _, value = rest.rpartition("} ")
        labels = {}
        while body:
            key, _, body = body.partition('="')
            text, _, body = body.partition('"')
            labels[key] = text
            body = body.lstrip(",")
        return name, labels, float(value.split()[0])

    def has(self, name):
        return any(sample[0] == name for sample in self.samples)

    def value(self, name, **labels):
        """The sum of the samples of that name that carry these labels; 0 when there is none."""
        return sum(value for sample, own, value in self.samples
                   if sample == name and labels.items() <= own.items())

    def quantile(self, name, q):
        """The upper bound of the histogram bucket that holds the quantile; None when empty."""
        buckets = {}
        for sample, labels, value in self.samples:
            if sample == name + "_bucket":
                bound = float(labels["le"].replace("+Inf", "inf"))
                buckets[bound] = buckets.get(bound, 0) + value
        total = buckets.get(float("inf"), 0)
        return next((b for b in sorted(buckets) if total and buckets[b] >= q * total), None)


class Outcome:
    """What a run of a program gave."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def text(self):
        return self.out.decode("utf-8", "replace")

    @property
    def errors(self):
        return self.err.decode("utf-8", "replace")

    def lines(self):
        return self.text.splitlines()

    def json_lines(self):
        return [json.loads(line) for line in self.lines() if line]

    def __repr__(self):
        return f"exit {self.code}\nstdout: {self.out[:2000]!r}\nstderr: {self.errors[:2000]}"


def run(*words, stdin=b"", env=None, timeout=60, cwd=None):
    """Runs a program to its end."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LANCE_")}
    environment.update(env or {})
    done = subprocess.run([str(word) for word in words], input=stdin, env=environment, cwd=cwd,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                          check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


def lnc(*words, server=None, env=None, **options):
    """Runs the tool, with LANCE_SERVER set to the broker."""
    environment = dict(env or {})
    if server:
        environment.setdefault("LANCE_SERVER", server)
    return run(program("lnc"), *words, env=environment, **options)


class Test(unittest.TestCase):
    """A test that may talk about refusals."""

    maxDiff = 2000

    def assert_refused(self, codes, deed, *arguments):
        """The deed is answered with `CODE: sentence`, the code one of these words."""
        codes = codes.split()
        with self.assertRaises(lwp.Refused) as caught:
            deed(*arguments)
        refused = caught.exception
        self.assertIsNotNone(refused.code, f"not `CODE: sentence`: {refused.text!r}")
        self.assertIn(refused.code, codes, refused.text)
        return refused

    def assert_stream(self, client, topic_id, expected):
        """The topic's stream is exactly these bytes."""
        actual = client.read_all(topic_id)
        if actual != expected:
            same = next((i for i, (a, b) in enumerate(zip(actual, expected)) if a != b),
                        min(len(actual), len(expected)))
            self.fail(f"topic {topic_id}: {len(actual)} bytes, expected {len(expected)}, "
                      f"first difference at {same}")


class SharedBroker(Test):
    """Tests that share one broker per class; each takes topics of its own."""

    CONFIG = SMALL_SEGMENTS
    ENV = None

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker(config=cls.CONFIG, env=cls.ENV).start()

    @classmethod
    def tearDownClass(cls):
        if not cls.broker.running():
            raise AssertionError(f"the broker died:\n{cls.broker.log_tail()}")
        code = cls.broker.stop()
        if code != 0:
            raise AssertionError(f"SIGTERM ended with {code}:\n{cls.broker.log_tail()}")

    def setUp(self):
        if not self.broker.running():
            self.broker.start()
        self.client = self.broker.client()
        self.addCleanup(self.client.close)

    def tearDown(self):
        self.assertTrue(self.broker.running(), "the broker died in this test")

    def topic(self, client=None):
        """The id of a new topic named after the test."""
        name = self.id().rsplit(".", 1)[1] + f"-{time.monotonic_ns()}"
        return (client or self.client).create(name)["id"]


class _Result(unittest.TextTestResult):
    """Shows the end of the brokers' logs with what failed, and what took long."""

    SLOW_SECONDS = 3.0

    def startTest(self, test):
        self.started = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        super().addSuccess(test)
        elapsed = time.monotonic() - self.started
        if elapsed > self.SLOW_SECONDS:
            self.stream.writeln(f"      {elapsed:.1f} s")

    def _show_logs(self):
        for broker in _brokers:
            if os.path.exists(broker.log_path) and broker.process is not None:
                state = "running" if broker.running() else f"exit {broker.process.poll()}"
                self.stream.writeln(f"\n--- broker log ({state}):\n{broker.log_tail()}\n---")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._show_logs()

    def addError(self, test, err):
        super().addError(test, err)
        self._show_logs()


def _kill_all():
    for broker in _brokers:
        broker.kill()


def main(arguments=None):
    """Runs the tests of the calling program; see the head of this file."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0].startswith("-"):
        print(f"usage: {os.path.basename(sys.argv[0])} <bindir> [TestClass[.test_name] ...]")
        sys.exit(2)
    set_bindir(words[0])
    module = sys.modules["__main__"]
    loader = unittest.TestLoader()
    suite = (loader.loadTestsFromNames(words[1:], module) if words[1:]
             else loader.loadTestsFromModule(module))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=_Result,
                                     warnings="ignore").run(suite)
    for test, reason in result.skipped:
        print(f"SKIPPED {test}: {reason}")
    if not result.wasSuccessful():
        sys.exit(1)
    if result.testsRun == 0 and not result.skipped:
        print("no test ran")
        sys.exit(1)
    sys.exit(SKIP if result.skipped and len(result.skipped) >= result.testsRun else 0)
