"""What is typed wrong gets one clear line, status 2, and nothing on stdout."""

import re
import unittest

from harness import run, unused_address

ID = "12D3KooWCoBLt8dj9B4c19cuqGyoJHWBequNYf4rWvsBQp1oKp1m"
CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
COMMANDS = ["node", "id", "ping", "connect", "identify", "peers", "find-peer", "closest", "put", "get",
            "provide", "find-providers", "swarm-key", "demo"]


class Usage(unittest.TestCase):

    def assert_usage(self, *arguments, mentions=None):
        result = run(*arguments)
        self.assertEqual(result.status, 2, (arguments, result))
        self.assertEqual(result.out, b"", arguments)
        lines = result.err.splitlines()
        self.assertEqual(len(lines), 1, (arguments, result))
        self.assertTrue(lines[0].startswith("kadmium"), lines)
        if mentions:
            self.assertIn(mentions, lines[0])

    def test_no_command(self):
        result = run()
        self.assertEqual((result.status, result.out), (2, b""))
        self.assertIn("usage:", result.err)

    def test_unknown_command(self):
        self.assert_usage("frobnicate", mentions="frobnicate")
        self.assert_usage("--frobnicate", mentions="--frobnicate")
        self.assert_usage("")

    def test_help_and_version(self):
        for arguments in [["--help"], ["-h"], ["help"]]:
            result = run(*arguments)
            self.assertEqual((result.status, result.err), (0, ""))
            for command in COMMANDS:
                self.assertIn("  %s " % command, result.text)
        result = run("--version")
        self.assertEqual(result.status, 0)
        self.assertRegex(result.text, r"^kadmium \d+\.\d+\.\d+\n$")
        for command in COMMANDS:
            for flag in ["--help", "-h"]:
                result = run(command, flag)
                self.assertEqual((result.status, result.err), (0, ""))
                self.assertTrue(
                    result.text.startswith("usage: kadmium " + command))
                for line in result.text.splitlines():
                    self.assertLess(len(line), 100, line)

    def test_missing_arguments(self):
        for arguments in [["ping"], ["find-peer"], ["closest"], ["put"],
                          ["put", "key"], ["get"], ["provide"],
                          ["find-providers"]]:
            self.assert_usage(*arguments, mentions="missing")

    def test_too_many_arguments(self):
        self.assert_usage("get", "key", "another", mentions="another")
        self.assert_usage("id", "what", mentions="what")
        self.assert_usage("node", "what", mentions="what")

    def test_options(self):
        self.assert_usage("get", "key", "--frobnicate", mentions="--frobnicate")
        self.assert_usage("get", "key", "-x", mentions="-x")
        self.assert_usage("get", "key", "--bootstrap", mentions="--bootstrap")
        self.assert_usage("get", "key", "--json=yes", mentions="--json")
        self.assert_usage("get", "key", "--listen", "/ip4/127.0.0.1/tcp/0",
                          mentions="--listen")
        self.assert_usage("id", "--bootstrap", unused_address())
        self.assert_usage("demo", "--quorum", "1")

    def test_values(self):
        for option, values in {
                "--bootstrap": ["", "127.0.0.1:4001", "/ip4/1.2.3", "/nonsense",
                                "/ip4/1.2.3.4/tcp/65536",
                                "/ip4/1.2.3.4/tcp/1/p2p/nonsense"],
                "--protocol": ["", "kad", "/", "/" + 300 * "x"],
                "--namespace": ["", "a/b", 65 * "x"],
                "--timeout": ["", "0", "-1", "5x", "s", "nan", "inf", "1e9",
                              "1s2"],
                "--quorum": ["", "0", "-1", "some", "1.5", "5x",
                             "99999999999999999999"],
        }.items():
            for value in values:
                self.assert_usage("get", "key", option, value, mentions=option)
                self.assert_usage("get", "key", option + "=" + value,
                                  mentions=option)
        for value in ["", "0", "-5", "x", "1000001", "1e3"]:
            self.assert_usage("closest", ID, "--count", value,
                              mentions="--count")
        for value in ["", "server!", "SERVER"]:
            self.assert_usage("node", "--mode", value, mentions="--mode")
        for value in ["0", "1", "501", "x"]:
            self.assert_usage("demo", "--nodes", value, mentions="--nodes")
        self.assert_usage("put", "key", "value", "--to", "nobody",
                          mentions="--to")
        self.assert_usage("node", "--listen", "localhost", mentions="--listen")
        self.assert_usage("node", "--key", "", mentions="--key")

    def test_keys(self):
        for command in ["provide", "find-providers"]:
            for key in ["", "text", "0x", "0x1", "0xzz", CID[:-1] + "1",
                        "Qm" + "1" * 44, 3000 * "a"]:
                self.assert_usage(command, key)
        for key in ["", "nobody", "0x", "0x123"]:
            self.assert_usage("closest", key)
        for key in ["", "nobody", "0x00", CID]:
            self.assert_usage("find-peer", key)
        for key in ["", "0x", "0x1", "0xgg", 1025 * "k", "0x" + 1025 * "00"]:
            self.assert_usage("get", key)
            self.assert_usage("put", key, "value")
        for value in ["0x1", "0xzz"]:
            self.assert_usage("put", "key", value)
        for address in ["", "127.0.0.1", "/ip4/127.0.0.1/tcp", "/p2p/" + "1"]:
            self.assert_usage("ping", address)

    def test_too_many_values(self):
        arguments = ["get", "key"]
        for _ in range(65):
            arguments += ["--namespace", "name"]
        self.assert_usage(*arguments, mentions="--namespace")

    def test_arguments_behind_dashes(self):
        result = run("get", "--", "--key", "--timeout", "1s")
        # Behind "--" everything is an argument, so there are too many.
        self.assertEqual(result.status, 2)
        result = run("get", "--timeout", "1s", "--protocol", "/t/1", "--",
                     "--key")
        self.assertEqual(result.status, 5, result)

    def test_lines_have_no_stray_spaces(self):
        for command in COMMANDS:
            text = run(command, "--help").text
            self.assertIsNone(re.search(r"[ \t]+$", text, re.M), command)


if __name__ == "__main__":
    unittest.main()
