"""What encryption costs. A second broker, with a certificate of the moment, stands beside the plain
one; they take turns."""

import json
import os
import subprocess
import sys

from broker import Broker
from questions import KIB

HANDSHAKES = 2000
CONNECTIONS_MAX = 12000


class TlsQuestions:
    """plain: the Questions of the broker without TLS; program: makes a runner of a binary. The
    secure broker starts with the first question."""

    def __init__(self, bindir, directory, plain, program):
        self._bindir, self._directory = bindir, os.path.join(directory, "tls")
        self._plain, self._program = plain, program
        self._broker = self._load = None
        self._crowded = False

    def stop(self):
        if self._broker:
            self._broker.stop()

    # -- pieces --------------------------------------------------------------------------------

    def _path(self, name):
        return os.path.join(self._directory, name)

    def _make_certificates(self):
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        with open(self._path("names"), "w", encoding="ascii") as file:
            file.write("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        for words in (
                ("req", "-x509", *key, "-keyout", self._path("ca.key"), "-out",
                 self._path("ca.crt"), "-days", "2", "-subj", "/CN=bench"),
                ("req", "-new", *key, "-keyout", self._path("server.key"), "-out",
                 self._path("server.csr"), "-subj", "/CN=server"),
                ("x509", "-req", "-in", self._path("server.csr"), "-CA", self._path("ca.crt"),
                 "-CAkey", self._path("ca.key"), "-days", "2", "-set_serial", "2", "-extfile",
                 self._path("names"), "-out", self._path("server.crt"))):
            subprocess.run(["openssl", *words], check=True, capture_output=True)

    def _begin(self):
        if self._broker:
            return
        os.mkdir(self._directory)
        self._make_certificates()
        self._broker = Broker(self._bindir, self._directory, {
            "TLS_CERT": self._path("server.crt"), "TLS_KEY": self._path("server.key"),
            "NETWORK_MAX_CONNECTIONS": str(CONNECTIONS_MAX)})
        self._words = (os.path.join(self._bindir, "bench", "lance_load"), "--server",
                       self._broker.facts["lwp"], "--broker", str(self._broker.facts["pid"]),
                       "--tls-ca", self._path("ca.crt"))
        self._load = self._program(*self._words)

    def _one_in_flight(self):
        got = self._load("--seconds", 2 * self._plain.seconds, "ingest", "--name", "tls-one",
                         "--batch", 1, "--window", 1)
        return {f"ack_{each}_us": got["ack"][each + "_us"] for each in ("p50", "p99", "p999")}

    # -- questions -----------------------------------------------------------------------------

    def cost(self):
        self._begin()
        numbers = {}
        for kind, load in (("plain", self._plain.load), ("tls", self._load)):
            got = load("--seconds", 2 * self._plain.seconds, "ingest", "--name", "cost-" + kind,
                       "--batch", 64, "--window", 8)
            numbers[kind + "_mb_s"] = got["mb_per_s"]
            numbers[kind + "_cpu_s_per_gb"] = got["broker_cpu_s"] / (got["bytes"] / 1e9)
            numbers[kind + "_ack_p99_us"] = got["ack"]["p99_us"]
            self._plain.settle()
        numbers["ratio"] = numbers["tls_cpu_s_per_gb"] / numbers["plain_cpu_s_per_gb"]
        return numbers

    def handshake(self):
        self._begin()
        got = self._load("handshakes", "--count", HANDSHAKES)
        bare = self._plain.floor("handshakes", "--count", HANDSHAKES, "--cert",
                                 self._path("server.crt"), "--key", self._path("server.key"),
                                 "--ca", self._path("ca.crt"))
        numbers = {"broker_us": got["broker_cpu_s"] / HANDSHAKES * 1e6,
                   "floor_us": bare["server_cpu_s"] / HANDSHAKES * 1e6,
                   "handshakes_s": HANDSHAKES / got["seconds"]}
        numbers["ratio"] = numbers["broker_us"] / numbers["floor_us"]
        return numbers

    def crowd(self, idle, half):
        self._begin()
        numbers = {"alone_" + key: value for key, value in self._one_in_flight().items()}
        empty = self._broker.rss()
        with subprocess.Popen([*self._words, "crowd", "--idle", str(idle), "--half", str(half)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as crowd:
            self._until_open(crowd, "idle", idle)
            with_idle = self._broker.rss()
            crowd.stdin.write("\n")
            crowd.stdin.flush()
            self._until_open(crowd, "half", half)
            numbers |= self._one_in_flight()
            with_all = self._broker.rss()
            crowd.stdin.close()
        if crowd.returncode != 0:
            sys.exit("the crowd did not stay")
        if not self._crowded:  # later rounds use the memory that the first one left behind
            numbers["idle_kib"] = (with_idle - empty) / idle / KIB
            numbers["half_kib"] = (with_all - with_idle) / half / KIB
        self._crowded = True
        numbers["ratio"] = numbers["ack_p99_us"] / numbers["alone_ack_p99_us"]
        return numbers

    @staticmethod
    def _until_open(crowd, what, count):
        line = crowd.stdout.readline()
        if not line or json.loads(line) != {what: count}:
            sys.exit(f"the crowd of {count} did not come")
