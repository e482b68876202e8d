"""Cells of one kind of peer and us: dialling, and each operation through the other's server."""

from dataclasses import dataclass
from typing import Callable

from . import checks
from .keys import (
    NETWORKS, PUBLIC, cid_of, decode_base58, hex_text, new_multihash, stranger_record)
from .process import eventually
from .report import Scenario
from .world import OURS, PEERS, Tool


def dialling(kind, we_dial):
    """Two servers; one dials the other."""
    def set_up(world):
        ours, theirs = world.node(OURS, PUBLIC), world.node(kind, PUBLIC)
        dialler, dialled = (ours, theirs) if we_dial else (theirs, ours)
        dialler.ask("connect", addr=dialled.address)
        return world, dialler, dialled

    def identify(by_dialler):
        def check(stage):
            world, dialler, dialled = stage
            viewer, seen = (dialler, dialled) if by_dialler else (dialled, dialler)
            agent = world.programs.agents[seen.kind]
            checks.check_identified(viewer, seen, agent, PUBLIC, by_dialler)
        return check

    def ping(stage):
        _, dialler, dialled = stage
        checks.check_pong(dialler.ask("ping", addr=dialled.address))

    def ping_by_tool(stage):
        world, _, dialled = stage
        checks.check_pong(world.command("ping", dialled.address))

    row = "we dial" if we_dial else "they dial"
    cells = {(f"{row}: they are identified", kind): identify(by_dialler=we_dial),
             (f"{row}: we are identified", kind): identify(by_dialler=not we_dial),
             (f"{row}: ping", kind): ping}
    if we_dial:
        cells["our tool: ping", kind] = ping_by_tool
    return Scenario(set_up, cells)


@dataclass
class Parts:
    """Who asks and who serves. Each maker takes the world, the peer's kind and the protocol."""

    name: str
    we_serve: bool
    make_client: Callable

    def make_server(self, world, kind, protocol, **options):
        return world.node(OURS if self.we_serve else kind, protocol, **options)

    def make_target(self, world, kind, protocol, **options):
        """A second server, of the kind the first is not, so that it must know a stranger."""
        return world.node(kind if self.we_serve else OURS, protocol, **options)


PARTS = (
    Parts("our tool, their server", False,
          lambda world, kind, protocol, server: Tool(world, protocol, server)),
    Parts("our node, their server", False,
          lambda world, kind, protocol, server: world.node(OURS, protocol, "client", server)),
    Parts("their node, our server", True,
          lambda world, kind, protocol, server: world.node(kind, protocol, "client", server)),
)


def find_peer(stage):
    _, target, client = stage
    eventually(lambda: checks.check_found(target, client.ask("find-peer", peer=target.id)))


def closest(stage):
    server, target, client = stage
    key = decode_base58(target.id)[::-1]
    eventually(lambda: checks.check_closest(
        key, [server, target], client.ask("closest", key=hex_text(key))))


def routing(kind, network, parts):
    """A client, the server it joined through, and a second server that it must find."""
    protocol = NETWORKS[network]

    def set_up(world):
        server = parts.make_server(world, kind, protocol)
        target = parts.make_target(world, kind, protocol, bootstrap=server)
        return server, target, parts.make_client(world, kind, protocol, server)

    row = f"{network}: {parts.name}"
    return Scenario(set_up, {(f"{row}: find-peer", kind): find_peer,
                             (f"{row}: closest", kind): closest})


def put_and_get(protocol):
    def check(stage):
        writer, reader = stage
        record = stranger_record(protocol)
        writer.ask("put", key=record.key, value=record.value, quorum="one")
        checks.check_value(record, reader.ask("get", key=record.key, quorum=1))
    return check


def provide_and_find(stage):
    writer, reader = stage
    multihash = new_multihash()
    writer.ask("provide", key=name_content(writer, multihash))
    eventually(lambda: check_provider(
        writer, reader.ask("find-providers", key=name_content(reader, multihash), count=1)))


def check_provider(writer, results):
    if isinstance(writer, Tool):
        checks.check_unknown_provider(results)
    else:
        checks.check_provider(writer, results)


def name_content(client, multihash):
    """People give our tool a CID."""
    return cid_of(multihash) if isinstance(client, Tool) else hex_text(multihash)


def records(kind, network, parts):
    """Two clients with nothing between them but one server: what one leaves, the other finds."""
    protocol = NETWORKS[network]

    def set_up(world):
        server = parts.make_server(world, kind, protocol)
        return [parts.make_client(world, kind, protocol, server) for _ in range(2)]

    row = f"{network}: {parts.name}"
    return Scenario(set_up, {
        (f"{row}: put, get", kind): put_and_get(protocol),
        (f"{row}: provide, find-providers", kind): provide_and_find})


def scenarios():
    for kind in PEERS:
        yield dialling(kind, we_dial=True)
        yield dialling(kind, we_dial=False)
        for network in NETWORKS:
            for parts in PARTS:
                yield routing(kind, network, parts)
                yield records(kind, network, parts)
