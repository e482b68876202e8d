/* Where others see us. A peer that has connected to a port on which we listen
 * tells at which address it did. One peer may be mistaken or lie, so what it
 * says is counted by where it stands: an IPv4 address, or an IPv6 /56, is one
 * observer however many connections it has. What enough observers agree on is
 * confirmed, until their connections close. */
#ifndef KAD_NODE_OBSERVED_H
#define KAD_NODE_OBSERVED_H

#include "base/map.h"
#include "swarm/swarm.h"

/* Pairs of a local and an external address that are counted, observers of each
 * that are told apart, and external addresses per local one that count. */
#define KAD__OBSERVED_PAIRS 32
#define KAD__OBSERVED_OBSERVERS 32
#define KAD__OBSERVED_TOP 3
/* Distinct observers that have to agree. */
#define KAD__OBSERVED_ENOUGH 4

/* /ip6/../tcp/.., the longest that is counted. */
#define KAD__OBSERVED_LEN 20

typedef struct kad__observer {
  uint8_t key[8];
  uint32_t connections; /* 0: a free place */
} kad__observer;

typedef struct kad__observed_pair {
  uint64_t number; /* in order of arrival; 0: a free place */
  uint8_t len;     /* of both addresses */
  uint8_t local[KAD__OBSERVED_LEN];
  uint8_t external[KAD__OBSERVED_LEN];
  uint32_t observer_count;
  kad__observer observers[KAD__OBSERVED_OBSERVERS];
} kad__observed_pair;

typedef struct kad__observed {
  kad_allocator allocator;
  uint32_t enough;
  uint64_t last_number;
  kad__map by_connection;
  kad__observed_pair *pairs; /* KAD__OBSERVED_PAIRS of them; NULL: none yet */
} kad__observed;

/* `enough` observers confirm, at most KAD__OBSERVED_OBSERVERS; 0: the default.
 */
void kad__observed_init(kad__observed *o, const kad_allocator *allocator,
                        const uint64_t secret[2], uint32_t enough);
void kad__observed_fini(kad__observed *o);

/* The peer at `remote` is connected with our `local` and saw `external`; it
 * replaces what the same connection said before. Returns 1 when it counts, 0
 * when it says nothing of use, KAD_E_LIMIT, KAD_E_NO_MEMORY. */
int kad__observed_note(kad__observed *o, kad__id connection, kad_bytes local,
                       kad_bytes remote, kad_bytes external);
/* The connection is closed; false when it had said nothing. */
bool kad__observed_drop(kad__observed *o, kad__id connection);

/* Is `external` confirmed? */
bool kad__observed_has(const kad__observed *o, kad_bytes external);
/* Walks what is confirmed: start with *at = 0; false at the end. An address can
 * come twice, for two local ones. Borrowed until the next change. */
bool kad__observed_next(const kad__observed *o, size_t *at,
                        kad_bytes *external);

#endif
