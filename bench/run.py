"""What `./dev bench` runs: the broker and, beside each figure, the floor measured in the same run.

    python3 bench/run.py <bindir> [--quick]

The load comes from `lnc bench`; the floors are bare loops of this script on the same file system and
on loopback. Rounds alternate, medians are printed with their range.
"""
import json
import mmap
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

KIB, MIB = 1 << 10, 1 << 20


def disk_floor(directory, size, seconds):
    """Aligned O_DIRECT writes over written blocks, each followed by fdatasync: MB/s and p50 in us."""
    path = os.path.join(directory, "floor.dat")
    length = 64 * MIB
    with open(path, "wb") as file:
        for _ in range(length // MIB):
            file.write(bytes(MIB))
        os.fsync(file.fileno())
    buffer = mmap.mmap(-1, size)
    buffer.write(os.urandom(size))
    file = os.open(path, os.O_WRONLY | os.O_DIRECT)
    took, position, began = [], 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        os.pwrite(file, buffer, position)
        os.fdatasync(file)
        took.append(time.perf_counter() - start)
        position = (position + size) % (length - size + 1) // 4096 * 4096
    spent = time.perf_counter() - began
    os.close(file)
    os.unlink(path)
    return len(took) * size / spent / 1e6, statistics.median(took) * 1e6


def loopback_round_trip(seconds):
    """1 KiB there, 44 bytes back, two blocking processes: p50 in us (Python's own part included)."""
    listener = socket.create_server(("127.0.0.1", 0))

    child = os.fork()
    if child == 0:
        peer, _ = listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            left = KIB + 44
            while left:
                got = len(peer.recv(left))
                if not got:
                    os._exit(0)
                left -= got
            peer.sendall(bytes(44))

    with socket.create_connection(listener.getsockname()) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        took, began = [], time.perf_counter()
        while time.perf_counter() - began < seconds:
            start = time.perf_counter()
            peer.sendall(bytes(KIB + 44))
            left = 44
            while left:
                left -= len(peer.recv(left))
            took.append(time.perf_counter() - start)
    os.waitpid(child, 0)
    return statistics.median(took) * 1e6


def loopback_bulk(seconds):
    """256 KiB sends from memory into a reader that throws away: MB/s."""
    listener = socket.create_server(("127.0.0.1", 0))
    child = os.fork()
    if child == 0:
        peer, _ = listener.accept()
        room = bytearray(MIB)
        while peer.recv_into(room):
            pass
        os._exit(0)
    data, sent, began = bytes(256 * KIB), 0, time.perf_counter()
    with socket.create_connection(listener.getsockname()) as peer:
        while time.perf_counter() - began < seconds:
            peer.sendall(data)
            sent += len(data)
    os.waitpid(child, 0)
    return sent / (time.perf_counter() - began) / 1e6


class Broker:
    def __init__(self, bindir, directory):
        ready = os.path.join(directory, "ready.json")
        self.log = open(os.path.join(directory, "broker.log"), "w")
        self.process = subprocess.Popen(
            [os.path.join(bindir, "lance"), "--data-dir", os.path.join(directory, "data"),
             "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--metrics", "127.0.0.1:0",
             "--ready-file", ready], stderr=self.log)
        deadline = time.monotonic() + 30
        while not os.path.exists(ready):
            if time.monotonic() > deadline or self.process.poll() is not None:
                sys.exit("the broker does not start: see " + self.log.name)
            time.sleep(0.02)
        with open(ready) as file:
            self.facts = json.load(file)
        self.lnc = os.path.join(bindir, "lnc")

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def metric(self, name):
        text = urllib.request.urlopen(f"http://{self.facts['metrics']}/metrics").read().decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if line.split("{")[0].split(" ")[0] == name)

    def bench(self, what, *arguments):
        """The JSON of `lnc bench`, with the broker's CPU seconds, groups and bytes beside it."""
        before = self.cpu_seconds(), self.metric("lance_bytes_written_total"), \
            self.metric("lance_io_flush_latency_seconds_count")
        run = subprocess.run([self.lnc, "-s", self.facts["lwp"], "--json", "bench", what, *arguments],
                             capture_output=True, text=True, timeout=120)
        if run.returncode != 0:
            sys.exit(f"lnc bench {what} failed: {run.stderr}")
        outcome = json.loads(run.stdout.strip().splitlines()[-1])
        outcome["cpu"] = self.cpu_seconds() - before[0]
        outcome["written"] = self.metric("lance_bytes_written_total") - before[1]
        outcome["groups"] = self.metric("lance_io_flush_latency_seconds_count") - before[2]
        return outcome

    def stop(self):
        self.process.terminate()
        self.process.wait(40)


def median(values):
    return f"{statistics.median(values):8.1f} [{min(values):.1f} .. {max(values):.1f}]"


def main():
    bindir = sys.argv[1]
    quick = "--quick" in sys.argv
    rounds, seconds = (1, 2) if quick else (3, 5)
    span = ("--seconds", str(seconds))
    with tempfile.TemporaryDirectory(prefix="lance-bench-", dir=os.getcwd()) as directory:
        broker = Broker(bindir, directory)
        print("machine:", os.uname().release, f"{os.cpu_count()} CPUs,", time.strftime("%Y-%m-%d"))
        ratios, rates, floors, cpu, sizes = [], [], [], [], []
        for _ in range(rounds):
            got = broker.bench("produce", "--size", "1024", "--batch", "128", "--window", "1024", *span)
            size = max(4096, int(got["written"] / max(1, got["groups"])) // 4096 * 4096)
            floor, _ = disk_floor(directory, size, seconds)
            rates.append(got["mb_per_s"])
            floors.append(floor)
            ratios.append(got["mb_per_s"] / floor)
            cpu.append(got["cpu"] / (got["written"] / 1e9))
            sizes.append(size / KIB)
        print("\ndurable ingest, 1 KiB records, batches of 128, 1,024 in flight, fsync")
        print("  broker, MB/s            ", median(rates))
        print("  bare write+flush, MB/s  ", median(floors), f"at the broker's own size, KiB {median(sizes)}")
        print("  ratio (goal 0.7)        ", f"{statistics.median(ratios):8.2f}")
        print("  server CPU s per GB     ", f"{statistics.median(cpu):8.2f}")

        acks, flushes, trips = [], [], []
        for _ in range(rounds):
            got = broker.bench("produce", "--size", "1024", "--batch", "1", "--window", "1", *span)
            acks.append(got["p50_us"])
            flushes.append(disk_floor(directory, 4096, seconds)[1])
            trips.append(loopback_round_trip(min(2, seconds)))
        floor = statistics.median(flushes) + statistics.median(trips)
        print("\nan ack with one 1 KiB batch in flight, fsync, p50 in us")
        print("  broker                  ", median(acks))
        print("  bare 4 KiB write+flush  ", median(flushes))
        print("  bare round trip         ", median(trips))
        print("  ratio (goal 1.5)        ", f"{statistics.median(acks) / floor:8.2f}")

        rates, cpu, bulk = [], [], []
        for _ in range(rounds):
            got = broker.bench("produce", "--size", "1024", "--batch", "1", "--window", "1024", *span)
            rates.append(got["mb_per_s"])
            cpu.append(got["cpu"] / (got["written"] / 1e9))
        print("\ndurable ingest, one 1 KiB record per frame, 1,024 in flight, fsync")
        print("  broker, MB/s            ", median(rates))
        print("  server CPU s per GB     ", f"{statistics.median(cpu):8.2f}")

        for name in ("cold", "warm"):
            rates, bulk = [], []
            for _ in range(rounds):
                if name == "cold":
                    try:
                        with open("/proc/sys/vm/drop_caches", "w") as file:
                            file.write("1")
                    except OSError:
                        name = "cold (page cache could not be dropped)"
                rates.append(broker.bench("consume", *span)["mb_per_s"])
                bulk.append(loopback_bulk(min(2, seconds)))
            print(f"\nconsume, {name} log")
            print("  broker, MB/s            ", median(rates))
            print("  bare loopback, MB/s     ", median(bulk))
        broker.stop()


main()
