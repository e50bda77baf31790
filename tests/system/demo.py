"""What `./dev demo` shows: a real file goes into the broker, the broker is killed with -9, and the
file comes back to the last byte.

    demo.py <bindir> [file]

Exit code 0 when everything that was acknowledged came back unchanged, else 1.
"""

import hashlib
import os
import re
import sys
import time

import harness

DEFAULT_FILE = "/var/lib/dpkg/status"


def say(name, value):
    print(f"  {name:<22}{value}", flush=True)


def seconds(value):
    """A time as people say it."""
    if value is None:
        return "-"
    return f"{value * 1e6:.0f} us" if value < 1e-3 else f"{value * 1e3:.2f} ms"


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def must(outcome, what):
    if outcome.code != 0:
        print(f"\n{what} failed: {outcome}")
        sys.exit(1)
    return outcome


def find(told, *names):
    """The first of these keys in a JSON object, at any depth."""
    for name in names:
        stack = [told]
        while stack:
            item = stack.pop()
            if isinstance(item, dict):
                if name in item:
                    return item[name]
                stack += item.values()
    return None


def where_it_ran(broker):
    """The broker's own words about backend and lanes, from its start-up lines."""
    keys = "backend|lanes|durability|o_direct"
    words = re.findall(rf'\b({keys})[=:]\s*("[^"]*"|\S+)', broker.log())
    return ", ".join(dict.fromkeys(f"{key} {value.strip(chr(34))}" for key, value in words)) or "-"


def latencies(metrics, name):
    """p50, p99, p99.9 of one of the broker's histograms, as upper bounds."""
    values = [metrics.quantile(f"lance_{name}_latency_seconds", q) for q in (0.5, 0.99, 0.999)]
    return "   ".join(f"{word} <= {seconds(v)}" for word, v in zip(("p50", "p99", "p99.9"), values))


def single_acks(broker, count=300):
    """Seconds from sending one record to its durable ack, one at a time, sorted."""
    times = []
    with broker.client() as client:
        topic = client.create("demo-latency")["id"]
        for _ in range(count):
            started = time.perf_counter()
            client.ingest(b"x" * 200, topic)
            times.append(time.perf_counter() - started)
    return sorted(times)


def prepare(path, root):
    """The input as whole lines of text; returns (path, lines)."""
    if not os.path.exists(path):
        path = os.path.join(root, "lines")
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"line {n} of a file made for this demonstration\n"
                            for n in range(20_000))
    with open(path, "rb") as file:
        content = file.read()
    return path, content.count(b"\n") + (not content.endswith(b"\n"))


def main():
    if len(sys.argv) < 2:
        print(__doc__)
        sys.exit(2)
    harness.set_bindir(sys.argv[1])
    begin = time.perf_counter()
    broker = harness.Broker(config=None)
    path, lines = prepare(sys.argv[2] if len(sys.argv) > 2 else DEFAULT_FILE, broker.root)
    size = os.path.getsize(path)

    print("LANCE: what is acknowledged stays\n")
    started = time.perf_counter()
    broker.start()
    say("broker", f"pid {broker.process.pid} on {broker.ready['lwp']}, "
                  f"ready in {(time.perf_counter() - started) * 1e3:.0f} ms")
    say("where it runs", where_it_ran(broker))
    must(broker.lnc("topic", "create", "demo"), "topic create")

    print("\nproduce: lnc produce --topic demo --file", path)
    started = time.perf_counter()
    made = must(broker.lnc("--json", "produce", "--topic", "demo", "--file", path), "produce")
    elapsed = time.perf_counter() - started
    told = made.json_lines()[-1] if made.out.strip() else {}
    acked = find(told, "acked")
    say("records acknowledged", f"{acked} of {lines}")
    say("throughput", f"{size / elapsed / 1e6:.1f} MB/s, {lines / elapsed:,.0f} records/s, "
                      f"{elapsed:.2f} s in all, durable at each ack")
    singles = single_acks(broker)
    time.sleep(1.1)  # metrics are refreshed every second
    metrics = broker.metrics()
    say("one record, one ack", "   ".join(
        f"{word} {seconds(singles[min(len(singles) - 1, int(q * len(singles)))])}"
        for word, q in (("p50", 0.5), ("p99", 0.99))) + "   (client's clock)")
    say("ack, broker's clock", latencies(metrics, "ack"))
    say("write to disk", latencies(metrics, "io_write"))
    say("flush of the disk", latencies(metrics, "io_flush"))

    print("\ncrash: kill -9, and a new start on the same directory")
    broker.kill()
    started = time.perf_counter()
    broker.start()
    say("recovered in", f"{(time.perf_counter() - started) * 1e3:.0f} ms")

    print("\nconsume: lnc consume --topic demo --offset earliest")
    started = time.perf_counter()
    read = must(broker.lnc("consume", "--topic", "demo", "--offset", "earliest"), "consume")
    elapsed = time.perf_counter() - started
    copy = os.path.join(broker.root, "copy")
    with open(copy, "wb") as file:
        file.write(read.out)
    with open(path, "rb") as file:
        ends_with_newline = file.read().endswith(b"\n")
    if not ends_with_newline:
        os.truncate(copy, os.path.getsize(copy) - 1)
    say("records read", f"{read.out.count(10)}   {len(read.out) / elapsed / 1e6:.1f} MB/s")
    before, after = sha256(path), sha256(copy)
    say("sha256 sent", before)
    say("sha256 received", after)
    code = broker.stop()
    same = before == after and acked == lines and code == 0
    if code != 0:
        say("broker's exit code", code)
    print(f"\n{'identical: nothing was lost' if same else 'DIFFERENT: something is wrong'}"
          f"   ({time.perf_counter() - begin:.1f} s)")
    if not same:
        print(broker.log_tail())
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
