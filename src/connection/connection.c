/* A connection climbs through four phases and stays in the last. In each the
 * input is a sequence of units (a multistream message, a Noise frame) that are
 * handled one by one and only when complete, so every segmentation of the same
 * bytes gives the same result. Units are handled where they lie in the caller's
 * memory; only one that is cut off is set aside.
 *
 * Output is never assembled beforehand: yamux writes its frames straight into
 * the caller's memory behind the room for a length, and they are encrypted
 * there. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "connection/connection_internal.h"
#include "connection/security.h"

#define LENGTH_LEN 2
#define FRAME_OVERHEAD (LENGTH_LEN + KAD__AEAD_TAG_LEN)
#define OVERHEAD_MAX KAD__TLS_OVERHEAD
/* What kad__yamux_output wants to have at least. */
#define YAMUX_OUTPUT_MIN 4096

/* Each order of preference is a part of this list. */
static const kad_bytes all_security_names[] = {
    {(const uint8_t *)"/noise", 6},
    {(const uint8_t *)"/tls/1.0.0", 10},
    {(const uint8_t *)"/noise", 6}};
static const kad_bytes muxer_list[] = {
    {(const uint8_t *)KAD__YAMUX_NAME, sizeof(KAD__YAMUX_NAME) - 1}};
static const kad__protocol_names muxer_names = {.names = muxer_list,
                                                .count = 1};

/* ---- the climb --------------------------------------------------------- */

static kad__protocol_names security_names(const kad__connection *c) {
  return (kad__protocol_names){.names = all_security_names + c->first_protocol,
                               .count = c->protocol_count};
}

static void choose_protocols(kad__connection *c,
                             const kad__connection_config *config) {
  bool tls_first = config->protocols[0] == KAD__SECURITY_TLS;
  c->first_protocol = tls_first ? 1 : 0;
  if (config->protocols[0] == KAD__SECURITY_NONE) {
    c->protocol_count = c->dialer ? 1 : 2;
    return;
  }
  c->protocol_count = config->protocols[1] == KAD__SECURITY_NONE ? 1 : 2;
}

static int fail(kad__connection *c, int error) {
  c->error = error;
  c->deadline = KAD_TIME_NEVER;
  kad__noise_free(c->noise);
  c->noise = NULL;
  if (c->phase == KAD__PHASE_HANDSHAKE) {
    kad__tls_free(c->tls);
    c->tls = NULL;
  }
  kad__buffer_fini(&c->in, c->allocator);
  kad__buffer_fini(&c->plain_in, c->allocator);
  return error;
}

static int new_yamux(kad__connection *c, kad_time now) {
  return kad__yamux_new(&c->yamux, c->allocator, &c->yamux_config, c->dialer,
                        now);
}

/* The end of the climb; a dialer may have its session already. */
static int open_yamux(kad__connection *c, kad_time now) {
  int result = c->yamux == NULL ? new_yamux(c, now) : 0;
  if (result < 0) {
    return result;
  }
  c->phase = KAD__PHASE_OPEN;
  c->deadline = KAD_TIME_NEVER;
  return 0;
}

/* Sends a dialer's proposal. A listener waits for it, as rust-libp2p and
 * js-libp2p do, so that its own header travels with the answer; only in a
 * private network it speaks at once, since from its first bytes the dialer sees
 * whether both have the same key. */
static int begin_negotiation(kad__connection *c,
                             const kad__protocol_names *names,
                             kad__buffer *out) {
  kad__multistream_init(&c->negotiation, c->dialer);
  if (c->dialer) {
    return kad__multistream_start(&c->negotiation, names, out, c->allocator);
  }
  if (c->pnet == NULL) {
    return 0;
  }
  kad_bytes none = {0};
  return kad__multistream_read(&c->negotiation, names, &none, out,
                               c->allocator);
}

/* Keeps of the peer's key what is asked for later: id and protobuf. */
static int keep_identity(kad__connection *c, const kad_public_key *key) {
  kad_public_key_peer_id(key, &c->peer);
  if (kad__security_is_self(c->security, key)) {
    return KAD_E_SELF;
  }
  if (c->has_expected && !kad_peer_id_equal(&c->peer, &c->expected)) {
    return KAD_E_PEER_MISMATCH;
  }
  kad_bytes bytes = kad_public_key_bytes(key);
  c->peer_key = kad__memdup(c->allocator, bytes.data, bytes.len);
  if (c->peer_key == NULL) {
    return KAD_E_NO_MEMORY;
  }
  c->peer_key_len = bytes.len;
  return 0;
}

static int take_payload(kad__connection *c, bool *early_muxer,
                        kad_bytes payload) {
  kad_public_key *key = NULL;
  int result =
      kad__security_verify(&key, early_muxer, c->security, c->allocator,
                           payload, kad__noise_remote(c->noise));
  if (result < 0) {
    return result;
  }
  result = keep_identity(c, key);
  kad_public_key_free(key);
  return result;
}

/* Queues our next handshake message. */
static int write_handshake(kad__connection *c, kad_bytes payload) {
  size_t cap = KAD__NOISE_HANDSHAKE_OVERHEAD + payload.len;
  uint8_t *tail = NULL;
  int result =
      kad__buffer_reserve(&c->out, c->allocator, &tail, LENGTH_LEN + cap);
  if (result < 0) {
    return result;
  }
  int len = kad__noise_write(c->noise, tail + LENGTH_LEN, cap, payload);
  if (len < 0) {
    return len;
  }
  kad__store16(tail, (uint16_t)len);
  kad__buffer_commit(&c->out, LENGTH_LEN + (size_t)len);
  return 0;
}

static int begin_noise(kad__connection *c) {
  int result = kad__security_handshake(&c->noise, c->security, c->allocator,
                                       c->random, c->dialer);
  if (result < 0 || !c->dialer) {
    return result;
  }
  /* The first message of XX is not encrypted, and libp2p sends no payload. */
  return write_handshake(c, (kad_bytes){0});
}

static int begin_tls(kad__connection *c, kad_time now) {
  int result = kad__security_tls(&c->tls, c->security, c->allocator, c->random,
                                 &c->out, c->dialer, now);
  if (result < 0 || !c->dialer) {
    return result;
  }
  return kad__tls_handshake(c->tls);
}

/* `selected` of the names. */
static int begin_handshake(kad__connection *c, size_t selected, kad_time now) {
  bool tls = (c->first_protocol + selected) % 2 == 1;
  return tls ? begin_tls(c, now) : begin_noise(c);
}

/* A dialer that has one proposal only need not wait for the answer: when it is
 * not agreed, the connection fails in any case. So the first handshake message
 * travels with the proposal, as rust-libp2p sends it too, and saves a round
 * trip. */
static int begin(kad__connection *c, kad_time now) {
  kad__protocol_names names = security_names(c);
  int result = begin_negotiation(c, &names, &c->out);
  bool early = c->dialer && names.count == 1;
  return result == 0 && early ? begin_handshake(c, 0, now) : result;
}

/* The handshake is done. A muxer that both sides named inside it is agreed;
 * there is one that we name, so there is no order of preference to follow. */
static int end_handshake(kad__connection *c, bool early_muxer, kad_time now) {
  c->early_muxer = early_muxer;
  if (early_muxer) {
    return open_yamux(c, now);
  }
  c->phase = KAD__PHASE_MUXER;
  int result = begin_negotiation(c, &muxer_names, &c->plain_out);
  /* As with the security, a dialer with one proposal need not wait. */
  return result == 0 && c->dialer ? new_yamux(c, now) : result;
}

static int end_noise(kad__connection *c, bool early_muxer, kad_time now) {
  kad__noise_split(c->noise, &c->send, &c->receive);
  kad__noise_free(c->noise);
  c->noise = NULL;
  return end_handshake(c, early_muxer, now);
}

static int take_handshake(kad__connection *c, uint8_t *message, size_t len,
                          kad_time now) {
  kad_bytes payload;
  int result = kad__noise_read(c->noise, message, len, &payload);
  if (result < 0) {
    return result;
  }
  bool first = !c->dialer && !kad__noise_done(c->noise);
  if (first) {
    return payload.len != 0
               ? KAD_E_NOISE
               : write_handshake(c, kad__security_payload(c->security));
  }
  bool early_muxer = false;
  result = take_payload(c, &early_muxer, payload);
  if (result == 0 && c->dialer) {
    result = write_handshake(c, kad__security_payload(c->security));
  }
  return result < 0 ? result : end_noise(c, early_muxer, now);
}

static int negotiate_security(kad__connection *c, kad_bytes message,
                              kad_time now) {
  kad__protocol_names names = security_names(c);
  int result = kad__multistream_read(&c->negotiation, &names, &message, &c->out,
                                     c->allocator);
  if (result != 1) {
    return result;
  }
  c->phase = KAD__PHASE_HANDSHAKE;
  bool begun = c->noise != NULL || c->tls != NULL;
  return begun ? 0 : begin_handshake(c, c->negotiation.selected, now);
}

/* Messages and frames need not coincide: a message may be cut by the end of a
 * frame, and behind the last one yamux may follow in the same frame. */
static int negotiate_muxer(kad__connection *c, kad_bytes text, kad_time now) {
  int result = kad__buffer_append(&c->plain_in, c->allocator, text);
  if (result < 0) {
    return result;
  }
  kad_bytes rest = kad__buffer_bytes(&c->plain_in);
  result = kad__multistream_read(&c->negotiation, &muxer_names, &rest,
                                 &c->plain_out, c->allocator);
  if (result == 1) {
    result = open_yamux(c, now);
    if (result == 0 && rest.len != 0) {
      result = kad__yamux_input(c->yamux, rest, now);
    }
    rest.len = 0;
  }
  size_t taken = kad__buffer_len(&c->plain_in) - rest.len;
  kad__buffer_consume(&c->plain_in, c->allocator, taken);
  return result;
}

/* ---- input ------------------------------------------------------------- */

static int take_text(kad__connection *c, kad_bytes text, kad_time now) {
  return c->phase == KAD__PHASE_MUXER ? negotiate_muxer(c, text, now)
                                      : kad__yamux_input(c->yamux, text, now);
}

/* The identity is looked at when the handshake is done and no sooner: until
 * then the peer did not prove that the certificate is its own. */
static int end_tls(kad__connection *c, kad_time now) {
  kad_public_key *key = kad__tls_take_key(c->tls);
  int result = keep_identity(c, key);
  kad_public_key_free(key);
  return result < 0 ? result
                    : end_handshake(c, kad__tls_early_muxer(c->tls), now);
}

/* Records are for OpenSSL to put together: to us all that came is one unit. */
static int take_tls(kad__connection *c, kad_bytes in, kad_time now) {
  kad__tls_give(c->tls, in);
  if (c->phase == KAD__PHASE_HANDSHAKE) {
    int result = kad__tls_handshake(c->tls);
    if (result != 1) {
      return result;
    }
    result = end_tls(c, now);
    if (result < 0) {
      return result;
    }
  }
  for (;;) {
    kad_bytes text;
    int result = kad__tls_read(c->tls, &text);
    if (result != 1) {
      return result;
    }
    result = take_text(c, text, now);
    if (result < 0) {
      return result;
    }
  }
}

/* The length of the unit in front of `in`, or more than `in.len` while that is
 * not known. */
static int unit_need(const kad__connection *c, kad_bytes in) {
  if (c->phase == KAD__PHASE_SECURITY) {
    return kad__multistream_need(&c->negotiation, in);
  }
  if (c->tls != NULL) {
    return in.len < INT32_MAX ? (int)in.len : INT32_MAX;
  }
  if (in.len < LENGTH_LEN) {
    return LENGTH_LEN;
  }
  size_t len = kad__load16(in.data);
  if (c->phase == KAD__PHASE_HANDSHAKE && len > KAD__NOISE_HANDSHAKE_MAX) {
    return KAD_E_NOISE;
  }
  return (int)(LENGTH_LEN + len);
}

static int take_frame(kad__connection *c, uint8_t *frame, size_t len,
                      kad_time now) {
  int text_len = kad__noise_decrypt(kad__security_suite(c->security),
                                    &c->receive, frame, len);
  if (text_len <= 0) {
    return text_len;
  }
  return take_text(c, kad__bytes(frame, (size_t)text_len), now);
}

static int take_unit(kad__connection *c, uint8_t *unit, size_t len,
                     kad_time now) {
  if (c->phase == KAD__PHASE_SECURITY) {
    return negotiate_security(c, kad__bytes(unit, len), now);
  }
  if (c->tls != NULL) {
    return take_tls(c, kad__bytes(unit, len), now);
  }
  unit += LENGTH_LEN;
  len -= LENGTH_LEN;
  return c->phase == KAD__PHASE_HANDSHAKE ? take_handshake(c, unit, len, now)
                                          : take_frame(c, unit, len, now);
}

/* Takes the units that are complete where they lie; sets the beginning of one
 * more aside. */
static int take_units(kad__connection *c, uint8_t *in, size_t len,
                      kad_time now) {
  while (len > 0) {
    int need = unit_need(c, kad__bytes(in, len));
    if (need < 0) {
      return need;
    }
    if ((size_t)need > len) {
      return kad__buffer_append(&c->in, c->allocator, kad__bytes(in, len));
    }
    int result = take_unit(c, in, (size_t)need, now);
    if (result < 0) {
      return result;
    }
    in += need;
    len -= (size_t)need;
  }
  return 0;
}

/* Adds to the unit that was set aside what it lacks, as far as `in` goes.
 * Returns 1 when it is complete, 0 when all of `in` was not enough. */
static int gather_unit(size_t *taken, kad__connection *c, kad_bytes in) {
  *taken = 0;
  for (;;) {
    size_t have = kad__buffer_len(&c->in);
    int need = unit_need(c, kad__buffer_bytes(&c->in));
    if (need < 0 || (size_t)need <= have) {
      return need < 0 ? need : 1;
    }
    kad_bytes more = kad__bytes_skip(in, *taken);
    if (more.len == 0) {
      return 0;
    }
    more.len = more.len < (size_t)need - have ? more.len : (size_t)need - have;
    int result = kad__buffer_append(&c->in, c->allocator, more);
    if (result < 0) {
      return result;
    }
    *taken += more.len;
  }
}

/* Completes the unit that was set aside, and takes it. */
static int complete_unit(size_t *taken, kad__connection *c, kad_bytes in,
                         kad_time now) {
  int result = gather_unit(taken, c, in);
  if (result != 1) {
    return result;
  }
  /* Out of the connection before it is handled, since that may end badly. */
  kad__buffer unit = c->in;
  c->in = (kad__buffer){0};
  result = take_unit(c, unit.data + unit.begin, kad__buffer_len(&unit), now);
  kad__buffer_fini(&unit, c->allocator);
  return result;
}

/* Under another key the first bytes are anything but what they must be; and a
 * peer that reads ours with another key goes after its first bytes. */
static int name_early_error(const kad__connection *c, int error) {
  bool first = c->phase == KAD__PHASE_SECURITY && !c->negotiation.header_seen;
  bool other = c->pnet != NULL && first && c->pnet->receive.nonce_done != 0;
  return other && error != KAD_E_NO_MEMORY ? KAD_E_NETWORK_KEY : error;
}

int kad__connection_input(kad__connection *c, uint8_t *in, size_t len,
                          kad_time now) {
  if (c->error != 0) {
    return c->error;
  }
  if (c->pnet != NULL) {
    size_t nonce = kad__pnet_receive(c->pnet, in, len);
    in += nonce;
    len -= nonce;
  }
  size_t taken = 0;
  int result = 0;
  if (kad__buffer_len(&c->in) != 0) {
    result = complete_unit(&taken, c, kad__bytes(in, len), now);
  }
  if (result >= 0 && taken < len) {
    result = take_units(c, in + taken, len - taken, now);
  }
  return result < 0 ? fail(c, name_early_error(c, result)) : 0;
}

int kad__connection_input_end(kad__connection *c) {
  if (c->error != 0) {
    return c->error;
  }
  bool cut = kad__buffer_len(&c->in) != 0 ||
             kad__buffer_len(&c->plain_in) != 0 ||
             (c->tls != NULL && kad__tls_cut(c->tls));
  return fail(c, name_early_error(c, cut ? KAD_E_TRUNCATED : KAD_E_CLOSED));
}

/* ---- output ------------------------------------------------------------ */

static bool can_encrypt(const kad__connection *c) {
  return c->phase >= KAD__PHASE_MUXER && !c->mute;
}

/* Moves bytes from the front of `from`. */
static size_t pull(kad__connection *c, kad__buffer *from, uint8_t *out,
                   size_t cap) {
  kad_bytes bytes = kad__buffer_bytes(from);
  size_t n = bytes.len < cap ? bytes.len : cap;
  if (n != 0) {
    memcpy(out, bytes.data, n);
    kad__buffer_consume(from, c->allocator, n);
  }
  return n;
}

/* The next bytes to encrypt, from both sources. */
static size_t pull_text(kad__connection *c, uint8_t *out, size_t cap,
                        kad_time now) {
  size_t n = pull(c, &c->plain_out, out, cap);
  if (c->yamux != NULL && cap - n >= YAMUX_OUTPUT_MIN) {
    n += kad__yamux_output(c->yamux, out + n, cap - n, now);
  }
  return n;
}

/* Writes one Noise frame; returns its length, 0 when there is nothing to say,
 * or an error. */
static int write_frame(kad__connection *c, uint8_t *out, size_t cap,
                       kad_time now) {
  size_t room = cap - FRAME_OVERHEAD;
  room = room < KAD__NOISE_TEXT_MAX ? room : KAD__NOISE_TEXT_MAX;
  size_t len = pull_text(c, out + LENGTH_LEN, room, now);
  if (len == 0) {
    return 0;
  }
  int result = kad__noise_encrypt(kad__security_suite(c->security), &c->send,
                                  out + LENGTH_LEN, len);
  if (result < 0) {
    return result;
  }
  kad__store16(out, (uint16_t)(len + KAD__AEAD_TAG_LEN));
  return (int)(FRAME_OVERHEAD + len);
}

/* Likewise a TLS record. */
static int write_record(kad__connection *c, uint8_t *out, size_t cap,
                        kad_time now) {
  size_t room = cap - KAD__TLS_OVERHEAD;
  room = room < KAD__TLS_TEXT_MAX ? room : KAD__TLS_TEXT_MAX;
  size_t len = pull_text(c, kad__tls_text(c->tls), room, now);
  return len == 0 ? 0 : kad__tls_write(c->tls, len, out, cap);
}

/* What was pulled but not encrypted is lost, so the connection is too. Output
 * has no way to say so: the deadline, which is now, brings the owner to
 * kad__connection_tick, which tells. */
static void fail_output(kad__connection *c, int error) {
  if (c->error == 0) {
    fail(c, error);
    c->deadline = 0;
  }
  c->mute = true;
}

static size_t write_output(kad__connection *c, uint8_t *out, size_t cap,
                           kad_time now) {
  size_t n = pull(c, &c->out, out, cap);
  while (can_encrypt(c) && cap - n >= OVERHEAD_MAX + YAMUX_OUTPUT_MIN) {
    int result = c->tls != NULL ? write_record(c, out + n, cap - n, now)
                                : write_frame(c, out + n, cap - n, now);
    if (result < 0) {
      fail_output(c, result);
    }
    if (result <= 0) {
      break;
    }
    n += (size_t)result;
  }
  return n;
}

size_t kad__connection_output(kad__connection *c, uint8_t *out, size_t cap,
                              kad_time now) {
  if (c->pnet == NULL) {
    return write_output(c, out, cap, now);
  }
  /* There is something to say from the beginning, so no nonce goes alone. */
  size_t nonce = kad__pnet_begin(c->pnet, out);
  size_t n = write_output(c, out + nonce, cap - nonce, now);
  kad__pnet_send(c->pnet, out + nonce, n);
  return nonce + n;
}

bool kad__connection_has_output(const kad__connection *c) {
  if (kad__buffer_len(&c->out) != 0) {
    return true;
  }
  return can_encrypt(c) &&
         (kad__buffer_len(&c->plain_out) != 0 ||
          (c->yamux != NULL && kad__yamux_has_output(c->yamux)));
}

bool kad__connection_congested(const kad__connection *c) {
  return c->yamux != NULL && kad__yamux_congested(c->yamux);
}

/* ---- life -------------------------------------------------------------- */

int kad__connection_new(kad__connection **out,
                        const kad__connection_config *config, bool dialer,
                        const kad_peer_id *expected, kad_time now) {
  kad__connection *c = kad__calloc(config->allocator, 1, sizeof(*c));
  if (c == NULL) {
    return KAD_E_NO_MEMORY;
  }
  c->allocator = config->allocator;
  c->security = config->security;
  c->random = config->random;
  c->yamux_config = config->yamux;
  c->dialer = dialer;
  choose_protocols(c, config);
  c->deadline = kad__time_add(now, config->upgrade_timeout);
  if (expected != NULL) {
    c->expected = *expected;
    c->has_expected = true;
  }
  int result = 0;
  if (config->network_key != NULL) {
    result = kad__pnet_new(&c->pnet, c->allocator, config->network_key,
                           config->random);
  }
  if (result == 0) {
    result = begin(c, now);
  }
  if (result < 0) {
    kad__connection_free(c);
    return result;
  }
  *out = c;
  return 0;
}

void kad__connection_free(kad__connection *c) {
  if (c == NULL) {
    return;
  }
  kad__noise_free(c->noise);
  kad__tls_free(c->tls);
  kad__pnet_free(c->pnet, c->allocator);
  kad__yamux_free(c->yamux);
  kad__buffer_fini(&c->in, c->allocator);
  kad__buffer_fini(&c->out, c->allocator);
  kad__buffer_fini(&c->plain_in, c->allocator);
  kad__buffer_fini(&c->plain_out, c->allocator);
  kad__release(c->allocator, c->peer_key);
  kad__wipe(&c->send, sizeof(c->send));
  kad__wipe(&c->receive, sizeof(c->receive));
  kad__release(c->allocator, c);
}

bool kad__connection_established(const kad__connection *c) {
  return c->yamux != NULL;
}

bool kad__connection_secured(const kad__connection *c) {
  return c->peer_key_len != 0;
}

bool kad__connection_early_muxer(const kad__connection *c) {
  return c->early_muxer;
}

const kad_peer_id *kad__connection_peer(const kad__connection *c) {
  return &c->peer;
}

kad_bytes kad__connection_peer_key(const kad__connection *c) {
  return kad__bytes(c->peer_key, c->peer_key_len);
}

kad__security_protocol kad__connection_security(const kad__connection *c) {
  if (c->phase < KAD__PHASE_HANDSHAKE) {
    return KAD__SECURITY_NONE;
  }
  return c->tls != NULL ? KAD__SECURITY_TLS : KAD__SECURITY_NOISE;
}

kad__yamux *kad__connection_yamux(const kad__connection *c) {
  return c->yamux;
}

kad_time kad__connection_deadline(const kad__connection *c) {
  if (c->error != 0 || c->yamux == NULL) {
    return c->deadline;
  }
  return kad__time_min(c->deadline, kad__yamux_deadline(c->yamux));
}

int kad__connection_tick(kad__connection *c, kad_time now) {
  if (c->error != 0) {
    c->deadline = KAD_TIME_NEVER;
    return c->error;
  }
  if (now >= c->deadline) {
    return fail(c, KAD_E_TIMEOUT);
  }
  int result = c->yamux == NULL ? 0 : kad__yamux_tick(c->yamux, now);
  return result < 0 ? fail(c, result) : 0;
}

size_t kad__connection_charge(const kad__connection *c) {
  size_t charge = sizeof(*c) + (c->pnet == NULL ? 0 : sizeof(*c->pnet)) +
                  c->peer_key_len + c->in.cap + c->out.cap + c->plain_in.cap +
                  c->plain_out.cap;
  if (c->noise != NULL) {
    charge += kad__noise_charge();
  }
  if (c->tls != NULL) {
    charge += kad__tls_charge(c->tls);
  }
  return c->yamux == NULL ? charge : charge + kad__yamux_charge(c->yamux);
}
