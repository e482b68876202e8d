/* A node takes whatever file it is given, and what it took in it can write down
 * again in a form that it takes itself. */
#include "base/bytes.h"
#include "fuzz.h"
#include "kadmium/key.h"
#include "node/node.h"
#include "node/snapshot.h"

#define UNIX_NS (1767225600 * KAD_SECOND)
#define SPACE ((size_t)1 << 20)

static kad__node *make_node(void) {
  static kad_key_pair *key;
  static const uint8_t seed[KAD_RANDOM_SEED_LEN];
  if (key == NULL) {
    kad_random random;
    kad_random_init(&random, seed);
    FUZZ_CHECK(kad_key_pair_generate(&key, kad_allocator_default(), &random) ==
               0);
  }
  kad__node_config config;
  kad__node_config_default(&config);
  config.allocator = kad_allocator_default();
  config.identity = key;
  config.seed = seed;
  kad__node *node = NULL;
  FUZZ_CHECK(kad__node_new(&node, &config, KAD_HOUR, UNIX_NS) == 0);
  return node;
}

static void check(kad__node *node) {
  FUZZ_CHECK(kad__peerstore_check(
                 kad__swarm_peerstore(kad__node_swarm(node))) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static uint8_t space[SPACE];
  kad__node *node = make_node();
  kad__node *other = make_node();
  (void)kad__node_restore(node, kad__bytes(data, size), KAD_HOUR);
  check(node);
  int len = kad__node_snapshot(node, space, sizeof(space), NULL, KAD_HOUR);
  if (len >= 0) {
    FUZZ_CHECK(kad__node_restore(other, kad__bytes(space, (size_t)len),
                                 KAD_HOUR) == 0);
    check(other);
  }
  kad__node_free(other);
  kad__node_free(node);
  return 0;
}
