"""Cells of go-libp2p and us asking each other by AutoNAT v2 whether we can be reached.

Neither asks for addresses that are not public, so the programs run in two network namespaces of
their own, joined by a pair of interfaces with addresses that look so."""

import os
import subprocess

from . import checks
from .keys import PUBLIC
from .process import Skipped, without_id
from .report import Scenario
from .world import OURS

KIND = "go"
HERE, THERE = "11.0.0.1", "11.0.0.2"
# go-libp2p wants three answers, each of another server.
SERVERS = 3
VERDICT_TIMEOUT = 60


class Host:
    """A network namespace, held open by a process that sleeps."""

    def __init__(self, world, inside=None):
        argv = ["unshare", "--net"] if inside else ["unshare", "--user", "--map-root-user", "--net"]
        self._process = subprocess.Popen([*(inside.enter if inside else ()), *argv, "cat"],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         stderr=subprocess.DEVNULL)
        world.add_clean_up(self._process.kill)
        # It answers, so it is in there.
        try:
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
            ready = self._process.stdout.read(1)
        except BrokenPipeError:
            ready = b""
        if not ready:
            raise Skipped("no network namespaces are allowed here")

    @property
    def pid(self):
        return self._process.pid

    @property
    def enter(self):
        return ["nsenter", "--target", str(self.pid), "--user", "--net", "--preserve-credentials"]

    def run(self, *argv):
        done = subprocess.run([*self.enter, *argv], capture_output=True, text=True)
        if done.returncode != 0:
            raise Skipped(f"{' '.join(argv)}: {done.stderr.strip()}")

    def take(self, interface, address):
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{address}/24", "dev", interface)
        self.run("ip", "link", "set", interface, "up")


def two_hosts(world):
    here = Host(world)
    there = Host(world, inside=here)
    here.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far",
             "netns", str(there.pid))
    here.take("near", HERE)
    there.take("far", THERE)
    return here, there


def ours(world, host, address, mode, *flags):
    argv = [*host.enter, *(os.path.abspath(word) for word in world.programs.tool), "node",
            "--json", "--protocol", PUBLIC, "--mode", mode, "--listen", f"/ip4/{address}/tcp/0"]
    return world.start(OURS, [*argv, *flags])


def theirs(world, host, address, *flags):
    argv = [*host.enter, *world.programs.nodes[KIND], "--autonat", "--listen",
            f"/ip4/{address}/tcp/0"]
    return world.start(KIND, [*argv, *flags])


def bootstrap(nodes):
    flags = []
    for node in nodes:
        flags += ["--bootstrap", node.address]
    return flags


def they_dial_back():
    def set_up(world):
        here, there = two_hosts(world)
        servers = [theirs(world, there, THERE) for _ in range(2)]
        return ours(world, here, HERE, "auto", *bootstrap(servers))

    def check(node):
        reached = node.wait_for("reachable", timeout=VERDICT_TIMEOUT)["addrs"]
        checks.require([without_id(a) for a in reached] == [without_id(node.address)],
                       f"reachable at {reached}, not {node.address}")
        node.wait_for("mode", lambda e: e["mode"] == "server")

    return Scenario(set_up, {("AutoNAT v2: they dial us back", KIND): check})


def we_dial_back():
    def set_up(world):
        here, there = two_hosts(world)
        servers = [ours(world, here, HERE, "server") for _ in range(SERVERS)]
        return theirs(world, there, THERE, *bootstrap(servers))

    def check(node):
        address = without_id(node.address)
        node.wait_for("reachability", lambda e: address in e["reachable"],
                      timeout=VERDICT_TIMEOUT)

    return Scenario(set_up, {("AutoNAT v2: we dial them back", KIND): check})


def scenarios():
    yield they_dial_back()
    yield we_dial_back()
