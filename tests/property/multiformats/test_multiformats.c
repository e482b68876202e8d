/* Whatever is valid survives the way through text; whatever is cut or flipped
 * is either refused or valid itself. */
#include "kadmium/multiaddr.h"
#include "kadmium/multiformats.h"
#include "kadmium/peer_id.h"
#include "multiformats/varint.h"
#include "support.h"

#define RUNS 300

static kad_random random_;

static size_t below(size_t bound) {
  return (size_t)kad_random_below(&random_, bound);
}

typedef struct builder {
  uint8_t bytes[KAD_MULTIADDR_MAX];
  size_t len;
  size_t ends[KAD_MULTIADDR_PARTS_MAX + 1]; /* where each part ends */
  size_t parts;
} builder;

static size_t random_hash(uint8_t *out) {
  uint8_t code = below(2) == 0 ? KAD_MULTIHASH_SHA2_256 : 0x13;
  size_t len = code == KAD_MULTIHASH_SHA2_256 ? 32 : below(100);
  out[0] = code;
  out[1] = (uint8_t)len;
  kad_random_bytes(&random_, out + 2, len);
  return len + 2;
}

static size_t random_peer(uint8_t *out) {
  bool identity = below(2) == 0;
  size_t len = identity ? below(43) : 32;
  out[0] = identity ? KAD_MULTIHASH_IDENTITY : KAD_MULTIHASH_SHA2_256;
  out[1] = (uint8_t)len;
  kad_random_bytes(&random_, out + 2, len);
  return len + 2;
}

static size_t random_text(uint8_t *out) {
  static const char *const words[] = {
      "a", "example", ".", "-", "%", "0", "\xc3\xbc", "\xe4\xb8\xad", " "};
  size_t len = 0;
  for (size_t n = 1 + below(8); n > 0; n--) {
    const char *word = words[below(KAD__COUNT(words))];
    memcpy(out + len, word, strlen(word));
    len += strlen(word);
  }
  return len;
}

static size_t random_path(uint8_t *out) {
  size_t len = 0;
  for (size_t n = 1 + below(3); n > 0; n--) {
    out[len++] = '/';
    len += random_text(out + len);
  }
  return len;
}

typedef enum value_kind {
  NONE,
  IP4,
  IP6,
  PORT,
  NUMBER,
  ONION,
  TEXT, /* from here on with a length in front */
  PATH,
  PEER,
  HASH
} value_kind;

typedef struct protocol {
  uint64_t code;
  value_kind kind;
} protocol;

static const protocol protocols[] = {
#define PROTOCOL(name, code, text, kind) {code, kind},
    KAD_MULTIADDR_MAP(PROTOCOL)
#undef PROTOCOL
};

/* Addresses with many zeros, as real ones have. */
static size_t random_fixed(uint8_t *out, size_t len) {
  for (size_t i = 0; i < len; i++) {
    out[i] = below(2) == 0 ? 0 : (uint8_t)below(256);
  }
  return len;
}

static size_t random_value(uint8_t *out, value_kind kind) {
  switch (kind) {
    case IP4:
      return random_fixed(out, 4);
    case IP6:
      return random_fixed(out, 16);
    case PORT:
      return random_fixed(out, 2);
    case NUMBER:
      return random_fixed(out, 8);
    case ONION:
      (void)random_fixed(out, 37);
      out[36] |= 1; /* a port */
      return 37;
    case TEXT:
      return random_text(out);
    case PATH:
      return random_path(out);
    case PEER:
      return random_peer(out);
    case HASH:
      return random_hash(out);
    default:
      return 0;
  }
}

static value_kind add_part(builder *b, const protocol *p) {
  uint8_t value[256];
  size_t len = random_value(value, p->kind);
  if (b->len + len + 2 * KAD__VARINT_MAX_LEN > sizeof(b->bytes)) {
    return NONE;
  }
  b->len += kad__varint_encode(b->bytes + b->len, p->code);
  if (p->kind >= TEXT) {
    b->len += kad__varint_encode(b->bytes + b->len, len);
  }
  memcpy(b->bytes + b->len, value, len);
  b->len += len;
  b->ends[b->parts++] = b->len;
  return p->kind;
}

/* A path ends an address, but for who is there. */
static void build(builder *b) {
  static const protocol peer = {KAD_MULTIADDR_P2P, PEER};
  memset(b, 0, sizeof(*b));
  size_t parts = 1 + below(KAD_MULTIADDR_PARTS_MAX - 1);
  value_kind kind = NONE;
  for (size_t i = 0; i < parts && kind != PATH; i++) {
    kind = add_part(b, &protocols[below(KAD__COUNT(protocols))]);
  }
  if (kind == PATH && below(2) == 0) {
    (void)add_part(b, &peer);
  }
}

static void check_round_trip(kad_bytes address) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  uint8_t again[KAD_MULTIADDR_MAX];
  assert_ok(kad_multiaddr_format(text, sizeof(text), address));
  int len = kad_multiaddr_parse(again, sizeof(again), text);
  assert_ok(len);
  assert_bytes_equal(kad__bytes(again, (size_t)len), address);
}

static void addresses_survive_text(void **state) {
  (void)state;
  for (size_t run = test_runs(RUNS * 10); run > 0; run--) {
    builder b;
    build(&b);
    assert_ok(kad_multiaddr_check(kad__bytes(b.bytes, b.len)));
    check_round_trip(kad__bytes(b.bytes, b.len));
  }
}

/* A copy in a block of its own shows the sanitizer every read past the end. */
static int check_alone(kad_bytes address) {
  uint8_t *copy = malloc(address.len + (address.len == 0));
  if (address.len != 0) {
    memcpy(copy, address.data, address.len);
  }
  int result = kad_multiaddr_check(kad__bytes(copy, address.len));
  free(copy);
  return result;
}

/* Cutting between parts leaves an address; cutting inside one does not. */
static void prefixes_of_addresses(void **state) {
  (void)state;
  for (size_t run = test_runs(RUNS); run > 0; run--) {
    builder b;
    build(&b);
    size_t part = 0;
    for (size_t len = 0; len <= b.len; len++) {
      bool whole = len == b.ends[part];
      int result = check_alone(kad__bytes(b.bytes, len));
      assert_int_equal(result, whole ? 0 : KAD_E_MULTIADDR);
      part += whole;
    }
  }
}

static void flipped_bits_in_addresses(void **state) {
  (void)state;
  size_t refused = 0;
  for (size_t run = test_runs(RUNS / 10); run > 0; run--) {
    builder b;
    build(&b);
    for (size_t bit = 0; bit < 8 * b.len; bit++) {
      b.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
      kad_bytes address = kad__bytes(b.bytes, b.len);
      if (check_alone(address) == 0) {
        check_round_trip(address);
      } else {
        refused++;
      }
      b.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
  }
  assert_true(refused > 0);
}

static void bytes_survive_every_base(void **state) {
  (void)state;
  static const kad_base bases[] = {KAD_BASE16, KAD_BASE32, KAD_BASE36,
                                   KAD_BASE58BTC, KAD_BASE64URL};
  for (size_t run = test_runs(RUNS); run > 0; run--) {
    uint8_t in[200], out[200];
    char text[500];
    size_t len = random_fixed(in, below(sizeof(in) + 1));
    for (size_t i = 0; i < KAD__COUNT(bases); i++) {
      int text_len =
          kad_base_encode(text, sizeof(text), bases[i], kad__bytes(in, len));
      assert_ok(text_len);
      assert_int_equal(
          kad_base_decode(out, sizeof(out), bases[i], text, (size_t)text_len),
          len);
      assert_bytes_equal(kad__bytes(out, len), kad__bytes(in, len));
      assert_int_equal(kad_base_encode(text, (size_t)text_len, bases[i],
                                       kad__bytes(in, len)),
                       KAD_E_BUFFER_TOO_SMALL);
    }
  }
}

/* Every text that decodes is the one text of its bytes, but for its case. */
static void one_text_for_each_value(void **state) {
  (void)state;
  static const char alphabet[] = "abz127AZ-_";
  static const kad_base bases[] = {KAD_BASE16, KAD_BASE32, KAD_BASE36,
                                   KAD_BASE58BTC, KAD_BASE64URL};
  size_t valid = 0;
  for (size_t run = test_runs(RUNS * 10); run > 0; run--) {
    char text[12], again[64];
    uint8_t out[64];
    size_t len = below(sizeof(text));
    for (size_t i = 0; i < len; i++) {
      text[i] = alphabet[below(sizeof(alphabet) - 1)];
    }
    for (size_t i = 0; i < KAD__COUNT(bases); i++) {
      int bytes = kad_base_decode(out, sizeof(out), bases[i], text, len);
      if (bytes < 0) {
        assert_error(KAD_E_MULTIBASE, bytes);
        continue;
      }
      valid++;
      int text_len = kad_base_encode(again, sizeof(again), bases[i],
                                     kad__bytes(out, (size_t)bytes));
      assert_int_equal(text_len, len);
      for (size_t j = 0; j < len; j++) {
        assert_int_equal(again[j] | 0x20, text[j] | 0x20);
      }
    }
  }
  assert_true(valid > 0);
}

static void peer_ids_survive_text(void **state) {
  (void)state;
  for (size_t run = test_runs(RUNS); run > 0; run--) {
    uint8_t bytes[64];
    size_t len = random_peer(bytes);
    kad_peer_id id, again;
    char text[KAD_PEER_ID_TEXT_MAX];
    assert_ok(kad_peer_id_decode(&id, kad__bytes(bytes, len)));
    assert_ok(kad_peer_id_format(text, sizeof(text), &id));
    assert_ok(kad_peer_id_parse(&again, text));
    assert_memory_equal(&again, &id, sizeof(id));
    assert_ok(kad_peer_id_format_cid(text, sizeof(text), &id));
    assert_ok(kad_peer_id_parse(&again, text));
    assert_memory_equal(&again, &id, sizeof(id));
    for (size_t cut = 0; cut < len; cut++) {
      assert_error(KAD_E_PEER_ID,
                   kad_peer_id_decode(&again, kad__bytes(bytes, cut)));
    }
  }
}

static void varints_survive(void **state) {
  (void)state;
  for (size_t run = test_runs(RUNS * 10); run > 0; run--) {
    uint64_t value = kad_random_u64(&random_) >> (1 + below(63));
    uint8_t bytes[KAD__VARINT_MAX_LEN];
    size_t len = kad__varint_encode(bytes, value);
    uint64_t again = 0;
    assert_int_equal(kad__varint_decode(&again, kad__bytes(bytes, len)), len);
    assert_true(again == value);
    assert_int_equal(kad__varint_len(value), len);
    assert_error(KAD_E_TRUNCATED,
                 kad__varint_decode(&again, kad__bytes(bytes, len - 1)));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(addresses_survive_text),
      cmocka_unit_test(prefixes_of_addresses),
      cmocka_unit_test(flipped_bits_in_addresses),
      cmocka_unit_test(bytes_survive_every_base),
      cmocka_unit_test(one_text_for_each_value),
      cmocka_unit_test(peer_ids_survive_text),
      cmocka_unit_test(varints_survive),
  };
  kad_random_init_u64(&random_, test_seed("property-multiformats"));
  return cmocka_run_group_tests(tests, NULL, NULL);
}
