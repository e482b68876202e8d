/* OpenSSL reads and writes through a BIO of ours, which takes bytes from where
 * the socket's reader put them and puts records where the socket's writer wants
 * them: nothing is copied into a BIO's memory and out again.
 *
 * OpenSSL empties the thread's queue of errors whenever it runs a handshake, so
 * an embedding program cannot keep anything there across our calls; we leave
 * nothing there either. */
#include "connection/tls.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "connection/certificate.h"
#include "identity/crypto_random.h"

/* Any number of our own will do: nobody looks for it. */
#define BIO_TYPE (127 | BIO_TYPE_SOURCE_SINK)
#define RECORD_HEAD_LEN 5
/* The socket's SSL object. */
#define APP_DATA 0

/* What OpenSSL holds for one connection, measured: during the handshake, when
 * idle, and for a record that is not yet complete. */
#define HANDSHAKE_BYTES 61440
#define IDLE_BYTES 18944
#define RECORD_BYTES 16896

static const uint8_t alpn[] = "\x0c/yamux/1.0.0\x06libp2p";
#define ALPN_LEN (sizeof(alpn) - 1)
#define YAMUX_LEN 12

struct kad__tls_context {
  const kad_allocator *allocator;
  kad_random random;
  kad__crypto_random source;
  kad__certificate certificate;
  BIO_METHOD *method;
  SSL_CTX *ssl;
  uint8_t text[KAD__TLS_TEXT_MAX];
};

struct kad__tls {
  kad__tls_context *context;
  const kad_allocator *allocator;
  SSL *ssl;
  kad_public_key *key; /* whom the certificate named */
  kad_bytes in;
  kad__buffer *out;
  uint8_t *direct; /* while set, records go there and not to `out` */
  size_t direct_cap;
  size_t direct_len;
  uint64_t unix_seconds;
  size_t taken; /* in the handshake */
  uint32_t late_messages;
  uint16_t body_left; /* of the record that is arriving */
  uint8_t head_len;
  uint8_t head[RECORD_HEAD_LEN];
  bool done;
  int error; /* what our callbacks have to say */
};

/* ---- the channel ------------------------------------------------------- */

static int channel_create(BIO *bio) {
  BIO_set_init(bio, 1);
  return 1;
}

static int channel_read(BIO *bio, char *out, size_t cap, size_t *len) {
  kad__tls *t = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  size_t n = t->in.len < cap ? t->in.len : cap;
  if (n == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  t->taken += t->done ? 0 : n;
  if (t->taken > KAD__TLS_HANDSHAKE_MAX) {
    t->error = KAD_E_TLS;
    return 0;
  }
  memcpy(out, t->in.data, n);
  t->in = kad__bytes_skip(t->in, n);
  *len = n;
  return 1;
}

static int channel_write(BIO *bio, const char *in, size_t len,
                         size_t *written) {
  kad__tls *t = BIO_get_data(bio);
  kad_bytes bytes = kad__bytes(in, len);
  BIO_clear_retry_flags(bio);
  *written = len;
  if (t->direct != NULL && len <= t->direct_cap - t->direct_len) {
    memcpy(t->direct + t->direct_len, in, len);
    t->direct_len += len;
    return 1;
  }
  int result = kad__buffer_append(t->out, t->allocator, bytes);
  if (result < 0) {
    t->error = result;
  }
  return result < 0 ? 0 : 1;
}

static long channel_control(BIO *bio, int command, long number, void *pointer) {
  (void)bio;
  (void)number;
  (void)pointer;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *new_method(void) {
  BIO_METHOD *method = BIO_meth_new(BIO_TYPE, "kadmium");
  if (method != NULL && BIO_meth_set_create(method, channel_create) == 1 &&
      BIO_meth_set_read_ex(method, channel_read) == 1 &&
      BIO_meth_set_write_ex(method, channel_write) == 1 &&
      BIO_meth_set_ctrl(method, channel_control) == 1) {
    return method;
  }
  BIO_meth_free(method);
  return NULL;
}

/* ---- what OpenSSL asks of us ------------------------------------------- */

/* The alert that tells the peer is chosen by this number. */
static int verify_code(int error) {
  switch (error) {
    case KAD_E_CERTIFICATE_TIME:
      return X509_V_ERR_CERT_HAS_EXPIRED;
    case KAD_E_CERTIFICATE_SIGNATURE:
      return X509_V_ERR_CERT_SIGNATURE_FAILURE;
    case KAD_E_NO_MEMORY:
      return X509_V_ERR_OUT_OF_MEM;
    default:
      return X509_V_ERR_CERT_REJECTED;
  }
}

static int check_chain(kad__tls *t, X509_STORE_CTX *store) {
  STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store);
  X509 *certificate = X509_STORE_CTX_get0_cert(store);
  if (certificate == NULL || sk_X509_num(chain) != 1) {
    return KAD_E_CERTIFICATE;
  }
  kad_public_key_free(t->key);
  t->key = NULL;
  return kad__certificate_verify(&t->key, t->allocator, certificate,
                                 t->unix_seconds);
}

static int verify_peer(X509_STORE_CTX *store, void *unused) {
  (void)unused;
  SSL *ssl =
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
  kad__tls *t = SSL_get_ex_data(ssl, APP_DATA);
  int result = check_chain(t, store);
  if (result < 0) {
    t->error = result;
    X509_STORE_CTX_set_error(store, verify_code(result));
    return 0;
  }
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

/* The first of the client's names that we know. */
static int select_protocol(SSL *ssl, const unsigned char **out,
                           unsigned char *out_len, const unsigned char *names,
                           unsigned int len, void *unused) {
  (void)unused;
  kad__tls *t = SSL_get_ex_data(ssl, APP_DATA);
  for (unsigned int at = 0; at < len; at += 1u + names[at]) {
    unsigned char *found = NULL;
    unsigned char found_len = 0;
    if (SSL_select_next_proto(&found, &found_len, names + at, 1u + names[at],
                              alpn, ALPN_LEN) == OPENSSL_NPN_NEGOTIATED) {
      *out = names + at + 1;
      *out_len = names[at];
      return SSL_TLSEXT_ERR_OK;
    }
  }
  t->error = KAD_E_NO_PROTOCOL;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* New keys cost us more than the peer who asks for them. */
static void count_message(int write, int version, int type, const void *bytes,
                          size_t len, SSL *ssl, void *unused) {
  (void)version;
  (void)bytes;
  (void)len;
  (void)unused;
  kad__tls *t = SSL_get_ex_data(ssl, APP_DATA);
  if (write == 0 && type == SSL3_RT_HANDSHAKE && t->done) {
    t->late_messages++;
  }
}

/* ---- the context ------------------------------------------------------- */

static void configure(SSL_CTX *ssl) {
  SSL_CTX_set_options(
      ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_max_cert_list(ssl, KAD__CERTIFICATE_MAX);
  SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                     NULL);
  SSL_CTX_set_cert_verify_callback(ssl, verify_peer, NULL);
  SSL_CTX_set_alpn_select_cb(ssl, select_protocol, NULL);
  SSL_CTX_set_msg_callback(ssl, count_message);
}

static bool is_configured(const kad__tls_context *c) {
  return SSL_CTX_set_min_proto_version(c->ssl, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(c->ssl, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_num_tickets(c->ssl, 0) == 1 &&
         SSL_CTX_set1_groups_list(c->ssl, "X25519:P-256") == 1 &&
         SSL_CTX_set_alpn_protos(c->ssl, alpn, ALPN_LEN) == 0 &&
         SSL_CTX_use_certificate(c->ssl, c->certificate.x509) == 1 &&
         SSL_CTX_use_PrivateKey(c->ssl, c->certificate.key) == 1;
}

static int init_context(kad__tls_context *c, const kad_key_pair *pair) {
  int result = kad__crypto_random_init(&c->source, &c->random);
  if (result < 0) {
    return result;
  }
  result = kad__certificate_init(&c->certificate, pair, c->source.library);
  if (result < 0) {
    return result;
  }
  c->method = new_method();
  c->ssl = SSL_CTX_new_ex(c->source.library, NULL, TLS_method());
  if (c->method == NULL || c->ssl == NULL) {
    return KAD_E_CRYPTO;
  }
  configure(c->ssl);
  return is_configured(c) ? 0 : KAD_E_CRYPTO;
}

int kad__tls_context_new(kad__tls_context **out, const kad_allocator *allocator,
                         const kad_key_pair *pair, kad_random *random) {
  kad__tls_context *c = kad__calloc(allocator, 1, sizeof(*c));
  if (c == NULL) {
    return KAD_E_NO_MEMORY;
  }
  c->allocator = allocator;
  uint8_t seed[KAD_RANDOM_SEED_LEN];
  kad_random_bytes(random, seed, sizeof(seed));
  kad_random_init(&c->random, seed);
  OPENSSL_cleanse(seed, sizeof(seed));
  ERR_set_mark();
  int result = init_context(c, pair);
  ERR_pop_to_mark();
  if (result < 0) {
    kad__tls_context_free(c);
    return result;
  }
  *out = c;
  return 0;
}

void kad__tls_context_free(kad__tls_context *c) {
  if (c == NULL) {
    return;
  }
  const kad_allocator *allocator = c->allocator;
  SSL_CTX_free(c->ssl);
  BIO_meth_free(c->method);
  kad__certificate_fini(&c->certificate);
  kad__crypto_random_fini(&c->source);
  OPENSSL_cleanse(c, sizeof(*c));
  kad__release(allocator, c);
}

/* ---- life -------------------------------------------------------------- */

static bool init_tls(kad__tls *t, bool dialer) {
  t->ssl = SSL_new(t->context->ssl);
  if (t->ssl == NULL || SSL_set_ex_data(t->ssl, APP_DATA, t) != 1) {
    return false;
  }
  BIO *bio = BIO_new(t->context->method);
  if (bio == NULL) {
    return false;
  }
  BIO_set_data(bio, t);
  SSL_set_bio(t->ssl, bio, bio);
  if (dialer) {
    SSL_set_connect_state(t->ssl);
  } else {
    SSL_set_accept_state(t->ssl);
  }
  return true;
}

int kad__tls_new(kad__tls **out_tls, kad__tls_context *context,
                 const kad_allocator *allocator, kad__buffer *out, bool dialer,
                 uint64_t unix_seconds) {
  kad__tls *t = kad__calloc(allocator, 1, sizeof(*t));
  if (t == NULL) {
    return KAD_E_NO_MEMORY;
  }
  t->context = context;
  t->allocator = allocator;
  t->out = out;
  t->unix_seconds = unix_seconds;
  ERR_set_mark();
  bool done = init_tls(t, dialer);
  ERR_pop_to_mark();
  if (!done) {
    kad__tls_free(t);
    return KAD_E_NO_MEMORY;
  }
  *out_tls = t;
  return 0;
}

void kad__tls_free(kad__tls *t) {
  if (t == NULL) {
    return;
  }
  const kad_allocator *allocator = t->allocator;
  SSL_free(t->ssl);
  kad_public_key_free(t->key);
  OPENSSL_cleanse(t, sizeof(*t));
  kad__release(allocator, t);
}

/* ---- bytes ------------------------------------------------------------- */

static void follow_head(kad__tls *t, kad_bytes *in) {
  t->head[t->head_len++] = in->data[0];
  *in = kad__bytes_skip(*in, 1);
  if (t->head_len == RECORD_HEAD_LEN) {
    t->body_left = kad__load16(t->head + 3);
    t->head_len = t->body_left == 0 ? 0 : RECORD_HEAD_LEN;
  }
}

/* Where in a record we are, which OpenSSL does not tell. */
static void follow_records(kad__tls *t, kad_bytes in) {
  while (in.len > 0) {
    if (t->head_len < RECORD_HEAD_LEN) {
      follow_head(t, &in);
      continue;
    }
    size_t n = in.len < t->body_left ? in.len : t->body_left;
    t->body_left = (uint16_t)(t->body_left - n);
    t->head_len = t->body_left == 0 ? 0 : RECORD_HEAD_LEN;
    in = kad__bytes_skip(in, n);
  }
}

void kad__tls_give(kad__tls *t, kad_bytes in) {
  t->in = in;
  follow_records(t, in);
}

/* What a call that did not succeed means; 0: it wants more bytes. */
static int meaning(kad__tls *t, int result) {
  int reason = SSL_get_error(t->ssl, result);
  if (t->error != 0) {
    return t->error;
  }
  if (reason == SSL_ERROR_WANT_READ) {
    return 0;
  }
  if (reason == SSL_ERROR_ZERO_RETURN) {
    return KAD_E_CLOSED;
  }
  switch (ERR_GET_REASON(ERR_peek_last_error())) {
    case ERR_R_MALLOC_FAILURE:
      return KAD_E_NO_MEMORY;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
      return KAD_E_CERTIFICATE;
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
      return KAD_E_NO_PROTOCOL;
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
      return KAD_E_DECRYPT;
    default:
      return KAD_E_TLS;
  }
}

int kad__tls_handshake(kad__tls *t) {
  ERR_clear_error();
  int result = SSL_do_handshake(t->ssl);
  if (result == 1) {
    t->done = true;
    return t->key == NULL ? KAD_E_CERTIFICATE : 1;
  }
  result = meaning(t, result);
  ERR_clear_error();
  return result;
}

bool kad__tls_early_muxer(const kad__tls *t) {
  const unsigned char *name = NULL;
  unsigned int len = 0;
  SSL_get0_alpn_selected(t->ssl, &name, &len);
  return kad__bytes_equal(kad__bytes(name, len),
                          kad__bytes(alpn + 1, YAMUX_LEN));
}

kad_public_key *kad__tls_take_key(kad__tls *t) {
  kad_public_key *key = t->key;
  t->key = NULL;
  return key;
}

int kad__tls_read(kad__tls *t, kad_bytes *text) {
  size_t len = 0;
  ERR_clear_error();
  int result =
      SSL_read_ex(t->ssl, t->context->text, sizeof(t->context->text), &len);
  if (t->late_messages > KAD__TLS_LATE_MESSAGES_MAX) {
    return KAD_E_TLS;
  }
  if (result == 1) {
    *text = kad__bytes(t->context->text, len);
    return 1;
  }
  result = meaning(t, result);
  ERR_clear_error();
  return result;
}

uint8_t *kad__tls_text(kad__tls *t) {
  return t->context->text;
}

int kad__tls_write(kad__tls *t, size_t len, uint8_t *out, size_t cap) {
  size_t written = 0;
  t->direct = out;
  t->direct_cap = cap;
  t->direct_len = 0;
  ERR_clear_error();
  int result = SSL_write_ex(t->ssl, t->context->text, len, &written);
  t->direct = NULL;
  if (result == 1) {
    return (int)t->direct_len;
  }
  result = meaning(t, result);
  ERR_clear_error();
  return result < 0 ? result : KAD_E_TLS;
}

bool kad__tls_cut(const kad__tls *t) {
  return t->head_len != 0;
}

size_t kad__tls_charge(const kad__tls *t) {
  size_t held = t->done ? IDLE_BYTES : HANDSHAKE_BYTES;
  return sizeof(*t) + held + (kad__tls_cut(t) ? RECORD_BYTES : 0);
}
