"""Private networks: who has the same swarm.key connects, nobody else."""

import base64
import os
import tempfile
import unittest

from harness import PROTOCOL, Node, run

HEADER = "/key/swarm/psk/1.0.0/"


class PrivateNetworks(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.key = cls.write("swarm.key", run("swarm-key").out)
        cls.other = cls.write("other.key", run("swarm-key").out)
        cls.node = Node("--swarm-key", cls.key).ready()
        cls.public = Node().ready()

    @classmethod
    def tearDownClass(cls):
        cls.node.stop()
        cls.public.stop()
        cls.directory.cleanup()

    @classmethod
    def write(cls, name, content):
        path = os.path.join(cls.directory.name, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def join(self, node, *arguments):
        return run("closest", node.id, "--protocol", PROTOCOL, "--bootstrap",
                   node.address, *arguments)

    def test_a_new_key(self):
        result = run("swarm-key")
        self.assertEqual((result.status, result.err), (0, ""))
        self.assertRegex(result.text,
                         "^" + HEADER + "\n/base16/\n[0-9a-f]{64}\n$")
        self.assertNotEqual(run("swarm-key").out, result.out)
        line = run("swarm-key", "--json").lines[0]
        self.assertEqual(line["type"], "swarm_key")
        self.assertRegex(line["key"], "^0x[0-9a-f]{64}$")

    def test_members(self):
        result = run("ping", self.node.address, "--swarm-key", self.key)
        self.assertEqual(result.status, 0, result)
        result = self.join(self.node, "--swarm-key", self.key)
        self.assertEqual(result.status, 0, result)
        self.assertIn(self.node.id, result.text)

    def test_members_over_tls(self):
        result = run("ping", self.node.address, "--swarm-key", self.key,
                     "--security", "tls")
        self.assertEqual(result.status, 0, result)

    def test_two_daemons(self):
        with open(self.key, encoding="ascii") as file:
            digits = file.read().split("\n")[2]
        text = base64.b64encode(bytes.fromhex(digits)).decode()
        same = self.write("same.key",
                          f"{HEADER}\r\n/base64/\r\n{text}\r\n".encode())
        second = Node("--swarm-key", same, bootstrap=[self.node.address])
        self.addCleanup(second.stop)
        second.ready()
        answers = second.ask(1, "find-peer", peer=self.node.id)
        self.assertEqual(answers[-1]["result"], "ok", answers)
        third = Node("--swarm-key", self.other, bootstrap=[self.node.address])
        self.addCleanup(third.stop)
        failed = third.wait("dial_failed")
        self.assertEqual(failed["error"], "NETWORK_KEY")
        answers = third.ask(1, "find-peer", peer=self.node.id)
        self.assertEqual(answers[-1]["result"], "no_peers", answers)

    def assert_outside(self, result, status, name):
        self.assertEqual(result.status, status, result)
        self.assertIn("--swarm-key", result.err)
        if result.out:
            self.assertEqual(result.of_type("error")[0]["error"], name)

    def test_another_key(self):
        other = ["--swarm-key", self.other]
        self.assert_outside(run("ping", self.node.address, *other, "--json"),
                            1, "NETWORK_KEY")
        self.assert_outside(self.join(self.node, *other), 5, None)
        self.assert_outside(self.join(self.node, *other, "--json"), 5,
                            "NO_PEERS")

    def test_no_key(self):
        self.assert_outside(run("ping", self.node.address, "--json"), 1,
                            "MULTISTREAM")
        self.assert_outside(self.join(self.node), 5, None)

    def test_a_key_where_none_is_wanted(self):
        key = ["--swarm-key", self.key]
        # It hangs up on what it cannot read, without a word.
        self.assert_outside(run("ping", self.public.address, *key, "--json"),
                            1, "CLOSED")
        self.assert_outside(self.join(self.public, *key), 5, None)

    def assert_refused(self, path, mentions):
        result = run("ping", self.node.address, "--swarm-key", path)
        self.assertEqual((result.status, result.out), (2, b""), result)
        lines = result.err.splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("--swarm-key " + mentions, lines[0])
        self.assertIn(path, lines[0])

    def test_malformed_files(self):
        digits = 64 * "0"
        for content in ["", "junk", HEADER, f"{HEADER}\n/base16/\n",
                        f"{HEADER}\n/base16/\n{digits[1:]}",
                        f"{HEADER}\n/base16/\n{digits}00",
                        f"{HEADER}\n/base16/\n{digits[1:]}x",
                        f"{HEADER}\n/base64/\n{digits}",
                        f"{HEADER}\n/base58/\n{digits}",
                        f"/key/swarm/psk/2.0.0/\n/base16/\n{digits}",
                        1000 * "x"]:
            path = self.write("bad.key", content.encode())
            self.assert_refused(path, "not a key of a private network")

    def test_files_that_cannot_be_read(self):
        missing = os.path.join(self.directory.name, "missing")
        self.assert_refused(missing, "No such file")
        self.assert_refused(self.directory.name, "Is a directory")


if __name__ == "__main__":
    unittest.main()
