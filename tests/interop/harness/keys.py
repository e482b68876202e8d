"""Keys and records in the forms the operations take them."""

import base64
import hashlib
import os

PUBLIC = "/ipfs/kad/1.0.0"
PRIVATE = "/kadmium-interop/kad/1.0.0"
NETWORKS = {"default": PUBLIC, "private": PRIVATE}

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
IDENTITY_MULTIHASH = b"\x00\x24"
SHA256_MULTIHASH = b"\x12\x20"
RAW_CID = b"\x01\x55"
IPNS_SIGNATURE_V2 = 8
LENGTH_DELIMITED = 2
ED25519_PUBLIC_KEY = b"\x08\x01\x12\x20"

# The first test vector of RFC 8032: the key of a peer that no node has met, so that a node which
# answers with it has it from a record.
STRANGER = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


def hex_text(data):
    return "0x" + data.hex()


def from_hex(text):
    return bytes.fromhex(text[2:])


def decode_base58(text):
    number = 0
    for letter in text:
        number = number * 58 + ALPHABET.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def distance(key, peer_id):
    """How far a peer is from a key, as Kademlia counts it."""
    ours, theirs = (int.from_bytes(hashlib.sha256(data).digest(), "big")
                    for data in (key, decode_base58(peer_id)))
    return ours ^ theirs


class Record:
    """A value record that every node of the protocol accepts."""

    def __init__(self, key, value):
        self.key = hex_text(key)
        self.value = hex_text(value)

    @staticmethod
    def of_text(key, value):
        return Record(from_hex(key), from_hex(value))

    @staticmethod
    def of_result(result):
        return Record.of_text(result["key"], result["value"])


def public_key_record(public_key):
    encoded = ED25519_PUBLIC_KEY + public_key
    return Record(b"/pk/" + IDENTITY_MULTIHASH + encoded, encoded)


def protobuf_fields(data):
    """The offset and length of the bytes of each length-delimited field, by its number."""
    def varint(at):
        number = shift = 0
        while True:
            number |= (data[at] & 0x7f) << shift
            shift += 7
            at += 1
            if data[at - 1] < 0x80:
                return number, at

    fields, at = {}, 0
    while at < len(data):
        tag, at = varint(at)
        number, at = varint(at)
        if tag & 7 == LENGTH_DELIMITED:
            fields[tag >> 3] = (at, number)
            at += number
    return fields


def flip_ipns_signature(value):
    """An IPNS record whose V2 signature has one bit wrong."""
    record = bytearray(from_hex(value))
    at, _ = protobuf_fields(record)[IPNS_SIGNATURE_V2]
    record[at] ^= 1
    return hex_text(record)


def record_of(protocol, peer_id):
    """A peer's record: its public key, which its id holds, or anything on a private network."""
    if protocol == PUBLIC:
        return public_key_record(decode_base58(peer_id)[-32:])
    return any_record()


def stranger_record(protocol):
    if protocol == PUBLIC:
        return public_key_record(STRANGER)
    return any_record()


def any_record():
    return Record(b"/interop/" + os.urandom(8).hex().encode(), os.urandom(700))


def new_multihash():
    """The name of something to provide."""
    return SHA256_MULTIHASH + os.urandom(32)


def cid_of(multihash):
    return "b" + base64.b32encode(RAW_CID + multihash).decode().lower().rstrip("=")


def multihash_of(cid):
    padded = cid[1:].upper() + "=" * (-(len(cid) - 1) % 8)
    return base64.b32decode(padded)[len(RAW_CID):]
