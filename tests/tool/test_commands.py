"""Every command against a small network: what it prints, as text and JSON."""

import re
import unittest

from harness import (PROTOCOL, Network, base58_decode, base58_encode,
                     public_key_of, run)

# sha2-256 of nothing in particular, as CIDs of both versions and as hex.
MULTIHASH = bytes([0x12, 32]) + bytes(range(32))
CIDV0 = base58_encode(MULTIHASH)


def base32(data):
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    return "b" + "".join(
        alphabet[int(bits[i:i + 5], 2)] for i in range(0, len(bits), 5))


CIDV1 = base32(bytes([1, 0x55]) + MULTIHASH)
POINT = "0x0badcafe"


class Commands(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.network = Network(4)

    @classmethod
    def tearDownClass(cls):
        cls.network.stop()

    def run_ok(self, command, *arguments, **options):
        result = self.network.run(command, *arguments, **options)
        self.assertEqual(result.status, 0, result)
        return result

    def run_json(self, command, *arguments, **options):
        """Lines before the end, and the end."""
        result = self.run_ok(command, *arguments, "--json", **options)
        for line in result.lines:
            self.assertIsInstance(line["type"], str)
        end = result.end
        self.assertEqual((end["type"], end["result"]), ("end", "ok"))
        self.assertIsInstance(end["requests"], int)
        self.assertGreaterEqual(end["elapsed_ms"], 0)
        self.assertNotIn("end", [line["type"] for line in result.lines[:-1]])
        return result.lines[:-1], end

    # ---- put and get ------------------------------------------------------

    def test_put_and_get(self):
        result = self.run_ok("put", "a key", "a value")
        self.assertRegex(result.text, r"^stored at [1-4] peers?\n$")
        result = self.run_ok("get", "a key")
        self.assertEqual(result.out, b"a value")
        lines, end = self.run_json("get", "a key")
        self.assertEqual(len(lines), 1)
        value = lines[0]
        self.assertEqual(value["type"], "value")
        self.assertEqual(value["key"], "0x" + b"a key".hex())
        self.assertEqual(value["value"], "0x" + b"a value".hex())
        self.assertIn(value["from"], [node.id for node in self.network.nodes])
        self.assertGreaterEqual(end["requests"], 1)

    def test_put_json(self):
        lines, end = self.run_json("put", "json key", "value")
        self.assertEqual(lines, [])
        self.assertGreaterEqual(end["stored"], 1)

    def test_hexadecimal(self):
        self.run_ok("put", "0x00ff0a", "0x00010aff")
        self.assertEqual(self.run_ok("get", "0x00ff0a").out,
                         bytes([0, 1, 10, 255]))
        self.run_ok("put", "text", "value")
        self.assertEqual(self.run_ok("get", "0x" + b"text".hex()).out, b"value")
        self.run_ok("put", "upper", "0xAB")
        self.assertEqual(self.run_ok("get", "upper").out, b"\xab")

    def test_value_from_stdin(self):
        for name, value in [("in", b"from stdin\n"), ("zeros", bytes(1000)),
                            ("big", bytes(range(256)) * 200)]:
            self.run_ok("put", name, "-", stdin=value)
            self.assertEqual(self.run_ok("get", name).out, value)

    def test_empty_value(self):
        self.run_ok("put", "empty", "-", stdin=b"")
        lines, _ = self.run_json("get", "empty")
        self.assertEqual(lines[0]["value"], "0x")
        self.assertEqual(self.run_ok("get", "empty").out, b"")

    def test_value_too_large(self):
        result = self.network.run("put", "huge", "-",
                                  stdin=bytes(4 * 1024 * 1024 + 1))
        self.assertIn(result.status, (2, 6), result)
        self.assertEqual(result.out, b"")
        result = self.network.run("put", "large", "-", stdin=bytes(1 << 20))
        self.assertEqual(result.status, 6, result)

    # ---- the way of a look-up ---------------------------------------------

    def test_trace(self):
        self.run_ok("put", "traced", "value")
        lines, end = self.run_json("trace", "get", "traced")
        asked = [line for line in lines if line["type"] == "asked"]
        answered = [line for line in lines if line["type"] == "answered"]
        self.assertGreaterEqual(len(asked), 1)
        self.assertEqual(asked[0]["rpc"], "GET_VALUE")
        self.assertEqual(asked[0]["hop"], 1)
        self.assertLessEqual({line["id"] for line in answered},
                             {line["id"] for line in asked})
        self.assertTrue(all("closer" in line or "error" in line
                            for line in answered))
        self.assertEqual(end["ended"], "satisfied")
        _, end = self.run_json("trace", "closest", POINT, "--count", "2")
        self.assertEqual(end["ended"], "converged")
        _, end = self.run_json("trace", "closest", POINT)
        self.assertEqual(end["ended"], "starved")

    def test_trace_as_text(self):
        result = self.run_ok("trace", "closest", POINT, "--count", "2")
        self.assertRegex(result.text, r"(?m)^ +[0-9.]+ ms  hop  1  \w+  "
                                      r"FIND_NODE ->$")
        self.assertRegex(result.text, r"(?m)^ +[0-9.]+ ms  hop  1  \w+  "
                                      r"<- [0-9]+ closer$")
        self.assertRegex(result.text, r"\nok, converged: [0-9]+ asked, ")

    def test_quorum(self):
        for quorum in ["one", "majority", "all", "1", "3", "4"]:
            _, end = self.run_json("put", "quorum " + quorum, "value",
                                   "--quorum", quorum)
            self.assertGreaterEqual(end["stored"], 1)
            if quorum in ("all", "4"):
                self.assertEqual(end["stored"], 4)
            lines, _ = self.run_json("get", "quorum " + quorum, "--quorum",
                                     quorum)
            self.assertEqual(lines[-1]["value"], "0x" + b"value".hex())

    def test_quorum_of_get_asks_more(self):
        self.run_json("put", "everywhere", "value", "--quorum", "all")
        _, one = self.run_json("get", "everywhere")
        _, every = self.run_json("get", "everywhere", "--quorum", "all")
        self.assertGreaterEqual(every["successes"], 4)
        self.assertLessEqual(one["requests"], every["requests"])

    def test_put_to(self):
        peer = self.network.nodes[2].id
        lines, end = self.run_json("put", "for one", "value", "--to", peer)
        self.assertEqual(end["stored"], 1)
        lines, _ = self.run_json("get", "for one")
        self.assertEqual(lines[0]["from"], peer)

    def test_put_to_several(self):
        peers = [node.id for node in self.network.nodes[1:3]]
        _, end = self.run_json("put", "for two", "value", "--to", peers[0],
                               "--to", peers[1], "--quorum", "all")
        self.assertEqual(end["stored"], 2)
        lines, _ = self.run_json("get", "for two")
        self.assertIn(lines[0]["from"], peers)

    def test_unicode(self):
        self.run_ok("put", "schlüssel 🔑", "wert ✓")
        self.assertEqual(self.run_ok("get", "schlüssel 🔑").text, "wert ✓")

    # ---- peers ------------------------------------------------------------

    def test_find_peer(self):
        node = self.network.nodes[2]
        result = self.run_ok("find-peer", node.id)
        self.assertEqual(result.text.split()[0], node.id)
        where = node.address.rsplit("/p2p/", 1)[0]
        self.assertTrue(any(address.startswith(where)
                            for address in result.text.split()[1:]), result)
        lines, _ = self.run_json("find-peer", node.id)
        self.assertEqual([line["type"] for line in lines], ["peer"])
        self.assertEqual(lines[0]["id"], node.id)
        self.assertTrue(any(address.startswith(where)
                            for address in lines[0]["addrs"]))
        for line in lines[0]["addrs"]:
            self.assertTrue(line.startswith("/"))

    def test_closest(self):
        ids = {node.id for node in self.network.nodes}
        for key in [self.network.nodes[1].id, CIDV0, CIDV1,
                    "0x" + MULTIHASH.hex()]:
            lines, _ = self.run_json("closest", key)
            self.assertEqual({line["id"] for line in lines}, ids, key)
        lines, _ = self.run_json("closest", CIDV0)
        order = [line["id"] for line in lines]
        # Both forms of a CID, and its multihash, are one point.
        for key in [CIDV1, "0x" + MULTIHASH.hex()]:
            lines, _ = self.run_json("closest", key)
            self.assertEqual([line["id"] for line in lines], order)
        text = self.run_ok("closest", CIDV0).text
        self.assertEqual([line.split()[0] for line in text.splitlines()], order)
        lines, _ = self.run_json("closest", CIDV0, "--count", "2")
        self.assertEqual([line["id"] for line in lines], order[:2])

    def test_closest_is_sorted(self):
        import hashlib
        peer = self.network.nodes[0].id
        target = hashlib.sha256(base58_decode(peer)).digest()

        def distance(identity):
            digest = hashlib.sha256(base58_decode(identity)).digest()
            return bytes(a ^ b for a, b in zip(digest, target))
        lines, _ = self.run_json("closest", peer)
        order = [line["id"] for line in lines]
        self.assertEqual(order, sorted(order, key=distance))
        self.assertEqual(order[0], peer)

    # ---- providers --------------------------------------------------------

    def test_provide_and_find(self):
        key = "0x1220" + "ab" * 32
        result = self.run_ok("provide", key)
        self.assertRegex(result.text, r"^announced to [1-4] peers?\n$")
        lines, _ = self.run_json("find-providers", key)
        self.assertEqual([line["type"] for line in lines], ["provider"])
        self.assertTrue(lines[0]["id"].startswith("12D3KooW"))
        self.assertTrue(lines[0]["addrs"])

    def test_forms_of_cids(self):
        for name, form in [("v0", CIDV0), ("v1", CIDV1)]:
            self.run_json("provide", form)
        found = [self.run_json("find-providers", form)[0]
                 for form in [CIDV0, CIDV1, "0x" + MULTIHASH.hex()]]
        ids = [{line["id"] for line in lines} for lines in found]
        self.assertEqual(len(ids[0]), 2)
        self.assertEqual(ids[0], ids[1])
        self.assertEqual(ids[0], ids[2])

    def test_count_of_providers(self):
        key = "0x1220" + "cd" * 32
        for _ in range(3):
            self.run_ok("provide", key)
        lines, _ = self.run_json("find-providers", key)
        self.assertEqual(len({line["id"] for line in lines}), 3)
        lines, _ = self.run_json("find-providers", key, "--count", "2")
        self.assertEqual(len(lines), 2)

    # ---- ping -------------------------------------------------------------

    def test_ping(self):
        node = self.network.nodes[1]
        where = node.address.rsplit("/p2p/", 1)[0]
        for address in [node.address, where]:
            result = run("ping", address)
            self.assertEqual(result.status, 0, result)
            self.assertRegex(result.text,
                             "^" + node.id + r"  \d+\.\d{3} ms\n$")
        result = run("ping", where, "--count", "3", "--json")
        self.assertEqual(result.status, 0, result)
        kinds = [line["type"] for line in result.lines]
        self.assertEqual(kinds, ["pong", "pong", "pong", "end"])
        for line in result.lines[:3]:
            self.assertGreater(line["rtt_ms"], 0)
            self.assertLess(line["rtt_ms"], 5000)
        self.assertEqual(result.end["result"], "ok")

    # ---- records that are checked -----------------------------------------

    def test_pk(self):
        network = Network(2, protocol="/ipfs/kad/1.0.0")
        try:
            peer = network.nodes[1].id
            key = "/pk/" + peer
            value = "0x" + public_key_of(peer).hex()
            result = network.run("put", key, value)
            self.assertEqual(result.status, 0, result)
            result = network.run("get", key, "--json")
            self.assertEqual(result.status, 0, result)
            line = result.of_type("value")[0]
            self.assertEqual(line["value"], value)
            self.assertEqual(line["key"],
                             "0x" + (b"/pk/" + base58_decode(peer)).hex())
            for wrong in ["0x00", value[:-2], value + "00",
                          "0x" + public_key_of(network.nodes[0].id).hex()]:
                result = network.run("put", key, wrong)
                self.assertEqual(result.status, 6, result)
                self.assertEqual(result.out, b"")
            for rejected in ["/other/key", "text", "/pk/nobody", "/ipns/x"]:
                result = network.run("put", rejected, "value", "--json")
                self.assertEqual(result.status, 6, result)
                kinds = [line["type"] for line in result.lines]
                self.assertEqual(kinds, ["error", "end"])
        finally:
            network.stop()

    def test_namespaces(self):
        network = Network(2, protocol="/ipfs/kad/1.0.0",
                          arguments=("--namespace", "own"))
        try:
            result = network.run("put", "/own/key", "value")
            self.assertEqual(result.status, 6, result)
            result = network.run("put", "/own/key", "value", "--namespace",
                                 "own")
            self.assertEqual(result.status, 0, result)
            result = network.run("get", "/own/key", "--namespace", "own")
            self.assertEqual((result.status, result.out), (0, b"value"))
        finally:
            network.stop()

    # ---- how it is said ---------------------------------------------------

    def test_quiet_and_verbose(self):
        self.run_ok("put", "told", "value")
        quiet = self.run_ok("get", "told", "--quiet")
        self.assertEqual((quiet.out, quiet.err), (b"value", ""))
        verbose = self.run_ok("get", "told", "--verbose")
        self.assertEqual(verbose.out, b"value")
        self.assertIn("connected to", verbose.err)
        self.assertRegex(verbose.err, r"\d+ requests, \d+ answered")
        plain = self.run_ok("get", "told")
        self.assertEqual(plain.err, "", "no progress where nobody looks")

    def test_repeated_bootstrap(self):
        result = run("get", "nothing here", "--protocol", PROTOCOL,
                     "--bootstrap", "/ip4/127.0.0.1/tcp/1",
                     "--bootstrap", self.network.contact)
        self.assertEqual(result.status, 3, result)
        self.assertTrue(re.search("cannot join through", result.err), result)


if __name__ == "__main__":
    unittest.main()
