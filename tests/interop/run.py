#!/usr/bin/env python3
"""Runs Kadmium against go-libp2p, rust-libp2p and js-libp2p; see README.md."""

import argparse
import itertools
import os
import sys
from pathlib import Path

from harness import autonat, build, network, pairs, pnet, records, security, streams
from harness.report import Report
from harness.world import STREAMS, Programs

HERE = Path(__file__).resolve().parent
KADMIUM = HERE.parent.parent / "build" / "kadmium"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="PATTERN", default="",
                        help="run the cells whose 'row [column]' the regular expression matches")
    parser.add_argument("--kadmium", metavar="PATH", type=Path, default=KADMIUM,
                        help="our command (default: %(default)s)")
    parser.add_argument("--build-only", action="store_true", help="build the peers and stop")
    parser.add_argument("--stand-in", choices=("go", "js"),
                        help="let a peer play Kadmium's part: a test of these tests")
    return parser.parse_args()


def choose_programs(kadmium, stand_in):
    if stand_in:
        command = [sys.executable, str(HERE / "stand_in.py"), stand_in]
        return Programs(command, build.peers(), stand_in)
    if not os.access(kadmium, os.X_OK):
        sys.exit(f"{kadmium} is not there: build Kadmium first, or give --kadmium PATH")
    if not os.access(kadmium.with_name(STREAMS), os.X_OK):
        sys.exit(f"{STREAMS} is not beside {kadmium}: build the target kadmium_streams")
    return Programs([str(kadmium)], build.peers())


def main():
    arguments = parse_arguments()
    missing = build.missing_tool()
    if missing:
        sys.exit(missing)
    build.build()
    if arguments.build_only:
        return

    programs = choose_programs(arguments.kadmium, arguments.stand_in)
    report = Report(arguments.only)
    # No peer has a command like `publish`, or our flags for keys.
    ours_alone = () if arguments.stand_in else itertools.chain(
        security.scenarios(), pnet.scenarios(), streams.scenarios(), autonat.scenarios(),
        records.scenarios())
    for scenario in itertools.chain(pairs.scenarios(), ours_alone, network.scenarios()):
        report.run(scenario, programs)
    sys.exit(report.finish())


if __name__ == "__main__":
    main()
