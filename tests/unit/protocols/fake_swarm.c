/* Streams are kept after they were given back, so that a test can look at what
 * was written and how they ended. */
#include "fake_swarm.h"

#include <stdio.h>
#include <stdlib.h>

#include "kadmium/multiaddr.h"

static const kad_allocator *memory(void) {
  return kad_allocator_default();
}

static void *must(void *p) {
  if (p == NULL) {
    abort();
  }
  return p;
}

static void alive(const kad__stream *stream) {
  if (stream->gone) {
    fprintf(stderr, "a stream was used after it was given back\n");
    abort();
  }
}

kad__swarm *fake_swarm_new(void) {
  kad__swarm *s = must(calloc(1, sizeof(*s)));
  uint64_t secret[2] = {1, 2};
  if (kad__peerstore_new(&s->peerstore, memory(), secret) < 0) {
    abort();
  }
  kad__list_init(&s->streams);
  return s;
}

void fake_swarm_free(kad__swarm *s) {
  for (kad__list *link; (link = kad__list_take(&s->streams)) != NULL;) {
    kad__stream *stream = KAD__CONTAINER(link, kad__stream, link);
    kad__buffer_fini(&stream->in, memory());
    kad__buffer_fini(&stream->out, memory());
    free(stream);
  }
  kad__peerstore_free(s->peerstore);
  free(s);
}

static fake_connection *find_connection(const kad__swarm *s, kad__id id) {
  for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
    if (id != 0 && s->connections[i].info.id == id) {
      return (fake_connection *)(uintptr_t)&s->connections[i];
    }
  }
  return NULL;
}

kad__id fake_connect(kad__swarm *s, const kad_peer_id *peer,
                     kad_bytes public_key, const char *remote, bool inbound) {
  fake_connection *c = s->connections;
  while (c->info.id != 0) {
    c++;
    if (c == s->connections + FAKE_CONNECTIONS) {
      abort();
    }
  }
  int len = kad_multiaddr_parse(c->remote, sizeof(c->remote), remote);
  if (len < 0) {
    abort();
  }
  c->info = (kad__connection_info){
      .id = ++s->next_connection,
      .peer = *peer,
      .inbound = inbound,
      .remote_address = kad__bytes(c->remote, (size_t)len),
      .public_key = public_key};
  return c->info.id;
}

void fake_disconnect(kad__swarm *s, kad__id connection) {
  fake_connection *c = find_connection(s, connection);
  if (c == NULL) {
    abort();
  }
  c->info.id = 0;
}

static kad__stream *add_stream(kad__swarm *s, const fake_connection *c,
                               uint32_t tag) {
  kad__stream *stream = must(calloc(1, sizeof(*stream)));
  stream->swarm = s;
  stream->peer = c->info.peer;
  stream->connection = c->info.id;
  stream->tag = tag;
  stream->deadline = KAD_TIME_NEVER;
  kad__list_append(&s->streams, &stream->link);
  return stream;
}

kad__stream *fake_inbound(kad__swarm *s, kad__id connection, uint32_t tag) {
  return add_stream(s, must(find_connection(s, connection)), tag);
}

kad__stream *fake_stream(kad__swarm *s, size_t index) {
  KAD__LIST_EACH(link, &s->streams) {
    if (index-- == 0) {
      return KAD__CONTAINER(link, kad__stream, link);
    }
  }
  return NULL;
}

size_t fake_stream_count(const kad__swarm *s) {
  size_t count = 0;
  KAD__LIST_EACH(link, (kad__list *)(uintptr_t)&s->streams) {
    count++;
  }
  return count;
}

size_t fake_live_streams(const kad__swarm *s) {
  size_t count = 0;
  KAD__LIST_EACH(link, (kad__list *)(uintptr_t)&s->streams) {
    count += !KAD__CONTAINER(link, kad__stream, link)->gone;
  }
  return count;
}

void fake_arrive(kad__stream *stream, kad_bytes bytes) {
  if (kad__buffer_append(&stream->in, memory(), bytes) < 0) {
    abort();
  }
}

void fake_flush(kad__stream *stream) {
  stream->sent = kad__buffer_len(&stream->out);
}

kad_bytes fake_written(const kad__stream *stream) {
  return kad__buffer_bytes(&stream->out);
}

kad__swarm_event fake_event(kad__swarm_event_type type, kad__stream *stream) {
  return (kad__swarm_event){.type = type,
                            .tag = stream->tag,
                            .connection = stream->connection,
                            .peer = stream->peer,
                            .stream = stream};
}

kad__swarm_event fake_peer_event(kad__swarm_event_type type, kad__id connection,
                                 const kad_peer_id *peer) {
  return (kad__swarm_event){.type = type,
                            .connection = connection,
                            .peer = *peer,
                            .first = true,
                            .last = true};
}

kad_peer_id fake_peer(unsigned number) {
  kad_peer_id id = {.len = 34};
  id.bytes[0] = 0x12;
  id.bytes[1] = 0x20;
  for (size_t i = 0; i < 4; i++) {
    id.bytes[2 + i] = (uint8_t)(number >> (8 * i));
  }
  return id;
}

/* ---- swarm/swarm.h ----------------------------------------------------- */

int kad__swarm_handle(kad__swarm *s, kad_bytes protocol, uint32_t tag) {
  if (s->handle_error < 0 || s->protocol_count == FAKE_PROTOCOLS) {
    return s->handle_error < 0 ? s->handle_error : KAD_E_LIMIT;
  }
  s->protocols[s->protocol_count] = protocol;
  s->tags[s->protocol_count++] = tag;
  return 0;
}

void kad__swarm_unhandle(kad__swarm *s, kad_bytes protocol) {
  for (size_t i = 0; i < s->protocol_count; i++) {
    if (kad__bytes_equal(s->protocols[i], protocol)) {
      s->protocols[i] = s->protocols[--s->protocol_count];
      s->tags[i] = s->tags[s->protocol_count];
      return;
    }
  }
  abort();
}

kad__protocol_names kad__swarm_protocols(const kad__swarm *s) {
  return (kad__protocol_names){.names = s->protocols,
                               .count = s->protocol_count};
}

size_t kad__swarm_listen_addresses(const kad__swarm *s, kad_bytes *out,
                                   size_t cap) {
  size_t count = s->listening_count < cap ? s->listening_count : cap;
  memcpy(out, s->listening, count * sizeof(*out));
  return count;
}

int kad__swarm_dial(kad__swarm *s, const kad_peer_id *peer, kad_bytes addresses,
                    kad_time now) {
  (void)addresses;
  (void)now;
  if (s->dial_count == FAKE_DIALS) {
    abort();
  }
  s->dials[s->dial_count++] = *peer;
  return s->dial_result;
}

int kad__swarm_dial_address(kad__swarm *s, kad__id *dial, kad_bytes address,
                            kad_time now) {
  (void)now;
  if (s->dial_result < 0) {
    return s->dial_result;
  }
  if (address.len > sizeof(s->dialled)) {
    abort();
  }
  memcpy(s->dialled, address.data, address.len);
  s->dialled_len = address.len;
  *dial = ++s->last_dial;
  return 0;
}

void kad__swarm_disconnect(kad__swarm *s, kad__id connection, kad_time now) {
  (void)now;
  fake_disconnect(s, connection);
}

bool kad__swarm_connected(const kad__swarm *s, const kad_peer_id *peer) {
  for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
    const kad__connection_info *info = &s->connections[i].info;
    if (info->id != 0 && kad_peer_id_equal(&info->peer, peer)) {
      return true;
    }
  }
  return false;
}

kad__peerstore *kad__swarm_peerstore(kad__swarm *s) {
  return s->peerstore;
}

bool kad__swarm_connection(const kad__swarm *s, kad__id id,
                           kad__connection_info *out) {
  const fake_connection *c = find_connection(s, id);
  if (c != NULL) {
    *out = c->info;
  }
  return c != NULL;
}

kad__id kad__swarm_connection_next(const kad__swarm *s, kad__id after) {
  kad__id best = 0;
  for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
    kad__id id = s->connections[i].info.id;
    if (id > after && (best == 0 || id < best)) {
      best = id;
    }
  }
  return best;
}

size_t kad__swarm_connection_count(const kad__swarm *s) {
  size_t count = 0;
  for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
    count += s->connections[i].info.id != 0;
  }
  return count;
}

int kad__stream_open_on(kad__swarm *s, kad__stream **out, kad__id connection,
                        kad__protocol_names protocols, uint32_t tag, void *user,
                        kad_time now) {
  (void)now;
  const fake_connection *c = find_connection(s, connection);
  if (s->open_error < 0 || c == NULL) {
    return c == NULL ? KAD_E_CLOSED : s->open_error;
  }
  *out = add_stream(s, c, tag);
  (*out)->user = user;
  (*out)->protocol = protocols.names[0];
  return 0;
}

int kad__stream_open(kad__swarm *s, kad__stream **out, const kad_peer_id *peer,
                     kad__protocol_names protocols, uint32_t tag, void *user,
                     kad_time now) {
  for (size_t i = 0; i < FAKE_CONNECTIONS; i++) {
    const kad__connection_info *info = &s->connections[i].info;
    if (info->id != 0 && kad_peer_id_equal(&info->peer, peer)) {
      return kad__stream_open_on(s, out, info->id, protocols, tag, user, now);
    }
  }
  return KAD_E_CLOSED;
}

void kad__stream_set_user(kad__stream *stream, void *user) {
  alive(stream);
  stream->user = user;
}

void kad__stream_charge(kad__stream *stream, size_t bytes) {
  alive(stream);
  stream->charged = bytes;
}

void *kad__stream_user(const kad__stream *stream) {
  return stream->user;
}

uint32_t kad__stream_tag(const kad__stream *stream) {
  return stream->tag;
}

const kad_peer_id *kad__stream_peer(const kad__stream *stream) {
  alive(stream);
  return &stream->peer;
}

kad__id kad__stream_connection(const kad__stream *stream) {
  alive(stream);
  return stream->connection;
}

kad_bytes kad__stream_peek(const kad__stream *stream) {
  alive(stream);
  return kad__buffer_bytes(&stream->in);
}

void kad__stream_consume(kad__stream *stream, size_t len) {
  alive(stream);
  if (len > kad__buffer_len(&stream->in)) {
    abort();
  }
  kad__buffer_consume(&stream->in, memory(), len);
}

bool kad__stream_ended(const kad__stream *stream) {
  alive(stream);
  return stream->ended;
}

int kad__stream_write(kad__stream *stream, kad_bytes bytes) {
  alive(stream);
  if (stream->swarm->write_error < 0 || stream->write_closed) {
    return stream->write_closed ? KAD_E_STATE : stream->swarm->write_error;
  }
  return kad__buffer_append(&stream->out, memory(), bytes);
}

int kad__stream_reserve(kad__stream *stream, uint8_t **out, size_t len) {
  alive(stream);
  stream->reserved = len;
  if (stream->swarm->write_error < 0 || stream->write_closed) {
    return stream->write_closed ? KAD_E_STATE : stream->swarm->write_error;
  }
  return kad__buffer_reserve(&stream->out, memory(), out, len);
}

void kad__stream_commit(kad__stream *stream, size_t len) {
  alive(stream);
  if (len > stream->reserved) {
    abort();
  }
  kad__buffer_commit(&stream->out, len);
}

size_t kad__stream_unsent(const kad__stream *stream) {
  alive(stream);
  return kad__buffer_len(&stream->out) - stream->sent;
}

void kad__stream_close_write(kad__stream *stream) {
  alive(stream);
  stream->write_closed = true;
}

int kad__stream_set_deadline(kad__stream *stream, kad_time at) {
  alive(stream);
  if (stream->swarm->deadline_error < 0) {
    return stream->swarm->deadline_error;
  }
  stream->deadline = at;
  return 0;
}

void kad__stream_release(kad__stream *stream) {
  alive(stream);
  stream->write_closed = true;
  stream->gone = true;
}

void kad__stream_reset(kad__stream *stream, uint32_t code) {
  alive(stream);
  stream->gone = true;
  stream->was_reset = true;
  stream->code = code;
}
