"""How soon does a broker serve again after kill -9?

    python3 bench/recovery.py build/release [--gib 10] [--small] [--rounds 3]

Fills one topic, kills the broker in the middle of the load, throws the page cache away where that
is permitted, starts the broker again and takes the time from exec to the ready file, to the first
byte of the oldest data and to the first of the newest. `--small` fills with batches of one record
instead of 128. Bounded: --gib of data, --rounds restarts, and `limit` seconds of filling.
"""

import argparse
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "system"))
import lwp  # noqa: E402

FILL_SECONDS_MAX = 900
START_SECONDS_MAX = 120
GIB = 1024**3


class Process:
    """One start of the broker; `ready_ms` from exec to the ready file."""

    def __init__(self, binary, root, extra):
        self.ready_path = os.path.join(root, "ready.json")
        self.log_path = os.path.join(root, "broker.log")
        if os.path.exists(self.ready_path):
            os.unlink(self.ready_path)
        self.log_begin = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        log = open(self.log_path, "ab")
        began = time.monotonic()
        self.process = subprocess.Popen(
            [binary, "--data-dir", os.path.join(root, "data"), "--listen", "127.0.0.1:0", "--http",
             "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--ready-file", self.ready_path, *extra],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=root)
        while not os.path.exists(self.ready_path):
            if self.process.poll() is not None or time.monotonic() > began + START_SECONDS_MAX:
                self.kill()
                sys.exit("the broker does not start; see " + self.log_path)
            time.sleep(0.0005)
        self.began = began
        self.ready_ms = (time.monotonic() - began) * 1e3
        with open(self.ready_path, encoding="utf-8") as file:
            self.ready = json.load(file)

    def address(self):
        host, _, port = self.ready["lwp"].rpartition(":")
        return host, int(port)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def lines(self, event):
        """The fields of every line of this start that tells of `event`."""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            file.seek(self.log_begin)
            return [dict(re.findall(r"(\w+)=(\S+)", line)) for line in file
                    if f"event={event}" in line]


def drop_page_cache():
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
            file.write("3")
        return True
    except OSError:
        return False


def fill(bindir, process, args):
    """Loads in the background until the topic holds `--gib`, and leaves the load running."""
    record, batch = 1024, 1 if args.small else 128
    frames = int(args.gib * 2 * GIB / (record * batch)) # more than wanted: it is killed in between
    load = subprocess.Popen(
        [os.path.join(bindir, "bench", "lance_load"), "--server", process.ready["lwp"], "ingest", "--name",
         "recovery", "--record", str(record), "--batch", str(batch), "--window",
         str(4096 if args.small else 256), "--frames", str(frames), "--keep"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with lwp.Client(process.address(), timeout=60) as client:
        deadline = time.monotonic() + FILL_SECONDS_MAX
        topic = None
        while topic is None:
            topic = next((t["id"] for t in client.list()), None)
            time.sleep(0.05)
        end = 0
        while end < args.gib * GIB and time.monotonic() < deadline:
            time.sleep(0.05)
            end = client.end(topic)
    return load, topic, end


def first_bytes(process, topic, end):
    """Milliseconds from exec to a reply with data from the begin, and from right below the end."""
    with lwp.Client(process.address(), timeout=60) as client:
        times = []
        for start in (0, end - 1024):
            payload = client.command(lwp.FETCH, lwp.fetch_payload(topic, start, 1024)).payload
            if struct.unpack_from("<QI", payload)[1] == 0:
                sys.exit(f"nothing at offset {start}")
            times.append((time.monotonic() - process.began) * 1e3)
        return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bindir")
    parser.add_argument("--gib", type=float, default=10)
    parser.add_argument("--small", action="store_true", help="batches of one record")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 11))
    parser.add_argument("--dir", default=None, help="where the data goes")
    parser.add_argument("--keep", action="store_true", help="leave the data")
    parser.add_argument("--again", default=None, metavar="DIR", help="restart on data kept before")
    parser.add_argument("--lance", default=None, help="another binary than bindir's")
    args = parser.parse_args()
    args.bindir = os.path.abspath(args.bindir)  # Popen looks in its own directory
    binary = os.path.abspath(args.lance) if args.lance else os.path.join(args.bindir, "lance")
    process = load = None
    root = args.again or tempfile.mkdtemp(prefix="lance-recovery-", dir=args.dir)
    try:
        if args.again:
            process = Process(binary, root, [])
            load, end = None, None
            with lwp.Client(process.address()) as client:
                topic = client.list()[0]["id"]
                end = client.end(topic)
        else:
            process = Process(binary, root, [])
            load, topic, end = fill(args.bindir, process, args)
        for number in range(args.rounds):
            process.kill()
            if load is not None:
                load.wait()
                load = None
            cold = drop_page_cache()
            process = Process(binary, root, [])
            old_ms, new_ms = first_bytes(process, topic, end)
            opened = [line for line in process.lines("log_opened") + process.lines("logs_recovered")]
            print(f"restart {number + 1}: {end / GIB:.1f} GiB, {'cold' if cold else 'warm'} cache: "
                  f"ready {process.ready_ms:.0f} ms, first old byte {old_ms:.0f} ms, "
                  f"first new byte {new_ms:.0f} ms", flush=True)
            for line in opened:
                print("  ", {k: v for k, v in line.items() if k not in ("time", "level", "directory")})
        process.kill()
    finally:
        for each in (load, process and process.process):
            if each is not None and each.poll() is None:
                each.kill()
        if args.keep or args.again:
            print("data in " + root)
        else:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
