"""What an answer must contain for its cell to pass."""

import re

from .keys import distance
from .process import Failure, without_id

PING_PROTOCOL = "/ipfs/ping/1.0.0"
LOOPBACK_TCP = re.compile(r"/ip4/127\.0\.0\.1/tcp/([1-9]\d*)")


def require(condition, message):
    if not condition:
        raise Failure(message)


def of_type(results, kind):
    return [result for result in results if result["type"] == kind]


def require_address(node, addresses, what):
    told = [without_id(address) for address in addresses]
    require(without_id(node.address) in told,
            f"{what} of {node.name} are {told}, without {without_id(node.address)}")


def check_pong(results):
    pongs = of_type(results, "pong")
    require(pongs and pongs[0]["rtt_ms"] >= 0, f"no pong in {results}")


def check_found(node, results):
    """The result names one peer, the node, with an address it listens on."""
    ids = [peer["id"] for peer in of_type(results, "peer")]
    require(ids == [node.id], f"found {ids} instead of {node.id}")
    require_address(node, of_type(results, "peer")[0]["addrs"], "addresses found")


def check_closest(key, nodes, results):
    """All the nodes are there, and the nearest comes first."""
    ids = [peer["id"] for peer in of_type(results, "peer")]
    missing = [node.name for node in nodes if node.id not in ids]
    require(not missing, f"closest peers {ids} lack {missing}")
    require(ids == sorted(ids, key=lambda peer: distance(key, peer)),
            f"closest peers are not in order: {ids}")


def check_value(record, results):
    values = {(value["key"], value["value"]) for value in of_type(results, "value")}
    require(values == {(record.key, record.value)}, f"got {values}, not {record.value}")


def check_provider(node, results):
    """The node is a provider, with an address it listens on."""
    found = [r for r in of_type(results, "provider") if r["id"] == node.id]
    require(found, f"{node.name} ({node.id}) is not among the providers: {results}")
    require_address(node, [a for r in found for a in r["addrs"]], "provider's addresses")


def check_unknown_provider(results):
    """There is one provider, whose id nobody could know before, with an address."""
    found = of_type(results, "provider")
    require(len(found) == 1, f"{len(found)} providers: {results}")
    require(any(LOOPBACK_TCP.fullmatch(without_id(a)) for a in found[0]["addrs"]),
            f"no usable address: {found}")


def check_identified(viewer, seen, agent, protocol, dialled_by_viewer):
    """What the viewer was told by the other: who it is, and as whom it sees the viewer."""
    # A node that is dialled while it starts tells of its last protocols in a push.
    event = viewer.wait_for(
        "identified", lambda e: e["id"] == seen.id and protocol in e["protocols"])
    require(re.search(agent, event["agent"]), f"agent is {event['agent']!r}, not {agent}")
    require_address(seen, event["addrs"], "identified addresses")
    require(PING_PROTOCOL in event["protocols"], f"{PING_PROTOCOL} is not in {event['protocols']}")
    observed = without_id(event["observed"] or "")
    if not dialled_by_viewer:
        require(observed == without_id(viewer.address),
                f"observed {observed}, though dialled at {viewer.address}")
        return
    port = LOOPBACK_TCP.fullmatch(observed)
    ports = ports_connected_to(int(LOOPBACK_TCP.match(seen.address)[1]))
    require(port and int(port[1]) in ports, f"observed {observed}, though dialled from {ports}")


def ports_connected_to(port):
    """The local ports of this machine's connections to a port."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        ends = [line.split()[1:3] for line in table.readlines()[1:]]
    ports = [[int(end.split(":")[1], 16) for end in pair] for pair in ends]
    return {local for local, remote in ports if remote == port}
