"""The programs of a scenario: started by kind, asked alike, ended together."""

import os
import tempfile

from .process import Command, Node

OURS = "kadmium"
# Our program for streams, beside the command.
STREAMS = "kadmium-streams"
PEERS = ("go", "rust", "js")
KINDS = (OURS, *PEERS)
COMMAND_TIMEOUT = "30s"
FLAGS = ("count", "quorum")


class Programs:
    """How each kind of node is started, how our tool is, and what their agent strings are."""

    def __init__(self, kadmium, peers, stand_in=None):
        self.tool = kadmium
        self.nodes = {
            OURS: [*kadmium, "node", "--json", "--listen", "/ip4/127.0.0.1/tcp/0"], **peers}
        self.nodes[STREAMS] = [os.path.join(os.path.dirname(kadmium[0]), STREAMS)]
        self.agents = {OURS: r"(?i)^kadmium/", "go": r"^go-libp2p/v\d",
                       "rust": r"^rust-libp2p/\d", "js": r"^js-libp2p/\d"}
        if stand_in:
            self.agents[OURS] = self.agents[stand_in]


class Tool:
    """Our command-line tool in the part of a node: each operation is a run of its own."""

    def __init__(self, world, protocol, server):
        self._world = world
        self._network = ("--protocol", protocol, "--bootstrap", server.address)

    def ask(self, operation, **fields):
        """The fields that are no flags stand on the command line in the order given."""
        words = []
        for name, value in fields.items():
            words += [f"--{name}", str(value)] if name in FLAGS else [value]
        return self.run(operation, *words)

    def run(self, *words):
        """A command line as it stands."""
        return self._world.command(*words, *self._network)


class World:
    """Starts nodes and commands, and ends all of them on leaving."""

    def __init__(self, programs):
        self.programs = programs
        self._nodes = []
        self._last_command = []
        self._folder = tempfile.TemporaryDirectory()
        self._paths = 0
        self._clean_ups = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for program in self._nodes + self._last_command:
            program.stop()
        for function in reversed(self._clean_ups):
            function()
        self._folder.cleanup()

    def new_path(self):
        """The path of a file that is not there yet."""
        self._paths += 1
        return os.path.join(self._folder.name, str(self._paths))

    def begin_node(self, kind, protocol, mode="server", bootstrap=None, flags=()):
        """Starts a node without waiting for it."""
        argv = [*self.programs.nodes[kind], "--protocol", protocol, "--mode", mode]
        if bootstrap:
            argv += ["--bootstrap", bootstrap.address]
        return self._begin(kind, f"{kind} {mode}", [*argv, *flags])

    def _begin(self, kind, name, argv):
        node = Node(kind, f"{name} #{len(self._nodes)}", argv)
        self._nodes.append(node)
        return node

    def start(self, kind, argv):
        """A node of a command line as it stands, once it is ready."""
        node = self._begin(kind, kind, argv)
        node.wait_until_ready()
        return node

    def add_clean_up(self, function):
        """To be called on leaving, after the nodes have ended."""
        self._clean_ups.append(function)

    def node(self, *arguments, **options):
        """A node that is ready."""
        node = self.begin_node(*arguments, **options)
        node.wait_until_ready()
        return node

    def command(self, *words):
        command = Command([*self.programs.tool, *words, "--json", "--timeout", COMMAND_TIMEOUT])
        self._last_command = [command]
        return command.finish()

    def transcripts(self, failure):
        """Of the programs the failure names, or of the nodes and the latest command."""
        programs = failure.involved or self._nodes + self._last_command
        return "\n".join(program.transcript() for program in programs)
