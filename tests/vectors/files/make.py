#!/usr/bin/env python3
"""Writes the folder of files that a node of today leaves behind, for versions
to come, which must read it:

    tests/vectors/files/make.py KADMIUM FOLDER

FOLDER then holds what `kadmium node --key key --state state --store store`
wrote, and about.json says what is in there. Made once for each version; never
changed afterwards."""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../tool"))
os.environ["KADMIUM"] = os.path.abspath(sys.argv[1])

from harness import Node  # noqa: E402 (wants KADMIUM)

CONTENT = "0x1220" + "0a" * 32
OTHERS = "0x1220" + "0b" * 32


def ok(node, op, **parameters):
    answers = node.ask(op, op, **parameters)
    assert answers[-1]["result"] == "ok", answers


def main():
    folder = sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    files = []
    for name in ("key", "state", "store"):
        files += ["--" + name, os.path.join(folder, name)]
    other = Node(listen="/ip4/127.0.0.1/tcp/14017").ready()
    node = Node(*files, bootstrap=[other.address]).ready()
    made = time.time()
    ok(node, "put", key="own", value="written by this node")
    ok(other, "put", key="other", value="written by another", quorum="all")
    ok(node, "provide", key=CONTENT)
    ok(other, "provide", key=OTHERS)
    about = {
        "version": subprocess.run([os.environ["KADMIUM"], "--version"],
                                  capture_output=True, text=True,
                                  check=True).stdout.strip(),
        "made": int(made), "id": node.id, "other": other.id,
        "other_address": other.address,
        "records": {"own": "written by this node",
                    "other": "written by another"},
        "provides": CONTENT, "other_provides": OTHERS}
    node.stop()
    other.stop()
    with open(os.path.join(folder, "about.json"), "w") as out:
        json.dump(about, out, indent=2)
        out.write("\n")


main()
