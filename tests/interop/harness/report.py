"""Runs scenarios and keeps what came of their cells, as a table of rows and columns."""

import re
import sys
from dataclasses import dataclass
from typing import Any, Callable

from .process import Failure, Skipped
from .world import OURS, PEERS, World

COLUMNS = (*PEERS, OURS)
MARKS = {True: "ok", False: "FAILED", None: "-"}


@dataclass
class Scenario:
    """Cells, named by (row, column), that share what one set-up made."""

    set_up: Callable[[World], Any]
    cells: dict


class Report:
    def __init__(self, pattern):
        self._wanted = re.compile(pattern)
        self._passed = {}

    def run(self, scenario, programs):
        """Judges the scenario's cells that are wanted."""
        cells = {name: check for name, check in scenario.cells.items()
                 if self._wanted.search("{} [{}]".format(*name))}
        if not cells:
            return
        with World(programs) as world:
            try:
                stage = scenario.set_up(world)
            except Failure as failure:
                self._fail(cells, failure, world)
                return
            except Skipped as reason:
                self._skip(cells, reason)
                return
            for name, check in cells.items():
                self._judge(name, check, stage, world)

    def _judge(self, name, check, stage, world):
        try:
            check(stage)
        except Failure as failure:
            self._fail([name], failure, world)
            return
        self._passed[name] = True
        print("ok     {} [{}]".format(*name), file=sys.stderr, flush=True)

    def _skip(self, names, reason):
        for name in names:
            self._passed[name] = None
            print("skipped {} [{}]".format(*name) + f": {reason}", file=sys.stderr, flush=True)

    def _fail(self, names, failure, world):
        for name in names:
            self._passed[name] = False
            print("FAILED {} [{}]".format(*name), file=sys.stderr)
        print(f"{failure}\n{world.transcripts(failure)}\n", file=sys.stderr, flush=True)

    def finish(self):
        """Prints the table and the totals; returns the exit status."""
        width = max((len(row) for row, _ in self._passed), default=0)
        print_row("", COLUMNS, width)
        for row in dict.fromkeys(row for row, _ in self._passed):
            marks = [MARKS[self._passed.get((row, column))] for column in COLUMNS]
            print_row(row, marks, width)
        verdicts = list(self._passed.values())
        failed, skipped = verdicts.count(False), verdicts.count(None)
        left_out = f", {skipped} skipped" if skipped else ""
        print(f"{verdicts.count(True)} passed, {failed} failed{left_out}")
        return 1 if failed else 0


def print_row(title, marks, width):
    print(f"{title:{width}}", *(f"{mark:7}" for mark in marks), sep="  ")
