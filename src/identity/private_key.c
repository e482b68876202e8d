/* Ed25519 and the two curves are taken from their bytes, so that one key has
 * one form and the public half always comes from the private one. RSA, whose
 * private form is nine numbers, goes through OpenSSL's decoder after its
 * modulus was measured: a private key is its owner's and not hostile, but a
 * damaged file shall be an error and not a node that signs nonsense. */
#include "identity/private_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "identity/crypto_random.h"
#include "identity/der.h"
#include "identity/ed25519.h"
#include "identity/key.h"

#define SCALAR_LEN 32
#define RSA_BITS 2048

/* ---- Ed25519 ----------------------------------------------------------- */

static int fill_ed25519(kad__private_key *out, const uint8_t *seed) {
  uint8_t *point = out->data + KAD__ED25519_LEN;
  size_t len = KAD__ED25519_LEN;
  memcpy(out->data, seed, KAD__ED25519_LEN);
  out->handle = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed,
                                             KAD__ED25519_LEN);
  if (out->handle == NULL ||
      EVP_PKEY_get_raw_public_key(out->handle, point, &len) != 1) {
    return KAD_E_CRYPTO;
  }
  memcpy(out->public_data, point, KAD__ED25519_LEN);
  out->len = 2 * KAD__ED25519_LEN;
  out->public_len = KAD__ED25519_LEN;
  return 0;
}

/* The public half stands behind the private one, twice in the old form. */
static int decode_ed25519(kad__private_key *out, kad_bytes data) {
  if (data.len != 2 * KAD__ED25519_LEN && data.len != 3 * KAD__ED25519_LEN) {
    return KAD_E_KEY;
  }
  int result = fill_ed25519(out, data.data);
  if (result < 0) {
    return result;
  }
  for (size_t at = KAD__ED25519_LEN; at < data.len; at += KAD__ED25519_LEN) {
    if (memcmp(data.data + at, out->public_data, KAD__ED25519_LEN) != 0) {
      return KAD_E_KEY;
    }
  }
  return 0;
}

/* ---- the curves -------------------------------------------------------- */

/* What a scalar becomes; the objects of one computation. */
typedef struct curve {
  const char *name;
  EC_GROUP *group;
  BN_CTX *context;
  BIGNUM *scalar;
  EC_POINT *point;
  uint8_t bytes[KAD__P256_POINT_LEN]; /* the point */
  size_t len;
} curve;

static void close_curve(curve *c) {
  EC_POINT_free(c->point);
  BN_clear_free(c->scalar);
  BN_CTX_free(c->context);
  EC_GROUP_free(c->group);
}

static int open_curve(curve *c, kad_key_type type, const uint8_t *scalar) {
  bool bitcoin = type == KAD_KEY_SECP256K1;
  *c = (curve){.name = bitcoin ? "secp256k1" : "prime256v1"};
  c->group = EC_GROUP_new_by_curve_name(bitcoin ? NID_secp256k1
                                                : NID_X9_62_prime256v1);
  c->context = BN_CTX_new();
  c->scalar = BN_bin2bn(scalar, SCALAR_LEN, NULL);
  if (c->group == NULL || c->context == NULL || c->scalar == NULL) {
    return KAD_E_NO_MEMORY;
  }
  c->point = EC_POINT_new(c->group);
  if (c->point == NULL) {
    return KAD_E_NO_MEMORY;
  }
  if (BN_is_zero(c->scalar) ||
      BN_cmp(c->scalar, EC_GROUP_get0_order(c->group)) >= 0) {
    return KAD_E_KEY;
  }
  point_conversion_form_t form =
      bitcoin ? POINT_CONVERSION_COMPRESSED : POINT_CONVERSION_UNCOMPRESSED;
  if (EC_POINT_mul(c->group, c->point, c->scalar, NULL, NULL, c->context) !=
      1) {
    return KAD_E_CRYPTO;
  }
  c->len = EC_POINT_point2oct(c->group, c->point, form, c->bytes,
                              sizeof(c->bytes), c->context);
  return c->len == 0 ? KAD_E_CRYPTO : 0;
}

static int import_params(EVP_PKEY **out, OSSL_PARAM *params) {
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
  bool done = context != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
              EVP_PKEY_fromdata(context, out, EVP_PKEY_KEYPAIR, params) == 1;
  EVP_PKEY_CTX_free(context);
  return done ? 0 : KAD_E_CRYPTO;
}

static int import_curve(EVP_PKEY **out, const curve *c) {
  OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
  OSSL_PARAM *params = NULL;
  if (builder != NULL &&
      OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME,
                                      c->name, 0) == 1 &&
      OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY,
                                       c->bytes, c->len) == 1 &&
      OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, c->scalar) ==
          1) {
    params = OSSL_PARAM_BLD_to_param(builder);
  }
  int result = params == NULL ? KAD_E_NO_MEMORY : import_params(out, params);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(builder);
  return result;
}

/* The two DER forms of P-256, whose lengths never vary: RFC 5915 and the
 * SubjectPublicKeyInfo of RFC 5480. Scalar and point are filled in. */
static const uint8_t private_head[] = {0x30, 0x77, 0x02, 0x01,
                                       0x01, 0x04, 0x20};
static const uint8_t private_middle[] = {0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                         0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
                                         0xa1, 0x44, 0x03, 0x42, 0x00};
static const uint8_t public_head[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a,
                                      0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
                                      0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03,
                                      0x01, 0x07, 0x03, 0x42, 0x00};

static void put(uint8_t *out, size_t *len, const uint8_t *bytes, size_t count) {
  memcpy(out + *len, bytes, count);
  *len += count;
}

static void fill_bytes(kad__private_key *out, const curve *c, kad_key_type type,
                       const uint8_t *scalar) {
  out->len = 0;
  out->public_len = 0;
  if (type == KAD_KEY_SECP256K1) {
    put(out->data, &out->len, scalar, SCALAR_LEN);
    put(out->public_data, &out->public_len, c->bytes, c->len);
    return;
  }
  put(out->data, &out->len, private_head, sizeof(private_head));
  put(out->data, &out->len, scalar, SCALAR_LEN);
  put(out->data, &out->len, private_middle, sizeof(private_middle));
  put(out->data, &out->len, c->bytes, c->len);
  put(out->public_data, &out->public_len, public_head, sizeof(public_head));
  put(out->public_data, &out->public_len, c->bytes, c->len);
}

static int fill_curve(kad__private_key *out, kad_key_type type,
                      const uint8_t *scalar) {
  curve c;
  int result = open_curve(&c, type, scalar);
  if (result == 0) {
    result = import_curve(&out->handle, &c);
  }
  if (result == 0) {
    fill_bytes(out, &c, type, scalar);
  }
  close_curve(&c);
  return result;
}

static int decode_secp256k1(kad__private_key *out, kad_bytes data) {
  return data.len == SCALAR_LEN ? fill_curve(out, KAD_KEY_SECP256K1, data.data)
                                : KAD_E_KEY;
}

/* All writers of libp2p keys give curve and point, though RFC 5915 lets both
 * be left out. */
static int decode_ecdsa(kad__private_key *out, kad_bytes data) {
  kad_bytes head = kad__bytes(private_head, sizeof(private_head));
  if (!kad__bytes_start(data, head) || data.len < head.len + SCALAR_LEN) {
    return KAD_E_KEY;
  }
  int result = fill_curve(out, KAD_KEY_ECDSA, data.data + head.len);
  if (result < 0) {
    return result;
  }
  return kad__bytes_equal(data, kad__bytes(out->data, out->len)) ? 0
                                                                 : KAD_E_KEY;
}

/* Nearly every draw is below the order, but not quite: 2^-32 of them for P-256
 * are drawn again. */
static int generate_curve(kad__private_key *out, kad_key_type type,
                          kad_random *random) {
  uint8_t scalar[SCALAR_LEN];
  int result;
  do {
    kad_random_bytes(random, scalar, sizeof(scalar));
    result = fill_curve(out, type, scalar);
  } while (result == KAD_E_KEY);
  OPENSSL_cleanse(scalar, sizeof(scalar));
  return result;
}

/* ---- RSA --------------------------------------------------------------- */

/* Writes both forms; the caller compares. */
static int fill_rsa(kad__private_key *out) {
  uint8_t *data = out->data;
  uint8_t *public_data = out->public_data;
  int len = i2d_PrivateKey(out->handle, NULL);
  int public_len = i2d_PUBKEY(out->handle, NULL);
  if (len <= 0 || public_len <= 0) {
    return KAD_E_CRYPTO;
  }
  if ((size_t)len > sizeof(out->data) ||
      (size_t)public_len > sizeof(out->public_data)) {
    return KAD_E_KEY_SIZE;
  }
  if (i2d_PrivateKey(out->handle, &data) != len ||
      i2d_PUBKEY(out->handle, &public_data) != public_len) {
    return KAD_E_CRYPTO;
  }
  out->len = (size_t)len;
  out->public_len = (size_t)public_len;
  return 0;
}

/* That the nine numbers belong together: signing with others may give the key
 * away. */
static int check_rsa(EVP_PKEY *handle) {
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, handle, NULL);
  if (context == NULL) {
    return KAD_E_NO_MEMORY;
  }
  int sound = EVP_PKEY_pairwise_check(context);
  EVP_PKEY_CTX_free(context);
  return sound == 1 ? 0 : KAD_E_KEY;
}

static int decode_rsa(kad__private_key *out, kad_bytes data) {
  if (data.len > sizeof(out->data)) {
    return KAD_E_KEY_SIZE;
  }
  const uint8_t *at = data.data;
  out->handle = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &at, (long)data.len);
  if (out->handle == NULL ||
      EVP_PKEY_get_base_id(out->handle) != EVP_PKEY_RSA) {
    return KAD_E_KEY;
  }
  int bits = EVP_PKEY_get_bits(out->handle);
  if (bits < KAD__RSA_BITS_MIN || bits > KAD__RSA_BITS_MAX) {
    return KAD_E_KEY_SIZE;
  }
  int result = fill_rsa(out);
  if (result < 0) {
    return result;
  }
  if (!kad__bytes_equal(data, kad__bytes(out->data, out->len))) {
    return KAD_E_KEY;
  }
  return check_rsa(out->handle);
}

static int draw_rsa(EVP_PKEY **out, OSSL_LIB_CTX *library) {
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(library, "RSA", NULL);
  bool done = context != NULL && EVP_PKEY_keygen_init(context) == 1 &&
              EVP_PKEY_CTX_set_rsa_keygen_bits(context, RSA_BITS) == 1 &&
              EVP_PKEY_generate(context, out) == 1;
  EVP_PKEY_CTX_free(context);
  return done ? 0 : KAD_E_CRYPTO;
}

/* The key is moved out of the library context that its primes came from. */
static int generate_rsa(kad__private_key *out, kad_random *random) {
  kad__crypto_random source;
  int result = kad__crypto_random_init(&source, random);
  if (result < 0) {
    return result;
  }
  result = draw_rsa(&out->handle, source.library);
  if (result == 0) {
    result = fill_rsa(out);
  }
  EVP_PKEY_free(out->handle);
  out->handle = NULL;
  kad__crypto_random_fini(&source);
  if (result < 0) {
    return result;
  }
  const uint8_t *at = out->data;
  out->handle = d2i_PrivateKey(EVP_PKEY_RSA, NULL, &at, (long)out->len);
  return out->handle == NULL ? KAD_E_CRYPTO : 0;
}

/* ---- all --------------------------------------------------------------- */

static int decode_data(kad__private_key *out, uint64_t type, kad_bytes data) {
  switch (type) {
    case KAD_KEY_RSA:
      return decode_rsa(out, data);
    case KAD_KEY_ED25519:
      return decode_ed25519(out, data);
    case KAD_KEY_SECP256K1:
      return decode_secp256k1(out, data);
    case KAD_KEY_ECDSA:
      return decode_ecdsa(out, data);
    default:
      return KAD_E_KEY_TYPE;
  }
}

static int generate_ed25519(kad__private_key *out, kad_random *random) {
  uint8_t seed[KAD__ED25519_LEN];
  kad_random_bytes(random, seed, sizeof(seed));
  int result = fill_ed25519(out, seed);
  OPENSSL_cleanse(seed, sizeof(seed));
  return result;
}

static int generate_data(kad__private_key *out, kad_key_type type,
                         kad_random *random) {
  switch (type) {
    case KAD_KEY_RSA:
      return generate_rsa(out, random);
    case KAD_KEY_ED25519:
      return generate_ed25519(out, random);
    case KAD_KEY_SECP256K1:
    case KAD_KEY_ECDSA:
      return generate_curve(out, type, random);
    default:
      return KAD_E_KEY_TYPE;
  }
}

static int settle(kad__private_key *out, int result) {
  ERR_pop_to_mark();
  if (result < 0) {
    kad__private_key_fini(out);
  }
  return result;
}

int kad__private_key_decode(kad__private_key *out, uint64_t type,
                            kad_bytes data) {
  *out = (kad__private_key){0};
  ERR_set_mark();
  return settle(out, decode_data(out, type, data));
}

int kad__private_key_generate(kad__private_key *out, kad_key_type type,
                              kad_random *random) {
  *out = (kad__private_key){0};
  ERR_set_mark();
  return settle(out, generate_data(out, type, random));
}

void kad__private_key_fini(kad__private_key *key) {
  EVP_PKEY_free(key->handle);
  OPENSSL_cleanse(key, sizeof(*key));
}

/* ---- signatures of secp256k1 ------------------------------------------- */

/* n - s, when s is above half of n. */
static bool lower(ECDSA_SIG *signature, const EC_GROUP *group, BIGNUM *half,
                  BIGNUM *s) {
  const BIGNUM *order = EC_GROUP_get0_order(group);
  if (BN_rshift1(half, order) != 1 ||
      BN_sub(s, order, ECDSA_SIG_get0_s(signature)) != 1) {
    return false;
  }
  if (BN_cmp(ECDSA_SIG_get0_s(signature), half) <= 0) {
    BN_free(s);
    return true;
  }
  BIGNUM *r = BN_dup(ECDSA_SIG_get0_r(signature));
  if (r == NULL || ECDSA_SIG_set0(signature, r, s) != 1) {
    BN_free(r);
    return false;
  }
  return true;
}

int kad__secp256k1_lower(uint8_t *signature, size_t len, size_t cap) {
  const uint8_t *at = signature;
  ECDSA_SIG *numbers = d2i_ECDSA_SIG(NULL, &at, (long)len);
  EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_secp256k1);
  BIGNUM *half = BN_new();
  BIGNUM *s = BN_new();
  int result = KAD_E_CRYPTO;
  if (numbers != NULL && group != NULL && half != NULL && s != NULL &&
      lower(numbers, group, half, s)) {
    s = NULL;
    int lowered = i2d_ECDSA_SIG(numbers, NULL);
    uint8_t *out = signature;
    if (lowered > 0 && (size_t)lowered <= cap) {
      result = i2d_ECDSA_SIG(numbers, &out);
    }
  }
  BN_free(s);
  BN_free(half);
  EC_GROUP_free(group);
  ECDSA_SIG_free(numbers);
  return result > 0 ? result : KAD_E_CRYPTO;
}
