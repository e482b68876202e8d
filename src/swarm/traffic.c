/* Where the swarm counts bytes: what applications move through streams, by peer
 * and by protocol, and what connections carry in all. */
#include "swarm/swarm_internal.h"

/* Bytes before the protocol is agreed on are those of the negotiation; what was
 * written along with a single proposal is the application's, and counts for
 * what it proposed. */
void kad__stream_count(kad__stream *stream, size_t in, size_t out) {
  kad__channel *c = stream->channel;
  kad__bandwidth *b = &c->swarm->bandwidth;
  kad_time now = c->swarm->now;
  stream->bytes_in += in;
  stream->bytes_out += out;
  kad__meter_add(&b->streams, in, out, now);
  if (c->metered != NULL) {
    kad__meter_add(&c->metered->streams, in, out, now);
  }
  if (stream->metered == NULL) {
    stream->metered =
        kad__bandwidth_hold(b, &b->protocols, stream->protocol, now);
  }
  if (stream->metered != NULL) {
    kad__meter_add(&stream->metered->streams, in, out, now);
  }
}

void kad__channel_count(kad__channel *c, size_t in, size_t out) {
  kad_time now = c->swarm->now;
  c->bytes_in += in;
  c->bytes_out += out;
  kad__meter_add(&c->swarm->bandwidth.raw, in, out, now);
  if (c->metered != NULL) {
    kad__meter_add(&c->metered->raw, in, out, now);
  }
}

void kad__channel_meter(kad__channel *c) {
  kad__bandwidth *b = &c->swarm->bandwidth;
  c->metered = kad__bandwidth_hold(
      b, &b->peers, kad__bytes(c->peer->id.bytes, c->peer->id.len),
      c->swarm->now);
}

void kad__swarm_bandwidth(const kad__swarm *s, kad__bandwidth_rates *streams,
                          kad__bandwidth_rates *raw, kad_time now) {
  *streams = kad__meter_read(&s->bandwidth.streams, now);
  *raw = kad__meter_read(&s->bandwidth.raw, now);
}

bool kad__swarm_bandwidth_peer(const kad__swarm *s,
                               kad__bandwidth_rates *streams,
                               kad__bandwidth_rates *raw,
                               const kad_peer_id *peer, kad_time now) {
  const kad__metered *metered = kad__bandwidth_find(
      &s->bandwidth.peers, kad__bytes(peer->bytes, peer->len));
  if (metered == NULL) {
    return false;
  }
  *streams = kad__meter_read(&metered->streams, now);
  *raw = kad__meter_read(&metered->raw, now);
  return true;
}

bool kad__swarm_bandwidth_protocol(const kad__swarm *s,
                                   kad__bandwidth_rates *streams,
                                   kad_bytes protocol, kad_time now) {
  const kad__metered *metered =
      kad__bandwidth_find(&s->bandwidth.protocols, protocol);
  if (metered == NULL) {
    return false;
  }
  *streams = kad__meter_read(&metered->streams, now);
  return true;
}
