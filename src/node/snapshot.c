/* One protobuf message, written twice: once into nothing, to learn its length,
 * and once for good. Reading takes two passes as well, the first of which only
 * checks, so that a damaged snapshot changes nothing.
 *
 * Peers of the table come back as contacts, not as members: a snapshot may be
 * old, and what it says of others has to prove itself again. What the peerstore
 * knew it knows again, less what has expired meanwhile by the wall clock. */
#include "node/snapshot.h"

#include "kademlia/inspect.h"
#include "kadmium/multiaddr.h"
#include "node/node_internal.h"
#include "wire/addresses.h"
#include "wire/protobuf.h"

enum { MAGIC = 1, VERSION = 2, PEER = 3, RECORD = 4, PROVIDED = 5, KNOWN = 6 };
enum { PEER_ID = 1, PEER_ADDRESS = 2 };
enum { RECORD_KEY = 1, RECORD_VALUE = 2, RECORD_EXPIRES = 3 };

enum {
  KNOWN_ID = 1,
  KNOWN_ADDRESS = 2,
  KNOWN_PROTOCOL = 3,
  KNOWN_AGENT = 4,
  KNOWN_PROTOCOL_VERSION = 5,
  KNOWN_RECORD = 6,
  KNOWN_KEY = 7
};
enum { KNOWN_ADDRESS_BYTES = 1, KNOWN_ADDRESS_EXPIRES = 2 };

#define FORMAT_VERSION 1
static const char magic[] = "kadmium snapshot";

/* Contacts that are taken from one snapshot: more than enough to join. */
#define CONTACTS_MAX 64
/* Peers of the peerstore, and bytes of them, that are written; peers that are
 * read. What would be gone in a moment is not worth it, and a clock that was
 * wrong must not make an address live for years. */
#define KNOWN_MAX 1000
#define KNOWN_BYTES_MAX ((size_t)4 << 20)
#define KNOWN_LIFE_MIN KAD__ADDRESS_TEMPORARY
#define KNOWN_LIFE_MAX (7 * 24 * KAD_HOUR)

/* ---- writing ------------------------------------------------------------- */

/* Writes, or without `w` only counts. */
typedef struct sink {
  kad__pb_writer *w;
  size_t len;
} sink;

static void put_header(sink *s, uint32_t number, size_t len) {
  s->len += kad__pb_bytes_len(number, len) - len;
  if (s->w != NULL) {
    kad__pb_put_header(s->w, number, len);
  }
}

static void put_bytes(sink *s, uint32_t number, kad_bytes bytes) {
  s->len += kad__pb_bytes_len(number, bytes.len);
  if (s->w != NULL) {
    kad__pb_put_bytes(s->w, number, bytes);
  }
}

static void put_number(sink *s, uint32_t number, uint64_t value) {
  s->len += kad__pb_varint_len(number, value);
  if (s->w != NULL) {
    kad__pb_put_varint(s->w, number, value);
  }
}

static void put_addresses(sink *s, kad_bytes list) {
  kad_bytes address;
  while (kad__addresses_next(&list, &address)) {
    put_bytes(s, PEER_ADDRESS, address);
  }
}

static void put_peer(sink *s, const kad__entry_view *entry) {
  sink body = {.w = NULL};
  put_bytes(&body, PEER_ID, entry->peer);
  put_addresses(&body, entry->addresses);
  put_header(s, PEER, body.len);
  put_bytes(s, PEER_ID, entry->peer);
  put_addresses(s, entry->addresses);
}

static void put_peers(sink *s, const kad__dht *dht) {
  kad__bucket_view bucket;
  kad__entry_view entry;
  uint32_t at = 0;
  while (kad__dht_next_bucket(dht, &at, &bucket)) {
    uint32_t cursor = 0;
    while (kad__dht_next_entry(dht, bucket.index, &cursor, &entry)) {
      if (!entry.pending && entry.addresses.len > 0) {
        put_peer(s, &entry);
      }
    }
  }
}

/* Expiry is kept as wall-clock seconds, 0 for none. */
static uint64_t expiry_seconds(const kad__node *node, kad_time expires,
                               kad_time now) {
  uint64_t unix_ns = kad__node_unix_ns(node, now);
  if (expires == KAD_TIME_NEVER || unix_ns == 0) {
    return 0;
  }
  return (unix_ns + (expires > now ? expires - now : 0)) / KAD_SECOND;
}

static void put_record_body(sink *s, const kad__record *record,
                            uint64_t expires) {
  put_bytes(s, RECORD_KEY, record->key);
  put_bytes(s, RECORD_VALUE, record->value);
  if (expires != 0) {
    put_number(s, RECORD_EXPIRES, expires);
  }
}

static void put_records(sink *s, const kad__node *node, kad_time now) {
  kad__record record = {.key = {NULL, 0}};
  bool own = false;
  while (node->store->ops->next(node->store, &record, &own, record.key)) {
    if (!own || record.expires <= now) {
      continue;
    }
    uint64_t expires = expiry_seconds(node, record.expires, now);
    sink body = {.w = NULL};
    put_record_body(&body, &record, expires);
    put_header(s, RECORD, body.len);
    put_record_body(s, &record, expires);
  }
}

static void put_provided(sink *s, const kad__node *node) {
  kad__provider provider = {.key = {NULL, 0}};
  while (
      node->store->ops->next_provided(node->store, &provider, provider.key)) {
    put_bytes(s, PROVIDED, provider.key);
  }
}

/* ---- writing what is known of peers -------------------------------------- */

static void put_known_address_body(sink *s, kad_bytes address,
                                   uint64_t expires) {
  put_bytes(s, KNOWN_ADDRESS_BYTES, address);
  if (expires != 0) {
    put_number(s, KNOWN_ADDRESS_EXPIRES, expires);
  }
}

/* Addresses in use are as good as recent ones; 0 stands for no end. */
static uint64_t end_of(const kad__node *node,
                       const kad__peerstore_address *entry, kad_time now) {
  if (entry->left == KAD__ADDRESS_PERMANENT) {
    return 0;
  }
  kad_time left =
      entry->left == KAD__ADDRESS_CONNECTED ? KAD__ADDRESS_RECENT : entry->left;
  return expiry_seconds(node, kad__time_add(now, left), now);
}

/* Returns how many there are. */
static size_t put_known_addresses(sink *s, const kad__node *node,
                                  const kad_peer_id *peer, kad_time now) {
  const kad__peerstore *p = kad__swarm_peerstore(node->swarm);
  kad__peerstore_address entry;
  size_t at = 0;
  size_t count = 0;
  while (kad__peerstore_next_entry(p, peer, &at, &entry, now)) {
    if (entry.left <= KNOWN_LIFE_MIN) {
      continue;
    }
    uint64_t expires = end_of(node, &entry, now);
    sink body = {.w = NULL};
    put_known_address_body(&body, entry.address, expires);
    put_header(s, KNOWN_ADDRESS, body.len);
    put_known_address_body(s, entry.address, expires);
    count++;
  }
  return count;
}

static void put_fact(sink *s, uint32_t number, kad_bytes fact) {
  if (fact.len != 0) {
    put_bytes(s, number, fact);
  }
}

static size_t put_known_body(sink *s, const kad__node *node,
                             const kad_peer_id *peer, kad_time now) {
  const kad__peerstore *p = kad__swarm_peerstore(node->swarm);
  put_bytes(s, KNOWN_ID, kad_peer_id_bytes(peer));
  size_t count = put_known_addresses(s, node, peer, now);
  size_t at = 0;
  kad_bytes name;
  while (kad__peerstore_next_protocol(p, peer, &at, &name)) {
    put_bytes(s, KNOWN_PROTOCOL, name);
  }
  put_fact(s, KNOWN_AGENT, kad__peerstore_agent(p, peer));
  put_fact(s, KNOWN_PROTOCOL_VERSION, kad__peerstore_version(p, peer));
  put_fact(s, KNOWN_RECORD, kad__peerstore_record(p, peer));
  if (!kad__peerstore_id_holds_key(peer)) {
    put_fact(s, KNOWN_KEY, kad__peerstore_key(p, peer));
  }
  return count;
}

/* Without a wall clock nobody could say later how old it is. */
static void put_known(sink *s, const kad__node *node, kad_time now) {
  const kad__peerstore *p = kad__swarm_peerstore(node->swarm);
  const kad_peer_id *peer = NULL;
  uint64_t cursor = 0;
  size_t count = 0;
  size_t bytes = 0;
  bool timed = kad__node_unix_ns(node, now) != 0;
  while (timed && count < KNOWN_MAX &&
         kad__peerstore_next_peer(p, &cursor, &peer)) {
    sink body = {.w = NULL};
    if (put_known_body(&body, node, peer, now) == 0 ||
        body.len > KNOWN_BYTES_MAX - bytes) {
      continue;
    }
    put_header(s, KNOWN, body.len);
    (void)put_known_body(s, node, peer, now);
    bytes += body.len;
    count++;
  }
}

static void put_all(sink *s, kad__node *node, kad_time now) {
  put_bytes(s, MAGIC, kad__bytes_of(magic));
  put_number(s, VERSION, FORMAT_VERSION);
  put_peers(s, node->dht);
  put_records(s, node, now);
  put_provided(s, node);
  put_known(s, node, now);
}

int kad__node_snapshot(kad__node *node, uint8_t *out, size_t cap,
                       size_t *needed, kad_time now) {
  sink count = {.w = NULL};
  put_all(&count, node, now);
  if (needed != NULL) {
    *needed = count.len;
  }
  if (count.len > cap || count.len > INT32_MAX) {
    return KAD_E_BUFFER_TOO_SMALL;
  }
  kad__pb_writer w;
  kad__pb_writer_init(&w, out, cap);
  sink write = {.w = &w};
  put_all(&write, node, now);
  return kad__pb_writer_finish(&w);
}

/* ---- reading ------------------------------------------------------------- */

/* The first pass: everything that the second relies on. */
static int check(kad_bytes snapshot) {
  kad__pb_field field;
  bool named = false;
  uint64_t version = 0;
  int more;
  while ((more = kad__pb_next(&snapshot, &field)) == 1) {
    if (field.number == MAGIC && field.type == KAD__PB_BYTES) {
      named = kad__bytes_equal(field.bytes, kad__bytes_of(magic));
    } else if (field.number == VERSION && field.type == KAD__PB_VARINT) {
      version = field.value;
    } else if (field.type != KAD__PB_BYTES) {
      return KAD_E_PROTOBUF;
    }
    if (!named) {
      return KAD_E_MESSAGE;
    }
  }
  if (more < 0) {
    return more;
  }
  if (!named || version == 0) {
    return KAD_E_MESSAGE;
  }
  return version > FORMAT_VERSION ? KAD_E_UNSUPPORTED : 0;
}

/* A peer is dialled at each of its addresses by the swarm; identify brings it
 * into the table when it still speaks our protocol. */
static void take_peer(kad__node *node, kad_bytes body, kad_time now) {
  kad__pb_field field;
  kad_peer_id id = {.len = 0};
  kad_bytes rest = body;
  uint8_t list[KAD__DHT_ADDRESSES_MAX];
  size_t len = 0;
  while (kad__pb_next(&rest, &field) == 1) {
    if (field.type != KAD__PB_BYTES) {
      continue;
    }
    if (field.number == PEER_ID) {
      (void)kad_peer_id_decode(&id, field.bytes);
    } else if (field.number == PEER_ADDRESS &&
               kad_multiaddr_check(field.bytes) == 0) {
      (void)kad__addresses_append(list, sizeof(list), &len, field.bytes);
    }
  }
  if (id.len != 0 && len != 0) {
    (void)kad__swarm_dial(node->swarm, &id, kad__bytes(list, len), now);
  }
}

static int take_record(kad__node *node, kad_bytes body, kad_time now) {
  kad__record record = {.publisher = kad_peer_id_bytes(kad__node_id(node)),
                        .expires = KAD_TIME_NEVER};
  kad__pb_field field;
  uint64_t unix_s = kad__node_unix_ns(node, now) / KAD_SECOND;
  while (kad__pb_next(&body, &field) == 1) {
    if (field.number == RECORD_KEY) {
      record.key = field.bytes;
    } else if (field.number == RECORD_VALUE) {
      record.value = field.bytes;
    } else if (field.number == RECORD_EXPIRES && unix_s != 0) {
      if (field.value <= unix_s) {
        return 0;
      }
      record.expires = kad__time_add(now, (field.value - unix_s) * KAD_SECOND);
    }
  }
  if (record.key.len == 0 ||
      kad__validate(&node->validators, record.key, record.value,
                    kad__node_unix_ns(node, now)) < 0) {
    return 0;
  }
  return node->store->ops->put(node->store, &record, true);
}

static int take_provided(kad__node *node, kad_bytes key) {
  kad__provider provider = {.key = key,
                            .provider = kad_peer_id_bytes(kad__node_id(node)),
                            .expires = KAD_TIME_NEVER};
  if (key.len == 0) {
    return 0;
  }
  return node->store->ops->add_provider(node->store, &provider, true);
}

/* ---- reading what is known of peers -------------------------------------- */

/* How long an address that is good until `expires` may live; 0: it is over. */
static kad_time life_until(uint64_t expires, uint64_t unix_s) {
  if (expires == 0) {
    return KAD__ADDRESS_PERMANENT;
  }
  uint64_t left = expires <= unix_s ? 0 : expires - unix_s;
  return left > KNOWN_LIFE_MAX / KAD_SECOND ? KNOWN_LIFE_MAX
                                            : left * KAD_SECOND;
}

static int take_known_address(kad__node *node, const kad_peer_id *peer,
                              kad_bytes body, kad_time now) {
  uint64_t unix_s = kad__node_unix_ns(node, now) / KAD_SECOND;
  kad_bytes address = {NULL, 0};
  uint64_t expires = 0;
  kad__pb_field field;
  int more;
  while ((more = kad__pb_next(&body, &field)) == 1) {
    if (field.number == KNOWN_ADDRESS_BYTES && field.type == KAD__PB_BYTES) {
      address = field.bytes;
    } else if (field.number == KNOWN_ADDRESS_EXPIRES &&
               field.type == KAD__PB_VARINT) {
      expires = field.value;
    }
  }
  if (more < 0) {
    return 0;
  }
  return kad__peerstore_add(kad__swarm_peerstore(node->swarm), peer, address,
                            life_until(expires, unix_s), now);
}

/* A record adds nothing to the addresses that live: it only comes back with
 * them. */
static int take_known_record(kad__peerstore *p, kad_bytes sealed,
                             kad_time now) {
  kad_peer_id whose;
  return kad__peerstore_consume(p, &whose, sealed, KAD_SECOND, now);
}

static int take_known_field(kad__node *node, const kad_peer_id *peer,
                            const kad__pb_field *field, kad_time now) {
  kad__peerstore *p = kad__swarm_peerstore(node->swarm);
  switch (field->number) {
    case KNOWN_ADDRESS:
      return take_known_address(node, peer, field->bytes, now);
    case KNOWN_AGENT:
      return kad__peerstore_set_agent(p, peer, field->bytes);
    case KNOWN_PROTOCOL_VERSION:
      return kad__peerstore_set_version(p, peer, field->bytes);
    case KNOWN_RECORD:
      return take_known_record(p, field->bytes, now);
    case KNOWN_KEY:
      return kad__peerstore_set_key(p, peer, field->bytes);
    default:
      return 0;
  }
}

/* Whom it is about, and its protocols; false when it is not about anybody that
 * we care for. */
static bool read_known(const kad__node *node, kad_bytes body, kad_peer_id *peer,
                       kad_bytes *names, size_t *count) {
  kad__pb_field field;
  bool named = false;
  int more;
  while ((more = kad__pb_next(&body, &field)) == 1) {
    if (field.type != KAD__PB_BYTES) {
      continue;
    }
    if (field.number == KNOWN_ID) {
      named = kad_peer_id_decode(peer, field.bytes) == 0;
    } else if (field.number == KNOWN_PROTOCOL &&
               *count < KAD__PEERSTORE_PROTOCOLS_PER_PEER) {
      names[(*count)++] = field.bytes;
    }
  }
  return more == 0 && named && !kad_peer_id_equal(peer, kad__node_id(node));
}

/* Facts last as long as their peer's addresses do, so without those that are
 * left there is nothing to keep. */
static int take_known(kad__node *node, kad_bytes body, kad_time now) {
  kad__peerstore *p = kad__swarm_peerstore(node->swarm);
  kad_bytes names[KAD__PEERSTORE_PROTOCOLS_PER_PEER];
  kad_peer_id peer;
  size_t count = 0;
  kad__pb_field field;
  if (!read_known(node, body, &peer, names, &count)) {
    return 0;
  }
  while (kad__pb_next(&body, &field) == 1) {
    if (field.type == KAD__PB_BYTES &&
        (field.number == KNOWN_ADDRESS || kad__peerstore_knows(p, &peer)) &&
        take_known_field(node, &peer, &field, now) == KAD_E_NO_MEMORY) {
      return KAD_E_NO_MEMORY;
    }
  }
  return count == 0 || !kad__peerstore_knows(p, &peer)
             ? 0
             : kad__peerstore_set_protocols(p, &peer, names, count);
}

typedef struct intake {
  size_t contacts;
  size_t known;
} intake;

static int take_field(kad__node *node, const kad__pb_field *field,
                      intake *taken, kad_time now) {
  switch (field->number) {
    case PEER:
      if (taken->contacts++ < CONTACTS_MAX) {
        take_peer(node, field->bytes, now);
      }
      return 0;
    case RECORD:
      return take_record(node, field->bytes, now);
    case PROVIDED:
      return take_provided(node, field->bytes);
    case KNOWN:
      return taken->known++ < KNOWN_MAX && kad__node_unix_ns(node, now) != 0
                 ? take_known(node, field->bytes, now)
                 : 0;
    default:
      return 0;
  }
}

int kad__node_restore(kad__node *node, kad_bytes snapshot, kad_time now) {
  int error = check(snapshot);
  if (error < 0) {
    return error;
  }
  kad__pb_field field;
  intake taken = {0};
  while (kad__pb_next(&snapshot, &field) == 1) {
    if (take_field(node, &field, &taken, now) == KAD_E_NO_MEMORY) {
      return KAD_E_NO_MEMORY;
    }
  }
  kad__dht_resume(node->dht, now);
  return 0;
}
