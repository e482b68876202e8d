/* Peers that speak TLS otherwise than libp2p asks. */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "connection/tls.h"
#include "ends.h"
#include "forge.h"

#define TLS_NAME "\x0b/tls/1.0.0\n"

/* OpenSSL with an odd certificate or odd settings, between two memories. */
typedef struct peer {
  bool dialer;
  SSL_CTX *context;
  SSL *ssl;
  BIO *in;
  BIO *out;
} peer;

typedef struct oddity {
  forgery forgery;
  bool no_certificate;
  bool chain; /* one certificate more */
  bool tls_1_2;
  const char *alpn; /* NULL: as it should be */
  bool no_alpn;
  bool tickets;
} oddity;

static int take_any(X509_STORE_CTX *store, void *unused) {
  (void)store;
  (void)unused;
  return 1;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *len,
                       const unsigned char *names, unsigned int names_len,
                       void *odd) {
  const oddity *o = odd;
  (void)ssl;
  (void)names_len;
  if (o->no_alpn) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = names + 1;
  *len = names[0];
  return SSL_TLSEXT_ERR_OK;
}

static void use_certificate(peer *p, const kad_key_pair *pair,
                            const oddity *odd) {
  X509 *x509 = NULL;
  EVP_PKEY *key = NULL;
  forge(&x509, &key, pair, &odd->forgery);
  assert_int_equal(SSL_CTX_use_certificate(p->context, x509), 1);
  assert_int_equal(SSL_CTX_use_PrivateKey(p->context, key), 1);
  if (odd->chain) {
    assert_int_equal(SSL_CTX_add1_chain_cert(p->context, x509), 1);
  }
  X509_free(x509);
  EVP_PKEY_free(key);
}

static void configure(peer *p, const kad_key_pair *pair, const oddity *odd) {
  static const char usual[] = "\x0c/yamux/1.0.0\x06libp2p";
  const char *alpn = odd->alpn == NULL ? usual : odd->alpn;
  SSL_CTX_set_cert_verify_callback(p->context, take_any, NULL);
  SSL_CTX_set_verify(p->context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_num_tickets(p->context, odd->tickets ? 2 : 0);
  SSL_CTX_set_security_level(p->context, 0);
  SSL_CTX_set_alpn_select_cb(p->context, choose_alpn, (void *)(uintptr_t)odd);
  if (odd->tls_1_2) {
    SSL_CTX_set_max_proto_version(p->context, TLS1_2_VERSION);
  }
  if (!odd->no_alpn) {
    assert_int_equal(
        SSL_CTX_set_alpn_protos(p->context, (const unsigned char *)alpn,
                                (unsigned)strlen(alpn)),
        0);
  }
  if (!odd->no_certificate) {
    use_certificate(p, pair, odd);
  }
}

static void peer_init(peer *p, bool dialer, const kad_key_pair *pair,
                      const oddity *odd) {
  *p = (peer){.dialer = dialer};
  p->context = SSL_CTX_new(TLS_method());
  assert_non_null(p->context);
  configure(p, pair, odd);
  p->ssl = SSL_new(p->context);
  p->in = BIO_new(BIO_s_mem());
  p->out = BIO_new(BIO_s_mem());
  BIO_set_mem_eof_return(p->in, -1);
  SSL_set_bio(p->ssl, p->in, p->out);
  if (dialer) {
    SSL_set_connect_state(p->ssl);
  } else {
    SSL_set_accept_state(p->ssl);
  }
}

static void peer_fini(peer *p) {
  SSL_free(p->ssl);
  SSL_CTX_free(p->context);
  ERR_clear_error();
}

/* What the end sends goes in; the multistream text in front is dropped. */
static void hear(peer *p, test_end *e, size_t skip) {
  kad__buffer wire = {0};
  test_end_drain(e, &wire, 0);
  kad_bytes bytes = kad__bytes_skip(kad__buffer_bytes(&wire), skip);
  if (bytes.len != 0) {
    BIO_write(p->in, bytes.data, (int)bytes.len);
  }
  kad__buffer_fini(&wire, kad_allocator_default());
}

static int say(peer *p, test_end *e) {
  uint8_t *data = NULL;
  long len = BIO_get_mem_data(p->out, &data);
  int result = test_end_feed(e, kad__bytes(data, (size_t)len), NULL, 0);
  BIO_reset(p->out);
  return result;
}

/* The end stands in front of TLS; returns its error, or 0. */
static int shake_hands(peer *p, test_end *e) {
  const uint8_t only[] = {KAD__SECURITY_TLS, KAD__SECURITY_NONE};
  memcpy(e->protocols, only, sizeof(only));
  assert_ok(test_end_connect(e, !p->dialer, NULL, 1, 0));
  assert_ok(test_end_feed(e, LITERAL(MULTISTREAM_HEADER TLS_NAME), NULL, 0));
  size_t skip = sizeof(MULTISTREAM_HEADER TLS_NAME) - 1;
  for (int i = 0; i < 6 && e->error == 0; i++) {
    hear(p, e, i == 0 ? skip : 0);
    SSL_do_handshake(p->ssl);
    say(p, e);
  }
  return e->error;
}

typedef struct world {
  test_end end;
  test_end other; /* for its pair */
} world;

static int set_up(void **state) {
  world *w = calloc(1, sizeof(*w));
  assert_non_null(w);
  test_end_init(&w->end, 1);
  test_end_init(&w->other, 2);
  kad__security_set_wall_clock(w->end.security, 0,
                               UINT64_C(1780000000) * 1000000000);
  *state = w;
  return 0;
}

static int tear_down(void **state) {
  world *w = *state;
  test_end_fini(&w->end);
  test_end_fini(&w->other);
  free(w);
  return 0;
}

static int outcome(world *w, bool dialer, const oddity *odd) {
  peer p;
  peer_init(&p, dialer, w->other.pair, odd);
  int result = shake_hands(&p, &w->end);
  assert_true(result < 0 || kad__connection_established(w->end.c) ||
              odd->no_alpn || odd->alpn != NULL);
  assert_true(result == 0 || !kad__connection_established(w->end.c));
  peer_fini(&p);
  return result;
}

static void test_odd_peers(void **state) {
  const struct {
    oddity odd;
    int dialer;   /* the error when the odd one dials */
    int listener; /* and when it is dialled */
  } cases[] = {
      {{.tickets = true}, 0, 0},
      {{.no_certificate = true}, KAD_E_CERTIFICATE, KAD_E_TLS},
      {{.chain = true}, KAD_E_CERTIFICATE, KAD_E_CERTIFICATE},
      {{.tls_1_2 = true}, KAD_E_TLS, KAD_E_TLS},
      {{.no_alpn = true}, 0, 0},
      {{.forgery = {.no_extension = true}},
       KAD_E_CERTIFICATE_EXTENSION,
       KAD_E_CERTIFICATE_EXTENSION},
      {{.forgery = {.not_after = "20200101000000Z"}},
       KAD_E_CERTIFICATE_TIME,
       KAD_E_CERTIFICATE_TIME},
      {{.forgery = {.signed_by_another = true}},
       KAD_E_CERTIFICATE_SIGNATURE,
       KAD_E_CERTIFICATE_SIGNATURE},
      {{.forgery = {.wrong_key = true}}, KAD_E_SIGNATURE, KAD_E_SIGNATURE},
      {{.forgery = {.extension_critical = true}}, 0, 0},
      {{.forgery = {.key = FORGE_ED25519}}, 0, 0},
      {{.forgery = {.key = FORGE_RSA_2048}}, 0, 0},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    assert_error(cases[i].dialer, outcome(*state, true, &cases[i].odd));
    assert_error(cases[i].listener, outcome(*state, false, &cases[i].odd));
  }
}

static void test_alpn(void **state) {
  const struct {
    const char *names;
    int error;
  } cases[] = {
      {"\x02h2", KAD_E_NO_PROTOCOL},
      {"\x0c/mplex/6.7.0", KAD_E_NO_PROTOCOL},
      {"\x06libp2p", 0},
      {"\x0c/mplex/6.7.0\x06libp2p", 0},
      {"\x0c/mplex/6.7.0\x0c/yamux/1.0.0\x06libp2p", 0},
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    assert_error(cases[i].error,
                 outcome(*state, true, &(oddity){.alpn = cases[i].names}));
  }
}

static void shake_well(world *w, peer *p, bool dialer, const oddity *odd) {
  peer_init(p, dialer, w->other.pair, odd);
  assert_ok(shake_hands(p, &w->end));
}

/* With `libp2p` as the name, the muxer is agreed by multistream. */
static void test_late_muxer(void **state) {
  world *w = *state;
  const char hello[] = MULTISTREAM_HEADER YAMUX_NAME;
  for (int dialer = 0; dialer < 2; dialer++) {
    peer p;
    shake_well(w, &p, dialer != 0, &(oddity){.no_alpn = true});
    assert_int_equal(kad__connection_established(w->end.c), dialer == 0);
    assert_true(SSL_write(p.ssl, hello, sizeof(hello) - 1) > 0);
    assert_ok(say(&p, &w->end));
    assert_true(kad__connection_established(w->end.c));
    peer_fini(&p);
  }
}

/* Yamux by ALPN, and then multistream all the same. */
static void test_multistream_instead_of_yamux(void **state) {
  world *w = *state;
  const char hello[] = MULTISTREAM_HEADER YAMUX_NAME;
  peer p;
  shake_well(w, &p, true, &(oddity){0});
  assert_true(kad__connection_established(w->end.c));
  assert_true(SSL_write(p.ssl, hello, sizeof(hello) - 1) > 0);
  assert_error(KAD_E_YAMUX, say(&p, &w->end));
  peer_fini(&p);
}

static void test_flood_of_new_keys(void **state) {
  world *w = *state;
  peer p;
  int result = 0;
  size_t updates = 0;
  shake_well(w, &p, true, &(oddity){0});
  while (result == 0 && updates < 2 * KAD__TLS_LATE_MESSAGES_MAX) {
    assert_int_equal(SSL_key_update(p.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    SSL_do_handshake(p.ssl);
    result = say(&p, &w->end);
    /* Our answers are read, so this peer is not stuck. */
    hear(&p, &w->end, 0);
    char nothing[1];
    SSL_read(p.ssl, nothing, 0);
    updates++;
  }
  assert_error(KAD_E_TLS, result);
  assert_true(updates > KAD__TLS_LATE_MESSAGES_MAX);
  peer_fini(&p);
}

static void test_close(void **state) {
  world *w = *state;
  peer p;
  shake_well(w, &p, true, &(oddity){0});
  SSL_shutdown(p.ssl);
  assert_error(KAD_E_CLOSED, say(&p, &w->end));
  peer_fini(&p);
}

static void begin(world *w) {
  const uint8_t only[] = {KAD__SECURITY_TLS, KAD__SECURITY_NONE};
  memcpy(w->end.protocols, only, sizeof(only));
  assert_ok(test_end_connect(&w->end, false, NULL, 1, 0));
  assert_ok(
      test_end_feed(&w->end, LITERAL(MULTISTREAM_HEADER TLS_NAME), NULL, 0));
}

/* A ClientHello that promises to be long, and empty records without end. */
static void test_endless_handshake(void **state) {
  world *w = *state;
  uint8_t record[5 + 16384] = {0x16, 0x03, 0x01, 0x40, 0x00,
                               0x01, 0x01, 0xff, 0x00};
  begin(w);
  int result = 0;
  size_t fed = 0;
  while (result == 0 && fed < 1000000) {
    result =
        test_end_feed(&w->end, kad__bytes(record, sizeof(record)), NULL, 0);
    fed += sizeof(record);
    memset(record + 5, 0, 4);
  }
  assert_error(KAD_E_TLS, result);
  assert_true(fed <= KAD__TLS_HANDSHAKE_MAX + sizeof(record));
}

static void test_garbage(void **state) {
  world *w = *state;
  const kad_bytes cases[] = {
      LITERAL("GET / HTTP/1.1\r\n\r\n"),
      LITERAL("SSH-2.0-OpenSSH_9.2p1\r\n"),
      LITERAL("\x15\x03\x01\x00\x02\x01\x00"),        /* close_notify */
      LITERAL("\x17\x03\x03\x00\x10..............."), /* data too soon */
      LITERAL("\x16\x03\x01\xff\xff"),
  };
  for (size_t i = 0; i < KAD__COUNT(cases); i++) {
    begin(w);
    test_end_feed(&w->end, cases[i], NULL, 0);
    assert_true(w->end.error == KAD_E_TLS || w->end.error == KAD_E_CLOSED ||
                w->end.error == 0);
    assert_false(kad__connection_established(w->end.c));
    assert_error(KAD_E_TIMEOUT, w->end.error == 0 ? kad__connection_tick(
                                                        w->end.c, TEST_TIMEOUT)
                                                  : KAD_E_TIMEOUT);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_odd_peers),         TEST(test_alpn),
      TEST(test_late_muxer),        TEST(test_multistream_instead_of_yamux),
      TEST(test_flood_of_new_keys), TEST(test_close),
      TEST(test_endless_handshake), TEST(test_garbage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
