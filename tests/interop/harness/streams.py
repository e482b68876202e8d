"""Cells of one kind of peer and us: streams of a protocol of one's own, opened by either side, and
what is told when protocols and addresses change."""

from . import checks
from .keys import PRIVATE
from .pnet import new_key_file
from .report import Scenario
from .world import PEERS, STREAMS

MIB = 1 << 20
# The others neither send the code of a reset nor tell it.
KNOW_CODES = ("go", STREAMS)
CODE = 0x2b67
DEADLINE_MS = 400
SLACK_MS = 2000
MANY = 1000
# More that nobody has acknowledged end the connection in rust-libp2p and go-libp2p.
UNACKNOWLEDGED = 256
# Usually a connection carries fewer of ours.
FLAGS = {STREAMS: ("--streams", "1024")}
NEW_PROTOCOL = "/kadmium-interop/new/1.0.0"
ANY_ADDRESS = "/ip4/127.0.0.1/tcp/0"


def code_seen(stage):
    opener, other = stage
    return CODE if {opener.kind, other.kind} <= set(KNOW_CODES) else 0


def only(kind, results):
    found = checks.of_type(results, kind)
    checks.require(len(found) == 1, f"no '{kind}' in {results}")
    return found[0]


def echo(length, streams=1):
    def check(stage):
        opener, other = stage
        results = opener.ask("echo", addr=other.address, bytes=length, streams=streams)
        echoed = only("echoed", results)
        checks.require((echoed["bytes"], echoed["streams"]) == (length, streams),
                       f"echoed {echoed}")
        if opener.kind == STREAMS:
            most = echoed["unacknowledged"]
            least = UNACKNOWLEDGED if streams > UNACKNOWLEDGED else 1
            checks.require(least <= most <= UNACKNOWLEDGED,
                           f"{most} streams were not acknowledged at a time")
    return check


def count(stage):
    """One side ends and is answered then."""
    opener, other = stage
    for length in (0, 1, MIB):
        # js-libp2p loses what comes together with the proposal of the protocol and the end, of
        # go-libp2p too.
        if length == 1 and other.kind == "js" and opener.kind == STREAMS:
            continue
        results = opener.ask("count", addr=other.address, bytes=length)
        counted = only("counted", results)["bytes"]
        checks.require(counted == length, f"{counted} of {length} bytes were there at the end")


def reset(stage):
    opener, other = stage
    opener.ask("reset", addr=other.address, code=CODE)
    code = code_seen(stage)
    other.wait_for("stream_reset", lambda e: e["id"] == opener.id and e["code"] == code)


def be_reset(stage):
    opener, other = stage
    code = only("stream_reset", opener.ask("be-reset", addr=other.address, code=CODE))["code"]
    checks.require(code == code_seen(stage), f"reset with {code}")


def deadline(stage):
    opener, other = stage
    results = opener.ask("deadline", addr=other.address, ms=DEADLINE_MS)
    after = only("timed_out", results)["after_ms"]
    checks.require(DEADLINE_MS - 1 <= after <= DEADLINE_MS + SLACK_MS,
                   f"woken after {after} of {DEADLINE_MS} ms")
    # The connection is as good as it was.
    echo(1)(stage)


CELLS = {
    "1 byte": echo(1),
    "1 MiB": echo(MIB),
    "100 MiB": echo(100 * MIB),
    "1,000 streams at once": echo(100, MANY),
    "one side ends": count,
    "reset": reset,
    "reset by the other": be_reset,
    "deadline": deadline,
}


def connected(kind, we_dial, make_flags=lambda world: []):
    def set_up(world):
        kinds = (STREAMS, kind) if we_dial else (kind, STREAMS)
        flags = make_flags(world)
        dialler, dialled = [
            world.node(one, PRIVATE, flags=[*FLAGS.get(one, ()), *flags]) for one in kinds]
        dialler.ask("connect", addr=dialled.address)
        return dialler, dialled
    return set_up


def streams(kind, we_open):
    who = "we open" if we_open else "they open"
    return Scenario(connected(kind, we_open),
                    {(f"stream, {who}: {what}", kind): check for what, check in CELLS.items()})


# Where the bytes go through other ciphers.
WAYS = {
    "tls": lambda world: ["--security", "tls"],
    "swarm key": lambda world: ["--swarm-key", new_key_file(world)],
}


# js-libp2p's XSalsa20 runs out of its memory before 100.
BULK_MIB = {("js", "swarm key"): 1}


def bulk(kind, we_open, way):
    who = "we open" if we_open else "they open"
    mib = BULK_MIB.get((kind, way), 100)
    return Scenario(connected(kind, we_open, WAYS[way]),
                    {(f"stream, {way}, {who}: {mib} MiB", kind): echo(mib * MIB)})


# ---- news --------------------------------------------------------------------

def knows_protocol(teller, viewer):
    """The news comes by a push: nobody asks again."""
    def is_news(event):
        return event["id"] == teller.id and NEW_PROTOCOL in event["protocols"]
    viewer.wait_for("identified", lambda e: e["id"] == teller.id)
    teller.ask("handle", protocol=NEW_PROTOCOL)
    viewer.wait_for("identified", is_news)


def knows_address(teller, viewer):
    def addresses_of(event):
        return set(event["addrs"]) if event["id"] == teller.id else set()
    before = addresses_of(viewer.wait_for("identified", lambda e: e["id"] == teller.id))
    teller.ask("listen", addr=ANY_ADDRESS)
    viewer.wait_for("identified", lambda e: len(addresses_of(e) - before) > 0)


def news(kind):
    for we_dial in (True, False):
        def by(check, ours, we_dial=we_dial):
            def run(stage):
                dialler, dialled = stage
                check(*stage if ours == we_dial else (dialled, dialler))
            return run
        who = "we dial" if we_dial else "they dial"
        cells = {(f"identify push, {who}: our protocols", kind): by(knows_protocol, True),
                 (f"identify push, {who}: their protocols", kind): by(knows_protocol, False),
                 (f"identify push, {who}: our addresses", kind): by(knows_address, True)}
        # js-libp2p cannot listen on more once it runs.
        if kind != "js":
            cells[f"identify push, {who}: their addresses", kind] = by(knows_address, False)
        yield Scenario(connected(kind, we_dial), cells)


def scenarios():
    for kind in PEERS:
        yield streams(kind, we_open=True)
        yield streams(kind, we_open=False)
        for way in WAYS:
            yield bulk(kind, True, way)
            yield bulk(kind, False, way)
        yield from news(kind)
