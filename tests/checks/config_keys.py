#!/usr/bin/env python3
"""No key of the configuration is ignored: every key that config/keys.cpp calls built is read by the
server, as `section.key`, somewhere in actors/.

    config_keys.py [root]
"""

import os
import re
import sys

ROW = re.compile(r'((?:\b(?:idle|refused|or_empty|with_flag)\(\s*)*)\{"(\w+)",\s*"(\w+)",\s*kind::')


def keys(root):
    """[(section, name, is built)] in the order of the table."""
    with open(os.path.join(root, "config/keys.cpp"), encoding="utf-8") as file:
        return [(section, name, not re.search("idle|refused", around))
                for around, section, name in ROW.findall(file.read())]


def server_text(root):
    text = ""
    for path, _, names in os.walk(os.path.join(root, "actors")):
        for name in sorted(names):
            if name.endswith((".cpp", ".hpp")):
                with open(os.path.join(path, name), encoding="utf-8") as file:
                    text += file.read()
    return text


def ignored(root):
    text = server_text(root)
    return [f"{section}.{name}" for section, name, built in keys(root)
            if built and not re.search(rf"\b{section}\.{name}\b", text)]


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../..")
    all_keys, unread = keys(root), ignored(root)
    for path in unread:
        print(f"config/keys.cpp: {path} is called built, but nothing in actors/ reads it: wire it, "
              "or mark it idle or refused")
    print(f"{len(all_keys)} keys, {len(unread)} of them ignored")
    return 1 if unread or not all_keys else 0


if __name__ == "__main__":
    sys.exit(main())
