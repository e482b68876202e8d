/* The side that asks. A probe waits for two things: the server's answer on the
 * request's stream, and the number on a connection that the server opens. They
 * come in any order, so whichever is second decides. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "protocols/autonat_internal.h"
#include "wire/addresses.h"

/* Probes that run, and results that nobody has taken yet. */
#define PROBES_MAX 32
/* Data that may wait in a stream to be sent. */
#define UNSENT_MAX ((size_t)4 * KAD__AUTONAT_DATA_MAX)

typedef struct probe {
  kad__list link;
  kad__stream *stream; /* NULL: answered, the number is still awaited */
  uint64_t nonce;
  uint64_t data;                   /* bytes that the server still wants */
  bool paid;                       /* it has asked for data once */
  bool heard;                      /* the number has come back */
  kad_multiaddr_protocol heard_at; /* first component of the address */
  kad_time due;                    /* until when the number is awaited */
  kad__autonat_event event;
  size_t addresses_len;
  uint8_t addresses[];
} probe;

/* ---- the end of a probe -------------------------------------------------- */

/* Whoever calls has ended the probe's stream. */
static void end(kad__autonat *a, probe *p, kad__autonat_event_type type,
                int error) {
  p->stream = NULL;
  p->event.type = type;
  p->event.error = error;
  kad__list_unlink(&p->link);
  kad__list_append(&a->ended, &p->link);
}

static void fail(kad__autonat *a, probe *p, int error) {
  kad__stream_reset(p->stream, KAD__STREAM_PROTOCOL_VIOLATION);
  a->counters.malformed++;
  end(a, p, KAD__AUTONAT_FAILED, error);
}

bool kad__autonat_poll(kad__autonat *a, kad__autonat_event *out) {
  kad__list *link = kad__list_take(&a->ended);
  if (link == NULL) {
    return false;
  }
  probe *p = KAD__CONTAINER(link, probe, link);
  *out = p->event;
  a->probe_count--;
  kad__release(&a->allocator, p);
  return true;
}

/* ---- the verdict --------------------------------------------------------- */

static bool take_address(probe *p, uint32_t index) {
  kad_bytes rest = kad__bytes(p->addresses, p->addresses_len);
  kad_bytes address;
  for (uint32_t i = 0; kad__addresses_next(&rest, &address); i++) {
    if (i == index) {
      uint8_t *at = p->event.address;
      (void)kad__bytes_keep(&at, address);
      p->event.address_len = address.len;
      return true;
    }
  }
  return false;
}

/* Was the number heard at an address of the kind that was asked about? A name
 * can stand for either. */
static bool fits(const probe *p) {
  kad_bytes address = kad__bytes(p->event.address, p->event.address_len);
  kad_multiaddr_part part;
  bool known = kad_multiaddr_next(&address, &part) == 1;
  bool is_ip = known && (part.protocol == KAD_MULTIADDR_IP4 ||
                         part.protocol == KAD_MULTIADDR_IP6);
  return !is_ip || part.protocol == p->heard_at;
}

static void decide(kad__autonat *a, probe *p) {
  bool good = fits(p);
  end(a, p, good ? KAD__AUTONAT_REACHABLE : KAD__AUTONAT_FAILED,
      good ? 0 : KAD_E_MESSAGE);
}

static void take_response(kad__autonat *a, probe *p,
                          const kad__autonat_message *m, kad_time now) {
  bool refused = m->status == KAD__AUTONAT_REJECTED ||
                 m->status == KAD__AUTONAT_DIAL_REFUSED ||
                 m->status == KAD__AUTONAT_INTERNAL_ERROR;
  bool failed = m->dial_status == KAD__AUTONAT_DIAL_ERROR;
  if (!refused && (m->status != KAD__AUTONAT_OK || !take_address(p, m->index) ||
                   (!failed && m->dial_status != KAD__AUTONAT_DIAL_OK &&
                    m->dial_status != KAD__AUTONAT_BACK_ERROR))) {
    fail(a, p, KAD_E_MESSAGE);
    return;
  }
  kad__stream_release(p->stream);
  p->stream = NULL;
  if (refused) {
    end(a, p, KAD__AUTONAT_FAILED, KAD_E_REFUSED);
  } else if (failed) {
    end(a, p, KAD__AUTONAT_UNREACHABLE, 0);
  } else if (p->heard) {
    decide(a, p);
  } else {
    p->due = now + KAD__AUTONAT_BACK_TIMEOUT;
  }
}

/* ---- the request's stream ------------------------------------------------ */

/* Sends what the stream takes without piling up; false without memory. */
static bool send_data(probe *p) {
  uint8_t out[KAD__AUTONAT_DATA_MAX];
  while (p->data > 0 && kad__stream_unsent(p->stream) < UNSENT_MAX) {
    size_t room = sizeof(out) - 16;
    kad__autonat_message message = {
        .type = KAD__AUTONAT_DATA_RESPONSE,
        .data_len = p->data < room ? (size_t)p->data : room};
    int len = kad__autonat_encode(out, sizeof(out), &message);
    if (kad__stream_write(p->stream, kad__bytes(out, (size_t)len)) < 0) {
      return false;
    }
    p->data -= message.data_len;
  }
  return true;
}

static bool is_fair(const probe *p, const kad__autonat_message *m) {
  return !p->paid && m->wanted > 0 && m->wanted <= KAD__AUTONAT_WANTED_MAX &&
         m->index <
             kad__addresses_count(kad__bytes(p->addresses, p->addresses_len));
}

static void send_more(kad__autonat *a, probe *p) {
  if (!send_data(p)) {
    kad__stream_reset(p->stream, KAD__STREAM_LIMIT);
    end(a, p, KAD__AUTONAT_FAILED, KAD_E_NO_MEMORY);
  }
}

static void take_message(kad__autonat *a, probe *p, size_t taken,
                         const kad__autonat_message *m, kad_time now) {
  kad__stream_consume(p->stream, taken);
  if (m->type == KAD__AUTONAT_DIAL_RESPONSE) {
    take_response(a, p, m, now);
  } else if (m->type == KAD__AUTONAT_DATA_REQUEST && is_fair(p, m)) {
    p->paid = true;
    p->data = m->wanted;
    send_more(a, p);
  } else {
    fail(a, p, KAD_E_MESSAGE);
  }
}

static void read_answer(kad__autonat *a, probe *p, kad_time now) {
  kad_bytes in;
  kad__autonat_message message;
  int taken = kad__autonat_read(&in, p->stream);
  if (taken == 0) {
    return;
  }
  int error = taken < 0 ? taken : kad__autonat_decode(&message, in);
  if (error < 0) {
    fail(a, p, error);
    return;
  }
  take_message(a, p, (size_t)taken, &message, now);
}

void kad__autonat_client_stream(kad__autonat *a, const kad__swarm_event *event,
                                kad_time now) {
  probe *p = kad__stream_user(event->stream);
  switch (event->type) {
    case KAD__SWARM_STREAM_READABLE:
      read_answer(a, p, now);
      return;
    case KAD__SWARM_STREAM_WRITABLE:
      send_more(a, p);
      return;
    case KAD__SWARM_STREAM_DEAD:
      kad__stream_release(event->stream);
      end(a, p, KAD__AUTONAT_FAILED,
          event->error < 0 ? event->error : KAD_E_CLOSED);
      return;
    default:
      return;
  }
}

/* ---- asking -------------------------------------------------------------- */

static int open_request(kad__autonat *a, probe *p, kad_time now) {
  static const uint8_t name_bytes[] = KAD__AUTONAT_REQUEST_PROTOCOL;
  static const kad_bytes name = {name_bytes, sizeof(name_bytes) - 1};
  uint8_t out[2 * KAD__AUTONAT_PROBE_MAX];
  kad__autonat_message request = {
      .type = KAD__AUTONAT_DIAL_REQUEST,
      .addresses = kad__bytes(p->addresses, p->addresses_len),
      .nonce = p->nonce};
  int len = kad__autonat_encode(out, sizeof(out), &request);
  if (len < 0) {
    return len;
  }
  int error =
      kad__stream_open(a->config.swarm, &p->stream, &p->event.server,
                       (kad__protocol_names){.names = &name, .count = 1},
                       KAD__TAG_AUTONAT | KAD__TAG_OURS, p, now);
  if (error < 0) {
    return error;
  }
  error = kad__stream_write(p->stream, kad__bytes(out, (size_t)len));
  if (error == 0) {
    error = kad__stream_set_deadline(p->stream, now + KAD__AUTONAT_TIMEOUT);
  }
  if (error < 0) {
    kad__stream_reset(p->stream, 0);
  }
  return error;
}

static bool is_valid_list(kad_bytes addresses) {
  kad_bytes address;
  size_t count = 0;
  if (addresses.len > KAD__AUTONAT_PROBE_MAX) {
    return false;
  }
  for (; kad__addresses_next(&addresses, &address); count++) {
    if (kad_multiaddr_check(address) < 0) {
      return false;
    }
  }
  return count > 0;
}

int kad__autonat_probe(kad__autonat *a, uint64_t *id, const kad_peer_id *server,
                       kad_bytes addresses, kad_time now) {
  if (!is_valid_list(addresses)) {
    return KAD_E_INVALID_ARGUMENT;
  }
  if (a->probe_count == PROBES_MAX) {
    return KAD_E_LIMIT;
  }
  probe *p = kad__calloc(&a->allocator, 1, sizeof(*p) + addresses.len);
  if (p == NULL) {
    return KAD_E_NO_MEMORY;
  }
  uint8_t *at = p->addresses;
  (void)kad__bytes_keep(&at, addresses);
  p->addresses_len = addresses.len;
  p->event.server = *server;
  p->nonce = kad_random_u64(a->config.random);
  p->due = KAD_TIME_NEVER;
  int error = open_request(a, p, now);
  if (error < 0) {
    kad__release(&a->allocator, p);
    return error;
  }
  p->event.id = ++a->last_id;
  *id = p->event.id;
  kad__list_append(&a->probes, &p->link);
  a->probe_count++;
  a->counters.probes++;
  return 0;
}

/* ---- the number ---------------------------------------------------------- */

/* The probe of that number; a server must not speak for another one. */
static probe *find_probe(kad__autonat *a, uint64_t nonce) {
  KAD__LIST_EACH(link, &a->probes) {
    probe *p = KAD__CONTAINER(link, probe, link);
    if (p->nonce == nonce && !p->heard) {
      return p;
    }
  }
  return NULL;
}

/* The kind of the address at which a connection reached us. */
static kad_multiaddr_protocol local_kind(kad__autonat *a,
                                         const kad__stream *stream) {
  kad__connection_info info;
  kad_multiaddr_part part = {.protocol = KAD_MULTIADDR_MEMORY};
  if (kad__swarm_connection(a->config.swarm, kad__stream_connection(stream),
                            &info) &&
      info.inbound) {
    (void)kad_multiaddr_next(&info.local_address, &part);
  }
  return part.protocol;
}

static void answer_back(kad__stream *stream) {
  uint8_t out[KAD__AUTONAT_BACK_MAX];
  int len = kad__autonat_encode_back_answer(out, sizeof(out));
  /* Without memory the server waits in vain, and a little longer. */
  (void)kad__stream_write(stream, kad__bytes(out, (size_t)len));
  kad__stream_close_write(stream);
  kad__stream_release(stream);
}

static void forget_back(kad__autonat *a, const kad__stream *stream) {
  for (size_t i = 0; i < a->back_count; i++) {
    if (a->backs[i] == stream) {
      a->backs[i] = a->backs[--a->back_count];
      return;
    }
  }
}

static void read_back(kad__autonat *a, kad__stream *stream) {
  kad_bytes in;
  uint64_t nonce = 0;
  int taken = kad__autonat_read(&in, stream);
  if (taken == 0) {
    return;
  }
  forget_back(a, stream);
  if (taken < 0 || kad__autonat_decode_back(&nonce, in) < 0) {
    a->counters.malformed++;
    kad__stream_reset(stream, KAD__STREAM_PROTOCOL_VIOLATION);
    return;
  }
  probe *p = find_probe(a, nonce);
  if (p == NULL) {
    a->counters.unasked++;
    kad__stream_reset(stream, KAD__STREAM_PROTOCOL_VIOLATION);
    return;
  }
  p->heard = true;
  p->heard_at = local_kind(a, stream);
  answer_back(stream);
  if (p->stream == NULL) {
    decide(a, p);
  }
}

void kad__autonat_client_back(kad__autonat *a, const kad__swarm_event *event,
                              kad_time now) {
  kad__stream *stream = event->stream;
  switch (event->type) {
    case KAD__SWARM_STREAM_INBOUND:
      if (kad__list_empty(&a->probes) ||
          a->back_count == KAD__AUTONAT_BACKS_MAX ||
          kad__stream_set_deadline(stream, now + KAD__AUTONAT_BACK_TIMEOUT) <
              0) {
        a->counters.unasked++;
        kad__stream_reset(stream, KAD__STREAM_PROTOCOL_VIOLATION);
        return;
      }
      a->backs[a->back_count++] = stream;
      read_back(a, stream);
      return;
    case KAD__SWARM_STREAM_READABLE:
      read_back(a, stream);
      return;
    case KAD__SWARM_STREAM_DEAD:
      forget_back(a, stream);
      kad__stream_release(stream);
      return;
    default:
      return;
  }
}

/* ---- time ---------------------------------------------------------------- */

kad_time kad__autonat_client_deadline(const kad__autonat *a) {
  kad_time deadline = KAD_TIME_NEVER;
  KAD__LIST_EACH(link, &a->probes) {
    const probe *p = KAD__CONTAINER(link, probe, link);
    deadline = kad__time_min(deadline, p->due);
  }
  return deadline;
}

void kad__autonat_client_tick(kad__autonat *a, kad_time now) {
  KAD__LIST_EACH(link, &a->probes) {
    probe *p = KAD__CONTAINER(link, probe, link);
    if (p->due <= now) {
      end(a, p, KAD__AUTONAT_FAILED, KAD_E_MESSAGE);
    }
  }
}

static void free_list(kad__autonat *a, kad__list *list) {
  for (kad__list *link; (link = kad__list_take(list)) != NULL;) {
    probe *p = KAD__CONTAINER(link, probe, link);
    if (p->stream != NULL) {
      kad__stream_reset(p->stream, KAD__STREAM_SHUTDOWN);
    }
    kad__release(&a->allocator, p);
  }
}

void kad__autonat_client_fini(kad__autonat *a) {
  while (a->back_count > 0) {
    kad__stream_reset(a->backs[--a->back_count], KAD__STREAM_SHUTDOWN);
  }
  free_list(a, &a->probes);
  free_list(a, &a->ended);
}
