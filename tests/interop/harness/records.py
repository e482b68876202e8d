"""Cells of records that nodes check: /pk, /ipns, and what the wire says beside a value."""

import time
from dataclasses import dataclass

from . import checks
from .keys import (
    PRIVATE, PUBLIC, SHA256_MULTIHASH, Record, any_record, cid_of, flip_ipns_signature, from_hex,
    record_of, stranger_record)
from .process import Failure, eventually
from .report import Scenario
from .world import OURS, Tool

VALIDATING_PEERS = ("go", "js")  # rust-libp2p leaves it to its owner
# Records of odd and even numbers point at different things.
TARGETS = tuple("/ipfs/" + cid_of(SHA256_MULTIHASH + bytes([i] * 32)) for i in range(2))
DAY = 24 * 60 * 60
RECORD_TTL = 2 * DAY
SHORT_TTL = 60 * 60
SLACK = 60
# More than there are nodes: all answers are waited for.
EVERYBODY = 16


def values_of(client, key):
    """What a node finds; nothing when it fails."""
    try:
        return [result["value"] for result in client.ask("get", key=key, quorum=1)]
    except Failure:
        return []


# ---- who makes IPNS records --------------------------------------------------

class TheirName:
    """The name of a node of theirs."""

    def __init__(self, world, kind):
        self._node = world.node(kind, PUBLIC)
        self._sequence = 0

    def next_record(self, lifetime_s=DAY):
        self._sequence += 1
        made = self._node.ask("make-ipns", path=TARGETS[0], sequence=self._sequence,
                              lifetime_s=lifetime_s)[0]
        return Record.of_result(made)

    def expired(self):
        return self.next_record(lifetime_s=-1)


class OurName:
    """A name that our tool publishes, at a server where nobody else looks."""

    def __init__(self, world):
        self._key_file = world.new_path()
        self._tool = Tool(world, PUBLIC, world.node(OURS, PUBLIC))
        self._sequence = 0

    def next_record(self, lifetime_s=DAY):
        self._sequence += 1
        return publish(self._tool, self._key_file, self._sequence, lifetime_s)

    def expired(self):
        record = self.next_record(lifetime_s=1)
        time.sleep(1.1)
        return record


def publish(tool, key_file, sequence, lifetime_s=DAY):
    """Our tool puts a record; what it says of it must be what was asked."""
    results = tool.run("publish", TARGETS[sequence % 2], "--key", key_file,
                       "--sequence", str(sequence), "--lifetime", f"{lifetime_s}s")
    published = checks.of_type(results, "record")[0]
    check_content(published, sequence)
    return Record.of_result(published)


def check_content(result, sequence):
    content = result["record"]
    checks.require(content["sequence"] == sequence and content["path"] == TARGETS[sequence % 2],
                   f"the record holds {content}, not number {sequence}")


# ---- exchange ----------------------------------------------------------------

def exchange(kind):
    """Each side's records through the other's server."""
    def set_up(world):
        theirs, ours = world.node(kind, PUBLIC), world.node(OURS, PUBLIC)
        return {"world": world,
                "by us": Tool(world, PUBLIC, theirs),
                "to them": world.node(kind, PUBLIC, "client", theirs),
                "by them": world.node(kind, PUBLIC, "client", ours),
                "to us": Tool(world, PUBLIC, ours)}

    def ours_to_them(stage):
        record = publish(stage["by us"], stage["world"].new_path(), 1)
        checks.check_value(record, stage["to them"].ask("get", key=record.key, quorum=1))

    def next_of_ours(stage):
        """Without --sequence, the tool finds the latest record at their server."""
        key_file = stage["world"].new_path()
        publish(stage["by us"], key_file, 6)
        results = stage["by us"].run("publish", TARGETS[1], "--key", key_file)
        check_content(checks.of_type(results, "record")[0], 7)

    def theirs_to_us(stage):
        made = stage["by them"].ask("make-ipns", path=TARGETS[1], sequence=7, lifetime_s=DAY)
        record = Record.of_result(made[0])
        stage["by them"].ask("put", key=record.key, value=record.value, quorum="one")
        found = stage["to us"].run("get", record.key, "--decode")
        checks.check_value(record, found)
        check_content(checks.of_type(found, "value")[0], 7)

    def pk(writer, reader):
        def check(stage):
            record = stranger_record(PUBLIC)
            stage[writer].ask("put", key=record.key, value=record.value, quorum="one")
            checks.check_value(record, stage[reader].ask("get", key=record.key, quorum=1))
        return check

    return Scenario(set_up, {
        ("/ipns: our record, their server, their get", kind): ours_to_them,
        ("/ipns: our next record follows the one at their server", kind): next_of_ours,
        ("/ipns: their record, our server, our get", kind): theirs_to_us,
        ("/pk: our put, their server, their get", kind): pk("by us", "to them"),
        ("/pk: their put, our server, our get", kind): pk("by them", "to us")})


# ---- refusal -----------------------------------------------------------------

@dataclass
class Case:
    """Two records of one key."""

    bad: Record
    good: Record


def wrong_signature(name):
    good = name.next_record()
    return Case(Record.of_text(good.key, flip_ipns_signature(good.value)), good)


def expired(name):
    return Case(name.expired(), name.next_record())


def wrong_key(peer):
    """A public key under the name of another."""
    good = record_of(PUBLIC, peer.id)
    return Case(Record.of_text(good.key, stranger_record(PUBLIC).value), good)


def refused_when_put(stage, case):
    """A peer that checks nothing brings both to the server, which keeps the good one."""
    carrier, reader = stage["carrier"], stage["reader"]
    try:
        carrier.ask("put", key=case.bad.key, value=case.bad.value, quorum="one")
    except Failure:
        pass
    else:
        raise Failure("the server took the bad record", carrier, stage["server"])
    checks.require(case.bad.value not in values_of(reader, case.bad.key),
                   "the bad record was stored")
    carrier.ask("put", key=case.good.key, value=case.good.value, quorum="one")
    checks.check_value(case.good, reader.ask("get", key=case.good.key, quorum=1))


def refused_when_got(stage, case):
    """A peer that checks nothing has both, one after the other; the client believes the good."""
    for record in (case.bad, case.good):
        try:
            stage["holder"].ask("put", key=record.key, value=record.value, quorum="one")
        except Failure:
            pass  # it knows of nobody to give it to, and keeps it
        checks.check_value(record, stage["holder"].ask("local", key=record.key))
        found = values_of(stage["client"], record.key)
        expected = [record.value] if record is case.good else []
        checks.require(found == expected, f"got {found} instead of {expected}")


def refusal(kind):
    """Bad records of others, offered to nodes of one kind."""
    makers = VALIDATING_PEERS if kind == OURS else (OURS,)

    def set_up(world):
        server = world.begin_node(kind, PUBLIC)
        holder = world.begin_node("rust", PUBLIC)
        server.wait_until_ready()
        holder.wait_until_ready()
        names = [OurName(world) if maker == OURS else TheirName(world, maker) for maker in makers]
        return {"server": server, "holder": holder, "names": names,
                "carrier": world.node("rust", PUBLIC, "client", server),
                "reader": world.node("rust", PUBLIC, "client", server),
                "client": world.node(kind, PUBLIC, "client", holder),
                "stranger": world.node("rust", PUBLIC)}

    def of_ipns(make_case, check):
        def check_all(stage):
            for name in stage["names"]:
                check(stage, make_case(name))
        return check_all

    def of_pk(check):
        return lambda stage: check(stage, wrong_key(stage["stranger"]))

    cells = {}
    for what, check in (("put", refused_when_put), ("got", refused_when_got)):
        cells[f"/ipns, wrong signature: refused when {what}", kind] = of_ipns(
            wrong_signature, check)
        cells[f"/ipns, expired: refused when {what}", kind] = of_ipns(expired, check)
        cells[f"/pk, another's key: refused when {what}", kind] = of_pk(check)
    return Scenario(set_up, cells)


# ---- correction --------------------------------------------------------------

def correction(kind, corrector):
    """Two servers that do not know each other have records of one name; then a client that knows
    both gets it."""
    other = OURS if corrector == OURS else corrector

    def set_up(world):
        outdated, current = world.node(kind, PUBLIC), world.node(other, PUBLIC)
        key_file = world.new_path()
        records = [publish(Tool(world, PUBLIC, server), key_file, sequence)
                   for server, sequence in ((outdated, 1), (current, 2))]
        client = world.node(corrector, PUBLIC, "client", outdated)
        return world, outdated, current, records, client

    def check(stage):
        world, outdated, current, (old, new), client = stage
        asker = Tool(world, PUBLIC, outdated)
        checks.check_value(old, asker.ask("get", key=old.key, quorum=1))
        client.ask("connect", addr=current.address)
        eventually(lambda: checks.check_closest(
            from_hex(new.key), [outdated, current], client.ask("closest", key=new.key)))
        found = client.ask("get", key=new.key, quorum=EVERYBODY)
        checks.require(found[-1]["value"] == new.value, "the get did not end with the newer record")
        eventually(lambda: check_holder(
            new, outdated, asker.ask("get", key=new.key, quorum=1)), timeout=10)

    who = "our get" if corrector == OURS else "their get"
    whose = "our" if kind == OURS else "their"
    column = kind if corrector == OURS else corrector
    return Scenario(set_up, {(f"/ipns: {who} corrects {whose} outdated record", column): check})


def check_holder(record, holder, results):
    checks.check_value(record, results)
    sources = [value["from"] for value in checks.of_type(results, "value")]
    checks.require(sources == [holder.id], f"the record came from {sources}")


# ---- publisher and time to live ----------------------------------------------

def check_origin(record, publisher, ttl_s, results):
    """The value, whose it is, and how long it has left."""
    checks.check_value(record, results)
    for value in checks.of_type(results, "value"):
        checks.require(value["publisher"] == publisher.id,
                       f"publisher {value['publisher']} instead of {publisher.name}")
        checks.require(ttl_s - SLACK <= value["ttl_s"] <= ttl_s,
                       f"{value['ttl_s']} s are left of {ttl_s} s")


def origin():
    """The fields 666 and 777, which rust-libp2p and we know."""
    def set_up(world):
        stage = {}
        for server_kind in ("rust", OURS):
            server = stage[f"{server_kind} server"] = world.node(server_kind, PRIVATE)
            for kind in ("rust", OURS):
                stage[kind, server_kind] = world.node(kind, PRIVATE, "client", server)
        return stage

    def pass_on(writer, server, reader, ttl_s=RECORD_TTL, held=False):
        def check(stage):
            record = any_record()
            client = stage[writer, server]
            times = {"ttl_s": ttl_s} if writer == "rust" else {}
            client.ask("put", key=record.key, value=record.value, quorum="one", **times)
            if held:
                check_origin(record, client, ttl_s,
                             stage["rust server"].ask("local", key=record.key))
            check_origin(record, client, ttl_s,
                         stage[reader, server].ask("get", key=record.key, quorum=1))
        return check

    return Scenario(set_up, {
        ("publisher, TTL: their put, our server, our get", "rust"):
            pass_on("rust", OURS, OURS, SHORT_TTL),
        ("publisher, TTL: their put, their server, our get", "rust"):
            pass_on("rust", "rust", OURS, SHORT_TTL),
        ("publisher, TTL: our put, their server, their get", "rust"):
            pass_on(OURS, "rust", "rust", held=True),
        ("publisher, TTL: our put, our server, their get", "rust"):
            pass_on(OURS, OURS, "rust")})


def scenarios():
    for kind in VALIDATING_PEERS:
        yield exchange(kind)
    for kind in (*VALIDATING_PEERS, OURS):
        yield refusal(kind)
    for kind in VALIDATING_PEERS:
        yield correction(kind, corrector=OURS)
        yield correction(OURS, corrector=kind)
    yield correction(OURS, corrector=OURS)
    yield origin()
