/* The order of go-libp2p's dial ranker, for TCP: private and public addresses
 * start side by side; within each group IPv6 comes before IPv4 and low ports
 * before high ones, the first IPv4 address is second ("happy eyeballs"), and
 * every later one waits its turn, longer when it is far away. Addresses without
 * an IP, of the owner's transports, are tried before all others: how far away
 * they are nobody knows, and most are of this machine. */
#include "swarm/swarm_internal.h"

#define DELAY_PUBLIC (250 * KAD_MILLISECOND)
#define DELAY_PRIVATE (30 * KAD_MILLISECOND)
#define SCORE_IP4 (UINT64_C(1) << 18)

/* The index makes the score unique: no two addresses ever tie. */
static void score(kad__candidate *c, uint8_t index) {
  kad__address_info info;
  kad__address_read(&info, kad__bytes(c->address, c->len));
  uint64_t value = info.port + (info.ip.len == 4 ? SCORE_IP4 : 0);
  c->score = value << 8 | index;
  c->is_private = kad__ip_is_private(info.ip);
  c->has_ip = info.ip.len != 0;
}

static bool is_ip4(const kad__candidate *c) {
  return (c->score >> 8 & SCORE_IP4) != 0;
}

/* The best of the group with a score above `*after`; NULL at the end. */
static kad__candidate *next_best(kad__dial *d, bool is_private,
                                 const kad__candidate *after, bool only_ip4) {
  kad__candidate *best = NULL;
  for (size_t i = 0; i < d->count; i++) {
    kad__candidate *c = &d->candidates[i];
    if (c->has_ip && c->is_private == is_private && (!only_ip4 || is_ip4(c)) &&
        (after == NULL || c->score > after->score) &&
        (best == NULL || c->score < best->score)) {
      best = c;
    }
  }
  return best;
}

static void rank_group(kad__dial *d, bool is_private) {
  kad_time step = is_private ? DELAY_PRIVATE : DELAY_PUBLIC;
  kad__candidate *first = next_best(d, is_private, NULL, false);
  if (first == NULL) {
    return;
  }
  kad__candidate *ip4 =
      is_ip4(first) ? NULL : next_best(d, is_private, NULL, true);
  kad_time delay = step;
  first->delay = 0;
  if (ip4 != NULL) {
    ip4->delay = step;
    delay = 2 * step;
  }
  kad__candidate *c = first;
  while ((c = next_best(d, is_private, c, false)) != NULL) {
    if (c != ip4) {
      c->delay = delay;
    }
  }
}

/* Those that have been tried keep their places: an address does not move up
 * because others have had their turn. */
void kad__dial_rank(kad__dial *d) {
  if (d->ranked == d->count) {
    return;
  }
  for (uint8_t i = 0; i < d->count; i++) {
    score(&d->candidates[i], i);
  }
  rank_group(d, true);
  rank_group(d, false);
  d->ranked = d->count;
}
