/* A gateway with its DHT between a hostile network and a busy owner. The input
 * is a program: one byte chooses the operation, the next ones are its operands.
 * Answers are made from what the gateway asked, so that the search does not
 * have to guess random ids. */
#include "base/bytes.h"
#include "fuzz.h"
#include "gateway/udp.h"
#include "gateway/udp_address.h"
#include "kademlia/memory_store.h"

#define ASKED 8

typedef struct asked {
  uint8_t bytes[KAD__UDP_DATAGRAM_MAX];
  size_t len;
  kad__udp_address to;
} asked;

typedef struct machine {
  const uint8_t *at, *end;
  kad_random random;
  kad__store *store;
  kad__dht *dht;
  kad__udp *udp;
  kad_time now;
  asked asked[ASKED];
  size_t count;
  size_t blocks;
  size_t fail_in;
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
  m->blocks += memory == NULL;
  return realloc(memory, size);
}

static void fuzz_release(void *user, void *memory) {
  machine *m = user;
  m->blocks -= memory != NULL;
  free(memory);
}

static uint8_t next(machine *m) {
  return m->at == m->end ? 0 : *m->at++;
}

static const uint8_t *some_id(machine *m) {
  static uint8_t ids[8][32];
  static size_t turn;
  uint8_t *id = ids[turn++ % 8];
  memset(id, next(m) % 16, 32);
  return id;
}

static kad__udp_address some_address(machine *m) {
  kad__udp_address a = {0};
  uint8_t text[] = "10.0.0.1:9";
  text[7] = (uint8_t)('1' + next(m) % 9);
  FUZZ_CHECK(kad__udp_address_parse(&a, kad__bytes(text, 10)));
  return a;
}

static kad_bytes some_text(machine *m) {
  size_t len = next(m) % 64;
  size_t left = (size_t)(m->end - m->at);
  len = len < left ? len : left;
  kad_bytes text = kad__bytes(m->at, len);
  m->at += len;
  return kad__udp_utf8(text) ? text : kad__bytes_of("10.0.0.3:9");
}

static void start(machine *m) {
  kad_allocator allocator = {.alloc = fuzz_alloc,
                             .resize = fuzz_resize,
                             .release = fuzz_release,
                             .user = m};
  static uint8_t id[32] = {1};
  uint64_t secret[2] = {1, 2};
  kad__memory_store_config limits;
  kad__dht_config config;
  kad__udp_config udp;
  kad__udp_address address = {0};
  kad_random_init_u64(&m->random, 1);
  kad__memory_store_config_default(&limits);
  limits.max_records = 8;
  FUZZ_CHECK(kad__memory_store_new(&m->store, &allocator, &limits, secret) ==
             0);
  kad__dht_config_default(&config);
  kad__udp_configure_dht(&config);
  config.allocator = &allocator;
  config.local_id = kad__bytes(id, 32);
  config.random = &m->random;
  config.store = m->store;
  FUZZ_CHECK(kad__dht_new(&m->dht, &config, m->now) == 0);
  kad__dht_set_mode(m->dht, KAD__MODE_SERVER);
  kad__udp_config_default(&udp);
  FUZZ_CHECK(kad__udp_address_parse(&address, kad__bytes_of("10.0.0.1:9")));
  udp.local_id = config.local_id;
  udp.address = kad__udp_address_bytes(&address);
  udp.random = &m->random;
  udp.max_peers = 4;
  udp.max_proofs = 3;
  udp.max_calls = 6;
  udp.max_queue = 20000;
  FUZZ_CHECK(kad__udp_new(&m->udp, &allocator, m->dht, &udp) == 0);
}

static void hand(machine *m, const kad__udp_message *message,
                 const kad__udp_address *from) {
  static uint8_t bytes[KAD__UDP_DATAGRAM_MAX];
  int len = kad__udp_message_encode(bytes, sizeof bytes, message);
  if (len > 0) {
    (void)kad__udp_input(m->udp, kad__udp_address_bytes(from),
                         kad__bytes(bytes, (size_t)len), m->now);
  }
}

/* ---- operations --------------------------------------------------------- */

static void op_request(machine *m) {
  static kad__udp_message message;
  kad__udp_address from = some_address(m);
  message.type = KAD__UDP_REQUEST;
  message.request.ask = (kad__udp_ask)(next(m) % 4);
  message.request.id = some_id(m);
  message.request.sender.id = some_id(m);
  message.request.sender.address = some_text(m);
  message.request.key = some_id(m);
  message.request.value = some_text(m);
  hand(m, &message, &from);
}

static void op_answer(machine *m) {
  static kad__udp_message message;
  const asked *a = &m->asked[next(m) % ASKED];
  kad__udp_address from = next(m) % 4 == 0 ? some_address(m) : a->to;
  if (a->len == 0 ||
      kad__udp_message_decode(&message, kad__bytes(a->bytes, a->len)) != 0) {
    return;
  }
  message.type = KAD__UDP_RESPONSE;
  message.receiver.id = some_id(m);
  message.receiver.address = kad__bytes_of("");
  message.reply = (kad__udp_reply)(next(m) % 3);
  message.value = some_text(m);
  message.node_count = next(m) % 8;
  for (size_t i = 0; i < message.node_count; i++) {
    message.nodes[i].id = some_id(m);
    message.nodes[i].address = some_text(m);
  }
  hand(m, &message, &from);
}

static void op_raw(machine *m) {
  kad__udp_address from = some_address(m);
  size_t len = next(m);
  size_t left = (size_t)(m->end - m->at);
  len = len < left ? len : left;
  (void)kad__udp_input(m->udp, kad__udp_address_bytes(&from),
                       kad__bytes(m->at, len), m->now);
  m->at += len;
}

static void op_fetch(machine *m) {
  asked *a = &m->asked[m->count++ % ASKED];
  kad_bytes to;
  int len = kad__udp_output(m->udp, &to, a->bytes, sizeof a->bytes);
  FUZZ_CHECK(len >= 0);
  a->len = (size_t)len;
  if (len > 0) {
    FUZZ_CHECK(kad__udp_address_load(&a->to, to));
    static kad__udp_message message;
    FUZZ_CHECK(
        kad__udp_message_decode(&message, kad__bytes(a->bytes, a->len)) == 0);
  }
}

static void op_query(machine *m) {
  kad__query_id query;
  kad__quorum one = {.kind = KAD__QUORUM_ONE};
  kad_bytes key = kad__bytes(some_id(m), 32);
  switch (next(m) % 6) {
    case 0:
      (void)kad__dht_find_closest(m->dht, &query, key, 3, m->now);
      break;
    case 1:
      (void)kad__dht_get(m->dht, &query, key, 1, m->now);
      break;
    case 2:
      (void)kad__dht_put(m->dht, &query, key, some_text(m), KAD_TIME_NEVER, one,
                         m->now);
      break;
    case 3:
      (void)kad__dht_provide(m->dht, &query, key, m->now);
      break;
    case 4:
      (void)kad__dht_finish(m->dht, next(m), m->now);
      break;
    default: {
      kad__udp_address address = some_address(m);
      (void)kad__dht_add_address(m->dht, key, kad__udp_address_bytes(&address),
                                 m->now);
      break;
    }
  }
}

static void op_time(machine *m) {
  m->now += (kad_time)next(m) * 50 * KAD_MILLISECOND;
  kad__dht_tick(m->dht, m->now);
  kad__udp_tick(m->udp, m->now);
  FUZZ_CHECK(kad__udp_deadline(m->udp) > m->now);
}

static void step(machine *m) {
  kad__dht_event event;
  switch (next(m) % 8) {
    case 0:
      op_request(m);
      break;
    case 1:
    case 2:
      op_answer(m);
      break;
    case 3:
      op_raw(m);
      break;
    case 4:
      op_query(m);
      break;
    case 5:
      op_time(m);
      break;
    case 6:
      m->fail_in = next(m) % 32;
      break;
    default:
      op_fetch(m);
      break;
  }
  kad__udp_drive(m->udp, m->now);
  while (kad__dht_poll_event(m->dht, &event)) {
  }
  FUZZ_CHECK(kad__udp_peer_count(m->udp) <= 4);
  FUZZ_CHECK(kad__udp_proof_count(m->udp) <= 3);
  FUZZ_CHECK(kad__udp_call_count(m->udp) <= 6);
  FUZZ_CHECK(kad__dht_check(m->dht) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static machine m;
  memset(&m, 0, sizeof m);
  m.at = data;
  m.end = data + size;
  m.now = KAD_HOUR;
  start(&m);
  while (m.at != m.end) {
    step(&m);
  }
  kad__udp_free(m.udp);
  kad__dht_free(m.dht);
  m.store->ops->free(m.store);
  FUZZ_CHECK(m.blocks == 0);
  return 0;
}
