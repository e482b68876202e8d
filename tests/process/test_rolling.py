"""J-05: all nodes of a small network are restarted, one after the other, and
then once more, killed this time. Each keeps its identity, its state and its
records in files, and comes back where it was; nobody else is told where to find
it. What was stored and provided before is found all the time, and after."""

import os
import tempfile
import time
import unittest

from harness import LIMIT, Node

NODES = 6
RECORDS = 8
CONTENT = ["0x1220" + "%02x" % (0x40 + i) * 32 for i in range(4)]


class Rolling(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.nodes = []
        for i in range(NODES):
            contact = [self.nodes[0].address] if self.nodes else []
            self.nodes.append(self.start(i, bootstrap=contact).ready())
        self.ids = [node.id for node in self.nodes]
        self.questions = 0

    def start(self, i, **options):
        files = os.path.join(self.directory, str(i))
        os.makedirs(files, exist_ok=True)
        arguments = []
        for name in ("key", "state", "store"):
            arguments += ["--" + name, os.path.join(files, name)]
        node = Node(*arguments, "--timeout", "10s", **options)
        self.addCleanup(self.end, node)
        return node

    @staticmethod
    def end(node):
        if node.process.poll() is None:
            node.process.kill()
        node.finish()

    def ask(self, node, op, **parameters):
        self.questions += 1
        return node.ask(self.questions, op, **parameters)

    def ok(self, node, op, **parameters):
        answers = self.ask(node, op, **parameters)
        self.assertEqual(answers[-1]["result"], "ok", answers)
        return answers[:-1]

    def check_everything(self, node):
        for i in range(RECORDS):
            got = self.ok(node, "get", key="key %d" % i)
            self.assertEqual(bytes.fromhex(got[-1]["value"][2:]),
                             b"value %d" % i)
        for i, key in enumerate(CONTENT):
            found = self.ok(node, "find-providers", key=key, count=1)
            self.assertEqual([p["id"] for p in found], [self.ids[i]])

    def restart(self, i, kill):
        """At the same address, without a contact: its state must do."""
        old = self.nodes[i]
        address = old.address.rsplit("/p2p/", 1)[0]
        if kill:
            old.process.kill()
            old.finish()
        else:
            old.stop()
        rest = [n for n in self.nodes if n is not old]
        self.check_everything(rest[i % len(rest)])
        node = self.start(i, listen=address).ready()
        self.assertEqual((node.id, node.address), (self.ids[i], old.address))
        self.nodes[i] = node
        # Known again to somebody who has not been told of it.
        until = time.monotonic() + LIMIT
        while True:
            end = self.ask(node, "find-peer",
                           peer=self.ids[(i + 1) % NODES])[-1]
            if end["result"] == "ok":
                break
            self.assertLess(time.monotonic(), until, end)
        self.check_everything(node)

    def test_rolling_restart(self):
        for i in range(RECORDS):
            self.ok(self.nodes[i % NODES], "put", key="key %d" % i,
                    value="value %d" % i, quorum="all")
        for i, key in enumerate(CONTENT):
            self.ok(self.nodes[i], "provide", key=key)
        begun = time.monotonic()
        for kill in (False, True):
            for i in range(NODES):
                self.restart(i, kill)
        for node in self.nodes:
            self.check_everything(node)
        newcomer = Node("--mode", "client", bootstrap=[self.nodes[3].address])
        self.addCleanup(self.end, newcomer)
        self.check_everything(newcomer.ready())
        print("%d restarts in %.1f s" % (2 * NODES, time.monotonic() - begun))
        for node in self.nodes:
            node.stop()


if __name__ == "__main__":
    unittest.main()
