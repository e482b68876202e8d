"""Commands for a running node, one JSON object a line on its stdin."""

import json
import unittest

from harness import LIMIT, Mute, Network, Node, run

KEY = "0x1220" + "ef" * 32


class Control(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.network = Network(3)
        cls.first, cls.second, cls.third = cls.network.nodes

    @classmethod
    def tearDownClass(cls):
        cls.network.stop()

    def ok(self, node, tag, op, **parameters):
        answers = node.ask(tag, op, **parameters)
        self.assertEqual(answers[-1]["result"], "ok", answers)
        return answers[:-1]

    def test_operations(self):
        self.ok(self.first, 1, "put", key="key", value="0x0102", quorum="all")
        answers = self.ok(self.second, 2, "get", key="key")
        self.assertEqual(answers[-1]["value"], "0x0102")
        self.ok(self.second, 3, "put", key="0x6b32", value="text")
        answers = self.ok(self.third, 4, "get", key="k2", quorum=2)
        self.assertEqual(answers[-1]["value"], "0x" + b"text".hex())
        self.ok(self.first, 5, "provide", key=KEY)
        answers = self.ok(self.third, 6, "find-providers", key=KEY, count=1)
        self.assertEqual([a["id"] for a in answers], [self.first.id])
        self.assertIn(self.first.address.rsplit("/p2p/", 1)[0],
                      [a.rsplit("/p2p/", 1)[0] for a in answers[0]["addrs"]])
        answers = self.ok(self.third, 7, "find-peer", peer=self.second.id)
        self.assertEqual(answers[0]["id"], self.second.id)
        answers = self.ok(self.first, 8, "closest", key=KEY, count=2)
        self.assertEqual(len(answers), 2)
        answers = self.ok(self.first, 9, "ping", addr=self.second.address,
                          count=2)
        self.assertEqual([a["type"] for a in answers], ["pong", "pong"])
        answers = self.ok(self.first, 10, "connect", addr=self.third.address)
        self.assertEqual(answers[0]["id"], self.third.id)
        self.ok(self.first, 11, "ping", peer=self.third.id)
        answers = self.ok(self.first, 12, "peers")
        self.assertIn(self.third.id, answers[0]["peers"])
        self.ok(self.second, 13, "bootstrap")
        self.ok(self.first, 14, "stop-providing", key=KEY)

    def test_tags(self):
        """Any JSON value comes back as it was."""
        for tag in [0, -1, 1.5, "text", "ünï", None, True, [1, 2], {"a": "b"},
                    "", 2 ** 53]:
            answers = self.first.ask(tag, "peers")
            self.assertEqual(answers[-1]["tag"], tag)

    def test_not_found(self):
        answers = self.first.ask(1, "get", key="no such key")
        self.assertEqual([a["type"] for a in answers], ["error", "end"])
        self.assertEqual(answers[0]["error"], "NOT_FOUND")
        self.assertEqual(answers[1]["result"], "not_found")

    def test_malformed_lines(self):
        lines = ["", "{", "[]", "7", "null", "\"text\"", "{}", "nonsense",
                 "{\"op\":\"peers\"", "\x00", "\xff\xfe", "{\"tag\":1}}",
                 "{" * 100000, "[" * 100000, "{\"tag\":1,\"tag\":2}",
                 "{\"op\":\"get\",\"tag\":\"\\u0000\"}"]
        for line in lines:
            self.first.send_raw(line + "\n")
            if line == "":
                continue  # an empty line is nothing
            error = self.first.wait("error")
            self.assertEqual(error["error"], "INVALID_ARGUMENT", line)
            self.assertEqual(self.first.wait("end")["result"],
                             "invalid_argument")
        self.ok(self.first, 1, "peers")

    def test_bad_parameters(self):
        commands = [
            {"op": "frobnicate"}, {"op": 7}, {"op": None}, {"op": "put"},
            {"op": "put", "key": "k"}, {"op": "put", "value": "v"},
            {"op": "put", "key": "k", "value": 7},
            {"op": "put", "key": "k", "value": "0x1"},
            {"op": "put", "key": "", "value": "v"},
            {"op": "put", "key": "k" * 2000, "value": "v"},
            {"op": "put", "key": "k", "value": "v", "quorum": 0},
            {"op": "put", "key": "k", "value": "v", "quorum": -1},
            {"op": "put", "key": "k", "value": "v", "quorum": 2 ** 32 + 1},
            {"op": "put", "key": "k", "value": "v", "quorum": "5x"},
            {"op": "put", "key": "k", "value": "v", "quorum": 1.5},
            {"op": "put", "key": "k", "value": "v", "quorum": {}},
            {"op": "get", "key": "0x"}, {"op": "get", "key": ["k"]},
            {"op": "provide", "key": "text"},
            {"op": "find-providers", "key": KEY, "count": -1},
            {"op": "find-providers", "key": KEY, "count": "1"},
            {"op": "find-providers", "key": KEY, "count": 2 ** 40},
            {"op": "find-peer"}, {"op": "find-peer", "peer": "nobody"},
            {"op": "closest", "key": "nobody"}, {"op": "ping"},
            {"op": "ping", "addr": "127.0.0.1"},
            {"op": "ping", "peer": "nobody"}, {"op": "connect"},
        ]
        for command in commands:
            self.first.send(tag=command, **command)
            error = self.first.wait("error", tag=command)
            self.assertEqual(error["error"], "INVALID_ARGUMENT", command)
            self.first.wait("end", tag=command)

    def test_many_at_once(self):
        for i in range(100):
            self.first.send(tag=i, op="closest", key=KEY)
        ends = set()
        while len(ends) < 100:
            end = self.first.wait("end")
            self.assertEqual(end["result"], "ok")
            self.assertNotIn(end["tag"], ends)
            ends.add(end["tag"])

    def test_in_pieces(self):
        line = json.dumps({"tag": "pieces", "op": "peers"}) + "\n"
        for character in line:
            self.second.send_raw(character)
        self.second.wait("end", tag="pieces")

    def test_long_value(self):
        value = "0x" + "5a" * 60000
        self.ok(self.first, 1, "put", key="long", value=value)
        answers = self.ok(self.second, 2, "get", key="long")
        self.assertEqual(answers[-1]["value"], value)

    def test_endless_line(self):
        """It is refused before it fills the memory, and the node goes on."""
        node = Node().ready()
        try:
            for _ in range(18):
                node.send_raw("x" * (1 << 20))
            error = node.wait("error")
            self.assertEqual(error["error"], "MESSAGE_TOO_LARGE")
            node.send_raw("\n")
            node.send(tag="after", op="peers")
            node.wait("end", tag="after")
        finally:
            node.stop()

    def test_last_line_without_its_end(self):
        node = Node().ready()
        try:
            node.send_raw(json.dumps({"tag": "last", "op": "peers"}))
            node.process.stdin.close()
            node.wait("end", tag="last")
            self.assertEqual(run("ping", node.address).status, 0)
        finally:
            node.stop()

    def test_timeout(self):
        mute = Mute()
        node = Node("--timeout", "300ms").ready()
        try:
            answers = node.ask(1, "ping", addr=mute.address)
            self.assertEqual(answers[-1]["result"], "timeout")
        finally:
            node.stop()
            mute.close()

    def test_ends_while_requests_run(self):
        mute = Mute()
        node = Node().ready()
        for i in range(50):
            node.send(tag=i, op="ping", addr=mute.address)
        # It has read them all once it answers what came behind.
        node.send(tag="last", op="peers")
        node.wait("end", tag="last")
        took, status = node.signal()
        mute.close()
        self.assertEqual(status, 0)
        self.assertLess(took, 5)
        self.assertLess(LIMIT, 60)

    def test_without_json_stdin_is_not_read(self):
        node = Node(json=False)
        node.line()
        node.line()
        node.send_raw('{"tag":1,"op":"peers"}\n')
        took, status = node.signal()
        self.assertEqual(status, 0)
        self.assertEqual(len(node.seen), 2)


if __name__ == "__main__":
    unittest.main()
