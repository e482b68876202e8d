/* The gateway's own parts: kad.c holds it together and tells the DHT about
 * peers, kad_calls.c carries our calls, kad_answers.c answers others,
 * kad_shorten.c fits answers into what everybody reads. */
#ifndef KAD_PROTOCOLS_KAD_INTERNAL_H
#define KAD_PROTOCOLS_KAD_INTERNAL_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "protocols/framing.h"
#include "protocols/kad.h"

struct kad__kad {
  kad_allocator allocator;
  kad__swarm *swarm;
  kad__dht *dht;
  kad__kad_config config; /* what it points to is ours, below */
  kad_peer_id local;
  uint8_t *protocol;
  kad__dht_mode mode;

  kad__map calls;   /* by id */
  kad__map callees; /* peers that we call now, by PeerId */
  kad__heap deadlines;

  kad__map askers; /* peers with streams that linger, by PeerId */
  size_t inbound_count;
  kad__list unseen;  /* reviews that the owner has not taken yet */
  kad__list waiting; /* those that wait for its verdict */
  uint32_t review_count;
  uint64_t last_review;
  kad__list spare_askers; /* kept for the next ones, a few of each */
  kad__list spare_inbound;
  uint32_t spare_asker_count;
  uint32_t spare_inbound_count;

  /* Scratch: far too large for a stack, and never in use twice. */
  kad__message request;
  kad__message reply;
  uint8_t list_space[KAD__OWN_ADDRESSES_MAX];
  kad__kad_counters counters;
};

/* Gives entries of ourselves the addresses that suit whoever is at the other
 * end of `connection`. `message` then borrows from the gateway. */
void kad__kad_fill_own(kad__kad *kad, kad__wire_peer *peers, size_t count,
                       kad__id connection);

/* Writes `message`, whose encoding has `len` bytes, to `stream`. */
int kad__kad_write(kad__stream *stream, const kad__message *message,
                   size_t len);

/* kad_calls.c */
void kad__kad_handle_call(kad__kad *kad, const kad__swarm_event *event,
                          kad_time now);
/* A connection to the peer came up, or went down. */
void kad__kad_peer_connected(kad__kad *kad, const kad_peer_id *peer,
                             kad_time now);
void kad__kad_peer_lost(kad__kad *kad, const kad_peer_id *peer, kad_time now);
/* False when no call waited for this dial. */
bool kad__kad_dial_failed(kad__kad *kad, const kad_peer_id *peer, int error,
                          kad_time now);
void kad__kad_free_calls(kad__kad *kad);

/* kad_answers.c */
void kad__kad_handle_inbound(kad__kad *kad, const kad__swarm_event *event,
                             kad_time now);
void kad__kad_free_inbound(kad__kad *kad);

/* Shortens `reply` to at most `max` bytes where that can be done; returns the
 * length of its encoding. Sets `*shortened` when it left something out. */
size_t kad__kad_shorten(kad__message *reply, size_t max, bool *shortened);

#endif
