package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

const operationTimeout = 30 * time.Second

type node struct {
	host host.Host
	dht  *dht.IpfsDHT
}

type request struct {
	Tag   int     `json:"tag"`
	Op    string  `json:"op"`
	Addr  string  `json:"addr"`
	Peer  string  `json:"peer"`
	Key   hexText `json:"key"`
	Value hexText `json:"value"`
	Count int     `json:"count"`
	// A number, or one of the names that putting knows.
	Quorum any `json:"quorum"`

	Path      string `json:"path"`
	Sequence  uint64 `json:"sequence"`
	LifetimeS int    `json:"lifetime_s"`

	Protocol string `json:"protocol"`
	Bytes    int    `json:"bytes"`
	Streams  int    `json:"streams"`
	Code     uint32 `json:"code"`
	Ms       int    `json:"ms"`
}

// hexText is bytes written as 0x... .
type hexText []byte

func (h *hexText) UnmarshalText(text []byte) error {
	decoded, err := hex.DecodeString(strings.TrimPrefix(string(text), "0x"))
	*h = decoded
	return err
}

func (h hexText) MarshalText() ([]byte, error) {
	return []byte("0x" + hex.EncodeToString(h)), nil
}

func (n node) answer(ctx context.Context, line string) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	var r request
	started := time.Now()
	err := json.Unmarshal([]byte(line), &r)
	if err == nil {
		err = n.perform(ctx, r)
	}
	result := "ok"
	if err != nil {
		result = "failed"
		name := fmt.Sprintf("%T", err)
		emit(message{"tag": r.Tag, "type": "error", "error": name, "message": err.Error()})
	}
	elapsed := time.Since(started).Milliseconds()
	emit(message{"tag": r.Tag, "type": "end", "result": result, "elapsed_ms": elapsed})
}

func (n node) perform(ctx context.Context, r request) error {
	switch r.Op {
	case "connect":
		_, err := n.connect(ctx, r)
		return err
	case "ping":
		return n.ping(ctx, r)
	case "find-peer":
		return n.findPeer(ctx, r)
	case "closest":
		return n.closest(ctx, r)
	case "put":
		return n.dht.PutValue(ctx, string(r.Key), r.Value)
	case "get":
		return n.get(ctx, r)
	case "make-ipns":
		return n.makeIPNS(r)
	case "provide":
		return n.dht.Provide(ctx, contentID(r.Key), true)
	case "find-providers":
		n.findProviders(ctx, r)
		return nil
	case "listen":
		return n.listen(r)
	}
	return n.performOnStreams(ctx, r)
}

func contentID(multihash []byte) cid.Cid {
	return cid.NewCidV1(cid.Raw, multihash)
}

func emitPeer(tag int, kind string, info peer.AddrInfo) {
	emit(message{"tag": tag, "type": kind, "id": info.ID, "addrs": addressTexts(info.Addrs)})
}

func (n node) connect(ctx context.Context, r request) (peer.ID, error) {
	info, err := peer.AddrInfoFromString(r.Addr)
	if err != nil {
		return "", err
	}
	return info.ID, n.host.Connect(ctx, *info)
}

func (n node) ping(ctx context.Context, r request) error {
	id, err := n.connect(ctx, r)
	if err != nil {
		return err
	}
	result := <-ping.Ping(ctx, n.host, id)
	if result.Error != nil {
		return result.Error
	}
	emit(message{"tag": r.Tag, "type": "pong", "rtt_ms": float64(result.RTT.Microseconds()) / 1000})
	return nil
}

func (n node) findPeer(ctx context.Context, r request) error {
	id, err := peer.Decode(r.Peer)
	if err != nil {
		return err
	}
	info, err := n.dht.FindPeer(ctx, id)
	if err != nil {
		return err
	}
	emitPeer(r.Tag, "peer", info)
	return nil
}

func (n node) closest(ctx context.Context, r request) error {
	peers, err := n.dht.GetClosestPeers(ctx, string(r.Key))
	if err != nil {
		return err
	}
	for _, id := range peers {
		emitPeer(r.Tag, "peer", n.host.Peerstore().PeerInfo(id))
	}
	return nil
}

func (n node) get(ctx context.Context, r request) error {
	quorum := 1
	if wanted, isNumber := r.Quorum.(float64); isNumber {
		quorum = int(wanted)
	}
	value, err := n.dht.GetValue(ctx, string(r.Key), dht.Quorum(quorum))
	if err != nil {
		return err
	}
	emit(message{"tag": r.Tag, "type": "value", "key": r.Key, "value": hexText(value), "from": nil})
	return nil
}

func (n node) findProviders(ctx context.Context, r request) {
	for info := range n.dht.FindProvidersAsync(ctx, contentID(r.Key), r.Count) {
		emitPeer(r.Tag, "provider", info)
	}
}

// makeIPNS makes a record of this node's own name, and puts it nowhere.
func (n node) makeIPNS(r request) error {
	target, err := path.NewPath(r.Path)
	if err != nil {
		return err
	}
	key := n.host.Peerstore().PrivKey(n.host.ID())
	until := time.Now().Add(time.Duration(r.LifetimeS) * time.Second)
	record, err := ipns.NewRecord(key, target, r.Sequence, until, ipns.DefaultRecordTTL)
	if err != nil {
		return err
	}
	value, err := ipns.MarshalRecord(record)
	if err != nil {
		return err
	}
	emit(message{"tag": r.Tag, "type": "record",
		"key": hexText(ipns.NameFromPeer(n.host.ID()).RoutingKey()), "value": hexText(value)})
	return nil
}
