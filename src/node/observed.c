/* A small table of pairs, looked through from end to end: there are few local
 * addresses, and honest observers agree. When it is full, a pair with a single
 * observer makes room, the oldest first, so that a liar displaces liars. */
#include "node/observed.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "kadmium/multiaddr.h"
#include "protocols/own_addresses.h"

/* What a connection said. */
typedef struct observation {
  kad__map_node node;
  kad__id connection;
  uint64_t pair; /* its number */
  uint8_t observer[8];
} observation;

void kad__observed_init(kad__observed *o, const kad_allocator *allocator,
                        const uint64_t secret[2], uint32_t enough) {
  *o = (kad__observed){.allocator = *allocator, .enough = enough};
  if (enough == 0) {
    o->enough = KAD__OBSERVED_ENOUGH;
  } else if (enough > KAD__OBSERVED_OBSERVERS) {
    o->enough = KAD__OBSERVED_OBSERVERS;
  }
  kad__map_init(&o->by_connection, secret);
}

void kad__observed_fini(kad__observed *o) {
  uint32_t slot = 0;
  kad__map_node *node = kad__map_next(&o->by_connection, &slot, NULL);
  while (node != NULL) {
    kad__map_node *next = kad__map_next(&o->by_connection, &slot, node);
    kad__release(&o->allocator, KAD__CONTAINER(node, observation, node));
    node = next;
  }
  kad__map_fini(&o->by_connection, &o->allocator);
  kad__release(&o->allocator, o->pairs);
}

/* ---- reading addresses --------------------------------------------------- */

/* The IP of /ip4/../tcp/.. or /ip6/../tcp/.. and nothing else; empty: no. */
static kad_bytes ip_of(kad_bytes address) {
  kad_multiaddr_part ip;
  kad_multiaddr_part port;
  if (kad_multiaddr_next(&address, &ip) != 1 ||
      kad_multiaddr_next(&address, &port) != 1 || address.len != 0 ||
      port.protocol != KAD_MULTIADDR_TCP ||
      (ip.protocol != KAD_MULTIADDR_IP4 && ip.protocol != KAD_MULTIADDR_IP6)) {
    return (kad_bytes){0};
  }
  return ip.value;
}

/* 64:ff9b::/96 is a gateway's idea of an address, not ours. */
static bool is_nat64(kad_bytes ip) {
  static const uint8_t prefix[12] = {0, 0x64, 0xff, 0x9b};
  return ip.len == 16 && memcmp(ip.data, prefix, sizeof(prefix)) == 0;
}

static bool of_use(kad_bytes local, kad_bytes external) {
  kad_bytes ip = ip_of(external);
  return ip.len != 0 && ip.len == ip_of(local).len && !is_nat64(ip) &&
         external.len <= KAD__OBSERVED_LEN && local.len == external.len &&
         !kad__bytes_equal(local, external) &&
         !kad__address_useless(external) &&
         kad__address_scope(external) != KAD__SCOPE_LOOPBACK;
}

/* Which observer stands at `remote`: its IPv4 address or its IPv6 /56. */
static bool observer_of(uint8_t key[8], kad_bytes remote) {
  static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
  kad_multiaddr_part part;
  int more = kad_multiaddr_next(&remote, &part);
  if (more == 1 && part.protocol == KAD_MULTIADDR_IP6ZONE) {
    more = kad_multiaddr_next(&remote, &part);
  }
  memset(key, 0, 8);
  if (more != 1) {
    return false;
  }
  kad_bytes ip = part.value;
  if (part.protocol == KAD_MULTIADDR_IP6 &&
      memcmp(ip.data, mapped, sizeof(mapped)) == 0) {
    ip = kad__bytes_skip(ip, sizeof(mapped));
  } else if (part.protocol != KAD_MULTIADDR_IP4 &&
             part.protocol != KAD_MULTIADDR_IP6) {
    return false;
  }
  key[0] = (uint8_t)ip.len;
  memcpy(key + 1, ip.data, ip.len == 4 ? 4 : 7);
  return true;
}

/* ---- pairs --------------------------------------------------------------- */

static kad_bytes external_of(const kad__observed_pair *pair) {
  return kad__bytes(pair->external, pair->len);
}

static bool same_local(const kad__observed_pair *a,
                       const kad__observed_pair *b) {
  return a->len == b->len && memcmp(a->local, b->local, a->len) == 0;
}

static kad__observed_pair *find_pair(const kad__observed *o, kad_bytes local,
                                     kad_bytes external) {
  for (size_t i = 0; i < KAD__OBSERVED_PAIRS; i++) {
    kad__observed_pair *pair = &o->pairs[i];
    if (pair->number != 0 && kad__bytes_equal(external_of(pair), external) &&
        memcmp(pair->local, local.data, local.len) == 0) {
      return pair;
    }
  }
  return NULL;
}

static kad__observed_pair *pair_numbered(const kad__observed *o,
                                         uint64_t number) {
  for (size_t i = 0; i < KAD__OBSERVED_PAIRS; i++) {
    if (o->pairs[i].number == number) {
      return &o->pairs[i];
    }
  }
  return NULL;
}

static kad__observed_pair *place(const kad__observed *o) {
  kad__observed_pair *oldest = NULL;
  for (size_t i = 0; i < KAD__OBSERVED_PAIRS; i++) {
    kad__observed_pair *pair = &o->pairs[i];
    if (pair->number == 0) {
      return pair;
    }
    if (pair->observer_count == 1 &&
        (oldest == NULL || pair->number < oldest->number)) {
      oldest = pair;
    }
  }
  return oldest;
}

static kad__observed_pair *make_pair(kad__observed *o, kad_bytes local,
                                     kad_bytes external) {
  kad__observed_pair *pair = place(o);
  if (pair != NULL) {
    *pair = (kad__observed_pair){.number = ++o->last_number,
                                 .len = (uint8_t)external.len};
    memcpy(pair->local, local.data, local.len);
    memcpy(pair->external, external.data, external.len);
  }
  return pair;
}

/* The observer's place, or a free one for it; NULL: there are enough. */
static kad__observer *find_observer(kad__observed_pair *pair,
                                    const uint8_t key[8]) {
  kad__observer *vacant = NULL;
  for (size_t i = 0; i < KAD__OBSERVED_OBSERVERS; i++) {
    kad__observer *observer = &pair->observers[i];
    if (observer->connections == 0) {
      vacant = vacant == NULL ? observer : vacant;
    } else if (memcmp(observer->key, key, sizeof(observer->key)) == 0) {
      return observer;
    }
  }
  return vacant;
}

/* ---- counting ------------------------------------------------------------ */

static observation *find_observation(const kad__observed *o,
                                     kad__id connection) {
  kad__map_node *node = kad__map_find(
      &o->by_connection, kad__bytes(&connection, sizeof(connection)));
  return node == NULL ? NULL : KAD__CONTAINER(node, observation, node);
}

static observation *keep(kad__observed *o, kad__id connection,
                         const uint8_t key[8]) {
  observation *said = kad__calloc(&o->allocator, 1, sizeof(*said));
  if (said == NULL) {
    return NULL;
  }
  said->connection = connection;
  memcpy(said->observer, key, sizeof(said->observer));
  if (kad__map_add(&o->by_connection, &o->allocator, &said->node,
                   kad__bytes(&said->connection, sizeof(said->connection))) <
      0) {
    kad__release(&o->allocator, said);
    return NULL;
  }
  return said;
}

static void forget(kad__observed *o, observation *said) {
  kad__map_remove(&o->by_connection, &said->node);
  kad__release(&o->allocator, said);
}

static int count(kad__observed *o, observation *said, kad_bytes local,
                 kad_bytes external) {
  kad__observed_pair *pair = find_pair(o, local, external);
  if (pair == NULL) {
    pair = make_pair(o, local, external);
  }
  kad__observer *observer =
      pair == NULL ? NULL : find_observer(pair, said->observer);
  if (observer == NULL) {
    return KAD_E_LIMIT;
  }
  memcpy(observer->key, said->observer, sizeof(observer->key));
  pair->observer_count += observer->connections++ == 0;
  said->pair = pair->number;
  return 1;
}

int kad__observed_note(kad__observed *o, kad__id connection, kad_bytes local,
                       kad_bytes remote, kad_bytes external) {
  uint8_t key[8];
  (void)kad__observed_drop(o, connection);
  if (!of_use(local, external) || !observer_of(key, remote)) {
    return 0;
  }
  if (o->pairs == NULL) {
    o->pairs =
        kad__calloc(&o->allocator, KAD__OBSERVED_PAIRS, sizeof(*o->pairs));
    if (o->pairs == NULL) {
      return KAD_E_NO_MEMORY;
    }
  }
  observation *said = keep(o, connection, key);
  if (said == NULL) {
    return KAD_E_NO_MEMORY;
  }
  int result = count(o, said, local, external);
  if (result < 0) {
    forget(o, said);
  }
  return result;
}

bool kad__observed_drop(kad__observed *o, kad__id connection) {
  observation *said = find_observation(o, connection);
  if (said == NULL) {
    return false;
  }
  /* The pair may have made room for another meanwhile. */
  kad__observed_pair *pair = pair_numbered(o, said->pair);
  if (pair != NULL) {
    kad__observer *observer = find_observer(pair, said->observer);
    pair->observer_count -= --observer->connections == 0;
    if (pair->observer_count == 0) {
      pair->number = 0;
    }
  }
  forget(o, said);
  return true;
}

/* ---- what is confirmed --------------------------------------------------- */

static bool is_confirmed(const kad__observed *o,
                         const kad__observed_pair *pair) {
  if (pair->number == 0 || pair->observer_count < o->enough) {
    return false;
  }
  size_t before = 0;
  for (size_t i = 0; i < KAD__OBSERVED_PAIRS; i++) {
    const kad__observed_pair *other = &o->pairs[i];
    bool more = other->observer_count > pair->observer_count ||
                (other->observer_count == pair->observer_count &&
                 other->number < pair->number);
    before += other->number != 0 && same_local(other, pair) && more;
  }
  return before < KAD__OBSERVED_TOP;
}

bool kad__observed_next(const kad__observed *o, size_t *at,
                        kad_bytes *external) {
  while (o->pairs != NULL && *at < KAD__OBSERVED_PAIRS) {
    const kad__observed_pair *pair = &o->pairs[(*at)++];
    if (is_confirmed(o, pair)) {
      *external = external_of(pair);
      return true;
    }
  }
  return false;
}

bool kad__observed_has(const kad__observed *o, kad_bytes external) {
  size_t at = 0;
  kad_bytes confirmed;
  while (kad__observed_next(o, &at, &confirmed)) {
    if (kad__bytes_equal(confirmed, external)) {
      return true;
    }
  }
  return false;
}
