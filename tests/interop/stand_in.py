"""The command line of kadmium, played by one of the peers: `stand_in.py KIND COMMAND ...`."""

import argparse
import json
import os
import sys

from harness import build, keys
from harness.process import Failure, Node

FIELDS = {"ping": ["addr"], "find-peer": ["peer"], "closest": ["key"], "put": ["key", "value"],
          "get": ["key"], "provide": ["key"], "find-providers": ["key"]}


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=build.peers())
    parser.add_argument("command", choices=["node", *FIELDS])
    parser.add_argument("words", nargs="*")
    for passed_on in ("--protocol", "--bootstrap", "--mode"):
        parser.add_argument(passed_on)
    parser.add_argument("--json", action="store_true")
    for ignored in ("--listen", "--timeout", "--quorum", "--count"):
        parser.add_argument(ignored)
    return parser.parse_args()


def peer_command(arguments, mode):
    argv = [*build.peers()[arguments.kind], "--mode", mode]
    for flag in ("protocol", "bootstrap"):
        if vars(arguments)[flag]:
            argv += [f"--{flag}", vars(arguments)[flag]]
    return argv


def perform(arguments):
    fields = dict(zip(FIELDS[arguments.command], arguments.words))
    if fields.get("key", "").startswith("b"):
        fields["key"] = keys.hex_text(keys.multihash_of(fields["key"]))
    client = Node(arguments.kind, "client", peer_command(arguments, "client"))
    try:
        client.wait_until_ready()
        for result in client.ask(arguments.command, **fields):
            print(json.dumps(result))
        if arguments.command == "provide":
            # An announcement has no answer; a pong that follows it shows that it arrived.
            client.ask("ping", addr=arguments.bootstrap)
    finally:
        client.stop()


def main():
    arguments = parse_arguments()
    if arguments.command == "node":
        argv = peer_command(arguments, arguments.mode)
        os.execvp(argv[0], argv)
    try:
        perform(arguments)
    except Failure as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
