"""Programs under the control protocol of README.md: nodes that stay, commands that end."""

import collections
import json
import re
import subprocess
import tempfile
import threading
import time

START_TIMEOUT = 40
OPERATION_TIMEOUT = 40
STOP_TIMEOUT = 5
TRANSCRIPT_LINES = 30


class Failure(Exception):
    """A cell's check did not hold. `involved` are the programs whose transcripts tell why."""

    def __init__(self, message, *involved):
        super().__init__(message)
        self.involved = involved


class Skipped(Exception):
    """What a cell needs is not to be had on this machine."""


class Message(dict):
    """A line of JSON: a missing field is a finding about the program, not about this one."""

    def __missing__(self, field):
        raise Failure(f"no field '{field}' in {dict(self)}")


class Program:
    """A child process with its standard error kept in a file, and what was said to and by it."""

    def __init__(self, name, argv, stdin):
        self.name = name
        self.said = collections.deque(maxlen=TRANSCRIPT_LINES)
        # Appending, as both processes share one position in the file.
        self._errors = tempfile.TemporaryFile("a+b")
        self._process = subprocess.Popen(
            argv, stdin=stdin, stdout=subprocess.PIPE, stderr=self._errors, text=True)

    def transcript(self):
        self._errors.seek(0)
        errors = self._errors.read().decode(errors="replace").splitlines()
        lines = [f"--- {self.name}: what went in (>) and came out (<)", *self.said,
                 f"--- {self.name}: end of its standard error",
                 *errors[-TRANSCRIPT_LINES:]]
        return "\n".join(lines)

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read_messages(self):
        for line in self._process.stdout:
            self.said.append("< " + line.rstrip())
            try:
                yield json.loads(line, object_hook=Message)
            except json.JSONDecodeError:
                self.said.append("  (not JSON)")


class Node(Program):
    """A program that stays up and is driven by lines of JSON."""

    def __init__(self, kind, name, argv):
        super().__init__(name, argv, subprocess.PIPE)
        self.kind = kind
        self.id = None
        self.addresses = []
        self._events = []
        self._answers = collections.defaultdict(list)
        self._ended = False
        self._last_tag = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def address(self):
        """A full address, with the id, to dial this node at."""
        return self.addresses[0]

    def wait_until_ready(self):
        listening = self.wait_for("listening", timeout=START_TIMEOUT)
        self.id = listening["id"]
        self.addresses = listening["addrs"]
        self.wait_for("ready", timeout=START_TIMEOUT)

    def wait_for(self, kind, matches=lambda event: True, timeout=OPERATION_TIMEOUT):
        """The latest event of a kind that matches, once there is one."""
        def find():
            return next((e for e in reversed(self._events)
                         if e["type"] == kind and matches(e)), None)
        return self._wait(find, timeout, f"no fitting event '{kind}'")

    def ask(self, operation, **fields):
        """Performs one operation and returns its results without the end."""
        with self._changed:
            self._last_tag += 1
            tag = self._last_tag
        self._send({"tag": tag, "op": operation, **fields})

        def find():
            answer = self._answers[tag]
            return answer if answer and answer[-1]["type"] == "end" else None
        *results, end = self._wait(find, OPERATION_TIMEOUT, f"no end of '{operation}'")
        if end["result"] != "ok":
            raise Failure(f"{self.name}: '{operation}' ended with {results + [end]}", self)
        return results

    def _send(self, request):
        line = json.dumps(request)
        self.said.append("> " + line)
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failure(f"{self.name} is gone", self) from None

    def _wait(self, find, timeout, complaint):
        with self._changed:
            self._changed.wait_for(lambda: find() is not None or self._ended, timeout)
            found = find()
        if found is None:
            state = "it ended" if self._ended else f"waited {timeout} s"
            raise Failure(f"{self.name}: {complaint} ({state})", self)
        return found

    def _listen(self):
        for message in self._read_messages():
            with self._changed:
                answers = self._answers[message["tag"]] if "tag" in message else self._events
                answers.append(message)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class Command(Program):
    """One run of the command-line tool: its results and how it ended."""

    def __init__(self, argv):
        super().__init__(" ".join(argv[1:]), argv, subprocess.DEVNULL)

    def finish(self):
        """The result objects without the end; a Failure unless all went well."""
        deadline = threading.Timer(OPERATION_TIMEOUT, self._process.kill)
        deadline.start()
        results = list(self._read_messages())
        status = self._process.wait()
        deadline.cancel()
        ends = [r for r in results if r.get("type") == "end"]
        if status != 0 or any(end["result"] != "ok" for end in ends):
            raise Failure(f"{self.name}: exit status {status}, results {results}", self)
        return [r for r in results if r not in ends]


def eventually(attempt, timeout=30, pause=0.3):
    """Repeats an attempt until it raises no Failure; the last one leaves after the deadline."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return attempt()
        except Failure:
            if time.monotonic() > deadline:
                raise
        time.sleep(pause)


def without_id(address):
    return re.sub(r"/p2p/[^/]+$", "", address)
