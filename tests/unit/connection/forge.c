#include "forge.h"

#include <openssl/evp.h>
#include <openssl/objects.h>

#include "support.h"

static EVP_PKEY *new_key(forge_key type) {
  switch (type) {
    case FORGE_P384:
      return EVP_EC_gen("P-384");
    case FORGE_ED25519:
      return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    case FORGE_RSA_2048:
      return EVP_RSA_gen(2048);
    case FORGE_RSA_1024:
      return EVP_RSA_gen(1024);
    case FORGE_P521:
      return EVP_EC_gen("P-521");
    case FORGE_SECP256K1:
      return EVP_EC_gen("secp256k1");
    default:
      return EVP_EC_gen("P-256");
  }
}

static void add(X509 *x509, const char *oid, bool critical,
                const uint8_t *contents, size_t len) {
  ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
  ASN1_OCTET_STRING *string = ASN1_OCTET_STRING_new();
  assert_int_equal(ASN1_OCTET_STRING_set(string, contents, (int)len), 1);
  X509_EXTENSION *extension =
      X509_EXTENSION_create_by_OBJ(NULL, object, critical, string);
  assert_non_null(extension);
  assert_int_equal(X509_add_ext(x509, extension, -1), 1);
  X509_EXTENSION_free(extension);
  ASN1_OCTET_STRING_free(string);
  ASN1_OBJECT_free(object);
}

/* Both strings of an Ed25519 identity have less than 128 bytes. */
static size_t put_string(uint8_t *out, kad_bytes bytes) {
  out[0] = 0x04;
  out[1] = (uint8_t)bytes.len;
  memcpy(out + 2, bytes.data, bytes.len);
  return 2 + bytes.len;
}

static size_t sign_key(uint8_t *out, const kad_key_pair *pair, EVP_PKEY *key,
                       bool wrong_prefix) {
  uint8_t text[2048] = "libp2p-tls-handshake:";
  uint8_t *at = text + 21;
  if (wrong_prefix) {
    text[0] = 'L';
  }
  int len = i2d_PUBKEY(key, &at);
  assert_true(len > 0);
  assert_ok(kad_key_pair_sign(pair, out, kad__bytes(text, 21 + (size_t)len)));
  return KAD_SIGNATURE_LEN;
}

static size_t signed_key(uint8_t *out, const kad_key_pair *pair, EVP_PKEY *key,
                         const forgery *f) {
  uint8_t signature[KAD_SIGNATURE_LEN];
  EVP_PKEY *other = EVP_EC_gen("P-256");
  kad_random random;
  kad_key_pair *stranger = NULL;
  kad_random_init_u64(&random, 77);
  assert_ok(kad_key_pair_generate(&stranger, kad_allocator_default(), &random));
  const kad_key_pair *named = f->wrong_identity ? stranger : pair;
  size_t len =
      sign_key(signature, pair, f->wrong_key ? other : key, f->wrong_prefix);
  kad_bytes identity = kad_public_key_bytes(kad_key_pair_public(named));
  if (f->bad_identity) {
    identity = kad__bytes_of("nobody");
  }
  size_t at = 2;
  at += put_string(out + at, identity);
  at += put_string(out + at, kad__bytes(signature, len));
  out[0] = 0x30;
  out[1] = (uint8_t)(at - 2);
  kad_key_pair_free(stranger);
  EVP_PKEY_free(other);
  return at;
}

#define EXTENSION "1.3.6.1.4.1.53594.1.1"

static void extend(X509 *x509, EVP_PKEY *key, const kad_key_pair *pair,
                   const forgery *f) {
  uint8_t contents[256] = {0};
  size_t len = signed_key(contents, pair, key, f);
  len = len + f->trailing_byte - f->truncated;
  len = f->empty_extension ? 0 : len;
  if (!f->no_extension) {
    add(x509, EXTENSION, f->extension_critical, contents, len);
  }
  if (f->extension_twice) {
    add(x509, EXTENSION, f->extension_critical, contents, len);
  }
  if (f->other_oid != NULL) {
    add(x509, f->other_oid, f->other_critical, (const uint8_t *)"\x05\x00", 2);
  }
}

static void set_time(ASN1_TIME *time, const char *text, const char *usual) {
  assert_int_equal(ASN1_TIME_set_string_X509(time, text == NULL ? usual : text),
                   1);
}

void forge(X509 **x509, EVP_PKEY **key, const kad_key_pair *pair,
           const forgery *f) {
  X509 *x = X509_new();
  EVP_PKEY *own = new_key(f->key);
  EVP_PKEY *other = EVP_EC_gen("P-256");
  assert_true(x != NULL && own != NULL && other != NULL);
  X509_set_version(x, f->version_1 ? 0 : 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
  set_time(X509_getm_notBefore(x), f->not_before, "19750101000000Z");
  set_time(X509_getm_notAfter(x), f->not_after, "40960101000000Z");
  assert_int_equal(X509_set_pubkey(x, own), 1);
  extend(x, own, pair, f);
  const EVP_MD *digest = f->sha1 ? EVP_sha1() : EVP_sha256();
  digest = f->key == FORGE_ED25519 ? NULL : digest;
  assert_true(X509_sign(x, f->signed_by_another ? other : own, digest) > 0);
  EVP_PKEY_free(other);
  *x509 = x;
  *key = own;
}
