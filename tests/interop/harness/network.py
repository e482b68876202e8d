"""Cells of one network of all four kinds: whatever any node does, every other one sees."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

from . import checks
from .keys import NETWORKS, decode_base58, hex_text, new_multihash, record_of
from .process import eventually
from .report import Scenario
from .world import KINDS, OURS

NODES_OF_A_KIND = 3
PARALLEL_CHECKS = 4
TIME_TO_SPREAD = 90


def all_at_once(check, items):
    """Runs a check on every item; raises the first Failure of them."""
    with ThreadPoolExecutor(PARALLEL_CHECKS) as pool:
        for _ in pool.map(check, items):
            pass


class Network:
    """The nodes, and what each of them has put and provided: once, when it is first asked for."""

    def __init__(self, world, protocol):
        self.protocol = protocol
        first = world.node(OURS, protocol)
        others = [world.begin_node(kind, protocol, bootstrap=first)
                  for kind in KINDS * NODES_OF_A_KIND][1:]
        for node in others:
            node.wait_until_ready()
        self.nodes = [first, *others]
        self._left = {}
        self._leaving = threading.Lock()

    def of_kind(self, kind):
        return [node for node in self.nodes if node.kind == kind]

    def pairs(self, kind, other_kind):
        return [(a, b) for a, b in itertools.product(self.of_kind(kind), self.of_kind(other_kind))
                if a is not b]

    def record(self, node):
        """The node's record, put on the first call."""
        def put():
            record = record_of(self.protocol, node.id)
            node.ask("put", key=record.key, value=record.value, quorum="one")
            return record
        return self._leave("record", node, put)

    def content(self, node):
        """The key of something the node provides, announced on the first call."""
        def provide():
            key = hex_text(new_multihash())
            node.ask("provide", key=key)
            return key
        return self._leave("content", node, provide)

    def _leave(self, what, node, leave):
        with self._leaving:
            if (what, node) not in self._left:
                self._left[what, node] = leave()
            return self._left[what, node]


def everyone_in_sight(kind):
    """Each node of a kind is told of all the others when it looks for its own neighbours."""
    def check(network):
        def sees_all(node):
            key = decode_base58(node.id)
            others = [other for other in network.nodes if other is not node]
            eventually(lambda: checks.check_closest(
                key, others, node.ask("closest", key=hex_text(key))), TIME_TO_SPREAD)
        all_at_once(sees_all, network.of_kind(kind))
    return check


def of_pairs(kind, other_kind, check_pair):
    """The cell in which every node of one kind leaves something for every node of another."""
    def check(network):
        all_at_once(lambda pair: check_pair(network, *pair), network.pairs(kind, other_kind))
    return check


def get(network, putter, getter):
    record = network.record(putter)
    eventually(lambda: checks.check_value(
        record, getter.ask("get", key=record.key, quorum=1)))


def find_provider(network, provider, finder):
    key = network.content(provider)
    eventually(lambda: checks.check_provider(
        provider, finder.ask("find-providers", key=key, count=1)))


def find_peer(_, sought, finder):
    eventually(lambda: checks.check_found(sought, finder.ask("find-peer", peer=sought.id)))


PAIR_CHECKS = {
    "finds the peer": find_peer,
    "gets the record of": get,
    "finds the provider": find_provider,
}


def scenarios():
    for name, protocol in NETWORKS.items():
        cells = {(f"{name} network: sees all others", kind): everyone_in_sight(kind)
                 for kind in KINDS}
        for (what, check), kind, finder in itertools.product(
                PAIR_CHECKS.items(), KINDS, KINDS):
            cells[f"{name} network: {what} {kind}", finder] = of_pairs(kind, finder, check)
        yield Scenario(lambda world, protocol=protocol: Network(world, protocol), cells)
