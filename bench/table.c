/* The pieces of an answer: the closest twenty of a table of 5,000, and its
 * message of 20 peers read and written.
 *
 * Buckets of twenty hold 5,000 peers only when their keys are made for it, so
 * the hash passes its input through and bucket 0 to 249 get twenty each. */
#include "base/bytes.h"
#include "bench.h"
#include "kademlia/memory_store.h"
#include "kademlia/state.h"
#include "kadmium/multiaddr.h"

#define ROUNDS 15
#define BUCKETS 250
#define TARGETS 4096
#define MESSAGES 20000
#define ANSWER_PEERS 20

static void pass_through(uint8_t out[32], kad_bytes in) {
  memset(out, 0, 32);
  memcpy(out, in.data, in.len < 32 ? in.len : 32);
}

/* A key that shares exactly `bits` leading bits with the local one, which is
 * all zero. */
static void make_key(uint8_t key[32], uint32_t bits, kad_random *random) {
  kad_random_bytes(random, key, 32);
  for (uint32_t i = 0; i < bits; i++) {
    key[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
  }
  key[bits / 8] |= (uint8_t)(0x80u >> bits % 8);
}

static size_t make_addresses(uint8_t *out, size_t cap, kad_random *random) {
  uint8_t address[8] = {KAD_MULTIADDR_IP4, 0,    0,   0, 0,
                        KAD_MULTIADDR_TCP, 0x0f, 0xa1};
  size_t len = 0;
  for (int i = 0; i < 3; i++) {
    kad_random_bytes(random, address + 1, 4);
    BENCH_CHECK(kad__addresses_append(out, cap, &len, kad__bytes(address, 8)));
  }
  return len;
}

/* ---- the table ----------------------------------------------------------- */

static kad__dht *make_dht(kad__store **store, kad_random *random,
                          uint32_t bucket_size) {
  static const uint8_t local[32] = {0};
  static const uint64_t secret[2] = {1, 2};
  kad__memory_store_config limits;
  kad__dht_config config;
  kad__dht *dht = NULL;
  kad__memory_store_config_default(&limits);
  BENCH_CHECK(kad__memory_store_new(store, kad_allocator_default(), &limits,
                                    secret) == 0);
  kad__dht_config_default(&config);
  config.allocator = kad_allocator_default();
  config.hash = pass_through;
  config.local_id = kad__bytes(local, sizeof(local));
  config.random = random;
  config.store = *store;
  config.bucket_size = bucket_size;
  BENCH_CHECK(kad__dht_new(&dht, &config, KAD_SECOND) == 0);
  return dht;
}

static void fill(kad__dht *dht, kad_random *random, uint32_t count,
                 bool crafted) {
  for (uint32_t i = 0; i < count; i++) {
    uint8_t key[32];
    uint8_t address[8] = {KAD_MULTIADDR_IP4, 0,    0,   0, 0,
                          KAD_MULTIADDR_TCP, 0x0f, 0xa1};
    kad_random_bytes(random, key, sizeof(key));
    if (crafted) {
      make_key(key, i % BUCKETS, random);
      key[31] = (uint8_t)((key[31] & 0xe0) | i / BUCKETS); /* no key twice */
    }
    kad_random_bytes(random, address + 1, 4);
    BENCH_CHECK(kad__dht_add_address(dht, kad__bytes(key, sizeof(key)),
                                     kad__bytes(address, sizeof(address)),
                                     KAD_SECOND) == KAD__ROUTING_SUCCESS);
  }
  BENCH_CHECK(kad__dht_table_size(dht) == count);
}

/* Nanoseconds per search, over all targets. */
static double search(const kad__dht *dht, const kad__key *targets) {
  kad__near near[KAD__K];
  const kad__table_filter all = {0};
  size_t found = 0;
  kad_time start = bench_cpu();
  for (size_t i = 0; i < TARGETS; i++) {
    found += kad__table_closest(&dht->table, near, KAD__K, &targets[i], &all);
  }
  kad_time spent = bench_cpu() - start;
  BENCH_CHECK(found == (size_t)TARGETS * KAD__K);
  return (double)spent / TARGETS;
}

static void bench_search(const char *name, const char *note,
                         const kad__dht *dht, const kad__key *targets,
                         bench_target kind) {
  double rounds[ROUNDS];
  (void)search(dht, targets);
  for (int i = 0; i < ROUNDS; i++) {
    rounds[i] = search(dht, targets);
  }
  bench_report(&(bench_figure){.name = name,
                               .unit = "us",
                               .value = bench_median(rounds, ROUNDS) / 1e3,
                               .kind = kind,
                               .target = 3,
                               .note = note});
}

static void random_targets(kad__key *targets, kad_random *random) {
  for (size_t i = 0; i < TARGETS; i++) {
    uint8_t key[32];
    kad_random_bytes(random, key, sizeof(key));
    targets[i] = kad__key_load(key);
  }
}

static void crafted_targets(kad__key *targets, kad_random *random) {
  for (size_t i = 0; i < TARGETS; i++) {
    uint8_t key[32];
    make_key(key, (uint32_t)kad_random_below(random, BUCKETS), random);
    targets[i] = kad__key_load(key);
  }
}

static void bench_table(kad_random *random) {
  static kad__key targets[TARGETS];
  kad__store *store = NULL;
  kad__dht *dht = make_dht(&store, random, KAD__K);
  fill(dht, random, BUCKETS * KAD__K, true);
  random_targets(targets, random);
  bench_search("closest_20_of_5000", "targets spread evenly", dht, targets,
               BENCH_VALUE_AT_MOST);
  crafted_targets(targets, random);
  bench_search("closest_20_of_5000_any_bucket", "targets in every bucket alike",
               dht, targets, BENCH_VALUE_AT_MOST);
  kad__dht_free(dht);
  store->ops->free(store);
}

/* Buckets that hold all: what a table would cost that is not one of Kademlia.
 */
static void bench_flat_table(kad_random *random, uint32_t count,
                             const char *name) {
  static kad__key targets[TARGETS];
  kad__store *store = NULL;
  kad__dht *dht = make_dht(&store, random, count);
  fill(dht, random, count, false);
  random_targets(targets, random);
  bench_search(name, "buckets without limit, random keys", dht, targets,
               BENCH_NO_TARGET);
  kad__dht_free(dht);
  store->ops->free(store);
}

/* ---- the answer ---------------------------------------------------------- */

typedef struct answer {
  kad__message message;
  uint8_t ids[ANSWER_PEERS][38];
  uint8_t addresses[ANSWER_PEERS][64];
  uint8_t bytes[4096];
  size_t len;
} answer;

static void make_answer(answer *a, kad_random *random) {
  kad__message_init(&a->message, KAD__FIND_NODE);
  a->message.closer_count = ANSWER_PEERS;
  for (size_t i = 0; i < ANSWER_PEERS; i++) {
    static const uint8_t prefix[6] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20};
    memcpy(a->ids[i], prefix, sizeof(prefix));
    kad_random_bytes(random, a->ids[i] + sizeof(prefix), 32);
    size_t len =
        make_addresses(a->addresses[i], sizeof(a->addresses[i]), random);
    a->message.closer[i] =
        (kad__wire_peer){.id = kad__bytes(a->ids[i], sizeof(a->ids[i])),
                         .addresses = kad__bytes(a->addresses[i], len)};
  }
  int len = kad__message_encode(a->bytes, sizeof(a->bytes), &a->message);
  BENCH_CHECK(len > 128);
  a->len = (size_t)len;
}

static double encode(answer *a) {
  kad_time start = bench_cpu();
  for (size_t i = 0; i < MESSAGES; i++) {
    BENCH_CHECK(kad__message_encode(a->bytes, sizeof(a->bytes), &a->message) ==
                (int)a->len);
  }
  return (double)(bench_cpu() - start) / MESSAGES;
}

static double decode(answer *a) {
  static kad__message out;
  size_t prefix = 2; /* bytes of a length between 128 and 16,383 */
  kad_time start = bench_cpu();
  for (size_t i = 0; i < MESSAGES; i++) {
    BENCH_CHECK(kad__message_decode(&out, kad__bytes(a->bytes + prefix,
                                                     a->len - prefix)) == 0 &&
                out.closer_count == ANSWER_PEERS);
  }
  return (double)(bench_cpu() - start) / MESSAGES;
}

static void bench_codec(const char *name, double (*step)(answer *), answer *a) {
  double rounds[ROUNDS];
  (void)step(a);
  for (int i = 0; i < ROUNDS; i++) {
    rounds[i] = step(a);
  }
  bench_report(&(bench_figure){.name = name,
                               .unit = "us",
                               .value = bench_median(rounds, ROUNDS) / 1e3,
                               .kind = BENCH_VALUE_AT_MOST,
                               .target = 2,
                               .note = "20 peers of 3 addresses"});
}

int main(void) {
  static answer a;
  kad_random random;
  kad_random_init_u64(&random, 5);
  bench_pin(BENCH_MEASURED);
  bench_table(&random);
  bench_flat_table(&random, 1000, "closest_20_of_1000_flat");
  bench_flat_table(&random, 5000, "closest_20_of_5000_flat");
  make_answer(&a, &random);
  bench_codec("encode_answer", encode, &a);
  bench_codec("decode_answer", decode, &a);
  return 0;
}
