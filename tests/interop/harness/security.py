"""Cells of one kind of peer and us, over TLS and with keys of each type on both sides."""

from . import checks
from .keys import PUBLIC
from .report import Scenario
from .world import OURS, PEERS

KEY_TYPES = ("ed25519", "secp256k1", "ecdsa", "rsa")
SECURITIES = ("noise", "tls")
# What everything else is tested with.
USUAL = ("noise", "ed25519")
# js-libp2p has no peer ids of ECDSA keys, so it neither is such a peer nor talks to one.
UNKNOWN = {("js", "ecdsa")}


def flags_of(world, kind, security, key_type):
    if kind == OURS:
        return ["--security", security, "--key", world.new_path(), "--type", key_type]
    # rust-libp2p reads RSA keys and makes none: there ours alone is one.
    if kind == "rust" and key_type == "rsa":
        key_type = "ed25519"
    return ["--security", security, "--key-type", key_type]


def dialling(kind, security, key_type, we_dial):
    def set_up(world):
        ours, theirs = [world.node(one, PUBLIC, flags=flags_of(world, one, security, key_type))
                        for one in (OURS, kind)]
        dialler, dialled = (ours, theirs) if we_dial else (theirs, ours)
        dialler.ask("connect", addr=dialled.address)
        return world, dialler, dialled

    def check(stage):
        world, dialler, dialled = stage
        agents = world.programs.agents
        checks.check_identified(dialler, dialled, agents[dialled.kind], PUBLIC, True)
        checks.check_identified(dialled, dialler, agents[dialler.kind], PUBLIC, False)
        checks.check_pong(dialler.ask("ping", addr=dialled.address))

    who = "we dial" if we_dial else "they dial"
    return Scenario(set_up, {(f"{security}, {key_type} keys: {who}", kind): check})


def scenarios():
    for kind in PEERS:
        for security in SECURITIES:
            for key_type in KEY_TYPES:
                if (security, key_type) != USUAL and (kind, key_type) not in UNKNOWN:
                    yield dialling(kind, security, key_type, we_dial=True)
                    yield dialling(kind, security, key_type, we_dial=False)
