/* The static key is made and signed once per node, not once per connection:
 * that saves each handshake a key generation and a signature, and the ephemeral
 * keys alone give forward secrecy. The payload is therefore a constant, encoded
 * once. */
#include "connection/security.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "wire/noise_payload.h"

#define SIGNED_PREFIX "noise-libp2p-static-key:"
#define PREFIX_LEN (sizeof(SIGNED_PREFIX) - 1)
#define SIGNED_LEN (PREFIX_LEN + KAD__X25519_LEN)
/* Room for a key, a signature and the extensions. */
#define PAYLOAD_CAP (KAD_PUBLIC_KEY_MAX + KAD_SIGNATURE_MAX + 64)

struct kad__security {
  const kad_allocator *allocator;
  const kad_key_pair *pair;
  kad__noise_suite suite;
  kad__x25519 static_key;
  kad__tls_context *tls; /* once it is needed */
  kad_time wall_at;      /* when it was `wall_ns` */
  uint64_t wall_ns;      /* 0: never told */
  uint8_t *payload;
  size_t payload_len;
};

/* What an identity signs to vouch for a static key. */
static void signed_bytes(uint8_t out[SIGNED_LEN], const uint8_t *static_key) {
  memcpy(out, SIGNED_PREFIX, PREFIX_LEN);
  memcpy(out + PREFIX_LEN, static_key, KAD__X25519_LEN);
}

static int encode_payload(kad__security *s) {
  uint8_t message[SIGNED_LEN];
  uint8_t signature[KAD_SIGNATURE_MAX];
  uint8_t bytes[PAYLOAD_CAP];
  signed_bytes(message, s->static_key.public_key);
  int signed_len = kad_key_pair_signature(s->pair, signature, sizeof(signature),
                                          kad__bytes(message, SIGNED_LEN));
  if (signed_len < 0) {
    return signed_len;
  }
  kad__noise_payload payload = {
      .identity_key = kad_public_key_bytes(kad_key_pair_public(s->pair)),
      .identity_signature = kad__bytes(signature, (size_t)signed_len),
      .muxer_count = 1,
      .muxers = {kad__bytes_of(KAD__YAMUX_NAME)},
  };
  int len = kad__noise_payload_encode(bytes, sizeof(bytes), &payload);
  if (len < 0) {
    return len;
  }
  s->payload_len = (size_t)len;
  s->payload = kad__memdup(s->allocator, bytes, s->payload_len);
  return s->payload == NULL ? KAD_E_NO_MEMORY : 0;
}

static int init_security(kad__security *s, kad_random *random) {
  int result = kad__noise_suite_init(&s->suite);
  if (result < 0) {
    return result;
  }
  uint8_t secret[KAD__X25519_LEN];
  kad_random_bytes(random, secret, sizeof(secret));
  result = kad__x25519_init(&s->static_key, secret);
  kad__wipe(secret, sizeof(secret));
  return result < 0 ? result : encode_payload(s);
}

int kad__security_new(kad__security **out, const kad_allocator *allocator,
                      const kad_key_pair *pair, kad_random *random) {
  kad__security *s = kad__calloc(allocator, 1, sizeof(*s));
  if (s == NULL) {
    return KAD_E_NO_MEMORY;
  }
  s->allocator = allocator;
  s->pair = pair;
  int result = init_security(s, random);
  if (result < 0) {
    kad__security_free(s);
    return result;
  }
  *out = s;
  return 0;
}

void kad__security_free(kad__security *s) {
  if (s == NULL) {
    return;
  }
  kad__tls_context_free(s->tls);
  kad__x25519_fini(&s->static_key);
  kad__noise_suite_fini(&s->suite);
  kad__release(s->allocator, s->payload);
  kad__release(s->allocator, s);
}

int kad__security_handshake(kad__noise **out, const kad__security *security,
                            const kad_allocator *allocator, kad_random *random,
                            bool initiator) {
  uint8_t ephemeral[KAD__X25519_LEN];
  kad_random_bytes(random, ephemeral, sizeof(ephemeral));
  int result =
      kad__noise_new(out, allocator, &security->suite, &security->static_key,
                     ephemeral, (kad_bytes){0}, initiator);
  kad__wipe(ephemeral, sizeof(ephemeral));
  return result;
}

kad_bytes kad__security_payload(const kad__security *security) {
  return kad__bytes(security->payload, security->payload_len);
}

const kad__noise_suite *kad__security_suite(const kad__security *security) {
  return &security->suite;
}

static bool offers_yamux(const kad__noise_payload *payload) {
  for (size_t i = 0; i < payload->muxer_count; i++) {
    if (kad__bytes_equal(payload->muxers[i], kad__bytes_of(KAD__YAMUX_NAME))) {
      return true;
    }
  }
  return false;
}

bool kad__security_is_self(const kad__security *security,
                           const kad_public_key *key) {
  kad_peer_id id;
  kad_public_key_peer_id(key, &id);
  return kad_peer_id_equal(&id, kad_key_pair_peer_id(security->pair));
}

/* The signature comes before any look at the identity: an unproven claim to be
 * us, or somebody else, must not pass for the fact. */
static int check_identity(const kad__security *security,
                          const kad_public_key *key, kad_bytes signature,
                          const uint8_t *static_key) {
  uint8_t message[SIGNED_LEN];
  signed_bytes(message, static_key);
  int result =
      kad_public_key_verify(key, kad__bytes(message, SIGNED_LEN), signature);
  if (result < 0) {
    return result;
  }
  return kad__security_is_self(security, key) ? KAD_E_SELF : 0;
}

int kad__security_verify(kad_public_key **key, bool *early_muxer,
                         const kad__security *security,
                         const kad_allocator *allocator, kad_bytes payload,
                         const uint8_t static_key[KAD__X25519_LEN]) {
  kad__noise_payload decoded;
  if (kad__noise_payload_decode(&decoded, payload) < 0 ||
      decoded.identity_key.len == 0) {
    return KAD_E_NOISE;
  }
  kad_public_key *claimed = NULL;
  int result = kad_public_key_decode(&claimed, allocator, decoded.identity_key);
  if (result < 0) {
    return result == KAD_E_PROTOBUF ? KAD_E_KEY : result;
  }
  result =
      check_identity(security, claimed, decoded.identity_signature, static_key);
  if (result < 0) {
    kad_public_key_free(claimed);
    return result;
  }
  *key = claimed;
  *early_muxer = offers_yamux(&decoded);
  return 0;
}

/* ---- TLS --------------------------------------------------------------- */

void kad__security_set_wall_clock(kad__security *security, kad_time now,
                                  uint64_t unix_ns) {
  security->wall_at = now;
  security->wall_ns = unix_ns;
}

static uint64_t unix_seconds(const kad__security *s, kad_time now) {
  return s->wall_ns == 0 || now < s->wall_at
             ? s->wall_ns / KAD_SECOND
             : (s->wall_ns + (now - s->wall_at)) / KAD_SECOND;
}

int kad__security_tls(kad__tls **tls, kad__security *security,
                      const kad_allocator *allocator, kad_random *random,
                      kad__buffer *out, bool dialer, kad_time now) {
  if (security->tls == NULL) {
    int result = kad__tls_context_new(&security->tls, security->allocator,
                                      security->pair, random);
    if (result < 0) {
      return result;
    }
  }
  return kad__tls_new(tls, security->tls, allocator, out, dialer,
                      unix_seconds(security, now));
}
