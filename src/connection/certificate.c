/* OpenSSL parses the certificate, since libssl would in any case and one parser
 * is less than two; what is particular to libp2p, down to the extension's two
 * strings, is read here. Sizes come before arithmetic: a modulus of any length
 * parses, but costs nothing until something is verified with it. */
#include "connection/certificate.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include "base/bytes.h"
#include "identity/der.h"

#define SIGNED_PREFIX "libp2p-tls-handshake:"
#define PREFIX_LEN (sizeof(SIGNED_PREFIX) - 1)
/* SubjectPublicKeyInfo of an RSA key of 8192 bits: 1060 bytes. */
#define KEY_INFO_MAX 1280
/* The extension's contents: two strings and three heads. */
#define EXTENSION_MAX (KAD_PUBLIC_KEY_MAX + KAD_SIGNATURE_MAX + 12)
#define VERSION_3 2
#define TAG_OCTET_STRING 0x04
#define TAG_SEQUENCE 0x30
/* What SHA-1 does not reach and SHA-256 exceeds. */
#define SIGNATURE_BITS_MIN 112
#define EXPONENT_BITS_MAX 31

#define NOT_BEFORE "19750101000000Z"
#define NOT_AFTER "40960101000000Z"

/* 1.3.6.1.4.1.53594.1.1 */
static const uint8_t extension_oid[] = {0x2b, 0x06, 0x01, 0x04, 0x01,
                                        0x83, 0xa2, 0x5a, 0x01, 0x01};

/* What the identity signs: the prefix and the certificate's key. */
typedef struct signed_text {
  size_t len;
  uint8_t bytes[PREFIX_LEN + KEY_INFO_MAX];
} signed_text;

static int write_signed(signed_text *out, X509 *x509) {
  X509_PUBKEY *key = X509_get_X509_PUBKEY(x509);
  uint8_t *at = out->bytes + PREFIX_LEN;
  int len = i2d_X509_PUBKEY(key, NULL);
  if (len <= 0 || len > KEY_INFO_MAX) {
    return KAD_E_KEY_SIZE;
  }
  memcpy(out->bytes, SIGNED_PREFIX, PREFIX_LEN);
  if (i2d_X509_PUBKEY(key, &at) != len) {
    return KAD_E_CRYPTO;
  }
  out->len = PREFIX_LEN + (size_t)len;
  return 0;
}

/* ---- making ------------------------------------------------------------ */

/* The head of a DER element in the shortest form, as one of at most 64 KiB
 * has it. */
static void put_head(uint8_t *out, size_t *len, uint8_t tag, size_t contents) {
  out[(*len)++] = tag;
  if (contents >= 256) {
    out[(*len)++] = 0x82;
    out[(*len)++] = (uint8_t)(contents >> 8);
  } else if (contents >= 128) {
    out[(*len)++] = 0x81;
  }
  out[(*len)++] = (uint8_t)contents;
}

static size_t string_len(size_t contents) {
  uint8_t head[4];
  size_t len = 0;
  put_head(head, &len, TAG_OCTET_STRING, contents);
  return len + contents;
}

static void put_string(uint8_t *out, size_t *len, kad_bytes contents) {
  put_head(out, len, TAG_OCTET_STRING, contents.len);
  memcpy(out + *len, contents.data, contents.len);
  *len += contents.len;
}

/* SignedKey. Returns its length. */
static int write_extension(uint8_t out[EXTENSION_MAX], const kad_key_pair *pair,
                           X509 *x509) {
  signed_text text;
  uint8_t signature[KAD_SIGNATURE_MAX];
  int result = write_signed(&text, x509);
  if (result < 0) {
    return result;
  }
  result = kad_key_pair_signature(pair, signature, sizeof(signature),
                                  kad__bytes(text.bytes, text.len));
  if (result < 0) {
    return result;
  }
  kad_bytes key = kad_public_key_bytes(kad_key_pair_public(pair));
  kad_bytes proof = kad__bytes(signature, (size_t)result);
  size_t len = 0;
  put_head(out, &len, TAG_SEQUENCE,
           string_len(key.len) + string_len(proof.len));
  put_string(out, &len, key);
  put_string(out, &len, proof);
  return (int)len;
}

static bool append_extension(X509 *x509, const uint8_t *contents, int len) {
  ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.53594.1.1", 1);
  ASN1_OCTET_STRING *string = ASN1_OCTET_STRING_new();
  X509_EXTENSION *extension = NULL;
  bool done = oid != NULL && string != NULL &&
              ASN1_OCTET_STRING_set(string, contents, len) == 1;
  if (done) {
    extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, string);
    done = extension != NULL && X509_add_ext(x509, extension, -1) == 1;
  }
  X509_EXTENSION_free(extension);
  ASN1_OCTET_STRING_free(string);
  ASN1_OBJECT_free(oid);
  return done;
}

/* Nobody reads the name, but some libraries want one; serial numbers need not
 * differ where there is no authority to count them. */
static bool fill_in(kad__certificate *c) {
  X509_NAME *name = X509_get_subject_name(c->x509);
  return X509_set_version(c->x509, VERSION_3) == 1 &&
         ASN1_INTEGER_set(X509_get_serialNumber(c->x509), 1) == 1 &&
         X509_NAME_add_entry_by_txt(name, "O", V_ASN1_PRINTABLESTRING,
                                    (const uint8_t *)"libp2p.io", -1, -1,
                                    0) == 1 &&
         X509_set_issuer_name(c->x509, name) == 1 &&
         ASN1_TIME_set_string_X509(X509_getm_notBefore(c->x509), NOT_BEFORE) ==
             1 &&
         ASN1_TIME_set_string_X509(X509_getm_notAfter(c->x509), NOT_AFTER) ==
             1 &&
         X509_set_pubkey(c->x509, c->key) == 1;
}

static int make(kad__certificate *c, const kad_key_pair *pair,
                struct ossl_lib_ctx_st *library) {
  uint8_t contents[EXTENSION_MAX];
  c->x509 = X509_new_ex(library, NULL);
  c->key = EVP_PKEY_Q_keygen(library, NULL, "EC", "P-256");
  if (c->x509 == NULL || c->key == NULL || !fill_in(c)) {
    return KAD_E_CRYPTO;
  }
  int len = write_extension(contents, pair, c->x509);
  if (len < 0) {
    return len;
  }
  return append_extension(c->x509, contents, len) &&
                 X509_sign(c->x509, c->key, EVP_sha256()) != 0
             ? 0
             : KAD_E_CRYPTO;
}

int kad__certificate_init(kad__certificate *out, const kad_key_pair *pair,
                          struct ossl_lib_ctx_st *library) {
  *out = (kad__certificate){0};
  ERR_set_mark();
  int result = make(out, pair, library);
  ERR_pop_to_mark();
  if (result < 0) {
    kad__certificate_fini(out);
  }
  return result;
}

void kad__certificate_fini(kad__certificate *c) {
  X509_free(c->x509);
  EVP_PKEY_free(c->key);
  *c = (kad__certificate){0};
}

/* ---- checking ---------------------------------------------------------- */

static int check_shape(const X509 *x509) {
  const ASN1_BIT_STRING *issuer = NULL;
  const ASN1_BIT_STRING *subject = NULL;
  X509_get0_uids(x509, &issuer, &subject);
  bool well =
      X509_get_version(x509) == VERSION_3 && issuer == NULL && subject == NULL;
  return well ? 0 : KAD_E_CERTIFICATE;
}

/* X509_cmp_time says 0 when it cannot tell. */
static int check_time(const X509 *x509, uint64_t unix_seconds) {
  if (unix_seconds == 0) {
    return 0;
  }
  time_t now = (time_t)unix_seconds;
  bool valid = X509_cmp_time(X509_get0_notBefore(x509), &now) < 0 &&
               X509_cmp_time(X509_get0_notAfter(x509), &now) > 0;
  return valid ? 0 : KAD_E_CERTIFICATE_TIME;
}

static bool is_ours(X509_EXTENSION *extension) {
  const ASN1_OBJECT *oid = X509_EXTENSION_get_object(extension);
  return OBJ_length(oid) == sizeof(extension_oid) &&
         memcmp(OBJ_get0_data(oid), extension_oid, sizeof(extension_oid)) == 0;
}

/* The contents of libp2p's extension. No other one is understood here, so none
 * may be critical. */
static int find_extension(kad_bytes *out, const X509 *x509) {
  size_t found = 0;
  for (int i = 0; i < X509_get_ext_count(x509); i++) {
    X509_EXTENSION *extension = X509_get_ext(x509, i);
    if (is_ours(extension)) {
      const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(extension);
      *out = kad__bytes(ASN1_STRING_get0_data(data),
                        (size_t)ASN1_STRING_length(data));
      found++;
    } else if (X509_EXTENSION_get_critical(extension)) {
      return KAD_E_CERTIFICATE_EXTENSION;
    }
  }
  return found == 1 ? 0 : KAD_E_CERTIFICATE_EXTENSION;
}

static int read_extension(kad_bytes *key, kad_bytes *signature,
                          const X509 *x509) {
  kad_bytes in;
  kad_bytes fields;
  int result = find_extension(&in, x509);
  if (result < 0) {
    return result;
  }
  bool well = kad__der_take(&in, TAG_SEQUENCE, &fields) == 0 && in.len == 0 &&
              kad__der_take(&fields, TAG_OCTET_STRING, key) == 0 &&
              kad__der_take(&fields, TAG_OCTET_STRING, signature) == 0 &&
              fields.len == 0;
  return well ? 0 : KAD_E_CERTIFICATE_EXTENSION;
}

/* The cost of a verification grows with the exponent as with the modulus. */
static int check_rsa(const EVP_PKEY *key) {
  BIGNUM *exponent = NULL;
  int bits = EVP_PKEY_get_bits(key);
  if (bits < KAD__RSA_BITS_MIN || bits > KAD__RSA_BITS_MAX ||
      EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1) {
    return KAD_E_KEY_SIZE;
  }
  int exponent_bits = BN_num_bits(exponent);
  BN_free(exponent);
  return exponent_bits <= EXPONENT_BITS_MAX ? 0 : KAD_E_KEY_SIZE;
}

static int check_key(const EVP_PKEY *key) {
  if (key == NULL) {
    return KAD_E_KEY_TYPE;
  }
  char curve[32] = "";
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
      return check_rsa(key);
    case EVP_PKEY_ED25519:
      return 0;
    case EVP_PKEY_EC:
      EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL);
      return strcmp(curve, "prime256v1") == 0 || strcmp(curve, "secp384r1") == 0
                 ? 0
                 : KAD_E_KEY_TYPE;
    default:
      return KAD_E_KEY_TYPE;
  }
}

static int check_signature(X509 *x509, EVP_PKEY *key) {
  int bits = 0;
  bool well = X509_get_signature_info(x509, NULL, NULL, &bits, NULL) == 1 &&
              bits >= SIGNATURE_BITS_MIN && X509_verify(x509, key) == 1;
  return well ? 0 : KAD_E_CERTIFICATE_SIGNATURE;
}

static int check_outside(X509 *x509, uint64_t unix_seconds) {
  int result = check_shape(x509);
  return result < 0 ? result : check_time(x509, unix_seconds);
}

/* That the identity vouches for the certificate's key. */
static int check_identity(const kad_public_key *identity, X509 *x509,
                          kad_bytes signature) {
  signed_text text;
  EVP_PKEY *key = X509_get0_pubkey(x509);
  int result = check_key(key);
  if (result < 0) {
    return result;
  }
  result = check_signature(x509, key);
  if (result < 0) {
    return result;
  }
  result = write_signed(&text, x509);
  if (result < 0) {
    return result;
  }
  return kad_public_key_verify(identity, kad__bytes(text.bytes, text.len),
                               signature);
}

static int verify(kad_public_key **out, const kad_allocator *allocator,
                  X509 *x509, uint64_t unix_seconds) {
  kad_bytes key;
  kad_bytes signature;
  kad_public_key *identity = NULL;
  int result = check_outside(x509, unix_seconds);
  if (result < 0) {
    return result;
  }
  result = read_extension(&key, &signature, x509);
  if (result < 0) {
    return result;
  }
  result = kad_public_key_decode(&identity, allocator, key);
  if (result < 0) {
    return result == KAD_E_PROTOBUF ? KAD_E_KEY : result;
  }
  result = check_identity(identity, x509, signature);
  if (result < 0) {
    kad_public_key_free(identity);
    return result;
  }
  *out = identity;
  return 0;
}

int kad__certificate_verify(kad_public_key **out,
                            const kad_allocator *allocator,
                            struct x509_st *certificate,
                            uint64_t unix_seconds) {
  ERR_set_mark();
  int result = verify(out, allocator, certificate, unix_seconds);
  ERR_pop_to_mark();
  return result;
}

int kad__certificate_decode(kad_public_key **out,
                            const kad_allocator *allocator, kad_bytes der,
                            uint64_t unix_seconds) {
  if (der.len > KAD__CERTIFICATE_MAX) {
    return KAD_E_CERTIFICATE;
  }
  const uint8_t *at = der.data;
  ERR_set_mark();
  X509 *x509 = d2i_X509(NULL, &at, (long)der.len);
  ERR_pop_to_mark();
  if (x509 == NULL || at != der.data + der.len) {
    X509_free(x509);
    return KAD_E_CERTIFICATE;
  }
  int result = kad__certificate_verify(out, allocator, x509, unix_seconds);
  X509_free(x509);
  return result;
}
