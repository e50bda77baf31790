"""What is measured: each question runs in alternating rounds, first the broker, then the floor
beside it. A round gives a flat dictionary of numbers; run.py makes medians and ranges of them."""

import concurrent.futures
import os
import shutil
import sys
import time

KIB, MIB, GB = 1 << 10, 1 << 20, 1e9
FRAME_HEADER, FETCH_HEAD = 44, 16
FETCH_BYTES = MIB
WIDE_BYTES = 8 << 30
READ_SECONDS_MAX = 90
FLOOR_NEW_BYTES = 4 << 30  # more than a floor writes in its time
RECYCLED_BYTES = 512 * MIB  # four segments: one in work, the others dropped and begun in turn
RECYCLED_WARM_UP = 1.0  # until segments are begun in files of dropped ones
WARM_FRAMES = 192  # of 128 KiB: 24 MiB, half of the smallest tail cache on machines that bench
STAGES = (("parse", "lance_stage_seconds", 'stage="parse"'),
          ("queue", "lance_stage_seconds", 'stage="queue"'),
          ("write", "lance_io_write_latency_seconds", ""),
          ("flush", "lance_io_flush_latency_seconds", ""),
          ("ack", "lance_stage_seconds", 'stage="ack"'),
          ("whole", "lance_ingest_latency_seconds", ""))


def _aligned(size):
    return max(4 * KIB, int(size + 2 * KIB) // (4 * KIB) * (4 * KIB))


def _per_gb(seconds, outcome):
    return seconds / (outcome["bytes"] / GB)


class Questions:
    """broker: a Broker; load, floor: functions that run the program and return its JSON; seconds:
    of one measurement; cold_bytes: of the log of the cold questions; wide_bytes: of the one that is
    read beside writes."""

    def __init__(self, broker, load, floor, directory, seconds, cold_bytes, wide_bytes):
        self.broker, self.load, self.floor = broker, load, floor
        self.seconds, self.cold_bytes, self.wide_bytes = seconds, cold_bytes, wide_bytes
        self.floor_file = os.path.join(directory, "floor.dat")
        self.names = 0
        self.cold_log = self.wide_log = self.most_mb_s = None

    # -- pieces --------------------------------------------------------------------------------

    def _name(self):
        self.names += 1
        return f"bench-{self.names}"

    def _ingest(self, *words, stages=True, seconds=None):
        """One load of ingest, with what the broker's own metrics say about it."""
        before = self.broker.metrics()
        got = self.load("--seconds", seconds or self.seconds, "ingest", "--name", self._name(), *words)
        after = self.broker.metrics()
        flushes = after.since(before, "lance_io_flush_latency_seconds_count")
        numbers = {
            "broker_mb_s": got["mb_per_s"],
            "frames_s": got["frames"] / got["seconds"],
            "ack_p50_us": got["ack"]["p50_us"],
            "ack_p99_us": got["ack"]["p99_us"],
            "ack_p999_us": got["ack"]["p999_us"],
            "broker_cpu_s_per_gb": _per_gb(got["broker_cpu_s"], got),
            "load_cpu_s_per_gb": _per_gb(got["load_cpu_s"], got),
            "broker_cpu": got["broker_cpu_s"] / got["seconds"],
            "refused": got["refused"],
        }
        if flushes:
            written = after.since(before, "lance_bytes_written_total")
            numbers["write_kib"] = written / flushes / KIB
        if stages:
            for stage, name, label in STAGES:
                found = after.quantiles_us(before, name, label)
                if found:
                    numbers[f"stage_{stage}_p50_us"] = found["p50"]
                    numbers[f"stage_{stage}_p99_us"] = found["p99"]
        return numbers, got

    def _disk(self, size, seconds, new=False):
        """Bare write and flush both ways; the faster one is the floor. `new`: into blocks that were
        only allocated, as those of a log's next segment are, which cost a file system more."""
        both = {}
        place = ("--file", self.floor_file)
        if new:
            place = ("--file", self.floor_file + ".new", "--unwritten", "--file-bytes",
                     FLOOR_NEW_BYTES)
        for form, words in (("linked", ()), ("calls", ("--calls",))):
            both[form] = self.floor("write", *place, "--size", size, "--seconds", seconds, *words)
        if new:
            os.unlink(place[1])
        return both

    def _disk_rate(self, numbers, new=True):
        """Beside what the broker wrote: the same writes, into the kind of blocks it had."""
        size = _aligned(numbers["write_kib"] * KIB)
        both = self._disk(size, self.seconds / 2, new)
        other = self._disk(size, self.seconds / 2, not new)
        numbers["floor_linked_mb_s"] = both["linked"]["mb_per_s"]
        numbers["floor_calls_mb_s"] = both["calls"]["mb_per_s"]
        numbers["floor_mb_s"] = max(each["mb_per_s"] for each in both.values())
        numbers["floor_other_mb_s"] = max(each["mb_per_s"] for each in other.values())
        numbers["ratio"] = numbers["broker_mb_s"] / numbers["floor_mb_s"]
        return numbers

    def _bulk(self, numbers, piece):
        got = self.floor("bulk", "--piece", piece, "--seconds", self.seconds / 2)
        numbers["floor_mb_s"] = got["mb_per_s"]
        numbers["floor_sender_cpu_s_per_gb"] = _per_gb(got["own_cpu_s"], got)
        numbers["ratio"] = numbers["broker_mb_s"] / got["mb_per_s"]
        return numbers

    def settle(self):
        """Lets deletions and lazy flushes of what went before pass."""
        os.sync()
        time.sleep(0.2)

    # -- ingest --------------------------------------------------------------------------------

    def durable_ingest(self):
        numbers, got = self._ingest("--batch", 128, "--window", 8)
        numbers["records_s"] = numbers["frames_s"] * 128
        return self._disk_rate(numbers)

    def recycled_ingest(self):
        """The same into a topic of bounded size, whose files are used again."""
        numbers, _ = self._ingest("--batch", 128, "--window", 8, "--max-bytes", RECYCLED_BYTES,
                                  "--warm-up", RECYCLED_WARM_UP)
        return self._disk_rate(numbers, new=False)

    def one_in_flight(self):
        numbers, _ = self._ingest("--batch", 1, "--window", 1)
        both = self._disk(4 * KIB, self.seconds / 2)
        trip = self.floor("trip", "--request", FRAME_HEADER + KIB, "--reply", FRAME_HEADER,
                           "--seconds", self.seconds / 2)["trip"]
        numbers["floor_linked_p50_us"] = both["linked"]["write"]["p50_us"]
        numbers["floor_calls_p50_us"] = both["calls"]["write"]["p50_us"]
        numbers["floor_trip_p50_us"] = trip["p50_us"]
        disk = min(both[form]["write"]["p50_us"] for form in both)
        numbers["floor_p50_us"] = disk + trip["p50_us"]
        numbers["ratio"] = numbers["ack_p50_us"] / numbers["floor_p50_us"]
        numbers["ratio_linked"] = numbers["ack_p50_us"] / (
            numbers["floor_linked_p50_us"] + trip["p50_us"])
        return numbers

    def small_frames(self, durability):
        numbers, _ = self._ingest("--batch", 1, "--window", 1024, "--durability", durability)
        return self._bulk(numbers, 256 * KIB)

    def four_connections(self):
        numbers, got = self._ingest("--batch", 128, "--window", 8, "--connections", 4)
        rates = got["connections_mb_per_s"]
        numbers["slowest_mb_s"], numbers["fastest_mb_s"] = min(rates), max(rates)
        return self._disk_rate(numbers)

    # -- consume -------------------------------------------------------------------------------

    def _fetch(self, log, size, in_flight, *words):
        reads = self.broker.disk_reads()
        got = self.load("--seconds", self.seconds, "fetch", "--log", log, "--log-bytes", size,
                         "--fetch", FETCH_BYTES, "--in-flight", in_flight, *words)
        numbers = {
            "broker_mb_s": got["mb_per_s"],
            "reply_p50_us": got["reply"]["p50_us"],
            "reply_p99_us": got["reply"]["p99_us"],
            "reply_kib": got["reply_bytes"] / KIB,
            "broker_cpu_s_per_gb": _per_gb(got["broker_cpu_s"], got),
            "load_cpu_s_per_gb": _per_gb(got["load_cpu_s"], got),
            "from_disk_ratio": (self.broker.disk_reads() - reads) / got["bytes"],
        }
        piece = got["reply_bytes"] + FRAME_HEADER + FETCH_HEAD
        if in_flight == 1:
            trip = self.floor("trip", "--request", FRAME_HEADER + FETCH_HEAD, "--reply", piece,
                               "--seconds", self.seconds / 2)
            numbers["floor_turns_mb_s"] = trip["mb_per_s"]
        return self._bulk(numbers, piece)

    def consume_warm(self, in_flight):
        name = self._name()
        written = self.load("ingest", "--name", name, "--frames", WARM_FRAMES, "--keep")
        try:
            return self._fetch(written["topics"][0], WARM_FRAMES * 128 * KIB, in_flight)
        finally:
            self.load("delete", "--log", written["topics"][0])

    def _write_log(self, size):
        """Its id and its topic's name."""
        name = self._name()
        written = self.load("ingest", "--name", name, "--frames", size // (128 * KIB), "--keep")
        self.settle()
        return written["topics"][0], name + "-0"

    def consume_cold(self, in_flight):
        if self.cold_log is None:
            self.cold_log = self._write_log(self.cold_bytes)
        log, name = self.cold_log
        files = self.broker.segments(name)
        self._forget(files)
        numbers = self._fetch(log, self.cold_bytes, in_flight, "--once")
        numbers["floor_direct_read_mb_s"] = self.floor("read", *files)["mb_per_s"]
        self._forget(files)
        numbers["floor_buffered_read_mb_s"] = self.floor("read", "--buffered", *files)["mb_per_s"]
        return numbers

    # -- both ----------------------------------------------------------------------------------

    def _at_half(self):
        """A producer at half of what it reaches with nothing beside it."""
        if self.most_mb_s is None:
            self.most_mb_s = self._ingest("--batch", 128, "--window", 8)[0]["broker_mb_s"]
        return self._ingest("--batch", 128, "--window", 64, "--rate", self.most_mb_s / 2,
                            seconds=2 * self.seconds)[0]

    def beside_reads(self, readers):
        """The producer alone, then while a log that is in no memory is read. One reader goes
        through all of it, many go on for as long as the producer does."""
        if self.wide_log is None:
            self.wide_log = self._write_log(self.wide_bytes)
        log, name = self.wide_log
        alone = self._at_half()
        self.settle()
        self._forget(self.broker.segments(name))
        words = ("fetch", "--log", log, "--log-bytes", self.wide_bytes, "--fetch", FETCH_BYTES,
                 "--connections", readers, "--in-flight", 2)
        until_read = readers == 1 and self.wide_bytes >= WIDE_BYTES
        seconds = READ_SECONDS_MAX if until_read else 2 * self.seconds + 2
        with concurrent.futures.ThreadPoolExecutor(1) as beside:
            reading = beside.submit(self.load, "--seconds", seconds, *words,
                                    *(("--once",) if until_read else ()))
            time.sleep(0.3)
            numbers = self._at_half()
            if reading.done():
                sys.exit("the readers were done before the producer was")
            read = reading.result()
        numbers["read_mb_s"] = read["mb_per_s"]
        numbers["read_s"] = read["seconds"]
        numbers["reply_p99_us"] = read["reply"]["p99_us"]
        numbers["asked_mb_s"] = self.most_mb_s / 2
        numbers["alone_mb_s"] = alone["broker_mb_s"]
        for each in ("ack_p50_us", "ack_p99_us", "ack_p999_us"):
            numbers["alone_" + each] = alone[each]
        numbers["ratio"] = numbers["ack_p99_us"] / alone["ack_p99_us"]
        return numbers

    @staticmethod
    def _forget(files):
        """Takes the files out of the page cache: all of it where that is permitted."""
        try:
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
                file.write("1")
        except OSError:
            for path in files:
                descriptor = os.open(path, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)

    @staticmethod
    def room_needed(cold_bytes, rounds, seconds):
        """Bytes of disk a run may use: the cold logs, the floor's files, and the topics of one
        question at a time at two GB/s, none of which is kept."""
        return cold_bytes + 512 * MIB + FLOOR_NEW_BYTES + int(2 * GB * (seconds + 1)) + rounds * 64 * MIB


def enough_room(directory, needed):
    return shutil.disk_usage(directory).free > needed
