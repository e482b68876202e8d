package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

const (
	// Sends back what comes until its end, then ends too.
	echoProtocol = "/kadmium/echo/1.0.0"
	// Reads to the end, and only then says how many bytes there were.
	countProtocol = "/kadmium/count/1.0.0"
	// Reads and never says anything.
	holdProtocol = "/kadmium/hold/1.0.0"
	// Resets with the code that it reads.
	resetProtocol = "/kadmium/reset/1.0.0"
)

const pieceSize = 64 * 1024

// pattern is the same in all programs: its length is prime, so that a piece in a wrong place is
// noticed.
var pattern = makePattern(65521)

func makePattern(length int) []byte {
	made, state := make([]byte, length), uint32(1)
	for i := range made {
		state = state*1103515245 + 12345
		made[i] = byte(state >> 24)
	}
	return made
}

func patternAt(piece []byte, at int) {
	for len(piece) > 0 {
		n := copy(piece, pattern[at%len(pattern):])
		piece, at = piece[n:], at+n
	}
}

// ---- what is served ----

func serveStreams(h host.Host) {
	h.SetStreamHandler(echoProtocol, func(s network.Stream) {
		if _, err := io.CopyBuffer(struct{ io.Writer }{s}, struct{ io.Reader }{s}, make([]byte, pieceSize)); err != nil {
			reportReset(s, err)
			return
		}
		s.Close()
	})
	h.SetStreamHandler(countProtocol, func(s network.Stream) {
		if count, err := io.Copy(io.Discard, s); err == nil {
			fmt.Fprintf(s, "%d", count)
		}
		s.Close()
	})
	h.SetStreamHandler(holdProtocol, func(s network.Stream) {
		_, err := io.Copy(io.Discard, s)
		reportReset(s, err)
	})
	h.SetStreamHandler(resetProtocol, func(s network.Stream) {
		text := make([]byte, 10)
		n, _ := io.ReadFull(s, text)
		code, _ := strconv.ParseUint(string(bytes.TrimRight(text[:n], " ")), 10, 32)
		s.ResetWithError(network.StreamErrorCode(code))
	})
}

func resetCode(err error) (uint32, bool) {
	var reset *network.StreamError
	if errors.As(err, &reset) && reset.Remote {
		return uint32(reset.ErrorCode), true
	}
	return 0, errors.Is(err, network.ErrReset)
}

func reportReset(s network.Stream, err error) {
	if code, wasReset := resetCode(err); wasReset {
		emit(message{"type": "stream_reset", "id": s.Conn().RemotePeer(), "code": code})
	}
	s.Reset()
}

// ---- what is asked ----

func (n node) performOnStreams(ctx context.Context, r request) error {
	switch r.Op {
	case "echo":
		return n.echo(ctx, r)
	case "count":
		return n.count(ctx, r)
	case "reset":
		return n.reset(ctx, r)
	case "be-reset":
		return n.beReset(ctx, r)
	case "deadline":
		return n.deadline(ctx, r)
	case "handle":
		n.host.SetStreamHandler(protocol.ID(r.Protocol), func(s network.Stream) { s.Reset() })
		return nil
	}
	return fmt.Errorf("unknown operation %q", r.Op)
}

func (n node) open(ctx context.Context, r request, name protocol.ID) (network.Stream, error) {
	id, err := n.connect(ctx, r)
	if err != nil {
		return nil, err
	}
	return n.host.NewStream(ctx, id, name)
}

// echo keeps all streams open until the last has its bytes back. Each is used as soon as it is
// open, for until then this library has not proposed its protocol.
func (n node) echo(ctx context.Context, r request) error {
	results := make([]error, max(r.Streams, 1))
	var all, echoed sync.WaitGroup
	echoed.Add(len(results))
	for i := range results {
		all.Go(func() { results[i] = n.echoOnce(ctx, r, &echoed) })
	}
	all.Wait()
	if err := errors.Join(results...); err != nil {
		return err
	}
	emit(message{"tag": r.Tag, "type": "echoed", "streams": len(results), "bytes": r.Bytes})
	return nil
}

func (n node) echoOnce(ctx context.Context, r request, all *sync.WaitGroup) error {
	s, err := n.open(ctx, r, echoProtocol)
	if err == nil {
		defer s.Reset()
		err = echoOn(s, r.Bytes)
	}
	all.Done()
	all.Wait()
	if err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("no end, but %v", err)
	}
	return nil
}

// echoOn reads while it writes: neither side could take it all otherwise.
func echoOn(s network.Stream, length int) error {
	written := make(chan error, 1)
	go func() { written <- writePattern(s, length) }()
	return errors.Join(readPattern(s, length), <-written)
}

func writePattern(s network.Stream, length int) error {
	piece := make([]byte, pieceSize)
	for at := 0; at < length; at += len(piece) {
		piece = piece[:min(pieceSize, length-at)]
		patternAt(piece, at)
		if _, err := s.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

func readPattern(s network.Stream, length int) error {
	piece, wanted := make([]byte, pieceSize), make([]byte, pieceSize)
	for at := 0; at < length; {
		n, err := s.Read(piece)
		patternAt(wanted[:n], at)
		if !bytes.Equal(piece[:n], wanted[:n]) {
			return fmt.Errorf("wrong bytes within %d of %d", n, at)
		}
		at += n
		if err != nil && (err != io.EOF || at < length) {
			return fmt.Errorf("%d of %d bytes: %w", at, length, err)
		}
	}
	return nil
}

// count shows that the end of what we write is seen while the other side is open.
func (n node) count(ctx context.Context, r request) error {
	s, err := n.open(ctx, r, countProtocol)
	if err != nil {
		return err
	}
	defer s.Reset()
	if err := errors.Join(writePattern(s, r.Bytes), s.CloseWrite()); err != nil {
		return err
	}
	text, err := io.ReadAll(s)
	if err != nil {
		return err
	}
	counted, err := strconv.Atoi(string(text))
	emit(message{"tag": r.Tag, "type": "counted", "bytes": counted})
	return err
}

// reset resets a stream that works.
func (n node) reset(ctx context.Context, r request) error {
	s, err := n.open(ctx, r, echoProtocol)
	if err != nil {
		return err
	}
	defer s.ResetWithError(network.StreamErrorCode(r.Code))
	if _, err := s.Write(pattern[:1]); err != nil {
		return err
	}
	_, err = io.ReadFull(s, make([]byte, 1))
	return err
}

func (n node) beReset(ctx context.Context, r request) error {
	s, err := n.open(ctx, r, resetProtocol)
	if err != nil {
		return err
	}
	defer s.Reset()
	if _, err := fmt.Fprintf(s, "%-10d", r.Code); err != nil {
		return err
	}
	_, err = s.Read(make([]byte, 1))
	code, wasReset := resetCode(err)
	if !wasReset {
		return fmt.Errorf("no reset, but %v", err)
	}
	emit(message{"tag": r.Tag, "type": "stream_reset", "code": code})
	return nil
}

func (n node) deadline(ctx context.Context, r request) error {
	s, err := n.open(ctx, r, holdProtocol)
	if err != nil {
		return err
	}
	defer s.Reset()
	if _, err := s.Write(pattern[:1]); err != nil {
		return err
	}
	started := time.Now()
	s.SetReadDeadline(started.Add(time.Duration(r.Ms) * time.Millisecond))
	_, err = s.Read(make([]byte, 1))
	var timeout interface{ Timeout() bool }
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		return fmt.Errorf("no time-out, but %v", err)
	}
	emit(message{"tag": r.Tag, "type": "timed_out", "after_ms": time.Since(started).Milliseconds()})
	return nil
}

// listen listens at one more address, of which others are told.
func (n node) listen(r request) error {
	addr, err := multiaddr.NewMultiaddr(r.Addr)
	if err != nil {
		return err
	}
	return n.host.Network().Listen(addr)
}
