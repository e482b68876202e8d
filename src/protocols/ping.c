/* A stream that is echoed needs no state of its own: what is missing of a ping
 * lies in the stream. Only the count per peer is kept, and only while there
 * are streams. */
#include "protocols/ping.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/map.h"

/* Echoes that a peer does not read are not piled up beyond this. */
#define UNSENT_MAX ((size_t)16 * KAD__PING_SIZE)

/* Whoever has inbound streams now. */
typedef struct echo_peer {
  kad__map_node node;
  kad_peer_id id;
  size_t count;
  kad__stream *streams[KAD__PING_INBOUND_MAX]; /* oldest first */
} echo_peer;

/* A ping of ours; once it has ended it waits to be polled. */
typedef struct own_ping {
  kad__list link;
  kad__stream *stream;
  kad_time start;
  uint8_t payload[KAD__PING_SIZE];
  kad__ping_event event;
} own_ping;

struct kad__ping {
  kad_allocator allocator;
  kad__swarm *swarm;
  kad_random *random;
  kad__map peers;    /* of echo_peer */
  kad__list running; /* of own_ping */
  kad__list ended;
  uint64_t last_id;
  kad__ping_counters counters;
};

static const uint8_t name_bytes[] = KAD__PING_PROTOCOL;
static const kad_bytes name = {name_bytes, sizeof(name_bytes) - 1};

int kad__ping_new(kad__ping **out, const kad_allocator *allocator,
                  kad__swarm *swarm, kad_random *random) {
  kad__ping *ping = kad__calloc(allocator, 1, sizeof(*ping));
  if (ping == NULL) {
    return KAD_E_NO_MEMORY;
  }
  ping->allocator = *allocator;
  ping->swarm = swarm;
  ping->random = random;
  uint64_t secret[2] = {kad_random_u64(random), kad_random_u64(random)};
  kad__map_init(&ping->peers, secret);
  kad__list_init(&ping->running);
  kad__list_init(&ping->ended);
  int error = kad__swarm_handle(swarm, name, KAD__TAG_PING);
  if (error < 0) {
    kad__release(allocator, ping);
    return error;
  }
  *out = ping;
  return 0;
}

static void drop_peer(kad__ping *ping, echo_peer *peer) {
  kad__map_remove(&ping->peers, &peer->node);
  kad__release(&ping->allocator, peer);
}

static void free_peers(kad__ping *ping) {
  uint32_t slot = 0;
  kad__map_node *node = kad__map_next(&ping->peers, &slot, NULL);
  while (node != NULL) {
    kad__map_node *next = kad__map_next(&ping->peers, &slot, node);
    echo_peer *peer = KAD__CONTAINER(node, echo_peer, node);
    for (size_t i = 0; i < peer->count; i++) {
      kad__stream_reset(peer->streams[i], KAD__STREAM_SHUTDOWN);
    }
    kad__release(&ping->allocator, peer);
    node = next;
  }
  kad__map_fini(&ping->peers, &ping->allocator);
}

static void free_list(kad__ping *ping, kad__list *list) {
  for (kad__list *link; (link = kad__list_take(list)) != NULL;) {
    own_ping *own = KAD__CONTAINER(link, own_ping, link);
    if (own->stream != NULL) {
      kad__stream_reset(own->stream, KAD__STREAM_SHUTDOWN);
    }
    kad__release(&ping->allocator, own);
  }
}

void kad__ping_free(kad__ping *ping) {
  if (ping == NULL) {
    return;
  }
  kad__swarm_unhandle(ping->swarm, name);
  free_peers(ping);
  free_list(ping, &ping->running);
  free_list(ping, &ping->ended);
  kad_allocator allocator = ping->allocator;
  kad__release(&allocator, ping);
}

/* ---- echo -------------------------------------------------------------- */

static echo_peer *find_peer(kad__ping *ping, const kad_peer_id *id) {
  kad__map_node *node = kad__map_find(&ping->peers, kad_peer_id_bytes(id));
  return node == NULL ? NULL : KAD__CONTAINER(node, echo_peer, node);
}

static echo_peer *add_peer(kad__ping *ping, const kad_peer_id *id) {
  echo_peer *peer = kad__calloc(&ping->allocator, 1, sizeof(*peer));
  if (peer == NULL) {
    return NULL;
  }
  peer->id = *id;
  int error = kad__map_add(&ping->peers, &ping->allocator, &peer->node,
                           kad_peer_id_bytes(&peer->id));
  if (error < 0) {
    kad__release(&ping->allocator, peer);
    return NULL;
  }
  return peer;
}

/* The stream leaves its peer's count; whoever calls ends it. */
static void forget_echo(kad__ping *ping, kad__stream *stream) {
  echo_peer *peer = kad__stream_user(stream);
  size_t kept = 0;
  for (size_t i = 0; i < peer->count; i++) {
    if (peer->streams[i] != stream) {
      peer->streams[kept++] = peer->streams[i];
    }
  }
  peer->count = kept;
  if (peer->count == 0) {
    drop_peer(ping, peer);
  }
}

static void abort_echo(kad__ping *ping, kad__stream *stream, uint32_t code) {
  forget_echo(ping, stream);
  kad__stream_reset(stream, code);
}

/* Sends back every whole ping; an error is ours, not the peer's. */
static int echo_all(kad__ping *ping, kad__stream *stream, kad_time now) {
  kad_bytes in = kad__stream_peek(stream);
  while (in.len >= KAD__PING_SIZE && kad__stream_unsent(stream) < UNSENT_MAX) {
    int error = kad__stream_write(stream, kad__bytes(in.data, KAD__PING_SIZE));
    if (error == 0) {
      error = kad__stream_set_deadline(stream, now + KAD__PING_IDLE);
    }
    if (error < 0) {
      return error;
    }
    kad__stream_consume(stream, KAD__PING_SIZE);
    ping->counters.echoed++;
    in = kad__stream_peek(stream);
  }
  return 0;
}

static void echo(kad__ping *ping, kad__stream *stream, kad_time now) {
  if (echo_all(ping, stream, now) < 0) {
    abort_echo(ping, stream, KAD__STREAM_LIMIT);
    return;
  }
  bool whole = kad__stream_peek(stream).len >= KAD__PING_SIZE;
  if (kad__stream_ended(stream) && !whole) {
    forget_echo(ping, stream);
    kad__stream_release(stream);
  }
}

/* Ends the oldest stream that came over another connection: a peer that calls
 * again may have lost that one without our hearing of it. */
static void make_room(kad__ping *ping, echo_peer *peer,
                      const kad__stream *newcomer) {
  for (size_t i = 0; i < peer->count; i++) {
    kad__stream *old = peer->streams[i];
    if (kad__stream_connection(old) != kad__stream_connection(newcomer)) {
      ping->counters.refused++;
      abort_echo(ping, old, KAD__STREAM_LIMIT);
      return;
    }
  }
}

static void accept_echo(kad__ping *ping, kad__stream *stream, kad_time now) {
  const kad_peer_id *id = kad__stream_peer(stream);
  echo_peer *peer = find_peer(ping, id);
  if (peer == NULL) {
    peer = add_peer(ping, id);
  }
  if (peer != NULL && peer->count == KAD__PING_INBOUND_MAX) {
    make_room(ping, peer, stream);
  }
  if (peer == NULL || peer->count == KAD__PING_INBOUND_MAX) {
    ping->counters.refused++;
    kad__stream_reset(stream, KAD__STREAM_LIMIT);
    return;
  }
  peer->streams[peer->count++] = stream;
  kad__stream_set_user(stream, peer);
  if (kad__stream_set_deadline(stream, now + KAD__PING_IDLE) < 0) {
    abort_echo(ping, stream, KAD__STREAM_LIMIT);
    return;
  }
  echo(ping, stream, now);
}

static void handle_echo(kad__ping *ping, const kad__swarm_event *event,
                        kad_time now) {
  switch (event->type) {
    case KAD__SWARM_STREAM_INBOUND:
      accept_echo(ping, event->stream, now);
      break;
    case KAD__SWARM_STREAM_READABLE:
    case KAD__SWARM_STREAM_WRITABLE:
      echo(ping, event->stream, now);
      break;
    case KAD__SWARM_STREAM_DEAD:
      forget_echo(ping, event->stream);
      kad__stream_release(event->stream);
      break;
    default:
      break;
  }
}

/* ---- pings of ours ----------------------------------------------------- */

static int send_ping(kad__ping *ping, own_ping *own, kad_time now) {
  kad__protocol_names names = {.names = &name, .count = 1};
  int error = kad__stream_open(ping->swarm, &own->stream, &own->event.peer,
                               names, KAD__TAG_PING | KAD__TAG_OURS, own, now);
  if (error < 0) {
    return error;
  }
  error = kad__stream_write(own->stream,
                            kad__bytes(own->payload, sizeof(own->payload)));
  if (error == 0) {
    error = kad__stream_set_deadline(own->stream, now + KAD__PING_TIMEOUT);
  }
  if (error < 0) {
    kad__stream_reset(own->stream, 0);
  }
  return error;
}

int kad__ping_start(kad__ping *ping, uint64_t *id, const kad_peer_id *peer,
                    kad_time now) {
  own_ping *own = kad__calloc(&ping->allocator, 1, sizeof(*own));
  if (own == NULL) {
    return KAD_E_NO_MEMORY;
  }
  own->event.peer = *peer;
  own->start = now;
  kad_random_bytes(ping->random, own->payload, sizeof(own->payload));
  int error = send_ping(ping, own, now);
  if (error < 0) {
    kad__release(&ping->allocator, own);
    return error;
  }
  own->event.id = ++ping->last_id;
  *id = own->event.id;
  kad__list_append(&ping->running, &own->link);
  return 0;
}

static void end_ping(kad__ping *ping, own_ping *own, int error, kad_time now) {
  own->event.type = error == 0 ? KAD__PING_PONG : KAD__PING_FAILED;
  own->event.error = error;
  own->event.rtt = error == 0 ? now - own->start : 0;
  own->stream = NULL;
  kad__list_unlink(&own->link);
  kad__list_append(&ping->ended, &own->link);
}

static void read_pong(kad__ping *ping, own_ping *own, kad_time now) {
  kad__stream *stream = own->stream;
  kad_bytes in = kad__stream_peek(stream);
  bool same =
      kad__bytes_start(kad__bytes(own->payload, sizeof(own->payload)), in);
  if (!same) {
    kad__stream_reset(stream, KAD__STREAM_PROTOCOL_VIOLATION);
    end_ping(ping, own, KAD_E_MESSAGE, now);
    return;
  }
  if (in.len == KAD__PING_SIZE) {
    kad__stream_release(stream);
    end_ping(ping, own, 0, now);
    return;
  }
  if (kad__stream_ended(stream)) {
    kad__stream_release(stream);
    end_ping(ping, own, KAD_E_TRUNCATED, now);
  }
}

static void handle_own(kad__ping *ping, const kad__swarm_event *event,
                       kad_time now) {
  own_ping *own = kad__stream_user(event->stream);
  if (event->type == KAD__SWARM_STREAM_READABLE) {
    read_pong(ping, own, now);
  } else if (event->type == KAD__SWARM_STREAM_DEAD) {
    kad__stream_release(event->stream);
    end_ping(ping, own, event->error < 0 ? event->error : KAD_E_CLOSED, now);
  }
}

void kad__ping_handle_event(kad__ping *ping, const kad__swarm_event *event,
                            kad_time now) {
  if (event->type < KAD__SWARM_STREAM_INBOUND) {
    return;
  }
  if ((kad__stream_tag(event->stream) & KAD__TAG_OURS) != 0) {
    handle_own(ping, event, now);
  } else {
    handle_echo(ping, event, now);
  }
}

bool kad__ping_poll(kad__ping *ping, kad__ping_event *out) {
  kad__list *link = kad__list_take(&ping->ended);
  if (link == NULL) {
    return false;
  }
  own_ping *own = KAD__CONTAINER(link, own_ping, link);
  *out = own->event;
  kad__release(&ping->allocator, own);
  return true;
}

const kad__ping_counters *kad__ping_counters_get(const kad__ping *ping) {
  return &ping->counters;
}
