#include "owner.h"

#include "node/connections.h"
#include "node/routing.h"
#include "node/streams.h"

gale_totals gale_all;

void owner_forget(owner *o) {
  memset(o->connected, 0, sizeof(o->connected));
  memset(o->eras, 0, sizeof(o->eras));
  memset(o->requests, 0, sizeof(o->requests));
  memset(o->talks, 0, sizeof(o->talks));
  memset(o->sights, 0, sizeof(o->sights));
  o->overlooked = false;
  o->last_request = 0;
  o->starved = false;
}

static int number_of(owner *o, const kad_peer_id *peer) {
  for (int i = 0; i < o->world->nodes; i++) {
    if (kad_peer_id_equal(peer, gale_peer(o->world, i))) {
      return i;
    }
  }
  STORM_CHECK(o, !"somebody who is not here");
  return -1;
}

/* ---- streams ------------------------------------------------------------- */

talk *owner_free_talk(owner *o) {
  for (int i = 0; i < OWNER_TALKS; i++) {
    if (o->talks[i].stream == NULL) {
      return &o->talks[i];
    }
  }
  return NULL;
}

talk *owner_any_talk(owner *o) {
  size_t first = gale_below(o->world, OWNER_TALKS);
  for (size_t i = 0; i < OWNER_TALKS; i++) {
    talk *t = &o->talks[(first + i) % OWNER_TALKS];
    if (t->stream != NULL) {
      return t;
    }
  }
  return NULL;
}

uint32_t gale_speech(gale *w) {
  return w->speech_count + 1 < GALE_SPEECHES ? ++w->speech_count : 0;
}

uint8_t gale_byte(uint32_t number, uint64_t place) {
  return (uint8_t)(place < 4 ? number >> 8 * place
                             : storms_byte(place) + number);
}

static void check_bytes(owner *o, talk *t, const uint8_t *in, size_t len) {
  for (size_t i = 0; i < len; i++, t->read++) {
    if (t->read < 4) {
      t->their_speech |= (uint32_t)in[i] << 8 * t->read;
      continue;
    }
    STORM_CHECK(o, in[i] == gale_byte(t->their_speech, t->read));
  }
  gale_all.bytes += len;
  if (t->read >= 4) {
    STORM_CHECK(o, t->their_speech > 0);
    STORM_CHECK(o, t->their_speech <= o->world->speech_count);
    STORM_CHECK(o, t->read <= o->world->speeches[t->their_speech].written);
  }
}

/* The end is seen by who has read everything. */
static void check_end(owner *o, talk *t) {
  const speech *theirs = &o->world->speeches[t->their_speech];
  STORM_CHECK(o, kad_stream_at_end(t->stream));
  STORM_CHECK(o, t->read < 4 || (theirs->over && t->read == theirs->written));
  t->theirs_over = true;
}

bool owner_read(owner *o, talk *t, size_t at_most) {
  static uint8_t in[100000];
  size_t cap = at_most < sizeof(in) ? at_most : sizeof(in);
  int result = kad_stream_read(t->stream, in, cap);
  if (result > 0) {
    STORM_CHECK(o, !t->theirs_over);
    check_bytes(o, t, in, (size_t)result);
    return true;
  }
  if (result == 0) {
    check_end(o, t);
  } else {
    STORM_CHECK(o, (result == KAD_E_STATE) == t->deaf);
    STORM_CHECK(o, !t->dead || result != KAD_E_AGAIN);
  }
  return false;
}

void owner_end(owner *o, talk *t, bool gently) {
  kad_stream *stream = t->stream;
  t->stream = NULL;
  if (gently) {
    o->world->speeches[t->speech].over = true;
    kad_stream_close(stream);
  } else {
    kad_stream_reset(stream, 5);
  }
  kad__simulator_touch(o->world->sim, o->number);
}

static void on_inbound(owner *o, const kad_event *e) {
  talk *t = owner_free_talk(o);
  STORM_CHECK(o, e->inbound && kad_stream_user(e->stream) == NULL);
  if (t == NULL) {
    kad_stream_reset(e->stream, 7);
    kad__simulator_touch(o->world->sim, o->number);
    return;
  }
  int peer = number_of(o, &e->peer);
  STORM_CHECK(o, o->connected[peer] || o->starved);
  *t = (talk){.stream = e->stream,
              .peer = peer,
              .era = o->eras[peer],
              .speech = gale_speech(o->world),
              .inbound = true,
              .known = true};
  kad_stream_set_user(e->stream, t);
  gale_all.streams++;
}

static void on_stream(owner *o, const kad_event *e) {
  if (e->type == KAD_EVENT_STREAM_INBOUND) {
    on_inbound(o, e);
    return;
  }
  talk *t = kad_stream_user(e->stream);
  STORM_CHECK(o, t != NULL && t->stream == e->stream);
  STORM_CHECK(o, !t->dead); /* ENDED is the last of it */
  STORM_CHECK(o, t->inbound == e->inbound);
  STORM_CHECK(o, t->peer == number_of(o, &e->peer));
  switch (e->type) {
    case KAD_EVENT_STREAM_OPENED:
      STORM_CHECK(o, !t->known);
      STORM_CHECK(o, o->connected[t->peer] || o->starved);
      t->known = true;
      t->era = o->eras[t->peer];
      break;
    case KAD_EVENT_STREAM_READABLE:
      STORM_CHECK(o, t->known && !t->deaf);
      if (o->eager || gale_chance(o->world, 2)) {
        while (owner_read(o, t, SIZE_MAX)) {
        }
      } else {
        (void)owner_read(o, t, 10);
      }
      break;
    case KAD_EVENT_STREAM_WRITABLE:
      t->waits = false;
      gale_all.waits++;
      break;
    case KAD_EVENT_STREAM_TIMEOUT:
      STORM_CHECK(o, t->timed && e->count >= 1 && e->count <= 3);
      break;
    default:
      STORM_CHECK(o, e->error < 0);
      t->dead = true;
      break;
  }
  if ((t->dead || (t->theirs_over && t->ours_over)) &&
      gale_chance(o->world, 3)) {
    owner_end(o, t, gale_chance(o->world, 2));
  }
}

/* ---- connections --------------------------------------------------------- */

static void on_connected(owner *o, const kad_event *e) {
  int peer = number_of(o, &e->peer);
  STORM_CHECK(o, !o->connected[peer] || o->starved);
  STORM_CHECK(o, peer != (int)o->number);
  o->connected[peer] = true;
  o->eras[peer]++;
  gale_all.connected++;
}

static void on_disconnected(owner *o, const kad_event *e) {
  int peer = number_of(o, &e->peer);
  STORM_CHECK(o, o->connected[peer] || o->starved);
  o->connected[peer] = false;
  for (int i = 0; i < OWNER_TALKS && !o->starved; i++) {
    const talk *t = &o->talks[i];
    bool of_those = t->stream != NULL && t->known && t->peer == peer;
    STORM_CHECK(o, !of_those || t->era != o->eras[peer] || t->dead);
  }
}

/* ---- requests ------------------------------------------------------------ */

static void on_request(owner *o, const kad_event *e) {
  STORM_CHECK(o, e->request <= o->last_request);
  STORM_CHECK(o, o->requests[e->request].running);
  uint32_t before = o->requests[e->request].steps;
  STORM_CHECK(o, e->step == before + 1 || (o->starved && e->step > before));
  o->requests[e->request].steps = e->step;
  STORM_CHECK(o, e->last == (e->type == KAD_EVENT_END));
  for (size_t i = 0; i < e->value.len; i++) {
    STORM_CHECK(o, e->value.data[i] == 'v'); /* see any_value */
  }
  if (e->last) {
    o->requests[e->request].running = false;
    gale_all.ends[e->operation] += e->error == 0;
  }
}

/* ---- everything that there is -------------------------------------------- */

static sight *find_sight(owner *o, uint64_t connection, uint64_t stream) {
  for (int i = 0; i < OWNER_SIGHTS; i++) {
    sight *s = &o->sights[i];
    if (s->connection == connection && s->stream == stream) {
      return s;
    }
  }
  return NULL;
}

static void appear(owner *o, const kad_event *e) {
  const sight *line = find_sight(o, e->connection, 0);
  STORM_CHECK(o, e->connection != 0);
  STORM_CHECK(o, find_sight(o, e->connection, e->stream_id) == NULL);
  STORM_CHECK(o, e->stream_id == 0 || line != NULL || o->starved);
  sight *s = find_sight(o, 0, 0);
  if (s != NULL) {
    *s = (sight){.connection = e->connection,
                 .stream = e->stream_id,
                 .peer = number_of(o, &e->peer),
                 .inbound = e->inbound};
  }
  o->overlooked |= s == NULL;
  gale_all.sights++;
}

static void vanish(owner *o, const kad_event *e) {
  sight *s = find_sight(o, e->connection, e->stream_id);
  if (o->starved || o->overlooked) {
    return;
  }
  STORM_CHECK(o, s != NULL && s->peer == number_of(o, &e->peer));
  STORM_CHECK(o, e->stream_id == 0 || s->inbound == e->inbound);
  s->connection = 0;
  s->stream = 0;
}

/* ---- events -------------------------------------------------------------- */

static void note(owner *o, const kad_event *e) {
  uint64_t words[] = {o->number, e->type, (uint64_t)e->error, e->request,
                      e->count,  e->code, e->addresses.len};
  uint64_t key[2] = {o->world->told, 1};
  o->world->told = kad__siphash(key, kad__bytes(words, sizeof(words)));
  o->world->told ^= kad__siphash(key, kad__bytes(e->peer.bytes, e->peer.len));
}

static void review(owner *o, const kad_event *e) {
  static const int verdicts[] = {0, KAD_E_RECORD_REJECTED};
  if (!gale_chance(o->world, 4)) { /* else he never says */
    (void)kad__node_review(owner_node(o), e->token,
                           verdicts[gale_below(o->world, 2)],
                           gale_now(o->world));
    kad__simulator_touch(o->world->sim, o->number);
  }
}

static void on_event(owner *o, const kad_event *e) {
  note(o, e);
  if (e->type >= KAD_EVENT_STREAM_INBOUND &&
      e->type <= KAD_EVENT_STREAM_ENDED) {
    on_stream(o, e);
    return;
  }
  if (e->request != 0) {
    on_request(o, e);
    return;
  }
  switch (e->type) {
    case KAD_EVENT_CONNECTED:
      on_connected(o, e);
      break;
    case KAD_EVENT_DISCONNECTED:
      on_disconnected(o, e);
      break;
    case KAD_EVENT_CONNECTION_OPENED:
    case KAD_EVENT_STREAM_BEGUN:
      appear(o, e);
      break;
    case KAD_EVENT_CONNECTION_CLOSED:
    case KAD_EVENT_STREAM_OVER:
      vanish(o, e);
      break;
    case KAD_EVENT_REVIEW:
      review(o, e);
      break;
    case KAD_EVENT_END:
      STORM_CHECK(o, !"an end of nothing");
      break;
    default:
      break;
  }
}

void owner_listen(owner *o, size_t at_most) {
  kad_event event;
  for (; at_most > 0 && kad__node_poll(owner_node(o), &event); at_most--) {
    on_event(o, &event);
  }
}

void owner_compare(owner *o) {
  const kad__node *node = owner_node(o);
  if (o->starved || kad__node_has_events(node) || kad__node_is_busy(node)) {
    return;
  }
  for (int i = 0; i < o->world->nodes; i++) {
    STORM_CHECK(o, o->connected[i] == kad__swarm_connected(
                                          node->swarm, gale_peer(o->world, i)));
  }
}
