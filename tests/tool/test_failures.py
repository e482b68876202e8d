"""What goes wrong: the exit status, what was tried, and what to do next."""

import os
import signal
import subprocess
import time
import unittest

from harness import (KADMIUM, LIMIT, PROTOCOL, Mute, Network, Node, run,
                     unused_address)

ID = "12D3KooWCoBLt8dj9B4c19cuqGyoJHWBequNYf4rWvsBQp1oKp1m"
COMMANDS = [["get", "key"], ["put", "key", "value"], ["find-peer", ID],
            ["closest", ID], ["provide", "0x1201ff"],
            ["find-providers", "0x1201ff"]]


class Failures(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.network = Network(2)

    @classmethod
    def tearDownClass(cls):
        cls.network.stop()

    def assert_failed(self, result, status, *mentions):
        self.assertEqual(result.status, status, result)
        self.assertTrue(result.err.splitlines()[-1].startswith("kadmium "))
        for text in mentions:
            self.assertIn(text, result.err, result)

    def assert_failed_json(self, result, status, name):
        """An error, and the end, which says the same."""
        self.assertEqual(result.status, status, result)
        kinds = [line["type"] for line in result.lines]
        self.assertEqual(kinds, ["error", "end"], result)
        self.assertEqual(result.lines[0]["error"], name)
        self.assertTrue(result.lines[0]["message"])
        self.assertEqual(result.end["result"], name.lower())

    def test_not_found(self):
        self.assert_failed(self.network.run("get", "no such key"), 3,
                           "looking for the record", "not found")
        self.assert_failed(self.network.run("find-peer", ID), 3, ID)
        self.assert_failed_json(self.network.run("get", "none", "--json"), 3,
                                "NOT_FOUND")
        self.assert_failed_json(self.network.run("find-peer", ID, "--json"), 3,
                                "NOT_FOUND")

    def test_no_providers(self):
        result = self.network.run("find-providers", "0x1204deadbeef")
        self.assert_failed(result, 3, "looking for providers")

    def test_nobody_there(self):
        address = unused_address()
        for command in COMMANDS:
            result = run(*command, "--protocol", PROTOCOL, "--bootstrap",
                         address)
            self.assert_failed(result, 5, address, "refused")
            self.assertEqual(result.out, b"")
        result = run("get", "key", "--bootstrap", address, "--protocol",
                     PROTOCOL, "--json")
        self.assert_failed_json(result, 5, "NO_PEERS")

    def test_no_contact(self):
        for command in COMMANDS:
            result = run(*command, "--protocol", PROTOCOL)
            self.assert_failed(result, 5, "--bootstrap")

    def test_another_network(self):
        result = run("get", "key", "--protocol", "/other/kad/1.0.0",
                     "--bootstrap", self.network.contact)
        self.assert_failed(result, 5, "--protocol")

    def test_a_contact_that_is_a_client(self):
        node = Node("--mode", "client").ready()
        result = run("get", "key", "--protocol", PROTOCOL, "--bootstrap",
                     node.address)
        node.stop()
        self.assert_failed(result, 5, "server")

    def test_another_identity(self):
        contact = self.network.contact.rsplit("/", 1)[0] + "/" + ID
        result = run("get", "key", "--protocol", PROTOCOL, "--bootstrap",
                     contact)
        self.assert_failed(result, 5, "identity")
        result = run("ping", contact)
        self.assert_failed(result, 1, "identity")

    def test_mute_peers(self):
        mute = Mute()
        self.addCleanup(mute.close)
        for command in COMMANDS + [["ping", mute.address]]:
            extra = [] if command[0] == "ping" else [
                "--protocol", PROTOCOL, "--bootstrap", mute.address]
            start = time.monotonic()
            result = run(*command, *extra, "--timeout", "1s")
            took = time.monotonic() - start
            self.assert_failed(result, 4, "timed out", "--timeout")
            self.assertGreater(took, 0.9)
            self.assertLess(took, 6)
        result = run("ping", mute.address, "--timeout", "200ms", "--json")
        self.assert_failed_json(result, 4, "TIMEOUT")

    def test_ping_refused(self):
        result = run("ping", unused_address())
        self.assert_failed(result, 5, "ping of", "refused")

    def test_ping_of_what_cannot_be_dialled(self):
        for address in ["/ip4/127.0.0.1/udp/1/quic-v1", "/p2p-circuit",
                        "/ip4/127.0.0.1/tcp/1/ws"]:
            result = run("ping", address)
            self.assert_failed(result, 5)

    def test_name_that_does_not_resolve(self):
        result = run("ping", "/dns4/name.invalid/tcp/1", "--timeout", "3s")
        self.assertIn(result.status, (4, 5), result)

    def test_timeouts_are_read(self):
        mute = Mute()
        self.addCleanup(mute.close)
        for text, low, high in [("300ms", 0.3, 3), ("0.5", 0.5, 4),
                                ("1s", 1, 5)]:
            start = time.monotonic()
            result = run("ping", mute.address, "--timeout", text)
            self.assertEqual(result.status, 4)
            self.assertGreaterEqual(time.monotonic() - start, low)
            self.assertLess(time.monotonic() - start, high)

    def test_interrupted(self):
        mute = Mute()
        self.addCleanup(mute.close)
        for number in [signal.SIGINT, signal.SIGTERM]:
            process = subprocess.Popen(
                [KADMIUM, "ping", mute.address], stdout=subprocess.PIPE,
                stderr=subprocess.PIPE)
            # It has dialled, so it has caught signals before.
            mute.socket.settimeout(LIMIT)
            mute.socket.accept()[0].close()
            mute.socket.listen()
            process.send_signal(number)
            out, err = process.communicate(timeout=5)
            self.assertNotEqual(process.returncode, 0)
            self.assertEqual(out, b"")

    def test_stdout_is_gone(self):
        read, write = os.pipe()
        os.close(read)
        try:
            for command in [["get", "none"], ["closest", ID], ["--help"],
                            ["get", "--help"], ["id", "--json"]]:
                arguments = [KADMIUM, *command]
                if command[0] in ("get", "closest") and "--help" not in command:
                    arguments += ["--protocol", PROTOCOL, "--bootstrap",
                                  self.network.contact, "--json"]
                process = subprocess.run(arguments, stdout=write,
                                         stderr=subprocess.PIPE, timeout=LIMIT)
                # It could not say what it found: that is no success.
                self.assertNotEqual(process.returncode, 0, command)
                self.assertGreater(process.returncode, 0, "a signal")
        finally:
            os.close(write)

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            process = subprocess.run(
                [KADMIUM, "id"], stdout=full, stderr=subprocess.PIPE,
                timeout=LIMIT)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"standard output", process.stderr)

    def test_no_descriptors_at_all(self):
        """Sockets must not take the place of what was closed."""
        for closed in [(0,), (1,), (2,), (0, 1, 2)]:
            shell = " ".join(f"{fd}>&-" for fd in closed)
            command = (f'exec "{KADMIUM}" get none --json --protocol {PROTOCOL}'
                       f' --bootstrap {self.network.contact} {shell}')
            process = subprocess.run(["sh", "-c", command],
                                     stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, timeout=LIMIT)
            self.assertEqual(process.returncode, 3, (closed, process))


if __name__ == "__main__":
    unittest.main()
