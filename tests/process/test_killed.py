"""G-11: processes that are killed, and others that are stopped, while queries
are under way. Nothing sleeps: whatever is waited for is a line of JSON."""

import signal
import time
import unittest

from harness import Node

NODES = 10  # that store, and so know every record by themselves
CLIENTS = 2  # that have to ask for everything
RECORDS = 8
CONTENT = ["0x1220" + "%02x" % i * 32 for i in range(4)]
# A query is given so long; nothing that is under way then goes on.
BOUND = 6


class Killed(unittest.TestCase):

    def setUp(self):
        self.nodes = []
        for i in range(NODES + CLIENTS):
            contact = [self.nodes[0].address] if self.nodes else []
            mode = "server" if i < NODES else "client"
            node = Node("--timeout", str(BOUND), "--mode", mode,
                        bootstrap=contact)
            self.addCleanup(self.end, node)
            self.nodes.append(node.ready())
        self.clients = self.nodes[NODES:]

    @staticmethod
    def end(node):
        """Whatever has become of it."""
        if node.process.poll() is None:
            node.process.kill()
        node.finish()

    def queries(self, node, name):
        """Begins what a user may ask of a node; returns the tags."""
        tags = set()
        for i in range(RECORDS):
            tags.add("%s get %d" % (name, i))
            node.send(tag="%s get %d" % (name, i), op="get", key="key %d" % i)
        for i, key in enumerate(CONTENT):
            tags.add("%s providers %d" % (name, i))
            node.send(tag="%s providers %d" % (name, i), op="find-providers",
                      key=key, count=1)
        tags.add("%s closest" % name)
        node.send(tag="%s closest" % name, op="closest", key=CONTENT[0])
        tags.add("%s put" % name)
        node.send(tag="%s put" % name, op="put", key=name, value=name)
        return tags

    def answers(self, node, tags, begun):
        """Until all have ended, within their bound: all of them well."""
        values = {}
        while tags:
            left = begun + BOUND + 2 - time.monotonic()
            line = node.next(max(0.01, left))
            tag = line.get("tag")
            if tag not in tags:
                continue
            if line["type"] == "end":
                self.assertEqual(line["result"], "ok", (tag, line))
                tags.remove(tag)
            elif line["type"] != "progress":
                values[tag] = line
        for i in range(RECORDS):
            of = [v for t, v in values.items() if t.endswith("get %d" % i)]
            self.assertEqual(bytes.fromhex(of[0]["value"][2:]),
                             b"value %d" % i)
            if node in self.clients:
                self.assertIsNotNone(of[0]["from"])
        for i in range(len(CONTENT)):
            of = [v for t, v in values.items()
                  if t.endswith("providers %d" % i)]
            self.assertIn(of[0]["id"], [n.id for n in self.nodes])
        return time.monotonic() - begun

    def test_killed_and_stopped(self):
        for i in range(RECORDS):
            answers = self.nodes[i].ask(i, "put", key="key %d" % i,
                                        value="value %d" % i, quorum="all")
            self.assertEqual(answers[-1]["result"], "ok", answers)
        for i, key in enumerate(CONTENT):
            answers = self.nodes[2 * i].ask(i, "provide", key=key)
            self.assertEqual(answers[-1]["result"], "ok", answers)

        # The first node, which all others know best, is among the dead.
        killed = self.nodes[0:6:2]
        stopped = self.nodes[1:5:2]
        rest = [n for n in self.nodes if n not in killed + stopped]
        begun = time.monotonic()
        tags = [self.queries(node, "during %d" % i)
                for i, node in enumerate(rest)]
        for node in stopped:
            node.process.send_signal(signal.SIGSTOP)
        for node in killed:
            node.process.kill()
        took = [self.answers(n, t, begun) for n, t in zip(rest, tags)]

        # Nobody has come back: nothing but the dead and the mute to be found
        # out about.
        begun = time.monotonic()
        tags = [self.queries(node, "after %d" % i)
                for i, node in enumerate(rest)]
        took += [self.answers(n, t, begun) for n, t in zip(rest, tags)]

        for node in stopped:
            node.process.send_signal(signal.SIGCONT)
        alive = rest + stopped
        begun = time.monotonic()
        tags = [self.queries(node, "again %d" % i)
                for i, node in enumerate(alive)]
        took += [self.answers(n, t, begun) for n, t in zip(alive, tags)]
        for node in rest:
            for other in stopped:
                answers = node.ask("there", "find-peer", peer=other.id)
                self.assertEqual(answers[-1]["result"], "ok", answers)
                answers = node.ask("well", "ping", addr=other.address)
                self.assertEqual(answers[-1]["result"], "ok", answers)
        for node in alive:
            node.stop()
        print("seconds until all queries of a node had ended: %s" %
              " ".join("%.1f" % t for t in took))


if __name__ == "__main__":
    unittest.main()
