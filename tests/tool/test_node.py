"""`kadmium node`: its first lines, its life, and its end."""

import os
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from harness import KADMIUM, LIMIT, PROTOCOL, Node, run, unused_address


class NodeLife(unittest.TestCase):

    def start(self, *arguments, **options):
        node = Node(*arguments, **options)
        self.addCleanup(node.stop)
        return node

    def test_first_lines(self):
        node = self.start()
        first = node.next()
        self.assertEqual(first["type"], "listening")
        self.assertEqual(set(first), {"type", "id", "addrs"})
        self.assertEqual(len(first["addrs"]), 1)
        self.assertRegex(
            first["addrs"][0],
            r"^/ip4/127\.0\.0\.1/tcp/[1-9]\d*/p2p/" + first["id"] + "$")
        second = node.next()
        self.assertEqual(second, {"type": "ready", "peers": 0})

    def test_first_lines_of_a_joiner(self):
        first = self.start().ready()
        node = self.start(bootstrap=[first.address])
        kinds = [node.next()["type"]]
        while kinds[-1] != "ready":
            kinds.append(node.next()["type"])
        self.assertEqual(kinds[0], "listening")

    def test_listening_is_first_even_when_contacts_fail(self):
        node = self.start(bootstrap=["/ip4/127.0.0.1/udp/1/quic-v1",
                                     unused_address()])
        self.assertEqual(node.next()["type"], "listening")
        failed = node.wait("dial_failed")
        self.assertEqual(failed["error"], "NO_ADDRESS")
        self.assertEqual(failed["addrs"], ["/ip4/127.0.0.1/udp/1/quic-v1"])
        failed = node.wait("dial_failed")
        self.assertEqual(failed["error"], "REFUSED")

    def test_listening_is_first_even_when_one_listener_fails(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "/ip4/127.0.0.1/tcp/%d" % taken.getsockname()[1]
            node = self.start("--listen", address)
            first = node.next()
            self.assertEqual(first["type"], "listening")
            self.assertEqual(len(first["addrs"]), 1)
            failed = node.wait("listen_failed")
            self.assertEqual(failed["error"], "ADDRESS_IN_USE")
            self.assertEqual(failed["addrs"], [address])

    def test_cannot_listen(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "/ip4/127.0.0.1/tcp/%d" % taken.getsockname()[1]
            result = run("node", "--listen", address)
            self.assertEqual((result.status, result.out), (1, b""), result)
            self.assertIn(address, result.err)
            self.assertIn("in use", result.err)
            result = run("node", "--listen", address, "--json")
            self.assertEqual(result.status, 1)
            self.assertEqual(result.of_type("error")[0]["error"],
                             "ADDRESS_IN_USE")

    def test_cannot_listen_on_that(self):
        result = run("node", "--listen", "/ip4/127.0.0.1/udp/1/quic-v1")
        self.assertEqual((result.status, result.out), (1, b""), result)
        self.assertIn("--listen takes TCP", result.err)

    def test_text(self):
        node = self.start("--verbose", json=False)
        first = node.line()
        self.assertRegex(first, r"^listening on /ip4/127\.0\.0\.1/tcp/\d+/p2p/")
        self.assertEqual(node.line(), "ready, 0 peers in the routing table\n")
        node.stop()
        self.assertIn("kadmium node: leaving\n", node.errors)

    def test_quiet(self):
        node = self.start("--quiet", json=False)
        node.line()
        node.line()
        node.stop()
        self.assertEqual(node.errors, [])

    def test_signals(self):
        for number in [signal.SIGINT, signal.SIGTERM]:
            first = Node().ready()
            second = Node(bootstrap=[first.address]).ready()
            for node in [first, second]:
                took, status = node.signal(number)
                self.assertEqual(status, 0)
                self.assertLess(took, 5)

    def test_signal_at_once(self):
        """Whenever it comes, a signal ends the node and breaks nothing."""
        for delay in range(0, 60, 6):
            node = Node()
            limit = time.monotonic() + delay / 1000
            while time.monotonic() < limit:
                pass
            took, status = node.signal(signal.SIGTERM)
            self.assertLess(took, 5)
            self.assertIn(status, (0, -signal.SIGTERM))

    def test_closed_stdin(self):
        node = self.start(stdin=subprocess.DEVNULL).ready()
        other = self.start().ready()
        other.process.stdin.close()
        for address in [node.address, other.address]:
            for _ in range(3):
                self.assertEqual(run("ping", address).status, 0)
        for process in [node.process, other.process]:
            self.assertIsNone(process.poll())

    def test_stdin_closed_does_not_spin(self):
        node = self.start(stdin=subprocess.DEVNULL).ready()

        def cpu():
            with open(f"/proc/{node.process.pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])
        before = cpu()
        for _ in range(5):
            self.assertEqual(run("ping", node.address).status, 0)
        self.assertLess(cpu() - before, 50)  # half a second

    def test_stdout_is_gone(self):
        """Nobody takes what it says: that ends a node, as it does any tool."""
        read, write = os.pipe()
        process = subprocess.Popen(
            [KADMIUM, "node", "--json", "--protocol", PROTOCOL, "--listen",
             "/ip4/127.0.0.1/tcp/0"], stdout=write, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL)
        os.close(write)
        os.close(read)
        _, errors = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"standard output", errors)

    def test_two_nodes_meet(self):
        first = self.start().ready()
        second = self.start(bootstrap=[first.address]).ready()
        seen = first.wait("identified")
        self.assertEqual(seen["id"], second.id)
        self.assertRegex(seen["agent"], r"^kadmium/\d")
        self.assertIn(PROTOCOL, seen["protocols"])
        self.assertIn(second.address.rsplit("/p2p/", 1)[0],
                      [a.rsplit("/p2p/", 1)[0] for a in seen["addrs"]])

    def test_modes(self):
        server = self.start("--mode", "server").ready()
        client = self.start("--mode", "client",
                            bootstrap=[server.address]).ready()
        seen = server.wait("identified")
        self.assertEqual(seen["id"], client.id)
        self.assertNotIn(PROTOCOL, seen["protocols"])
        # A server on loopback even on the public network's protocol.
        public = self.start(protocol="/ipfs/kad/1.0.0").ready()
        other = self.start(protocol="/ipfs/kad/1.0.0",
                           bootstrap=[public.address]).ready()
        self.assertEqual(run("get", "/pk/" + other.id, "--bootstrap",
                             public.address).status, 3)

    def test_announce(self):
        address = "/dns4/node.example/tcp/4001"
        node = self.start("--announce", address)
        listening = node.next()
        self.assertIn(address + "/p2p/" + listening["id"], listening["addrs"])
        contact = [a for a in listening["addrs"] if a.startswith("/ip4/")]
        other = self.start(bootstrap=contact)
        seen = other.wait("identified")
        self.assertIn(address, seen["addrs"])

    def test_joins_later(self):
        """The contact comes up after the node: it is found then."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            address = "/ip4/127.0.0.1/tcp/%d" % probe.getsockname()[1]
        node = self.start(bootstrap=[address])
        node.wait("dial_failed")
        self.start(listen=address).ready()
        self.assertEqual(node.wait("ready")["peers"], 1)

    def test_state(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "state")
            key = os.path.join(directory, "key")
            first = self.start().ready()
            node = Node("--state", path, "--key", key,
                        bootstrap=[first.address]).ready()
            node.stop()
            self.assertTrue(os.path.exists(path))
            # It finds its network again without a contact.
            again = self.start("--state", path, "--key", key)
            found = again.ready()
            self.assertEqual(found.id, node.id)
            limit = time.monotonic() + LIMIT
            result = None
            while result != "ok" and time.monotonic() < limit:
                result = again.ask(1, "find-peer", peer=first.id)[-1]["result"]
            self.assertEqual(result, "ok")


if __name__ == "__main__":
    unittest.main()
