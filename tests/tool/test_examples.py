"""The examples do what their first lines say."""

import os
import subprocess
import tempfile
import unittest

from harness import LIMIT, PROTOCOL, Network, unused_address

EXAMPLES = [os.environ["LOOKUP"], os.environ["OWN_LOOP"]]
ECHO = os.environ["ECHO"]
CHAT = os.environ["CHAT"]
UNIX = os.environ["UNIX"]


def run(program, *arguments):
    return subprocess.run([program, *arguments], capture_output=True,
                          text=True, timeout=LIMIT)


class Running:
    """A program that stays, talked to by its pipes."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.wait()
        for pipe in [self.process.stdin, self.process.stdout,
                     self.process.stderr]:
            pipe.close()

    def hear(self, start):
        """The rest of the line on standard error that begins so."""
        for line in self.process.stderr:
            if line.startswith(start):
                return line[len(start):].strip()
        raise AssertionError("not heard: " + start)


class Echo(unittest.TestCase):

    def test_there_and_back(self):
        with Running(ECHO) as server:
            address = server.process.stdout.readline().strip()
            for text in ["hello", "", "a longer text " * 5000]:
                result = run(ECHO, address, text)
                self.assertEqual((result.returncode, result.stdout),
                                 (0, text + "\n"))

    def test_nobody_there(self):
        result = run(ECHO, unused_address(), "hello")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("echo: ", result.stderr)


class UnixTransport(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "socket")

    def tearDown(self):
        self.folder.cleanup()

    def test_there_and_back(self):
        with Running(UNIX, self.path) as server:
            self.assertEqual(server.process.stdout.readline(), "listening\n")
            for text in ["hello", "", "a longer text " * 9000]:
                result = run(UNIX, self.path, text)
                self.assertEqual((result.returncode, result.stdout),
                                 (0, text + "\n"))

    def test_many_at_once(self):
        with Running(UNIX, self.path) as server:
            self.assertEqual(server.process.stdout.readline(), "listening\n")
            callers = [subprocess.Popen([UNIX, self.path, str(i) * 20000],
                                        stdout=subprocess.PIPE, text=True)
                       for i in range(8)]
            for i, caller in enumerate(callers):
                heard, _ = caller.communicate(timeout=LIMIT)
                self.assertEqual((caller.returncode, heard),
                                 (0, str(i) * 20000 + "\n"))

    def test_nobody_there(self):
        result = run(UNIX, self.path, "hello")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertEqual(result.stderr, "unix_transport: connection refused\n")

    def test_in_use(self):
        with Running(UNIX, self.path) as server:
            self.assertEqual(server.process.stdout.readline(), "listening\n")
            result = run(UNIX, self.path)
            self.assertEqual((result.returncode, result.stderr),
                             (1, "unix_transport: address already in use\n"))

    def test_usage(self):
        for arguments in [[], ["not/from/the/root"], ["/"], ["/a", "b", "c"]]:
            result = run(UNIX, *arguments)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertEqual(len(result.stderr.splitlines()), 1)


class Chat(unittest.TestCase):

    def test_a_call_through_the_network(self):
        with Running(CHAT) as first:
            contact = first.hear("join with: chat ")
            with Running(CHAT, contact) as called:
                name = called.hear("waiting for a call; our name: ")
                with Running(CHAT, contact, name) as caller:
                    caller.process.stdin.write("good morning\n")
                    caller.process.stdin.flush()
                    called.hear("called by ")
                    self.assertEqual(called.process.stdout.readline(),
                                     "good morning\n")
                    called.process.stdin.write("and to you\n")
                    called.process.stdin.close()
                    self.assertEqual(caller.process.stdout.readline(),
                                     "and to you\n")
                    caller.process.stdin.close()
                    self.assertEqual(caller.process.wait(LIMIT), 0)
                    self.assertEqual(called.process.wait(LIMIT), 0)

    def test_nobody_of_that_name(self):
        with Running(CHAT) as first:
            contact = first.hear("join with: chat ")
            missing = "12D3KooWCoBLt8dj9B4c19cuqGyoJHWBequNYf4rWvsBQp1oKp1m"
            result = run(CHAT, contact, missing)
            self.assertEqual(result.returncode, 1)
            self.assertIn("chat: not found", result.stderr)


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
