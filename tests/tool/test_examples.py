"""The examples do what their first lines say."""

import os
import subprocess
import unittest

from harness import LIMIT, PROTOCOL, Network, unused_address

EXAMPLES = [os.environ["LOOKUP"], os.environ["OWN_LOOP"]]


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True,
                          text=True, timeout=LIMIT)


class Examples(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.network = Network(3)

    @classmethod
    def tearDownClass(cls):
        cls.network.stop()

    def test_finds(self):
        for program in EXAMPLES:
            for node in self.network.nodes[1:]:
                result = run(program, self.network.contact, node.id, PROTOCOL)
                self.assertEqual((result.returncode, result.stderr), (0, ""),
                                 (program, result))
                where = node.address.rsplit("/p2p/", 1)[0]
                self.assertTrue(any(
                    line.startswith(where)
                    for line in result.stdout.splitlines()), result)

    def test_not_found(self):
        missing = "12D3KooWCoBLt8dj9B4c19cuqGyoJHWBequNYf4rWvsBQp1oKp1m"
        for program in EXAMPLES:
            result = run(program, self.network.contact, missing, PROTOCOL)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn("not found", result.stderr)

    def test_nobody_there(self):
        for program in EXAMPLES:
            result = run(program, unused_address(), self.network.nodes[1].id,
                         PROTOCOL)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn("no known peers", result.stderr)

    def test_usage(self):
        for program in EXAMPLES:
            for arguments in [[], ["one"], [self.network.contact, "nobody"],
                              ["not an address", self.network.nodes[1].id]]:
                result = run(program, *arguments)
                self.assertIn(result.returncode, (1, 2))
                self.assertEqual(result.stdout, "")
                self.assertEqual(len(result.stderr.splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
