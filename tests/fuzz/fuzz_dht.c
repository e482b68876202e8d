/* A DHT among hostile peers and a busy owner. The input is a program: one byte
 * chooses the operation, the next are its operands. Ids and keys come from a
 * small set, so that peers meet again; requests and replies are plausible, or
 * raw bytes decoded. All invariants hold after every step, every query that was
 * begun ends exactly once, and no memory is left. */
#include "fuzz.h"
#include "kademlia/dht.h"
#include "kademlia/memory_store.h"
#include "wire/addresses.h"

#define IDS 64
#define CALLS 64
#define QUERIES 256

typedef struct machine {
  const uint8_t *at, *end;
  kad__dht *dht;
  kad__store *store;
  kad_random random;
  kad_time now;
  size_t blocks;
  size_t fail_in; /* allocations until one fails; 0: none does */
  kad__call_id calls[CALLS];
  kad__message_type types[CALLS];
  size_t call_count;
  kad__query_id queries[QUERIES]; /* begun and not ended */
  size_t query_count;
  uint8_t id_space[IDS][4];
  uint8_t scratch[4096];
} machine;

static void *fuzz_alloc(void *user, size_t size) {
  machine *m = user;
  if (m->fail_in != 0 && --m->fail_in == 0) {
    return NULL;
  }
  m->blocks++;
  return malloc(size);
}

static void *fuzz_resize(void *user, void *memory, size_t size) {
  machine *m = user;
  if (m->fail_in != 0 && --m->fail_in == 0) {
    return NULL;
  }
  m->blocks += memory == NULL;
  return realloc(memory, size);
}

static void fuzz_release(void *user, void *memory) {
  machine *m = user;
  m->blocks -= memory != NULL;
  free(memory);
}

static void hash(uint8_t out[32], kad_bytes in) {
  uint64_t secret[2] = {1, 2};
  for (unsigned i = 0; i < 4; i++) {
    secret[0] = i;
    kad__store64(out + 8 * i, kad__siphash(secret, in));
  }
}

static uint8_t next(machine *m) {
  return m->at == m->end ? 0 : *m->at++;
}

static kad_bytes take(machine *m, size_t max) {
  size_t len = next(m);
  size_t left = (size_t)(m->end - m->at);
  len = len < max ? len : max;
  len = len < left ? len : left;
  kad_bytes bytes = kad__bytes(m->at, len);
  m->at += len;
  return bytes;
}

/* One of the small set; id 0 is the DHT's own. */
static kad_bytes peer_id(machine *m) {
  uint8_t which = next(m) % IDS;
  return kad__bytes(m->id_space[which], 4);
}

static kad_bytes address_list(machine *m) {
  static const uint8_t lists[] =
      "\x12\x03"
      "abc\x12\x03"
      "def\x12\x03"
      "ghi\x12\x00\x1a\x02xy";
  uint8_t kind = next(m);
  if (kind < 40) {
    return (kad_bytes){0};
  }
  if (kind < 200) {
    return kad__bytes(lists + kind % 3 * 5, kind % 2 == 0 ? 5 : 10);
  }
  return kind < 230 ? kad__bytes(lists, sizeof lists - 1) : take(m, 64);
}

/* ---- what the owner and the gateway do ---------------------------------- */

static void begun(machine *m, int error, kad__query_id id) {
  if (error == 0 && m->query_count < QUERIES) {
    m->queries[m->query_count++] = id;
  }
}

static void start_query(machine *m) {
  kad__query_id id = 0;
  uint8_t kind = next(m);
  kad_bytes key = next(m) < 220 ? peer_id(m) : take(m, 80);
  kad__quorum quorum = {.kind = (kad__quorum_kind)(kind >> 3 & 3), .n = 3};
  kad_bytes peers[2] = {peer_id(m), peer_id(m)};
  kad__wire_record record = {.key = key, .value = key, .ttl = kind};
  int error = KAD_E_LIMIT;
  if (m->query_count == QUERIES) {
    return;
  }
  switch (kind % 8) {
    case 0:
      error = kad__dht_find_closest(m->dht, &id, key, next(m) % 24, m->now);
      break;
    case 1:
      error = kad__dht_find_peer(m->dht, &id, key, m->now);
      break;
    case 2:
      error = kad__dht_get(m->dht, &id, key, next(m) % 4, m->now);
      break;
    case 3:
      error = kad__dht_put(m->dht, &id, key, take(m, 40), KAD_TIME_NEVER,
                           quorum, m->now);
      break;
    case 4:
      error = kad__dht_put_to(m->dht, &id, &record, peers, 2, quorum, m->now);
      break;
    case 5:
      error = kad__dht_provide(m->dht, &id, key, m->now);
      break;
    case 6:
      error = kad__dht_find_providers(m->dht, &id, key, next(m) % 4, m->now);
      break;
    default:
      error = kad__dht_bootstrap(m->dht, &id, m->now);
      break;
  }
  begun(m, error, id);
}

static void peer_news(machine *m) {
  uint8_t what = next(m);
  kad_bytes peer = peer_id(m);
  kad_bytes list = address_list(m);
  kad_bytes rest = list;
  kad_bytes address = {0};
  (void)kad__addresses_next(&rest, &address);
  switch (what % 8) {
    case 0:
    case 1:
      (void)kad__dht_add_address(m->dht, peer, address, m->now);
      break;
    case 2:
    case 3:
      (void)kad__dht_peer_confirmed(m->dht, peer, address, m->now);
      break;
    case 4:
      kad__dht_peer_disconnected(m->dht, peer, m->now);
      break;
    case 5:
      kad__dht_peer_unsupported(m->dht, peer, m->now);
      kad__dht_peer_known(m->dht, peer, list);
      break;
    case 6:
      kad__dht_peer_unreachable(m->dht, peer, m->now);
      break;
    default:
      if (what & 8) {
        (void)kad__dht_remove_peer(m->dht, peer);
      } else {
        (void)kad__dht_remove_address(m->dht, peer, address);
      }
      break;
  }
}

static void poll_calls(machine *m) {
  kad__dht_call call;
  while (kad__dht_poll_call(m->dht, &call)) {
    FUZZ_CHECK(call.id != 0 && call.peer.len > 0);
    FUZZ_CHECK(call.deadline > m->now);
    FUZZ_CHECK(call.addresses.len <= KAD__DHT_ADDRESSES_MAX);
    FUZZ_CHECK(call.expects_reply == (call.message->type != KAD__ADD_PROVIDER));
    FUZZ_CHECK(kad__message_len(call.message) > 0);
    if (m->call_count < CALLS) {
      m->types[m->call_count] = call.message->type;
      m->calls[m->call_count++] = call.id;
    }
  }
  kad__call_id id;
  while ((id = kad__dht_poll_cancel(m->dht)) != 0) {
  }
}

static void fill_peers(machine *m, kad__wire_peer *peers, size_t *count) {
  size_t n = next(m) % 24;
  for (size_t i = 0; i < n; i++) {
    peers[i] = (kad__wire_peer){.id = peer_id(m), .addresses = address_list(m)};
  }
  *count = n;
}

static void fill_message(machine *m, kad__message *out,
                         kad__message_type type) {
  kad__message_init(out, type);
  uint8_t what = next(m);
  out->key = what & 1 ? peer_id(m) : take(m, 90);
  out->has_record = (what & 2) != 0;
  if (out->has_record) {
    out->record.key = what & 4 ? out->key : peer_id(m);
    out->record.value = what & 8 ? out->key : take(m, 20);
    out->record.publisher = what & 16 ? peer_id(m) : (kad_bytes){0};
    out->record.ttl = what & 32 ? next(m) : 0;
  }
  if (what & 64) {
    fill_peers(m, out->closer, &out->closer_count);
  }
  if (what & 128) {
    fill_peers(m, out->providers, &out->provider_count);
  }
}

static void end_call(machine *m) {
  uint8_t what = next(m);
  kad__message reply;
  if (m->call_count == 0) {
    return;
  }
  size_t which = next(m) % m->call_count;
  kad__call_id id = m->calls[which];
  kad__message_type type = m->types[which];
  m->calls[which] = m->calls[--m->call_count];
  m->types[which] = m->types[m->call_count];
  if (what < 40) {
    kad__dht_failed(m->dht, id, what & 1 ? KAD_E_DIAL : KAD_E_NO_PROTOCOL,
                    m->now);
  } else if (what < 60) {
    kad__dht_sent(m->dht, id, m->now);
  } else if (what < 80) {
    if (kad__message_decode(&reply, take(m, 255)) == 0) {
      (void)kad__dht_replied(m->dht, id, &reply, m->now);
    }
  } else {
    fill_message(m, &reply, what < 100 ? KAD__PUT_VALUE : type);
    (void)kad__dht_replied(m->dht, id, &reply, m->now);
    /* Once is enough: the id means nothing any more. */
    FUZZ_CHECK(kad__dht_replied(m->dht, id, &reply, m->now) == 0);
  }
}

static void ask(machine *m) {
  kad__message request;
  kad__message reply;
  uint8_t what = next(m);
  kad_bytes from = peer_id(m);
  if (what < 60) {
    if (kad__message_decode(&request, take(m, 255)) != 0) {
      return;
    }
  } else {
    fill_message(m, &request, (kad__message_type)(what % KAD__MESSAGE_TYPES));
  }
  int result =
      kad__dht_answer(m->dht, &reply, &request, from, (kad_bytes){0}, m->now);
  FUZZ_CHECK(result <= 1);
  if (result == 1) {
    FUZZ_CHECK(reply.type == request.type);
    FUZZ_CHECK(reply.closer_count <= KAD__K + 1);
    FUZZ_CHECK(kad__message_encode(m->scratch, 0, &reply) ==
               KAD_E_BUFFER_TOO_SMALL);
    FUZZ_CHECK(kad__message_len(&reply) < 16384 + 2 * 255);
  }
}

static void poll_events(machine *m) {
  kad__dht_event event;
  while (kad__dht_poll_event(m->dht, &event)) {
    if (event.type != KAD__DHT_QUERY_ENDED) {
      continue;
    }
    for (size_t i = 0; i < m->query_count; i++) {
      if (m->queries[i] == event.query) {
        m->queries[i] = m->queries[--m->query_count];
        break;
      }
    }
  }
}

static void pass_time(machine *m) {
  static const kad_time steps[] = {KAD_MILLISECOND, KAD_SECOND, 11 * KAD_SECOND,
                                   KAD_MINUTE,      KAD_HOUR,   25 * KAD_HOUR};
  uint8_t what = next(m);
  kad_time deadline = kad__dht_deadline(m->dht);
  if (what & 128) {
    m->now += steps[what % KAD__COUNT(steps)];
  } else if (deadline != KAD_TIME_NEVER && deadline > m->now) {
    m->now = deadline;
  }
  kad__dht_tick(m->dht, m->now);
}

static void finish(machine *m) {
  if (m->query_count > 0) {
    kad__query_id id = m->queries[next(m) % m->query_count];
    (void)kad__dht_finish(m->dht, id, m->now);
    FUZZ_CHECK(!kad__dht_finish(m->dht, id, m->now));
  }
}

static void step(machine *m) {
  uint8_t what = next(m);
  if (what < 40) {
    peer_news(m);
  } else if (what < 80) {
    start_query(m);
  } else if (what < 150) {
    poll_calls(m);
    end_call(m);
  } else if (what < 200) {
    ask(m);
  } else if (what < 230) {
    pass_time(m);
  } else if (what < 240) {
    poll_events(m);
  } else if (what < 250) {
    finish(m);
  } else if (what == 250) {
    m->fail_in = 1 + next(m) % 32;
  } else if (what == 251) {
    kad__dht_set_mode(m->dht, (kad__dht_mode)(next(m) & 1));
  } else if (what == 252) {
    kad__dht_stop_providing(m->dht, peer_id(m));
  } else {
    kad__dht_remove(m->dht, peer_id(m));
  }
  const char *broken = kad__dht_check(m->dht);
  if (broken != NULL) {
    fprintf(stderr, "%s\n", broken);
    FUZZ_CHECK(broken == NULL);
  }
}

static bool accept(void *user, kad_bytes address) {
  (void)user;
  return address.len > 0 && address.data[0] != 'g';
}

static uint64_t group(void *user, kad_bytes address) {
  (void)user;
  return address.len > 0 ? address.data[0] : 0;
}

static int begin(machine *m, const kad_allocator *allocator) {
  uint64_t secret[2] = {5, 6};
  uint8_t options = next(m);
  kad__memory_store_config store;
  kad__memory_store_config_default(&store);
  store.max_records = 8;
  store.max_providers_per_key = 4;
  store.max_provider_keys = 8;
  m->fail_in = next(m) % 16;
  int error = kad__memory_store_new(&m->store, allocator, &store, secret);
  if (error != 0) {
    return error;
  }
  kad__dht_config config;
  kad__dht_config_default(&config);
  config.allocator = allocator;
  config.hash = hash;
  config.local_id = kad__bytes(m->id_space[0], 4);
  config.random = &m->random;
  config.store = m->store;
  config.bucket_size = options & 1 ? 3 : 20;
  config.replication = options & 2 ? 5 : 20;
  config.parallelism = options & 4 ? 3 : 10;
  config.disjoint_paths = (options & 8) != 0;
  config.manual_inserts = (options & 16) != 0;
  config.filter_records = (options & 32) != 0;
  config.trust_peers = (options & 64) != 0;
  config.no_addresses = (options & 128) != 0;
  config.max_recent = 16;
  uint8_t more = next(m);
  config.accept_address = more & 1 ? accept : NULL;
  config.address_group = more & 2 ? group : NULL;
  config.optimistic_provide = (more & 4) != 0;
  config.muted_events = 0;
  error = kad__dht_new(&m->dht, &config, m->now);
  if (error != 0) {
    m->store->ops->free(m->store);
    return error;
  }
  kad__dht_set_mode(m->dht, KAD__MODE_SERVER);
  kad__dht_trace(m->dht, (more & 8) != 0);
  return 0;
}

/* Left alone, every query ends. */
static void settle(machine *m) {
  m->fail_in = 0;
  kad_time until = m->now + KAD_HOUR;
  for (int i = 0; i < 2000 && m->query_count > 0; i++) {
    poll_calls(m);
    m->call_count = 0;
    poll_events(m);
    kad_time deadline = kad__dht_deadline(m->dht);
    m->now = deadline > m->now ? deadline : m->now;
    if (m->now > until) {
      break;
    }
    kad__dht_tick(m->dht, m->now);
  }
  poll_events(m);
  FUZZ_CHECK(m->query_count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  machine *m = calloc(1, sizeof *m);
  kad_allocator allocator = {.alloc = fuzz_alloc,
                             .resize = fuzz_resize,
                             .release = fuzz_release,
                             .user = m};
  m->at = data;
  m->end = data + size;
  m->now = KAD_HOUR;
  kad_random_init_u64(&m->random, 1);
  for (unsigned i = 0; i < IDS; i++) {
    memcpy(m->id_space[i], "id", 2);
    kad__store16(m->id_space[i] + 2, (uint16_t)i);
  }
  if (begin(m, &allocator) == 0) {
    while (m->at < m->end) {
      step(m);
    }
    settle(m);
    kad__dht_free(m->dht);
    m->store->ops->free(m->store);
  }
  FUZZ_CHECK(m->blocks == 0);
  free(m);
  return 0;
}
