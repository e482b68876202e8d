"""J-01, J-02: nodes on links that lose, delay, repeat, reorder, damage and
throttle packets. Requests and streams make progress, or end in their time with
an error that has a name; nobody dies; and when the link is well again, so is
everything else.

Each kind of link has a network of its own (network.py), and all run at once:
what they do is wait. KADMIUM_LOAD=1 adds those that take minutes."""

import concurrent.futures
import os
import time
import unittest

from harness import KADMIUM, Node
from network import Network, Trouble, main

STREAMS = (os.environ["STREAMS"],)
BIG = os.environ.get("KADMIUM_LOAD", "0") not in ("", "0")
# Requests of nodes end by themselves after that; looking at it takes a while.
TIMEOUT = 60 if BIG else 15
SLACK = 5
# After that everything must be well again: who failed often is left alone for a
# while.
RECOVERY = 60
# Streams are given that long where something moves at all.
LONG = 120 if BIG else 45
RECORDS = 3
BYTES = 12000
# How a request may end on a link that is next to unusable.
NAMED = {"ok", "timeout", "closed", "dial", "unreachable", "backoff",
         "no_peers", "not_found", "quorum", "no_address"}

QUICK = {
    "loss 10%": (Trouble(loss=0.1), True),
    "loss 30%": (Trouble(loss=0.3), False),
    "delay 300 ms, jitter 200 ms": (Trouble(delay=0.3, jitter=0.2), True),
    "duplicate 5%, reorder 25%, corrupt 0.1%": (
        Trouble(delay=0.02, duplicate=0.05, reorder=0.25, corrupt=0.001),
        True),
    "56 kbit/s": (Trouble(rate=7000), True),
}
SLOW = {
    "loss 50%": (Trouble(loss=0.5), False),
    "delay 2 s": (Trouble(delay=2), True),
    "corrupt 5%": (Trouble(corrupt=0.05), True),
    "all at once": (
        Trouble(loss=0.05, delay=0.2, jitter=0.1, duplicate=0.05, reorder=0.25,
                corrupt=0.001, rate=14000), True),
    "nothing passes": (Trouble(loss=1), False),
}


class Stage:
    """Two nodes that know each other, a third that comes later, and two
    programs with streams of their own."""

    def __init__(self, test, name):
        self.test = test
        self.name = name
        self.network = Network(3)
        test.addCleanup(self.network.close)
        self.nodes = []
        self.first = self.node(0).ready()
        self.second = self.node(1).ready()
        self.here, self.there = self.streams(0), self.streams(1)

    def keep(self, node):
        self.nodes.append(node)
        self.test.addCleanup(self.end, node)
        return node

    @staticmethod
    def end(node):
        if node.process.poll() is None:
            node.process.kill()
        node.finish()

    def node(self, number, mode="server"):
        host = self.network.hosts[number]
        contact = [node.address for node in self.nodes[:1]]
        return self.keep(Node(
            "--mode", mode, "--timeout", "%ds" % TIMEOUT,
            listen=host.listen(), enter=host.enter, bootstrap=contact))

    def streams(self, number):
        host = self.network.hosts[number]
        program = self.keep(Node(json=False, listen=None, program=STREAMS,
                                 enter=host.enter).ready())
        program.send(tag=0, op="listen", addr=host.listen())
        while host.address not in program.address:
            addresses = program.wait("listening")["addrs"]
            program.address = next((a for a in addresses if host.address in a),
                                   program.address)
        return program

    def ask(self, node, op, limit=TIMEOUT + SLACK, **parameters):
        """Its last line, and those before, and the seconds that it took."""
        tag = "%s of %s, %d" % (op, self.name, time.monotonic_ns())
        if node in (self.here, self.there):
            tag = time.monotonic_ns() % 1000000
        begun = time.monotonic()
        node.send(tag=tag, op=op, **parameters)
        answers = []
        while not answers or answers[-1]["type"] != "end":
            left = begun + limit - time.monotonic()
            line = node.next(max(0.01, left))
            if line.get("tag") == tag:
                answers.append(line)
        return answers[-1], answers[:-1], time.monotonic() - begun

    def check(self, must, node, op, **parameters):
        end, results, took = self.ask(node, op, **parameters)
        where = "%s: %s: %s" % (self.name, op, end)
        self.test.assertIn(end["result"], {"ok"} if must else NAMED, where)
        self.log.append("%s%s %.1f s" % (
            op, "" if end["result"] == "ok" else " " + end["result"], took))
        return results if end["result"] == "ok" else None

    def requests(self, must, third):
        for i in range(RECORDS):
            value = "value %d" % i
            put = self.check(must, self.second, "put", key="key %d" % i,
                             value=value)
            got = self.check(must, third, "get", key="key %d" % i)
            if must or (put is not None and got):
                self.test.assertEqual(got[-1]["value"],
                                      "0x" + value.encode().hex())
        found = self.check(must, third, "find-peer", peer=self.second.id)
        if found:
            self.test.assertEqual(found[0]["id"], self.second.id)
        pongs = self.check(must, third, "ping", addr=self.first.address,
                           count=2)
        if pongs is not None:
            self.test.assertEqual(len(pongs), 2)

    def bytes_there_and_back(self, must):
        """These have no time-out of their own."""
        for op, parameters in (("connect", {}),
                               ("echo", {"bytes": BYTES, "streams": 2})):
            self.check(must, self.here, op, addr=self.there.address,
                       limit=LONG, **parameters)

    def well_again(self, third):
        """Everything works, at the latest after the longest that anybody is
        left alone."""
        until = time.monotonic() + RECOVERY
        while True:
            end, _, _ = self.ask(third, "ping", addr=self.second.address)
            if end["result"] == "ok":
                break
            self.test.assertLess(time.monotonic(), until, (self.name, end))
        while self.ask(third, "get", key="well")[0]["result"] != "not_found":
            self.test.assertLess(time.monotonic(), until, self.name)
        for op in ("connect", "echo"):
            end, _, _ = self.ask(self.here, op, addr=self.there.address,
                                 limit=LONG, bytes=BYTES, streams=2)
            self.test.assertEqual(end["result"], "ok", (self.name, end))

    def play(self, trouble, must):
        self.log = []
        begun = time.monotonic()
        self.network.set(trouble)
        third = self.node(2, "client")  # which has to ask for everything
        if must:
            third.ready(LONG)
            self.log.append("joined %.1f s" % (time.monotonic() - begun))
        else:
            third.wait("listening")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            both = [pool.submit(self.requests, must, third)]
            if must:
                both.append(pool.submit(self.bytes_there_and_back, must))
            for one in both:
                one.result()
        sent = sum(host.sent for host in self.network.hosts)
        lost = sum(host.lost for host in self.network.hosts)
        if trouble.loss:
            self.test.assertGreater(lost, 0, self.name)
        self.network.set(Trouble())
        self.well_again(third)
        for node in self.nodes:
            if node not in (self.here, self.there):
                node.stop()
        return "%s: %d packets, %d lost (seed %d); %s; in all %.1f s" % (
            self.name, sent, lost, self.network.seed, ", ".join(self.log),
            time.monotonic() - begun)


class RoughLinks(unittest.TestCase):

    def links(self, links):
        stages = [(Stage(self, name), *what) for name, what in links.items()]
        with concurrent.futures.ThreadPoolExecutor(len(stages)) as pool:
            for line in [pool.submit(stage.play, trouble, must)
                         for stage, trouble, must in stages]:
                print(line.result(), flush=True)

    def test_links(self):
        self.links(QUICK)

    @unittest.skipUnless(BIG, "takes minutes: KADMIUM_LOAD=1")
    def test_links_that_are_hardly_any(self):
        self.links(SLOW)


if __name__ == "__main__":
    main()
