/* Public keys of the four types: Ed25519 by ed25519.c, the others on OpenSSL's
 * EVP.
 *
 * A key is checked in full when it is read, so that verifying only verifies:
 * lengths and DER first (der.h), then OpenSSL checks that a point lies on its
 * curve. OpenSSL's own decoders are not used: they accept more encodings than
 * one and take up to twenty times as long (110 us for RSA, where taking the
 * numbers out takes 5).
 *
 * OpenSSL reports failures in a queue of the thread. What a hostile key leaves
 * there is taken out again, since the program around us may use OpenSSL too. */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/params.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "identity/der.h"
#include "identity/digest.h"
#include "identity/ed25519.h"
#include "identity/key.h"
#include "wire/protobuf.h"

#define SECP256K1_LEN 33
/* SEQUENCE of two INTEGERs of at most 33 bytes. */
#define ECDSA_SIGNATURE_MAX 72
#define FIELD_TYPE 1
#define FIELD_DATA 2
/* Keys whose protobuf is no longer than this are their own PeerId. */
#define IDENTITY_MAX 42

int kad__key_fields(uint64_t *type, kad_bytes *data, kad_bytes in) {
  bool has_type = false;
  bool has_data = false;
  kad__pb_field field;
  int result;
  while ((result = kad__pb_next(&in, &field)) > 0) {
    if (field.number == FIELD_TYPE && field.type == KAD__PB_VARINT) {
      *type = field.value;
      has_type = true;
    } else if (field.number == FIELD_DATA && field.type == KAD__PB_BYTES) {
      *data = field.bytes;
      has_data = true;
    } else if (field.number == FIELD_TYPE || field.number == FIELD_DATA) {
      return KAD_E_PROTOBUF;
    }
  }
  if (result < 0) {
    return result;
  }
  return has_type && has_data ? 0 : KAD_E_PROTOBUF;
}

/* What the last failure of OpenSSL means, when it is not the want of memory. */
static int openssl_error(int meaning) {
  unsigned long last = ERR_peek_last_error();
  return ERR_GET_REASON(last) == ERR_R_MALLOC_FAILURE ? KAD_E_NO_MEMORY
                                                      : meaning;
}

static int import_key(EVP_PKEY **out, const char *algorithm,
                      OSSL_PARAM *params) {
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
  int result = 0;
  if (context == NULL || EVP_PKEY_fromdata_init(context) != 1) {
    result = openssl_error(KAD_E_CRYPTO);
  } else if (EVP_PKEY_fromdata(context, out, EVP_PKEY_PUBLIC_KEY, params) !=
             1) {
    result = openssl_error(KAD_E_KEY);
  }
  EVP_PKEY_CTX_free(context);
  return result;
}

static int import_rsa(EVP_PKEY **out, kad_bytes der) {
  kad_bytes modulus;
  kad_bytes exponent;
  int result = kad__der_rsa_key(&modulus, &exponent, der);
  if (result < 0) {
    return result;
  }
  BIGNUM *n = BN_bin2bn(modulus.data, (int)modulus.len, NULL);
  BIGNUM *e = BN_bin2bn(exponent.data, (int)exponent.len, NULL);
  OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
  OSSL_PARAM *params = NULL;
  if (n != NULL && e != NULL && builder != NULL &&
      OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
      OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
    params = OSSL_PARAM_BLD_to_param(builder);
  }
  result = params == NULL ? KAD_E_NO_MEMORY : import_key(out, "RSA", params);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(builder);
  BN_free(e);
  BN_free(n);
  return result;
}

/* OpenSSL refuses a point that is not on the curve. */
static int import_point(EVP_PKEY **out, char *curve, kad_bytes point) {
  uint8_t copy[KAD__P256_POINT_LEN];
  memcpy(copy, point.data, point.len);
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 0),
      OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy,
                                        point.len),
      OSSL_PARAM_construct_end(),
  };
  return import_key(out, "EC", params);
}

static int import_ecdsa(EVP_PKEY **out, kad_bytes der) {
  char curve[] = "prime256v1";
  kad_bytes point;
  int result = kad__der_p256_key(&point, der);
  return result < 0 ? result : import_point(out, curve, point);
}

static int import_secp256k1(EVP_PKEY **out, kad_bytes data) {
  char curve[] = "secp256k1";
  if (data.len != SECP256K1_LEN ||
      (data.data[0] != 0x02 && data.data[0] != 0x03)) {
    return KAD_E_KEY;
  }
  return import_point(out, curve, data);
}

/* Nothing is imported: ed25519.c takes the point as it is. */
static int check_ed25519(kad_bytes data) {
  bool good =
      data.len == KAD__ED25519_LEN && !kad__ed25519_is_small_order(data.data);
  return good ? 0 : KAD_E_KEY;
}

static int import_data(EVP_PKEY **out, uint64_t type, kad_bytes data) {
  switch (type) {
    case KAD_KEY_RSA:
      return import_rsa(out, data);
    case KAD_KEY_ED25519:
      return check_ed25519(data);
    case KAD_KEY_SECP256K1:
      return import_secp256k1(out, data);
    case KAD_KEY_ECDSA:
      return import_ecdsa(out, data);
    default:
      return KAD_E_KEY_TYPE;
  }
}

static void derive_peer_id(kad_peer_id *out, kad_bytes protobuf) {
  memset(out, 0, sizeof(*out));
  if (protobuf.len <= IDENTITY_MAX) {
    out->bytes[0] = 0x00;
    out->bytes[1] = (uint8_t)protobuf.len;
    memcpy(out->bytes + 2, protobuf.data, protobuf.len);
    out->len = (uint8_t)(2 + protobuf.len);
    return;
  }
  out->bytes[0] = 0x12;
  out->bytes[1] = 32;
  kad__sha256(out->bytes + 2, protobuf);
  out->len = 2 + 32;
}

/* Takes over `handle`, also when it fails. */
static int wrap_key(kad_public_key **out, const kad_allocator *allocator,
                    EVP_PKEY *handle, kad_key_type type, kad_bytes data) {
  size_t len = kad__pb_varint_len(FIELD_TYPE, type) +
               kad__pb_bytes_len(FIELD_DATA, data.len);
  kad_public_key *key = kad__alloc(allocator, sizeof(*key) + len);
  if (key == NULL) {
    EVP_PKEY_free(handle);
    return KAD_E_NO_MEMORY;
  }
  kad__pb_writer writer;
  kad__pb_writer_init(&writer, key->bytes, len);
  kad__pb_put_varint(&writer, FIELD_TYPE, type);
  kad__pb_put_bytes(&writer, FIELD_DATA, data);
  key->allocator = *allocator;
  key->handle = handle;
  key->type = type;
  key->len = len;
  derive_peer_id(&key->id, kad__bytes(key->bytes, len));
  *out = key;
  return 0;
}

int kad__public_key_new(kad_public_key **out, const kad_allocator *allocator,
                        uint64_t type, kad_bytes data) {
  EVP_PKEY *handle = NULL;
  ERR_set_mark();
  int result = import_data(&handle, type, data);
  ERR_pop_to_mark();
  if (result < 0) {
    return result;
  }
  return wrap_key(out, allocator, handle, (kad_key_type)type, data);
}

int kad_public_key_decode(kad_public_key **out, const kad_allocator *allocator,
                          kad_bytes in) {
  uint64_t type = 0;
  kad_bytes data = {NULL, 0};
  if (in.len > KAD_PUBLIC_KEY_MAX) {
    return KAD_E_KEY_SIZE;
  }
  int result = kad__key_fields(&type, &data, in);
  return result < 0 ? result : kad__public_key_new(out, allocator, type, data);
}

void kad_public_key_free(kad_public_key *key) {
  if (key == NULL) {
    return;
  }
  kad_allocator allocator = key->allocator;
  EVP_PKEY_free(key->handle);
  kad__release(&allocator, key);
}

kad_key_type kad_public_key_type(const kad_public_key *key) {
  return key->type;
}

kad_bytes kad_public_key_bytes(const kad_public_key *key) {
  return kad__bytes(key->bytes, key->len);
}

void kad_public_key_peer_id(const kad_public_key *key, kad_peer_id *out) {
  *out = key->id;
}

static bool signature_len_fits(const kad_public_key *key, size_t len) {
  return key->type == KAD_KEY_RSA
             ? len == (size_t)EVP_PKEY_get_size(key->handle)
             : len <= ECDSA_SIGNATURE_MAX;
}

static int verify_imported(const kad_public_key *key, kad_bytes message,
                           kad_bytes signature) {
  if (!signature_len_fits(key, signature.len)) {
    return KAD_E_SIGNATURE;
  }
  ERR_set_mark();
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  int result = KAD_E_NO_MEMORY;
  if (context != NULL &&
      EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, key->handle,
                              NULL) == 1) {
    result = EVP_DigestVerify(context, signature.data, signature.len,
                              message.data, message.len) == 1
                 ? 0
                 : KAD_E_SIGNATURE;
  }
  EVP_MD_CTX_free(context);
  ERR_pop_to_mark();
  return result;
}

/* The point is what the protobuf ends in. */
static int verify_ed25519(const kad_public_key *key, kad_bytes message,
                          kad_bytes signature) {
  return signature.len == KAD__ED25519_SIGNATURE_LEN
             ? kad__ed25519_verify(key->bytes + key->len - KAD__ED25519_LEN,
                                   signature.data, message)
             : KAD_E_SIGNATURE;
}

int kad_public_key_verify(const kad_public_key *key, kad_bytes message,
                          kad_bytes signature) {
  return key->type == KAD_KEY_ED25519
             ? verify_ed25519(key, message, signature)
             : verify_imported(key, message, signature);
}
