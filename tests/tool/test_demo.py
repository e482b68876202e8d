"""`kadmium demo`: every answer is right, and it says so."""

import signal
import subprocess
import unittest

from harness import KADMIUM, LIMIT, run


class Demo(unittest.TestCase):

    def test_text(self):
        result = run("demo", "--nodes", "8", limit=120)
        self.assertEqual(result.status, 0, result)
        lines = result.text.splitlines()
        self.assertRegex(lines[0], r"^8 nodes on loopback")
        self.assertEqual(lines[-1], "Every answer was the right one.")
        steps = [line for line in lines if line.endswith("   ok")]
        self.assertEqual(len(steps), 25)
        for line in steps:
            self.assertRegex(line, r"\d+\.\d\d ms +\d+ +\d+   ok$")
        self.assertEqual(result.err, "")

    def test_json(self):
        result = run("demo", "--nodes", "8", "--json", limit=120)
        self.assertEqual(result.status, 0, result)
        lines = result.lines
        joined, steps, end = lines[0], lines[1:-1], lines[-1]
        self.assertEqual((joined["type"], joined["nodes"]), ("joined", 8))
        self.assertGreater(joined["known"], 1)
        self.assertEqual(len(steps), 25)
        for step in steps:
            self.assertEqual((step["type"], step["result"]), ("step", "ok"))
            self.assertIn(step["step"], ["put", "get", "provide",
                                         "find-providers", "find-peer"])
            self.assertGreaterEqual(step["elapsed_ms"], 0)
            self.assertGreaterEqual(step["hops"], 0)
        self.assertEqual((end["type"], end["result"], end["failures"]),
                         ("end", "ok", 0))
        self.assertEqual(end["requests"],
                         sum(step["requests"] for step in steps))
        self.assertGreater(end["elapsed_ms"], 0)

    def test_two_nodes(self):
        result = run("demo", "--nodes", "2", limit=60)
        self.assertEqual(result.status, 0, result)

    def test_interrupted(self):
        process = subprocess.Popen([KADMIUM, "demo", "--json"],
                                   stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        process.stdout.readline()  # they have joined
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 130, errors)


if __name__ == "__main__":
    unittest.main()
