/* The side that dials. A request of a peer is a visit, which lives as long as
 * its stream: when the peer gives up, so do we. Whatever way a visit ends, the
 * connection that was dialled for it is closed. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "multiformats/varint.h"
#include "protocols/autonat_internal.h"
#include "protocols/own_addresses.h"
#include "swarm/swarm.h"

/* Visits of one peer at once. */
#define VISITS_PER_PEER 2
/* Before we dial another host, so that many requests at once do not become many
 * dials at once. */
#define DELAY_MAX (3 * KAD_SECOND)
/* Data comes in pieces of at least so many bytes. */
#define DATA_MIN 100

typedef enum visit_state {
  READING,     /* the request */
  TAKING_DATA, /* which pays for a dial to another host */
  DELAYED,
  DIALLING,
  SPEAKING /* the number, on the new connection */
} visit_state;

typedef struct visit {
  kad__list link;
  kad__stream *stream;
  kad__stream *back;
  visit_state state;
  bool opened; /* the dial-back's stream */
  uint32_t index;
  uint64_t nonce;
  uint64_t missing; /* data */
  kad_time due;     /* when DELAYED */
  kad__id dial;
  kad__id connection; /* the one dialled; 0: none */
  size_t transport_len;
  size_t address_len; /* with /p2p */
  uint8_t address[KAD_MULTIADDR_MAX + KAD_PEER_ID_MAX + 8];
} visit;

/* ---- the end of a visit -------------------------------------------------- */

/* Whoever calls ends the visit's stream. */
static void drop(kad__autonat *a, visit *v, kad_time now) {
  if (v->back != NULL) {
    kad__stream_release(v->back);
  }
  if (v->connection != 0) {
    kad__swarm_disconnect(a->config.swarm, v->connection, now);
  }
  kad__list_unlink(&v->link);
  a->visit_count--;
  kad__release(&a->allocator, v);
}

static void abort_visit(kad__autonat *a, visit *v, uint32_t code,
                        kad_time now) {
  kad__stream *stream = v->stream;
  drop(a, v, now);
  kad__stream_reset(stream, code);
}

static void break_off(kad__autonat *a, visit *v, kad_time now) {
  a->counters.malformed++;
  abort_visit(a, v, KAD__STREAM_PROTOCOL_VIOLATION, now);
}

static int send(kad__stream *stream, const kad__autonat_message *message) {
  uint8_t out[64]; /* none of ours holds addresses or data */
  int len = kad__autonat_encode(out, sizeof(out), message);
  return len < 0 ? len
                 : kad__stream_write(stream, kad__bytes(out, (size_t)len));
}

static void respond(kad__autonat *a, visit *v, kad__autonat_status status,
                    kad__autonat_dial_status dial_status, kad_time now) {
  kad__stream *stream = v->stream;
  kad__autonat_message response = {.type = KAD__AUTONAT_DIAL_RESPONSE,
                                   .status = status,
                                   .index = v->index,
                                   .dial_status = dial_status};
  drop(a, v, now);
  if (send(stream, &response) < 0) {
    kad__stream_reset(stream, KAD__STREAM_LIMIT);
    return;
  }
  kad__stream_close_write(stream);
  kad__stream_release(stream);
}

/* ---- may it be dialled? -------------------------------------------------- */

static bool is_dialable(const kad__autonat *a, kad_bytes address) {
  kad_multiaddr_part part;
  kad_bytes rest = address;
  if (kad_multiaddr_check(address) < 0 || kad__address_useless(address) ||
      kad_multiaddr_next(&rest, &part) != 1 ||
      (part.protocol != KAD_MULTIADDR_IP4 &&
       part.protocol != KAD_MULTIADDR_IP6) ||
      kad_multiaddr_next(&rest, &part) != 1 ||
      part.protocol != KAD_MULTIADDR_TCP || rest.len != 0) {
    return false;
  }
  return a->config.any_address ||
         kad__address_scope(address) == KAD__SCOPE_PUBLIC;
}

/* Of the form /ip4|ip6/IP/..; empty otherwise. */
static kad_bytes ip_of(kad_bytes address) {
  kad_multiaddr_part part;
  if (kad_multiaddr_next(&address, &part) != 1 ||
      (part.protocol != KAD_MULTIADDR_IP4 &&
       part.protocol != KAD_MULTIADDR_IP6)) {
    return kad__bytes(NULL, 0);
  }
  return part.value;
}

/* Does the peer itself sit at this address, as far as we see? */
static bool is_its_own(const kad__autonat *a, const visit *v,
                       kad_bytes address) {
  kad__connection_info info;
  return kad__swarm_connection(a->config.swarm,
                               kad__stream_connection(v->stream), &info) &&
         kad__bytes_equal(ip_of(info.remote_address), ip_of(address));
}

/* Keeps `address` with the peer's id behind it, so that nobody else answers. */
static void keep_address(visit *v, kad_bytes address) {
  kad_bytes id = kad_peer_id_bytes(kad__stream_peer(v->stream));
  uint8_t *at = v->address;
  (void)kad__bytes_keep(&at, address);
  at += kad__varint_encode(at, KAD_MULTIADDR_P2P);
  at += kad__varint_encode(at, id.len);
  (void)kad__bytes_keep(&at, id);
  v->transport_len = address.len;
  v->address_len = (size_t)(at - v->address);
}

static bool choose_address(const kad__autonat *a, visit *v, kad_bytes list) {
  kad_bytes address;
  for (uint32_t i = 0; i < KAD__AUTONAT_ADDRESSES_MAX &&
                       kad__autonat_next_address(&list, &address);
       i++) {
    if (is_dialable(a, address)) {
      v->index = i;
      keep_address(v, address);
      return true;
    }
  }
  return false;
}

/* ---- how often ----------------------------------------------------------- */

static struct kad__autonat_log_entry *log_entry(kad__autonat *a, uint32_t i) {
  uint32_t cap = a->config.max_requests;
  return &a->log.entries[(a->log.next + cap - 1 - i) % cap];
}

/* True, and written down, when the limits of the last minute allow it. */
static bool admit(kad__autonat *a, const kad_peer_id *peer, bool with_data,
                  kad_time now) {
  uint32_t all = 0;
  uint32_t of_peer = 0;
  uint32_t of_data = 0;
  for (; all < a->log.count; all++) {
    const struct kad__autonat_log_entry *e = log_entry(a, all);
    if (kad__time_add(e->at, KAD_MINUTE) <= now) {
      break;
    }
    of_peer += kad_peer_id_equal(&e->peer, peer);
    of_data += e->with_data;
  }
  a->log.count = all;
  if (all == a->config.max_requests ||
      of_peer >= a->config.max_requests_per_peer ||
      (with_data && of_data >= a->config.max_data_requests)) {
    return false;
  }
  a->log.entries[a->log.next] = (struct kad__autonat_log_entry){
      .at = now, .peer = *peer, .with_data = with_data};
  a->log.next = (a->log.next + 1) % a->config.max_requests;
  a->log.count++;
  return true;
}

/* ---- dialling ------------------------------------------------------------ */

static void dial(kad__autonat *a, visit *v, kad_time now) {
  int error = kad__swarm_dial_address(
      a->config.swarm, &v->dial, kad__bytes(v->address, v->address_len), now);
  if (error < 0) {
    respond(a, v, KAD__AUTONAT_INTERNAL_ERROR, KAD__AUTONAT_DIAL_UNUSED, now);
    return;
  }
  a->counters.served++;
  v->state = DIALLING;
}

static int speak(kad__autonat *a, visit *v, kad_time now) {
  static const uint8_t name_bytes[] = KAD__AUTONAT_BACK_PROTOCOL;
  static const kad_bytes name = {name_bytes, sizeof(name_bytes) - 1};
  uint8_t out[KAD__AUTONAT_BACK_MAX];
  int len = kad__autonat_encode_back(out, sizeof(out), v->nonce);
  int error =
      kad__stream_open_on(a->config.swarm, &v->back, v->connection,
                          (kad__protocol_names){.names = &name, .count = 1},
                          KAD__TAG_AUTONAT_BACK | KAD__TAG_OURS, v, now);
  if (error < 0) {
    return error;
  }
  error = kad__stream_write(v->back, kad__bytes(out, (size_t)len));
  if (error < 0) {
    return error;
  }
  kad__stream_close_write(v->back);
  return kad__stream_set_deadline(v->back, now + KAD__AUTONAT_BACK_TIMEOUT);
}

static void connected(kad__autonat *a, visit *v, kad__id connection,
                      kad_time now) {
  kad__connection_info info;
  kad_bytes asked = kad__bytes(v->address, v->transport_len);
  /* A dial of somebody else to the same peer may have had other addresses. */
  if (!kad__swarm_connection(a->config.swarm, connection, &info) ||
      !kad__bytes_equal(info.remote_address, asked)) {
    respond(a, v, KAD__AUTONAT_INTERNAL_ERROR, KAD__AUTONAT_DIAL_UNUSED, now);
    return;
  }
  v->connection = connection;
  v->state = SPEAKING;
  if (speak(a, v, now) < 0) {
    respond(a, v, KAD__AUTONAT_OK, KAD__AUTONAT_BACK_ERROR, now);
  }
}

void kad__autonat_server_dial(kad__autonat *a, const kad__swarm_event *event,
                              kad_time now) {
  if ((event->type != KAD__SWARM_CONNECTED &&
       event->type != KAD__SWARM_DIAL_FAILED) ||
      event->dial == 0) {
    return;
  }
  KAD__LIST_EACH(link, &a->visits) {
    visit *v = KAD__CONTAINER(link, visit, link);
    if (v->state != DIALLING || v->dial != event->dial) {
      continue;
    }
    if (event->type == KAD__SWARM_CONNECTED) {
      connected(a, v, event->connection, now);
    } else {
      respond(a, v, KAD__AUTONAT_OK, KAD__AUTONAT_DIAL_ERROR, now);
    }
  }
}

void kad__autonat_server_back(kad__autonat *a, const kad__swarm_event *event,
                              kad_time now) {
  visit *v = kad__stream_user(event->stream);
  switch (event->type) {
    case KAD__SWARM_STREAM_OPENED:
      v->opened = true;
      return;
    case KAD__SWARM_STREAM_READABLE: /* it was heard; the word is not needed */
      respond(a, v, KAD__AUTONAT_OK, KAD__AUTONAT_DIAL_OK, now);
      return;
    case KAD__SWARM_STREAM_DEAD:
      respond(a, v, KAD__AUTONAT_OK,
              v->opened ? KAD__AUTONAT_DIAL_OK : KAD__AUTONAT_BACK_ERROR, now);
      return;
    default:
      return;
  }
}

/* ---- the request --------------------------------------------------------- */

/* Bytes between the bounds, so that nobody can count on a number. */
static uint64_t draw_wanted(kad__autonat *a) {
  return KAD__AUTONAT_WANTED_MIN +
         kad_random_u64(a->config.random) %
             (KAD__AUTONAT_WANTED_MAX - KAD__AUTONAT_WANTED_MIN + 1);
}

static void ask_for_data(kad__autonat *a, visit *v, kad_time now) {
  v->missing = draw_wanted(a);
  v->state = TAKING_DATA;
  kad__autonat_message message = {.type = KAD__AUTONAT_DATA_REQUEST,
                                  .index = v->index,
                                  .wanted = v->missing};
  if (send(v->stream, &message) < 0) {
    abort_visit(a, v, KAD__STREAM_LIMIT, now);
  }
}

/* The request has been read, its address chosen or not. */
static void judge(kad__autonat *a, visit *v, bool chosen, kad_time now) {
  if (!chosen) {
    a->counters.refused++;
    respond(a, v, KAD__AUTONAT_DIAL_REFUSED, KAD__AUTONAT_DIAL_UNUSED, now);
    return;
  }
  bool own = is_its_own(a, v, kad__bytes(v->address, v->transport_len));
  if (!admit(a, kad__stream_peer(v->stream), !own, now)) {
    a->counters.rejected++;
    respond(a, v, KAD__AUTONAT_REJECTED, KAD__AUTONAT_DIAL_UNUSED, now);
    return;
  }
  if (own) {
    dial(a, v, now);
  } else {
    ask_for_data(a, v, now);
  }
}

/* False when the visit has been broken off. */
static bool take_data(kad__autonat *a, visit *v, size_t len, kad_time now) {
  if (len < DATA_MIN && len < v->missing) {
    break_off(a, v, now);
    return false;
  }
  v->missing -= len < v->missing ? len : v->missing;
  if (v->missing == 0) {
    v->state = DELAYED;
    v->due = now + kad_random_u64(a->config.random) % DELAY_MAX;
  }
  return true;
}

/* Takes one message; false when there is none, or the visit is over. */
static bool read_one(kad__autonat *a, visit *v, kad_time now) {
  kad_bytes in;
  kad__autonat_message message;
  int taken = kad__autonat_read(&in, v->stream);
  if (taken == 0) {
    return false;
  }
  bool reading = v->state == READING;
  kad__autonat_type expected =
      reading ? KAD__AUTONAT_DIAL_REQUEST : KAD__AUTONAT_DATA_RESPONSE;
  if (taken < 0 || kad__autonat_decode(&message, in) < 0 ||
      message.type != expected) {
    break_off(a, v, now);
    return false;
  }
  bool chosen = reading && choose_address(a, v, message.addresses);
  kad__stream_consume(v->stream, (size_t)taken);
  if (!reading) {
    return take_data(a, v, message.data_len, now);
  }
  v->nonce = message.nonce;
  judge(a, v, chosen, now);
  return false;
}

static void read_request(kad__autonat *a, visit *v, kad_time now) {
  if (v->state == READING) {
    (void)read_one(a, v, now);
    return;
  }
  while (v->state == TAKING_DATA && read_one(a, v, now)) {
  }
}

/* ---- visits -------------------------------------------------------------- */

static uint32_t visits_of(const kad__autonat *a, const kad_peer_id *peer) {
  uint32_t count = 0;
  KAD__LIST_EACH(link, &a->visits) {
    const visit *v = KAD__CONTAINER(link, visit, link);
    count += kad_peer_id_equal(kad__stream_peer(v->stream), peer);
  }
  return count;
}

static void accept(kad__autonat *a, kad__stream *stream, kad_time now) {
  bool room = a->visit_count < a->config.max_at_once &&
              visits_of(a, kad__stream_peer(stream)) < VISITS_PER_PEER;
  visit *v = room ? kad__calloc(&a->allocator, 1, sizeof(*v)) : NULL;
  if (v == NULL ||
      kad__stream_set_deadline(stream, now + KAD__AUTONAT_TIMEOUT) < 0) {
    a->counters.rejected++;
    kad__release(&a->allocator, v);
    kad__stream_reset(stream, KAD__STREAM_LIMIT);
    return;
  }
  v->stream = stream;
  kad__list_append(&a->visits, &v->link);
  a->visit_count++;
  kad__stream_set_user(stream, v);
  read_request(a, v, now);
}

void kad__autonat_server_stream(kad__autonat *a, const kad__swarm_event *event,
                                kad_time now) {
  visit *v = kad__stream_user(event->stream);
  switch (event->type) {
    case KAD__SWARM_STREAM_INBOUND:
      accept(a, event->stream, now);
      return;
    case KAD__SWARM_STREAM_READABLE:
      read_request(a, v, now);
      return;
    case KAD__SWARM_STREAM_DEAD:
      drop(a, v, now);
      kad__stream_release(event->stream);
      return;
    default:
      return;
  }
}

kad_time kad__autonat_server_deadline(const kad__autonat *a) {
  kad_time deadline = KAD_TIME_NEVER;
  KAD__LIST_EACH(link, &a->visits) {
    const visit *v = KAD__CONTAINER(link, visit, link);
    if (v->state == DELAYED) {
      deadline = kad__time_min(deadline, v->due);
    }
  }
  return deadline;
}

void kad__autonat_server_tick(kad__autonat *a, kad_time now) {
  KAD__LIST_EACH(link, &a->visits) {
    visit *v = KAD__CONTAINER(link, visit, link);
    if (v->state == DELAYED && v->due <= now) {
      dial(a, v, now);
    }
  }
}

void kad__autonat_server_fini(kad__autonat *a) {
  KAD__LIST_EACH(link, &a->visits) {
    visit *v = KAD__CONTAINER(link, visit, link);
    v->connection = 0; /* the swarm goes, too */
    abort_visit(a, v, KAD__STREAM_SHUTDOWN, 0);
  }
}
