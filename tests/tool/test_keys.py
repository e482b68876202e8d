"""Identities: made once, kept, and refused when others may read them."""

import os
import stat
import tempfile
import unittest

from harness import Node, base58_decode, base58_encode, run


class Keys(unittest.TestCase):

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.file = os.path.join(self.directory.name, "key")

    def test_made_then_reused(self):
        os.umask(0)
        first = run("id", "--key", self.file)
        self.assertEqual(first.status, 0, first)
        self.assertIn(self.file, first.err)
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        second = run("id", "--key", self.file)
        self.assertEqual((second.status, second.err), (0, ""))
        self.assertEqual(first.out, second.out)
        self.assertEqual(os.listdir(self.directory.name), ["key"])
        identity = second.text.strip()
        self.assertRegex(identity, r"^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$")
        # The file is the protobuf that other implementations read.
        with open(self.file, "rb") as file:
            content = file.read()
        self.assertEqual(content[:4], bytes([0x08, 0x01, 0x12, 0x40]))
        self.assertEqual(len(content), 68)
        self.assertEqual(base58_decode(identity),
                         bytes([0, 36, 8, 1, 18, 32]) + content[36:])

    def test_json_and_verbose(self):
        run("id", "--key", self.file)
        result = run("id", "--key", self.file, "--json")
        self.assertEqual(len(result.lines), 1)
        line = result.lines[0]
        self.assertEqual(line["type"], "id")
        self.assertTrue(line["cid"].startswith("k51"))
        verbose = run("id", "--key", self.file, "--verbose").text.split()
        self.assertEqual(verbose, [line["id"], line["cid"]])
        # Both forms name the same peer wherever an id is typed.
        for form in [line["id"], line["cid"]]:
            self.assertEqual(run("find-peer", form, "--timeout", "1s",
                                 "--protocol", "/t/1").status, 5)

    def test_without_a_file(self):
        first = run("id")
        second = run("id")
        self.assertEqual((first.status, second.status), (0, 0))
        self.assertNotEqual(first.out, second.out)
        self.assertIn("--key", first.err)
        self.assertEqual(run("id", "--quiet").err, "")

    def test_types(self):
        beginnings = {"ed25519": "12D3KooW", "secp256k1": "16Uiu2HA", "ecdsa": "Qm", "rsa": "Qm"}
        for name, beginning in beginnings.items():
            file = f"{self.file}.{name}"
            first = run("id", "--key", file, "--type", name)
            self.assertEqual(first.status, 0)
            self.assertTrue(first.text.startswith(beginning), first.text)
            # The file says what it is.
            self.assertEqual(run("id", "--key", file).out, first.out)
        self.assertEqual(run("id", "--type", "dsa").status, 2)

    def refused(self, *mentions):
        with open(self.file, "rb") as file:
            before = file.read()
        for command in [["id"], ["node", "--listen", "/ip4/127.0.0.1/tcp/0"],
                        ["provide", "0x1200"]]:
            result = run(*command, "--key", self.file)
            self.assertEqual(result.status, 1, result)
            self.assertEqual(result.out, b"")
            for text in (self.file, *mentions):
                self.assertIn(text, result.err)
            self.assertEqual(len(result.err.splitlines()), 1, result)
        result = run("id", "--key", self.file, "--json")
        self.assertEqual(result.status, 1)
        self.assertEqual(result.lines[0]["type"], "error")
        with open(self.file, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_wider_mode(self):
        run("id", "--key", self.file)
        for mode in [0o644, 0o640, 0o604, 0o660]:
            os.chmod(self.file, mode)
            self.refused("chmod 600")

    def test_not_a_key(self):
        for content in [b"", b"hello", 68 * b"\0", 5000 * b"x"]:
            with open(self.file, "wb") as file:
                file.write(content)
            os.chmod(self.file, 0o600)
            self.refused("private key")

    def test_a_directory(self):
        os.mkdir(self.file, 0o700)
        result = run("id", "--key", self.file)
        self.assertEqual((result.status, result.out), (1, b""))

    def test_a_fifo(self):
        os.mkfifo(self.file, 0o600)
        result = run("id", "--key", self.file, limit=10)
        self.assertEqual((result.status, result.out), (1, b""))

    def test_nowhere(self):
        path = os.path.join(self.directory.name, "no", "such")
        result = run("id", "--key", path)
        self.assertEqual((result.status, result.out), (1, b""))
        self.assertIn(path, result.err)

    def test_a_node_keeps_it(self):
        ids = []
        for _ in range(2):
            node = Node("--key", self.file).ready()
            ids.append(node.id)
            node.stop()
        self.assertEqual(ids[0], ids[1])
        self.assertEqual(ids[0], run("id", "--key", self.file).text.strip())
        self.assertEqual(base58_encode(base58_decode(ids[0])), ids[0])


if __name__ == "__main__":
    unittest.main()
