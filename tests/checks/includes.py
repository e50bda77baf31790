#!/usr/bin/env python3
"""Who may include whom: reads our files and prints file:line of every include that points the wrong
way, of foreign headers outside the files that may see them, and of headers out of shape.

    includes.py [root]
"""

import fnmatch
import os
import re
import sys

# folder -> what of ours it may include: whole folders, or single headers.
VOCABULARY = ["runtime/result.hpp", "runtime/check.hpp", "runtime/types.hpp", "runtime/bytes.hpp"]
OURS = {
    "runtime": ["runtime/"],
    "wire": ["wire/", *VOCABULARY],
    "storage": ["storage/", "runtime/", "wire/"],
    "cluster": ["cluster/", "runtime/", "wire/", "storage/"],
    "config": ["config/", "runtime/", "storage/options.hpp", "cluster/options.hpp"],
    "actors": ["actors/", "runtime/", "wire/", "storage/", "cluster/", "config/"],
    "client": ["client/", "runtime/", "wire/"],
    "client/cli": ["client/", "runtime/", "wire/"],
    "tests": [""],
    "bench": [""],
}
# Single files that may see more than their folder.
MORE = {"client/cli/*inspect*": ["storage/"],
        "client/cli/access_files.*": ["cluster/", "storage/"]}

# The files that talk to the kernel; what stands beside them decides and can be tested without it.
SHELLS = ["runtime/*",
          "storage/posix_*", "storage/uring_file.*", "storage/segment.*",
          "actors/network_actor.cpp", "actors/listener.cpp", "actors/http.cpp",
          "actors/system.cpp", "actors/main.cpp",
          "actors/doctor/probes.cpp", "actors/doctor/interrupts.cpp",
          "client/connection.cpp", "client/wakeup.cpp", "client/offset_store.cpp",
          "client/cli/*.cpp"]

# foreign header -> the files that may see it.
FOREIGN = {
    "caf/*": ["runtime/lane.*", "runtime/lane_scheduler.*", "runtime/owned_message.*",
              "actors/*_actor.*", "actors/*_broker.*", "actors/system.*", "actors/messages.*",
              "actors/main.cpp"],
    "lance/*": ["client/examples/*"], # installed: who uses the library
    "liburing.h": ["runtime/uring.cpp"],
    "numa*.h": ["runtime/numa.cpp"],
    "openssl/*": ["runtime/tls.cpp", "runtime/secret.cpp"],
    "spdlog/*": ["runtime/log.cpp"],
    "prometheus/*": ["runtime/metrics.cpp"],
    "lz4*.h": ["wire/compress.cpp"],
    "zstd*.h": ["wire/compress.cpp"],
    "isa-l*": ["wire/checksum.cpp"],
    "nlohmann/*": ["wire/control*.cpp", "client/cli/*.cpp", "actors/http*.cpp", "actors/main.cpp",
                   "actors/doctor/report.cpp"],
    "toml++/*": ["config/load.cpp"],
    "civetweb.h": ["actors/http.cpp"],
    "CLI/*": ["client/cli/*", "actors/main.cpp"],
    "tl/expected.hpp": ["runtime/result.hpp"],
    "catch2/*": [],
    "benchmark/*": [],
    "seccomp.h": [],
    # The kernel's own: folders that decide do not ask it.
    "sys/*": SHELLS,
    "netinet/*": SHELLS,
    "arpa/*": SHELLS,
    "netdb.h": SHELLS,
    "poll.h": SHELLS,
    "fcntl.h": SHELLS,
    "dirent.h": SHELLS,
    "unistd.h": [*SHELLS, "config/load.cpp"],
    "signal.h": SHELLS,
    "strings.h": SHELLS,
    "pthread.h": ["runtime/*"],
    "sched.h": ["runtime/*"],
    "*intrin.h": ["wire/checksum.cpp", "runtime/*"],
    "ifaddrs.h": SHELLS,
    "linux/*": ["runtime/*"],
}
FREE_OF_LIMITS = ("tests/", "bench/")
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
STANDARD = re.compile(r"^[a-z_0-9]+$")  # <vector>, <cstdint>: the language's own


def our_files(root):
    for folder in sorted({name.split("/")[0] for name in OURS}):
        for path, directories, names in os.walk(os.path.join(root, folder)):
            directories.sort()
            for name in sorted(names):
                if name.endswith((".hpp", ".cpp")):
                    yield os.path.relpath(os.path.join(path, name), root)


def matches(path, patterns):
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def allowed_here(path):
    folder = max((f for f in OURS if path.startswith(f + "/")), key=len)
    allowed = list(OURS[folder])
    for pattern, more in MORE.items():
        if fnmatch.fnmatchcase(path, pattern):
            allowed += more
    return folder, allowed


def judge_own(path, header, root):
    if header.startswith(".") or "/../" in header:
        return f'"{header}": paths begin at the root of the repository'
    folder, allowed = allowed_here(path)
    if path.startswith(FREE_OF_LIMITS) and "/" not in header and os.path.isfile(
            os.path.join(root, os.path.dirname(path), header)):
        return None  # what the tests of one folder share lies beside them
    if not os.path.isfile(os.path.join(root, header)):
        return f'"{header}" is no file of ours: foreign headers stand in <>'
    if not any(header.startswith(prefix) for prefix in allowed):
        return f'"{header}": {folder}/ must not know it'
    return None


def judge_foreign(path, header):
    if path.startswith(FREE_OF_LIMITS) or STANDARD.match(header):
        return None
    known = [pattern for pattern in FOREIGN if fnmatch.fnmatchcase(header, pattern)]
    if not known:
        return f"<{header}> is in no line of the table: add the one file that may see it"
    if not any(matches(path, FOREIGN[pattern]) for pattern in known):
        return f"<{header}> must not be seen here"
    return None


def judge_file(root, path):
    """Yields (line, sentence)."""
    with open(os.path.join(root, path), encoding="utf-8") as file:
        lines = file.read().splitlines()
    includes = []
    for number, line in enumerate(lines, 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        own, foreign = found.groups()
        includes.append((number, own))
        sentence = judge_own(path, own, root) if own else judge_foreign(path, foreign)
        if sentence:
            yield number, sentence
    if path.endswith(".hpp"):
        if not any(line.strip() == "#pragma once" for line in lines):
            yield 1, "a header begins with #pragma once"
        for number, line in enumerate(lines, 1):
            if re.match(r"\s*using\s+namespace\b", line):
                yield number, "no `using namespace` in a header"
    else:
        header = path[:-4] + ".hpp"
        if os.path.isfile(os.path.join(root, header)) and includes[:1] and includes[0][1] != header:
            yield includes[0][0], f'own header first: "{header}"'


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../..")
    wrong = files = 0
    for path in our_files(root):
        files += 1
        for line, sentence in judge_file(root, path):
            print(f"{path}:{line}: {sentence}")
            wrong += 1
    print(f"{files} files, {wrong} includes out of order")
    return 1 if wrong or not files else 0


if __name__ == "__main__":
    sys.exit(main())
