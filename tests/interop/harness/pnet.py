"""Cells of one kind of peer and us in a private network, and of who is not in it."""

import os

from . import checks
from .keys import PRIVATE
from .process import Failure
from .report import Scenario
from .world import OURS, PEERS

SECURITIES = ("noise", "tls")


def new_key_file(world):
    path = world.new_path()
    with open(path, "w", encoding="ascii") as file:
        file.write(f"/key/swarm/psk/1.0.0/\n/base16/\n{os.urandom(32).hex()}")
    return path


def node_with(world, kind, key, security="noise"):
    flags = ["--security", security]
    return world.node(kind, PRIVATE, flags=flags + ["--swarm-key", key] if key else flags)


def parts(kind, we_dial):
    """Who dials whom."""
    return (OURS, kind) if we_dial else (kind, OURS)


def member(kind, security, we_dial):
    def set_up(world):
        key = new_key_file(world)
        dialler, dialled = [node_with(world, one, key, security) for one in parts(kind, we_dial)]
        dialler.ask("connect", addr=dialled.address)
        return world, dialler, dialled

    def check(stage):
        world, dialler, dialled = stage
        agents = world.programs.agents
        checks.check_identified(dialler, dialled, agents[dialled.kind], PRIVATE, True)
        checks.check_identified(dialled, dialler, agents[dialler.kind], PRIVATE, False)
        checks.check_pong(dialler.ask("ping", addr=dialled.address))

    who = "we dial" if we_dial else "they dial"
    return Scenario(set_up, {(f"swarm key, {security}: {who}", kind): check})


def stranger(kind, we_dial):
    """Three that cannot connect: with another key, with none, and with one where none is wanted."""
    def set_up(world):
        return world

    def check(world):
        for dialler_key, dialled_key in ((new_key_file, new_key_file), (None, new_key_file),
                                         (new_key_file, None)):
            dialler, dialled = [
                node_with(world, one, make_key(world) if make_key else None)
                for one, make_key in zip(parts(kind, we_dial), (dialler_key, dialled_key))]
            try:
                dialler.ask("connect", addr=dialled.address)
            except Failure:
                continue
            raise Failure("connected with different keys", dialler, dialled)

    who = "we dial" if we_dial else "they dial"
    return Scenario(set_up, {(f"swarm key, another or none: {who}", kind): check})


def scenarios():
    for kind in PEERS:
        for we_dial in (True, False):
            for security in SECURITIES:
                yield member(kind, security, we_dial)
            yield stranger(kind, we_dial)
