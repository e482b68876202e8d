// A go-libp2p node under the control protocol of ../README.md.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
)

const publicProtocol = "/ipfs/kad/1.0.0"

// anyRecord is the validator of a private network: every record is good, the newest wins.
type anyRecord struct{}

func (anyRecord) Validate(string, []byte) error        { return nil }
func (anyRecord) Select(string, [][]byte) (int, error) { return 0, nil }

type addressList []peer.AddrInfo

func (list *addressList) String() string { return "" }

func (list *addressList) Set(text string) error {
	info, err := peer.AddrInfoFromString(text)
	if err != nil {
		return err
	}
	*list = append(*list, *info)
	return nil
}

type settings struct {
	protocol  string
	mode      string
	security  string
	keyType   string
	swarmKey  string
	listen    string
	autoNAT   bool
	bootstrap addressList
}

func parseSettings() settings {
	var s settings
	flag.StringVar(&s.protocol, "protocol", publicProtocol, "name of the DHT's protocol")
	flag.StringVar(&s.mode, "mode", "server", "server or client")
	flag.StringVar(&s.security, "security", "noise", "noise or tls")
	flag.StringVar(&s.keyType, "key-type", "ed25519", "ed25519, secp256k1, ecdsa or rsa")
	flag.StringVar(&s.swarmKey, "swarm-key", "", "file with the key of a private network")
	flag.StringVar(&s.listen, "listen", "/ip4/127.0.0.1/tcp/0", "where to listen")
	flag.BoolVar(&s.autoNAT, "autonat", false, "ask and answer by AutoNAT v2")
	flag.Var(&s.bootstrap, "bootstrap", "address of a peer to join through; may be repeated")
	flag.Parse()
	return s
}

var output sync.Mutex

type message map[string]any

func emit(m message) {
	output.Lock()
	defer output.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(m); err != nil {
		log.Fatal(err)
	}
}

// agent names the release of go-libp2p, which by default names this program instead.
func agent() string {
	const module = "github.com/libp2p/go-libp2p"
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return "go-libp2p/" + dependency.Version
		}
	}
	return "go-libp2p"
}

var keyTypes = map[string]int{
	"ed25519": crypto.Ed25519, "secp256k1": crypto.Secp256k1, "ecdsa": crypto.ECDSA, "rsa": crypto.RSA}

func newKey(name string) (crypto.PrivKey, error) {
	keyType, known := keyTypes[name]
	if !known {
		return nil, fmt.Errorf("no key type %q", name)
	}
	key, _, err := crypto.GenerateKeyPairWithReader(keyType, 2048, rand.Reader)
	return key, err
}

func security(name string) libp2p.Option {
	if name == "tls" {
		return libp2p.Security(tls.ID, tls.New)
	}
	return libp2p.Security(noise.ID, noise.New)
}

func privateNetwork(path string) (libp2p.Option, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	key, err := pnet.DecodeV1PSK(file)
	return libp2p.PrivateNetwork(key), err
}

func newHost(s settings) (host.Host, error) {
	key, err := newKey(s.keyType)
	if err != nil {
		return nil, err
	}
	options := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(s.listen),
		libp2p.Transport(tcp.NewTCPTransport),
		security(s.security),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.UserAgent(agent()),
		libp2p.DisableRelay(),
		// Its usual limits are below the number of streams that are tried at once.
		libp2p.ResourceManager(&network.NullResourceManager{}),
	}
	if s.autoNAT {
		options = append(options, libp2p.EnableAutoNATv2())
	}
	if s.swarmKey != "" {
		private, err := privateNetwork(s.swarmKey)
		if err != nil {
			return nil, err
		}
		options = append(options, private)
	}
	return libp2p.New(options...)
}

func newDHT(h host.Host, s settings) (*dht.IpfsDHT, error) {
	options := []dht.Option{dht.Mode(dht.ModeServer)}
	if s.mode == "client" {
		options = []dht.Option{dht.Mode(dht.ModeClient)}
	}
	if s.protocol != publicProtocol {
		options = append(options,
			// Under the public prefix the DHT insists on the validators of /pk and /ipns.
			dht.ProtocolPrefix("/private"),
			dht.V1ProtocolOverride(protocol.ID(s.protocol)),
			dht.Validator(anyRecord{}))
	}
	return dht.New(h, options...)
}

func addressTexts(addrs []multiaddr.Multiaddr) []string {
	texts := make([]string, len(addrs))
	for i, addr := range addrs {
		texts[i] = addr.String()
	}
	return texts
}

func reportIdentified(h host.Host) error {
	events, err := h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return err
	}
	go func() {
		for e := range events.Out() {
			identified := e.(event.EvtPeerIdentificationCompleted)
			m := message{
				"type":      "identified",
				"id":        identified.Peer,
				"agent":     identified.AgentVersion,
				"protocols": identified.Protocols,
				"addrs":     addressTexts(identified.ListenAddrs),
			}
			if identified.ObservedAddr != nil {
				m["observed"] = identified.ObservedAddr.String()
			}
			emit(m)
		}
	}()
	return nil
}

func reportReachability(h host.Host) error {
	events, err := h.EventBus().Subscribe(new(event.EvtHostReachableAddrsChanged))
	if err != nil {
		return err
	}
	go func() {
		for e := range events.Out() {
			changed := e.(event.EvtHostReachableAddrsChanged)
			emit(message{
				"type":        "reachability",
				"reachable":   addressTexts(changed.Reachable),
				"unreachable": addressTexts(changed.Unreachable),
				"unknown":     addressTexts(changed.Unknown),
			})
		}
	}()
	return nil
}

func reportListening(h host.Host) error {
	addrs, err := peer.AddrInfoToP2pAddrs(host.InfoFromHost(h))
	if err != nil {
		return err
	}
	emit(message{"type": "listening", "id": h.ID(), "addrs": addressTexts(addrs)})
	return nil
}

// join returns when the routing table has its first peer: a lookup before that fails at once.
func join(ctx context.Context, h host.Host, d *dht.IpfsDHT, bootstrap addressList) error {
	for _, info := range bootstrap {
		if err := h.Connect(ctx, info); err != nil {
			return err
		}
	}
	for len(bootstrap) > 0 && d.RoutingTable().Size() == 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func run(ctx context.Context, s settings) error {
	h, err := newHost(s)
	if err != nil {
		return err
	}
	defer h.Close()
	if err := reportIdentified(h); err != nil {
		return err
	}
	if err := reportReachability(h); err != nil {
		return err
	}
	serveStreams(h)
	d, err := newDHT(h, s)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := reportListening(h); err != nil {
		return err
	}
	if err := join(ctx, h, d, s.bootstrap); err != nil {
		return err
	}
	emit(message{"type": "ready", "peers": len(h.Network().Peers())})

	node := node{host: h, dht: d}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		go node.answer(ctx, lines.Text())
	}
	return nil
}

func main() {
	if err := run(context.Background(), parseSettings()); err != nil {
		log.Fatal(err)
	}
}
