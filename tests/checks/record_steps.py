#!/usr/bin/env python3
"""The way of one record: the tables of README.md name each step and its place; the source carries
`record n/9` (and `fetch n/6` on the way back) exactly once for each step that is built, in one of the
named places. A step that is not built yet says `goal` in its row and has no place in the source.

    record_steps.py [root]
"""

import os
import re
import sys

FOLDERS = ("runtime", "wire", "storage", "cluster", "config", "actors", "client")
WAYS = {"record": 9, "fetch": 6}
STEP = re.compile(r"\b(record|fetch) (\d)/(\d)\b")
ROW = re.compile(r"^\|\s*(record|fetch) (\d)/(\d)\s*\|(.*)\|\s*$")


def places_in_source(root):
    """(way, step) -> [(path, line)]"""
    found = {}
    for folder in FOLDERS:
        for path, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if not name.endswith((".hpp", ".cpp")):
                    continue
                full = os.path.join(path, name)
                with open(full, encoding="utf-8") as file:
                    for number, line in enumerate(file, 1):
                        for way, step, of in STEP.findall(line):
                            place = (os.path.relpath(full, root), number)
                            found.setdefault((way, int(step), int(of)), []).append(place)
    return found


def rows_of_readme(root):
    """(way, step, of) -> (line, is goal, named places)"""
    rows, doubled = {}, []
    with open(os.path.join(root, "README.md"), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            row = ROW.match(line)
            if not row:
                continue
            way, step, of, rest = row.groups()
            key = (way, int(step), int(of))
            if key in rows:
                doubled.append(f"README.md:{number}: {way} {step}/{of} stands twice")
            rows[key] = (number, bool(re.search(r"\bgoal\b", rest)), re.findall(r"`([^`]+)`", rest))
    return rows, doubled


def judge(root):
    source = places_in_source(root)
    rows, wrong = rows_of_readme(root)
    for way, length in WAYS.items():
        if way != "record" and not any(key[0] == way for key in [*rows, *source]):
            continue  # the way back is described or it is not, but never by halves
        for step in range(1, length + 1):
            key = (way, step, length)
            if key not in rows:
                wrong.append(f"README.md:1: no row for {way} {step}/{length}")
                continue
            line, goal, named = rows[key]
            here = source.pop(key, [])
            where = ", ".join(f"{path}:{number}" for path, number in here) or "nowhere"
            if goal and here:
                wrong.append(f"README.md:{line}: {way} {step}/{length} is called a goal, but is in "
                             f"the source: {where}")
            if not goal and len(here) != 1:
                wrong.append(f"README.md:{line}: {way} {step}/{length} must be in the source once, "
                             f"but is: {where}")
            for path, number in [] if goal else here:
                if os.path.splitext(path)[0] not in named:
                    wrong.append(f"{path}:{number}: {way} {step}/{length} is here, but README.md:"
                                 f"{line} names {', '.join(named)}")
    for (way, step, of), here in sorted(source.items()):
        for path, number in here:
            wrong.append(f"{path}:{number}: {way} {step}/{of} is no step of README.md")
    return wrong


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../..")
    wrong = judge(root)
    for sentence in wrong:
        print(sentence)
    print(f"the way of one record: {len(wrong)} things out of step")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
