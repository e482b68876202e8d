"""Runs the kadmium command. Whatever is waited for has a deadline."""

import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time

KADMIUM = os.environ["KADMIUM"]
PROTOCOL = "/test/kad/1.0.0"
LIMIT = 30  # seconds: nothing here takes so long unless it hangs

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58_decode(text):
    number = 0
    for digit in text:
        number = number * 58 + BASE58.index(digit)
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base58_encode(data):
    number = int.from_bytes(data, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def public_key_of(peer):
    """The PublicKey protobuf in an Ed25519 PeerId, which /pk/ID must hold."""
    multihash = base58_decode(peer)
    assert multihash[:2] == b"\x00\x24", multihash
    return multihash[2:]


class Result:
    def __init__(self, process, stdout, stderr):
        self.status = process.returncode
        self.out = stdout
        self.err = stderr.decode()

    @property
    def text(self):
        return self.out.decode()

    @property
    def lines(self):
        return [json.loads(line) for line in self.text.splitlines()]

    def of_type(self, kind):
        return [line for line in self.lines if line["type"] == kind]

    @property
    def end(self):
        return self.lines[-1]

    def __repr__(self):
        return f"status {self.status}\n{self.out!r}\n{self.err}"


def run(*arguments, stdin=b"", limit=LIMIT):
    """Runs a command to its end."""
    process = subprocess.Popen(
        [KADMIUM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(stdin, timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"hangs: {arguments}\n{out!r}\n{err.decode()}")
    result = Result(process, out, err)
    assert "Sanitizer" not in result.err, result
    assert "runtime error" not in result.err, result
    return result


class Node:
    """A running `kadmium node`, or another program that talks like one. What
    is in `enter` goes before its command."""

    def __init__(self, *arguments, bootstrap=(), protocol=PROTOCOL, json=True,
                 stdin=subprocess.PIPE, listen="/ip4/127.0.0.1/tcp/0",
                 program=(KADMIUM, "node"), enter=()):
        command = [*enter, *program, "--protocol", protocol, *arguments]
        command += ["--json"] if json else []
        command += ["--listen", listen] if listen else []
        for address in bootstrap:
            command += ["--bootstrap", address]
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.protocol = protocol
        self.seen = []  # all lines so far
        self.lines = queue.Queue()
        self.errors = []
        self.readers = [
            threading.Thread(target=self._read_out, daemon=True),
            threading.Thread(target=self._read_err, daemon=True)]
        for reader in self.readers:
            reader.start()

    def _read_out(self):
        for line in self.process.stdout:
            self.lines.put(line.decode())
        self.lines.put(None)

    def _read_err(self):
        for line in self.process.stderr:
            self.errors.append(line.decode())

    def line(self, limit=LIMIT):
        """The next line of stdout; None at its end."""
        try:
            line = self.lines.get(timeout=limit)
        except queue.Empty:
            raise AssertionError(f"no line; so far {self.seen} {self.errors}")
        if line is not None:
            self.seen.append(line)
        return line

    def next(self, limit=LIMIT):
        line = self.line(limit)
        assert line is not None, f"ended: {self.seen} {self.errors}"
        return json.loads(line)

    def wait(self, kind, limit=LIMIT, **fields):
        """The next line of a type, with these fields."""
        until = time.monotonic() + limit
        while True:
            line = self.next(max(0.01, until - time.monotonic()))
            if line["type"] == kind and all(
                    line.get(k) == v for k, v in fields.items()):
                return line

    def ready(self, limit=LIMIT):
        listening = self.wait("listening")
        self.id = listening["id"]
        self.addresses = listening["addrs"]
        self.address = self.addresses[0]
        self.wait("ready", limit)
        return self

    def send(self, **command):
        self.send_raw(json.dumps(command) + "\n")

    def send_raw(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def ask(self, tag, op, **parameters):
        """Sends a command and returns all its answers."""
        self.send(tag=tag, op=op, **parameters)
        answers = []
        while not answers or answers[-1]["type"] != "end":
            line = self.next()
            if line.get("tag") == tag:
                answers.append(line)
        return answers

    @property
    def port(self):
        return int(self.address.split("/")[4])

    def signal(self, number=signal.SIGINT):
        """Ends the node; returns the seconds that took and its status."""
        start = time.monotonic()
        self.process.send_signal(number)
        return self.finish(start)

    def finish(self, start=None):
        start = start or time.monotonic()
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"does not end: {self.seen} {self.errors}")
        for reader in self.readers:
            reader.join(LIMIT)
        for pipe in (self.process.stdin, self.process.stdout,
                     self.process.stderr):
            if pipe:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
        errors = "".join(self.errors)
        assert "Sanitizer" not in errors and "runtime error" not in errors, \
            errors
        return time.monotonic() - start, status

    def stop(self):
        if self.process.poll() is None:
            took, status = self.signal()
            assert status == 0, (status, self.errors)
            assert took < 5, took


class Network:
    """A few nodes that know each other."""

    def __init__(self, count=3, protocol=PROTOCOL, arguments=()):
        self.protocol = protocol
        self.nodes = []
        for _ in range(count):
            contact = [self.nodes[0].address] if self.nodes else []
            self.nodes.append(Node(*arguments, bootstrap=contact,
                                   protocol=protocol).ready())
        self.contact = self.nodes[0].address

    def run(self, command, *arguments, **options):
        return run(command, *arguments, "--protocol", self.protocol,
                   "--bootstrap", self.contact, **options)

    def stop(self):
        for node in self.nodes:
            node.stop()


class Mute:
    """A listener that takes connections and says nothing."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = "/ip4/127.0.0.1/tcp/%d" % self.socket.getsockname()[1]

    def close(self):
        self.socket.close()


def unused_address():
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return "/ip4/127.0.0.1/tcp/%d" % probe.getsockname()[1]
