"""J-05: what a node of an earlier version has left behind is read by this one:
its key, its state and its store (tests/vectors/files; made by make.py there)."""

import json
import os
import shutil
import socket
import tempfile
import time
import unittest

from harness import LIMIT, Node

FILES = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                     "../vectors/files")


class OlderFiles(unittest.TestCase):

    def check(self, folder):
        """Lent to the node as a copy, for it writes."""
        with open(os.path.join(folder, "about.json")) as text:
            about = json.load(text)
        copy = tempfile.TemporaryDirectory()
        self.addCleanup(copy.cleanup)
        arguments = []
        for name in ("key", "state", "store"):
            path = os.path.join(copy.name, name)
            shutil.copyfile(os.path.join(folder, name), path)
            os.chmod(path, 0o600)  # git keeps no more of a mode
            arguments += ["--" + name, path]
        contact = self.listen_as(about["other_address"])
        node = Node(*arguments)
        self.addCleanup(self.end, node)
        listening = node.wait("listening")
        self.assertEqual(listening["id"], about["id"])
        if contact:  # of its routing table
            contact.settimeout(LIMIT)
            contact.accept()[0].close()
            contact.close()
        own = about["records"]["own"]
        got = node.ask(1, "get", key="own")
        self.assertEqual([bytes.fromhex(g["value"][2:]).decode()
                          for g in got[:-1] if g["type"] == "value"][-1:],
                         [own], got)

        # It goes on to provide, and to publish, as soon as there is somebody.
        asker = Node("--mode", "client",
                     bootstrap=[listening["addrs"][0]])
        self.addCleanup(self.end, asker)
        asker.ready()
        got = asker.ask(1, "get", key="own")
        self.assertEqual(bytes.fromhex(got[-2]["value"][2:]).decode(), own)
        until = time.monotonic() + LIMIT
        found = []
        while len(found) < 2 and time.monotonic() < until:
            found = asker.ask(2, "find-providers", key=about["provides"])
        self.assertEqual(found[0]["id"], about["id"])
        for one in (asker, node):
            one.stop()
        self.assertFalse(os.path.exists(os.path.join(copy.name,
                                                     "store.corrupt")))

    @staticmethod
    def listen_as(address):
        """There, unless somebody else does."""
        try:
            return socket.create_server(("127.0.0.1",
                                         int(address.split("/")[4])))
        except OSError:
            return None

    @staticmethod
    def end(node):
        if node.process.poll() is None:
            node.process.kill()
        node.finish()

    def test_older_files(self):
        versions = [entry for entry in sorted(os.scandir(FILES),
                                              key=lambda e: e.name)
                    if entry.is_dir()]
        self.assertTrue(versions)
        for version in versions:
            with self.subTest(version.name):
                self.check(version.path)


if __name__ == "__main__":
    unittest.main()
