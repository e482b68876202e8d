"""connect, identify and peers: to whom, by what, and what a peer says."""

import os
import re
import socket
import tempfile
import threading
import time
import unittest

from harness import PROTOCOL, Mute, Node, run, unused_address

ID = "12D3KooWCoBLt8dj9B4c19cuqGyoJHWBequNYf4rWvsBQp1oKp1m"
HOW = {"id", "addr", "local", "inbound", "transport", "security",
       "multiplexer", "early_multiplexer", "key_type", "streams", "age_s",
       "rtt_ms"}


def without_id(address):
    return address.rsplit("/p2p/", 1)[0]


class Connections(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.first = Node().ready()
        cls.second = Node("--key", cls.path("key"), "--type", "secp256k1",
                          bootstrap=[cls.first.address]).ready()
        cls.join = ["--protocol", PROTOCOL, "--bootstrap", cls.first.address]

    @classmethod
    def tearDownClass(cls):
        cls.second.stop()
        cls.first.stop()
        cls.directory.cleanup()

    @classmethod
    def path(cls, name):
        return os.path.join(cls.directory.name, name)

    def find(self, command, *arguments):
        """The second node, known by its id: the table fills after a while."""
        until = time.monotonic() + 20
        while True:
            result = run(command, self.second.id, *self.join, *arguments)
            if result.status == 0 or time.monotonic() > until:
                return result

    def test_connect(self):
        for security, name in [("noise", "/noise"), ("tls", "/tls/1.0.0")]:
            result = run("connect", self.first.address, "--security", security)
            self.assertEqual((result.status, result.err), (0, ""), result)
            lines = result.text.splitlines()
            self.assertRegex(lines[0], "^connected to %s in [0-9.]+ ms$"
                             % self.first.id)
            facts = dict(line.split(None, 1) for line in lines[1:])
            self.assertEqual(facts["address"], without_id(self.first.address))
            self.assertEqual(facts["transport"], "tcp")
            self.assertEqual(facts["security"], name)
            self.assertTrue(facts["multiplexer"].startswith("/yamux/1.0.0"))

    def test_connect_json(self):
        result = run("connect", self.second.address, "--json")
        self.assertEqual(result.status, 0, result)
        line, end = result.lines
        self.assertEqual(set(line), HOW | {"type", "elapsed_ms"})
        self.assertEqual((line["type"], line["id"]),
                         ("connected", self.second.id))
        self.assertEqual(line["addr"], without_id(self.second.address))
        self.assertEqual(line["key_type"], "secp256k1")
        self.assertIs(line["inbound"], False)
        self.assertGreater(line["elapsed_ms"], 0)
        self.assertEqual(end["result"], "ok")

    def test_connect_without_or_by_id(self):
        result = run("connect", without_id(self.first.address))
        self.assertEqual(result.status, 0, result)
        self.assertIn(self.first.id, result.text)
        result = self.find("connect")
        self.assertEqual(result.status, 0, result)
        self.assertIn(without_id(self.second.address), result.text)

    def test_identify(self):
        result = run("identify", self.first.address)
        self.assertEqual((result.status, result.err), (0, ""), result)
        for text in [self.first.id, "kadmium/", "ed25519", PROTOCOL,
                     "/ipfs/id/1.0.0", without_id(self.first.address),
                     "/noise", "/yamux/1.0.0", "sees us at", "ipfs/0.1.0"]:
            self.assertIn(text, result.text)

    def test_identify_json(self):
        result = run("identify", self.second.address, "--json")
        self.assertEqual(result.status, 0, result)
        line, end = result.lines
        self.assertEqual(set(line), HOW | {
            "type", "agent", "protocols", "addrs", "observed",
            "protocol_version"})
        self.assertEqual(line["type"], "identified")
        self.assertEqual(line["id"], self.second.id)
        self.assertEqual(line["key_type"], "secp256k1")
        self.assertIn(PROTOCOL, line["protocols"])
        self.assertIn(without_id(self.second.address), line["addrs"])
        self.assertEqual(line["observed"], line["local"])
        self.assertEqual(end["result"], "ok")

    def test_identify_by_id(self):
        result = self.find("identify", "--json")
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.lines[0]["id"], self.second.id)

    def test_peers(self):
        result = run("peers", *self.join, "--json")
        self.assertEqual(result.status, 0, result)
        lines = result.of_type("connection")
        self.assertIn(self.first.id, [line["id"] for line in lines])
        self.assertEqual(set(lines[0]), HOW | {"type"})
        result = run("peers", *self.join)
        self.assertEqual(result.status, 0, result)
        self.assertIn(self.first.id + " " + without_id(self.first.address),
                      result.text)

    def test_peers_of_a_node(self):
        answers = self.second.ask(1, "peers")
        self.assertEqual(answers[0]["type"], "peers")
        self.assertIn(self.first.id, answers[0]["peers"])
        connection = next(c for c in answers[0]["connections"]
                          if c["id"] == self.first.id)
        self.assertEqual(set(connection), HOW)
        self.assertEqual(connection["security"], "/noise")

    def assert_failed(self, result, status, *mentions):
        self.assertEqual((result.status, result.out), (status, b""), result)
        for text in mentions:
            self.assertIn(text, result.err)

    def test_not_an_address(self):
        for command in ["connect", "identify"]:
            for text in ["", "nonsense", "/ip4/1.2.3/tcp/1", "/tcp"]:
                result = run(command, text)
                self.assert_failed(result, 2, "not an address")
                self.assertEqual(len(result.err.splitlines()), 1)
        self.assert_failed(run("peers", "one"), 2, "one")
        self.assert_failed(run("connect"), 2, "missing")

    def test_unreachable(self):
        for command in ["connect", "identify"]:
            address = unused_address()
            self.assert_failed(run(command, address), 5, address, "refused")
            result = run(command, address, "--json")
            self.assertEqual(result.status, 5)
            self.assertEqual([line["type"] for line in result.lines],
                             ["dial_failed", "error", "end"])
            self.assertEqual(result.lines[0]["addrs"], [address])
            self.assertEqual(result.lines[0]["error"], "REFUSED")
            self.assertEqual(result.lines[1]["error"], "REFUSED")
            self.assertEqual(result.end["result"], "refused")
            self.assert_failed(run(command, ID), 5, "--bootstrap")
            self.assert_failed(run(command, "/ip4/127.0.0.1/udp/1/quic-v1"), 5)

    def test_each_address_has_its_cause(self):
        """Its owner announces three: one works until it is gone."""
        closed = unused_address()
        other = without_id(self.first.address)
        node = Node("--announce", closed, "--announce", other,
                    bootstrap=[self.first.address]).ready()
        until = time.monotonic() + 20
        while run("find-peer", node.id, *self.join).status != 0:
            self.assertLess(time.monotonic(), until)
        gone = next(without_id(address) for address in node.addresses
                    if without_id(address) not in (closed, other))
        node.signal()
        causes = {closed: "connection refused", gone: "connection refused",
                  other: "the peer proved another identity"}
        result = run("connect", node.id, *self.join)
        self.assert_failed(result, 5, "all dials failed")
        told = re.findall(r"connect: (/\S+): (.*)", result.err)
        self.assertGreater(len(told), 1, result)
        self.assertLessEqual(set(told), set(causes.items()))
        result = run("connect", node.id, *self.join, "--json")
        told = [(line["addrs"][0], line["message"])
                for line in result.of_type("dial_failed")]
        self.assertGreater(len(told), 1, result)
        self.assertLessEqual(set(told), set(causes.items()))

    def test_another_identity(self):
        address = without_id(self.first.address) + "/p2p/" + ID
        for command in ["connect", "identify"]:
            self.assert_failed(run(command, address), 1, "identity")

    def test_a_peer_that_is_not_there(self):
        self.assert_failed(run("connect", ID, *self.join), 3, ID)

    def test_mute(self):
        mute = Mute()
        self.addCleanup(mute.close)
        for command in ["connect", "identify"]:
            self.assert_failed(run(command, mute.address, "--timeout",
                                   "300ms"), 4, "timed out")

    def test_a_peer_that_says_nothing_more(self):
        """It is connected and then falls silent, or goes."""
        for kept in [True, False]:
            address = self.relay_a_connection(kept)
            result = run("identify", address, "--timeout", "2s")
            self.assert_failed(result, 4 if kept else result.status)
            self.assertIn(result.status, (1, 4))

    def relay_a_connection(self, kept):
        """Passes on as much as the handshakes need."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def relay():
            one, _ = server.accept()
            other = socket.create_connection(("127.0.0.1", self.first.port))
            self.addCleanup(one.close)
            self.addCleanup(other.close)
            back = threading.Thread(target=self.copy, daemon=True,
                                    args=(other, one, 700, kept))
            back.start()
            self.copy(one, other, 1 << 20, True)

        threading.Thread(target=relay, daemon=True).start()
        return "/ip4/127.0.0.1/tcp/%d" % server.getsockname()[1]

    @staticmethod
    def copy(source, target, limit, kept):
        try:
            while limit > 0:
                data = source.recv(min(limit, 4096))
                if not data:
                    break
                limit -= len(data)
                target.sendall(data)
            if not kept:
                target.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def test_nobody_to_join(self):
        self.assert_failed(run("peers", "--protocol", PROTOCOL), 5,
                           "--bootstrap")
        address = unused_address()
        self.assert_failed(run("peers", "--protocol", PROTOCOL, "--bootstrap",
                               address), 5, address, "refused")


if __name__ == "__main__":
    unittest.main()
