"""Cells of one kind of peer and us, over TLS and with keys of each type on both sides."""

import subprocess

from . import checks
from .keys import PUBLIC, protobuf_fields
from .report import Scenario
from .world import OURS, PEERS

KEY_TYPES = ("ed25519", "secp256k1", "ecdsa", "rsa")
SECURITIES = ("noise", "tls")
# What everything else is tested with.
USUAL = ("noise", "ed25519")
# js-libp2p has no peer ids of ECDSA keys, so it neither is such a peer nor talks to one.
UNKNOWN = {("js", "ecdsa")}


# Of the key file, whose first field says that the key is of type RSA.
RSA_PRIVATE_KEY = 2
# What PKCS #8 puts around the key itself: version 0, and the algorithm's name.
RSA_ALGORITHM = bytes.fromhex("020100300d06092a864886f70d0101010500")
DER_OCTETS, DER_SEQUENCE = b"\x04", b"\x30"


def der(tag, content):
    """Of 256 bytes or more."""
    return tag + b"\x82" + len(content).to_bytes(2, "big") + content


def new_rsa_file(world):
    """rust-libp2p makes no RSA keys, but reads them as PKCS #8: our command makes one."""
    path = world.new_path()
    subprocess.run([*world.programs.tool, "id", "--key", path, "--type", "rsa", "--quiet"],
                   check=True, stdout=subprocess.DEVNULL)
    with open(path, "rb") as file:
        encoded = file.read()
    at, length = protobuf_fields(encoded)[RSA_PRIVATE_KEY]
    content = RSA_ALGORITHM + der(DER_OCTETS, encoded[at:at + length])
    with open(path, "wb") as file:
        file.write(der(DER_SEQUENCE, content))
    return path


def flags_of(world, kind, security, key_type):
    if kind == OURS:
        return ["--security", security, "--key", world.new_path(), "--type", key_type]
    if kind == "rust" and key_type == "rsa":
        return ["--security", security, "--rsa-key", new_rsa_file(world)]
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
