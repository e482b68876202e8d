/* The questions to the owner's gater, each asked in one place. */
#include "swarm/swarm_internal.h"

static bool told(kad__swarm *s, bool allowed) {
  s->counters.gated += !allowed;
  return allowed;
}

bool kad__gate_dial_peer(kad__swarm *s, const kad_peer_id *peer) {
  const kad_gater *g = &s->config.gater;
  return g->dial_peer == NULL || told(s, g->dial_peer(g->user, peer));
}

bool kad__gate_dial_address(kad__swarm *s, const kad_peer_id *peer,
                            kad_bytes address) {
  const kad_gater *g = &s->config.gater;
  return g->dial_address == NULL ||
         told(s,
              g->dial_address(g->user, peer->len == 0 ? NULL : peer, address));
}

bool kad__gate_accept(kad__swarm *s, kad_bytes local, kad_bytes remote) {
  const kad_gater *g = &s->config.gater;
  return g->accept == NULL || told(s, g->accept(g->user, local, remote));
}

bool kad__gate_secured(kad__channel *c) {
  const kad_gater *g = &c->swarm->config.gater;
  if (c->gate_passed || !kad__connection_secured(c->connection)) {
    return true;
  }
  c->gate_passed = true;
  return g->secured == NULL ||
         told(c->swarm,
              g->secured(g->user, c->inbound,
                         kad__connection_peer(c->connection), c->remote));
}

bool kad__gate_upgraded(kad__channel *c) {
  const kad_gater *g = &c->swarm->config.gater;
  return g->upgraded == NULL ||
         told(c->swarm,
              g->upgraded(g->user, c->inbound,
                          kad__connection_peer(c->connection), c->remote));
}
