"""What `./dev bench` runs: figures of the running broker and, beside each, the machine's own limit
measured in the same run on the same file system.

    python3 bench/run.py <bindir> [--quick] [--json] [--only WORD] [--dir PATH] [--no-micro]

Rounds alternate between broker and floor; medians are printed with their range.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from broker import Broker
from questions import GB, MIB, WIDE_BYTES, Questions, enough_room
from tls_questions import TlsQuestions

# Title, the deed, its arguments, the goal of "ratio" ("" for none) and the lines to print:
# (text, key, unit) or (text, keys, unit) for several numbers in one line.
ACKS = ("ack p50 / p99 / p99.9", ("ack_p50_us", "ack_p99_us", "ack_p999_us"), "us")
CPU = ("broker CPU, load CPU", ("broker_cpu_s_per_gb", "load_cpu_s_per_gb"), "s/GB")
BROKER = ("broker", "broker_mb_s", "MB/s")
WRITES = ("broker's mean write", "write_kib", "KiB")
DISK = [("floor: write+flush, into new blocks", "floor_mb_s", "MB/s"),
        ("  linked in io_uring, by calls", ("floor_linked_mb_s", "floor_calls_mb_s"), "MB/s"),
        ("  into blocks written before", "floor_other_mb_s", "MB/s")]
AGAIN = [("floor: write+flush, same blocks again", "floor_mb_s", "MB/s"), DISK[1],
         ("  into new blocks", "floor_other_mb_s", "MB/s")]
LOOPBACK = [("floor: loopback, one way", "floor_mb_s", "MB/s"),
            ("  its sender's CPU", "floor_sender_cpu_s_per_gb", "s/GB")]
SMALL = [BROKER, ("frames", "frames_s", "/s"), ACKS, CPU, *LOOPBACK]
REPLIES = [BROKER, ("reply p50 / p99", ("reply_p50_us", "reply_p99_us"), "us"), CPU,
           ("read from disk, of what was sent", "from_disk_ratio", ""), *LOOPBACK]
TURNS = ("  loopback, one request at a time", "floor_turns_mb_s", "MB/s")
READS = ("floor: bare read, direct / buffered",
         ("floor_direct_read_mb_s", "floor_buffered_read_mb_s"), "MB/s")

BESIDE = [("producer asks for", "asked_mb_s", "MB/s"),
          ("  gets alone, beside", ("alone_mb_s", "broker_mb_s"), "MB/s"),
          ("alone, ack p50 / p99 / p99.9", ("alone_ack_p50_us", "alone_ack_p99_us",
                                            "alone_ack_p999_us"), "us"),
          ("beside, ack p50 / p99 / p99.9",) + ACKS[1:],
          ("all readers", "read_mb_s", "MB/s"),
          ("  reply p99", "reply_p99_us", "us"), CPU]

PLAN = [
    ("durable", "durable ingest: 1 KiB records, 128 per frame, 1,024 in flight, fsync",
     "durable_ingest", (), ">= 0.7", [BROKER, ("records", "records_s", "/s"), ACKS, CPU, WRITES,
                                      *DISK]),
    ("durable", "the same into a topic cut to 512 MiB, which uses its files again",
     "recycled_ingest", (), "", [BROKER, ACKS, CPU, WRITES, *AGAIN]),
    ("latency", "one 1 KiB batch in flight, fsync", "one_in_flight", (), "<= 1.5",
     [("broker, ack p50 / p99 / p99.9",) + ACKS[1:],
      ("floor: write+flush + round trip, p50", "floor_p50_us", "us"),
      ("  4 KiB linked, by calls, round trip",
       ("floor_linked_p50_us", "floor_calls_p50_us", "floor_trip_p50_us"), "us"),
      ("  ratio to the linked form", "ratio_linked", ""),
      ("broker CPU", "broker_cpu", "cores")]),
    ("small", "one 1 KiB record per frame, 1,024 in flight, fsync", "small_frames", ("fsync",), "",
     SMALL),
    ("small", "the same, written", "small_frames", ("written",), "", SMALL),
    ("small", "the same, memory", "small_frames", ("memory",), "", SMALL),
    ("warm", "consume warm: just written, fetches of 1 MiB, one at a time", "consume_warm", (1,),
     "", [*REPLIES, TURNS]),
    ("warm", "the same, four in flight", "consume_warm", (4,), "", REPLIES),
    ("cold", "consume cold: page cache dropped, fetches of 1 MiB, one at a time", "consume_cold",
     (1,), "", [*REPLIES, TURNS, READS]),
    ("cold", "the same, four in flight", "consume_cold", (4,), "", [*REPLIES, READS]),
    ("beside", "a producer at half its maximum (window 64) beside one cold reader", "beside_reads",
     (1,), "<= 1.5", BESIDE),
    ("beside", "the same beside 50 cold readers", "beside_reads", (50,), "", BESIDE),
    ("four", "four connections, four topics, durable ingest as in the first line",
     "four_connections", (), "",
     [BROKER, ("slowest, fastest connection", ("slowest_mb_s", "fastest_mb_s"), "MB/s"), ACKS, CPU,
      WRITES, *DISK]),
]
PLAN += [
    ("tls", "TLS: 1 KiB records, 64 per frame, 8 frames in flight, fsync", "tls.cost", (), "<= 2.5",
     [("broker, plain / TLS", ("plain_mb_s", "tls_mb_s"), "MB/s"),
      ("broker CPU, plain / TLS", ("plain_cpu_s_per_gb", "tls_cpu_s_per_gb"), "s/GB"),
      ("ack p99, plain / TLS", ("plain_ack_p99_us", "tls_ack_p99_us"), "us")]),
    ("tls", "full handshakes of TLS 1.3, P-256, one after the other", "tls.handshake", (), "<= 1.5",
     [("broker CPU for one", "broker_us", "us"), ("floor: bare OpenSSL's server", "floor_us", "us"),
      ("broker, handshakes", "handshakes_s", "/s")]),
    ("tls", "one 1 KiB batch in flight beside 9,000 idle TLS connections and 1,000 half made",
     "tls.crowd", (9000, 1000), "<= 2",
     [("memory of an idle one", "idle_kib", "KiB"), ("memory of a half one", "half_kib", "KiB"),
      ("alone, ack p50 / p99 / p99.9", ("alone_ack_p50_us", "alone_ack_p99_us",
                                        "alone_ack_p999_us"), "us"),
      ("beside, ack p50 / p99 / p99.9",) + ACKS[1:]]),
]
AGAINST = (("alone_ack_p99_us", "ratio of p99 to p99 alone"),
           ("plain_cpu_s_per_gb", "ratio of CPU to plain CPU"))
STAGE_NAMES = ("parse", "queue", "write", "flush", "ack", "whole")


def machine(directory):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")),
                     os.uname().machine)
    mounts = []
    with open("/proc/mounts", encoding="utf-8") as file:
        for line in file:
            device, where, kind = line.split()[:3]
            if os.path.realpath(directory).startswith(where):
                mounts.append((len(where), f"{kind} on {device}"))
    return {"date": time.strftime("%Y-%m-%d %H:%M"), "kernel": os.uname().release, "cpu": model,
            "cpus": os.cpu_count(), "file_system": max(mounts)[1],
            "load_average_before": os.getloadavg()[0]}


def program(path, *fixed):
    def run(*words):
        line = [path, *map(str, fixed), *map(str, words)]
        done = subprocess.run(line, stdout=subprocess.PIPE, text=True, timeout=120, check=False)
        if done.returncode != 0:
            sys.exit("failed: " + " ".join(line))
        return json.loads(done.stdout) if done.stdout.strip() else {}
    return run


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def median_of(rounds, key):
    """Median, smallest and largest of the rounds that have the number; None without any."""
    values = [each[key] for each in rounds if key in each]
    return (statistics.median(values), min(values), max(values)) if values else None


def text_of(rounds, keys):
    if isinstance(keys, str):
        middle, low, high = median_of(rounds, keys)
        spread = f"  [{number(low)} .. {number(high)}]" if len(rounds) > 1 else ""
        return number(middle) + spread, True
    return " / ".join(number(median_of(rounds, key)[0]) for key in keys), False


def show(title, goal, lines, rounds):
    print(f"\n{title}")
    for label, keys, unit in lines:
        if all(median_of(rounds, key) for key in ([keys] if isinstance(keys, str) else keys)):
            text, single = text_of(rounds, keys)
            head, bracket, spread = text.partition("  [")
            print(f"  {label:36} {head:>8} {unit}{bracket}{spread}" if single
                  else f"  {label:36} {text} {unit}")
    middle, low, high = median_of(rounds, "ratio")
    said = ""
    if goal:
        sign, limit = goal.split()
        met = middle >= float(limit) if sign == ">=" else middle <= float(limit)
        said = f"  goal {goal}: {'met' if met else 'NOT MET'}"
    against = next((text for key, text in AGAINST if key in rounds[0]), "ratio to the floor")
    print(f"  {against:36} {middle:8.2f}  [{low:.2f} .. {high:.2f}]{said}")
    stages = [f"{name} {number(median_of(rounds, f'stage_{name}_p50_us')[0])}/"
              f"{number(median_of(rounds, f'stage_{name}_p99_us')[0])}"
              for name in STAGE_NAMES if median_of(rounds, f"stage_{name}_p50_us")]
    if stages:
        print("  broker's stages, p50/p99 us:         " + ", ".join(stages))
    refused = median_of(rounds, "refused")
    if refused and refused[2] > 0:
        print(f"  frames refused by backpressure       {number(refused[0])}")
    sys.stdout.flush()


def micro(bindir):
    path = os.path.join(bindir, "bench", "micro_bench")
    run = subprocess.run([path, "--benchmark_format=json", "--benchmark_min_time=0.05"],
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    results = []
    for each in json.loads(run.stdout)["benchmarks"]:
        results.append({"name": each["name"], "ns": each["cpu_time"],
                        "gb_per_s": each.get("bytes_per_second", 0) / GB})
    return results


def arguments():
    parser = argparse.ArgumentParser(prog="bench/run.py", description=__doc__.split("\n")[0])
    parser.add_argument("bindir")
    parser.add_argument("--quick", action="store_true", help="one short round, under 40 s")
    parser.add_argument("--json", action="store_true", help="one JSON object with every round")
    parser.add_argument("--only", choices=sorted({each[0] for each in PLAN} | {"micro"}))
    parser.add_argument("--dir", help="where broker and floor write; default: in <bindir>")
    parser.add_argument("--no-micro", action="store_true", help="leave the stages in memory out")
    return parser.parse_args()


def measure(chosen, directory, facts):
    rounds, seconds, cold, wide = ((1, 1, 512 * MIB, 1024 * MIB) if chosen.quick
                                   else (3, 2, 1024 * MIB, WIDE_BYTES))
    if not enough_room(directory, Questions.room_needed(cold + wide, rounds, seconds)):
        sys.exit(f"not enough room in {directory}: give another place with --dir")
    broker = Broker(chosen.bindir, directory)
    load = program(os.path.join(chosen.bindir, "bench", "lance_load"), "--server",
                   broker.facts["lwp"], "--broker", broker.facts["pid"])
    floor = program(os.path.join(chosen.bindir, "bench", "lance_floor"))
    questions = Questions(broker, load, floor, directory, seconds, cold, wide)
    secure = TlsQuestions(chosen.bindir, directory, questions, program)
    found = []
    for word, title, deed, words, goal, lines in PLAN:
        if chosen.only not in (None, word):
            continue
        results = []
        for _ in range(rounds):
            whom, _, name = deed.rpartition(".")
            results.append(getattr(secure if whom else questions, name)(*words))
            questions.settle()
        found.append({"question": word, "title": title, "goal": goal, "rounds": results})
        if not chosen.json:
            show(title, goal, lines, results)
    secure.stop()
    broker.stop()
    facts["load_average_after"] = os.getloadavg()[0]
    return found


def main():
    chosen = arguments()
    chosen.bindir = os.path.abspath(chosen.bindir)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=chosen.dir or chosen.bindir) as directory:
        facts = machine(directory)
        if not chosen.json:
            print("machine:", ", ".join(f"{key} {value}" for key, value in facts.items()))
        found = [] if chosen.only == "micro" else measure(chosen, directory, facts)
    stages = [] if chosen.no_micro or chosen.only not in (None, "micro") else micro(chosen.bindir)
    if chosen.json:
        print(json.dumps({"machine": facts, "figures": found, "micro": stages}))
        return
    if stages:
        print("\nstages in memory (Google Benchmark, CPU time)")
        for each in stages:
            rate = f"{each['gb_per_s']:8.2f} GB/s" if each["gb_per_s"] else ""
            print(f"  {each['name']:36} {number(each['ns']):>10} ns {rate}")
    if found:
        print(f"\nload average before {facts['load_average_before']:.2f}, after "
              f"{facts['load_average_after']:.2f}")


if __name__ == "__main__":
    main()
