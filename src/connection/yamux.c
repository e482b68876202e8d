/* The session: its table of streams, its timers, its end.
 *
 * The table is a chained hash of stream ids, four slots of it inside the
 * session, so that a connection with few streams allocates none. It has no
 * secret: the peer may choose colliding ids, but never has more of them open
 * than its limit, so the longest chain is short. Growing may fail, which only
 * makes it slower.
 *
 * Released streams that wait for the peer's end stay in the table, because
 * their flow control must go on. They are kept in the order of their last
 * progress: the first is the next to expire and the first to give way. */
#include "connection/yamux_internal.h"

_Static_assert(sizeof(kad__yamux) <= 600, "idle sessions are counted in 1000s");
_Static_assert(sizeof(kad__yamux_stream) <= 200, "streams are small");

void kad__yamux_config_default(kad__yamux_config *config) {
  *config = (kad__yamux_config){.max_inbound_streams = 1024,
                                .max_unacked = 256,
                                .window_max = (uint32_t)1 << 20,
                                .receive_max = (uint32_t)16 << 20,
                                .frame_max = (uint32_t)16 << 10,
                                .output_max = (uint32_t)256 << 10,
                                .keepalive = 30 * KAD_SECOND,
                                .ping_timeout = 10 * KAD_SECOND,
                                .max_outbound_streams = 448};
}

int kad__yamux_new(kad__yamux **out, const kad_allocator *allocator,
                   const kad__yamux_config *config, bool client, kad_time now) {
  kad__yamux *y = kad__alloc(allocator, sizeof(*y));
  if (y == NULL) {
    return KAD_E_NO_MEMORY;
  }
  *y = (kad__yamux){.allocator = *allocator,
                    .config = *config,
                    .client = client,
                    .slots = y->small_table,
                    .slot_bits = KAD__YAMUX_SMALL_TABLE_BITS,
                    .next_id = client ? 1 : 2,
                    .room = {UINT32_MAX, UINT32_MAX, UINT32_MAX},
                    .drain_budget = KAD__YAMUX_DRAIN_START,
                    .resets_left = KAD__YAMUX_RESET_BURST,
                    .resets_at = now,
                    .now = now,
                    .last_input = now};
  /* An empty frame would never end; a rust peer takes no larger first one. */
  if (y->config.frame_max == 0 ||
      y->config.frame_max > KAD__YAMUX_INITIAL_WINDOW) {
    y->config.frame_max = KAD__YAMUX_INITIAL_WINDOW;
  }
  kad__list_init(&y->streams);
  kad__list_init(&y->lingering);
  kad__list_init(&y->urgent);
  kad__list_init(&y->ready);
  kad__list_init(&y->waking);
  *out = y;
  return 0;
}

static kad__yamux_stream *member_of(kad__list *node) {
  return KAD__CONTAINER(node, kad__yamux_stream, member);
}

static void remove_all(kad__list *streams) {
  KAD__LIST_EACH(node, streams) {
    kad__yamux_remove(member_of(node));
  }
}

void kad__yamux_free(kad__yamux *y) {
  if (y == NULL) {
    return;
  }
  remove_all(&y->streams);
  remove_all(&y->lingering);
  kad__yamux_buffer_fini(y, &y->control);
  kad__yamux_drop_spare(y);
  if (y->slots != y->small_table) {
    kad__release(&y->allocator, y->slots);
  }
  kad_allocator allocator = y->allocator;
  kad__release(&allocator, y);
}

/* ---- the table of streams ---------------------------------------------- */

static kad__yamux_stream **slot_of(const kad__yamux *y, uint32_t id) {
  return &y->slots[(id * UINT32_C(0x9e3779b1)) >> (32 - y->slot_bits)];
}

kad__yamux_stream *kad__yamux_find(const kad__yamux *y, uint32_t id) {
  kad__yamux_stream *s = *slot_of(y, id);
  while (s != NULL && s->id != id) {
    s = s->next_in_slot;
  }
  return s;
}

static void link_in_slot(kad__yamux *y, kad__yamux_stream *s) {
  kad__yamux_stream **slot = slot_of(y, s->id);
  s->next_in_slot = *slot;
  *slot = s;
}

static void move_table(kad__yamux *y, kad__yamux_stream **slots,
                       uint32_t bits) {
  kad__yamux_stream **old = y->slots;
  uint32_t old_count = 1u << y->slot_bits;
  y->slots = slots;
  y->slot_bits = bits;
  for (uint32_t i = 0; i < old_count; i++) {
    for (kad__yamux_stream *s = old[i], *next = NULL; s != NULL; s = next) {
      next = s->next_in_slot;
      link_in_slot(y, s);
    }
  }
  if (old != y->small_table) {
    kad__release(&y->allocator, old);
  }
}

static void grow_table(kad__yamux *y) {
  uint32_t count = 1u << y->slot_bits;
  if (y->inbound + y->outbound < count) {
    return;
  }
  kad__yamux_stream **slots = kad__calloc(&y->allocator, 4 * (size_t)count,
                                          sizeof(kad__yamux_stream *));
  if (slots != NULL) {
    move_table(y, slots, y->slot_bits + 2);
  }
}

static void shrink_table(kad__yamux *y) {
  if (y->inbound + y->outbound == 0 && y->slots != y->small_table) {
    memset(y->small_table, 0, sizeof(y->small_table));
    move_table(y, y->small_table, KAD__YAMUX_SMALL_TABLE_BITS);
  }
}

kad__yamux_stream *kad__yamux_add(kad__yamux *y, uint32_t id, bool inbound) {
  kad__yamux_stream *s = kad__alloc(&y->allocator, sizeof(*s));
  if (s == NULL) {
    return NULL;
  }
  *s = (kad__yamux_stream){.session = y,
                           .id = id,
                           .inbound = inbound,
                           .send_window = KAD__YAMUX_INITIAL_WINDOW,
                           .window = KAD__YAMUX_INITIAL_WINDOW,
                           .receive_window = KAD__YAMUX_INITIAL_WINDOW,
                           .progress = y->now};
  kad__list_init(&s->sending);
  kad__list_init(&s->waking);
  kad__list_append(&y->streams, &s->member);
  grow_table(y);
  link_in_slot(y, s);
  if (inbound) {
    y->inbound++;
  } else {
    y->outbound++;
  }
  y->held++;
  y->granted += s->window;
  return s;
}

static void unlink_from_slot(kad__yamux *y, kad__yamux_stream *s) {
  kad__yamux_stream **link = slot_of(y, s->id);
  while (*link != s) {
    link = &(*link)->next_in_slot;
  }
  *link = s->next_in_slot;
}

void kad__yamux_remove(kad__yamux_stream *s) {
  kad__yamux *y = s->session;
  kad__yamux_kill(s, KAD_E_CLOSED, false);
  if (y->body == s) {
    y->body = NULL;
  }
  if (!s->released) {
    s->released = true;
    y->held--;
  }
  if (s->inbound) {
    y->inbound--;
  } else {
    y->outbound--;
  }
  unlink_from_slot(y, s);
  kad__list_unlink(&s->member);
  kad__release(&y->allocator, s);
  shrink_table(y);
}

void kad__yamux_settle(kad__yamux_stream *s) {
  if (!s->released || s->reset_due) {
    return;
  }
  if (s->error != 0 || kad__yamux_finished(s)) {
    kad__yamux_remove(s);
  }
}

bool kad__yamux_evict(kad__yamux *y, bool inbound) {
  KAD__LIST_EACH(node, &y->lingering) {
    kad__yamux_stream *s = member_of(node);
    if (kad__time_add(s->progress, KAD__YAMUX_LINGER_MIN) > y->now) {
      return false;
    }
    if (s->inbound != inbound || !s->fin_sent || s->error != 0) {
      continue;
    }
    if (kad__yamux_refuse(y, s->id, 0) < 0) {
      return false;
    }
    kad__yamux_credit_drain(y, s->receive_window);
    y->stats.aborted++;
    kad__yamux_remove(s);
    return true;
  }
  return false;
}

/* ---- the end ----------------------------------------------------------- */

static bool tells_peer(int error, uint32_t *code) {
  *code = error == KAD_E_LIMIT ? KAD__YAMUX_RATE_LIMITED
                               : KAD__YAMUX_PROTOCOL_ERROR;
  return error == KAD_E_YAMUX || error == KAD_E_LIMIT;
}

static void fail_stream(kad__yamux_stream *s, int error) {
  /* What arrived before an orderly end is as good as ever. */
  bool orderly = error == KAD_E_GO_AWAY;
  if (s->released || (!s->announced && !orderly)) {
    kad__yamux_remove(s);
  } else if (s->error == 0 && !kad__yamux_finished(s)) {
    kad__yamux_kill(s, error, orderly);
    kad__yamux_raise(s, KAD__YAMUX_RESET);
  } else {
    s->reset_due = false;
    kad__yamux_schedule(s);
  }
}

int kad__yamux_fail(kad__yamux *y, int error) {
  y->error = error;
  y->body = NULL;
  y->ping_due = false;
  y->ping_waiting = false;
  y->go_away_due = tells_peer(error, &y->go_away_code);
  kad__yamux_buffer_fini(y, &y->control);
  y->pongs = 0;
  y->refusals = 0;
  remove_all(&y->lingering);
  KAD__LIST_EACH(node, &y->streams) {
    fail_stream(member_of(node), error);
  }
  return error;
}

void kad__yamux_set_room(kad__yamux *y, kad__yamux_room room) {
  y->room = room;
  if (room.bytes_in == 0) {
    kad__yamux_drop_spare(y);
  }
}

void kad__yamux_close(kad__yamux *y, uint32_t code) {
  if (y->error != 0 || y->closing) {
    return;
  }
  y->closing = true;
  y->go_away_due = true;
  y->go_away_code = code;
}

/* ---- events ------------------------------------------------------------ */

void kad__yamux_raise(kad__yamux_stream *s, kad__yamux_event_type type) {
  if (s->released) {
    return;
  }
  s->events |= (uint8_t)(1u << type);
  if (!kad__list_linked(&s->waking)) {
    kad__list_append(&s->session->waking, &s->waking);
  }
}

void kad__yamux_lower(kad__yamux_stream *s, unsigned events) {
  s->events &= (uint8_t)~events;
  if (s->events == 0) {
    kad__list_unlink(&s->waking);
  }
}

bool kad__yamux_poll(kad__yamux *y, kad__yamux_event *out) {
  if (kad__list_empty(&y->waking)) {
    return false;
  }
  kad__yamux_stream *s =
      KAD__CONTAINER(y->waking.next, kad__yamux_stream, waking);
  unsigned type = KAD__YAMUX_OPENED;
  while ((s->events & 1u << type) == 0) {
    type++;
  }
  kad__yamux_lower(s, 1u << type);
  if (type == KAD__YAMUX_OPENED) {
    s->announced = true;
    s->ack_due = s->error == 0;
    kad__yamux_schedule(s);
  }
  *out = (kad__yamux_event){.type = (kad__yamux_event_type)type, .stream = s};
  return true;
}

/* ---- time -------------------------------------------------------------- */

void kad__yamux_set_now(kad__yamux *y, kad_time now) {
  if (now > y->now) {
    y->now = now;
  }
}

void kad__yamux_start_ping(kad__yamux *y) {
  if (y->ping_waiting) {
    return;
  }
  y->ping_waiting = true;
  y->ping_due = true;
  y->ping_at = y->now;
  y->ping_value++;
}

void kad__yamux_probe(kad__yamux *y, kad_time now) {
  kad__yamux_set_now(y, now);
  if (y->error == 0) {
    kad__yamux_start_ping(y);
  }
}

bool kad__yamux_unanswered(const kad__yamux *y, kad_time now, kad_time time) {
  return y->ping_waiting && y->last_input <= y->ping_at &&
         kad__time_add(y->ping_at, time) <= now;
}

/* When the peer has been silent for too long, or our ping unanswered. */
static kad_time silence_deadline(const kad__yamux *y) {
  return y->ping_waiting ? kad__time_add(y->ping_at, y->config.ping_timeout)
                         : kad__time_add(y->last_input, y->config.keepalive);
}

static kad_time linger_deadline(const kad__yamux *y) {
  if (kad__list_empty(&y->lingering)) {
    return KAD_TIME_NEVER;
  }
  return kad__time_add(member_of(y->lingering.next)->progress,
                       KAD__YAMUX_LINGER);
}

kad_time kad__yamux_deadline(const kad__yamux *y) {
  if (y->error != 0) {
    return KAD_TIME_NEVER;
  }
  return kad__time_min(silence_deadline(y), linger_deadline(y));
}

static void expire_lingering(kad__yamux *y) {
  while (linger_deadline(y) <= y->now) {
    kad__yamux_stream *s = member_of(y->lingering.next);
    kad__list_unlink(&s->member);
    kad__list_append(&y->lingering, &s->member);
    s->progress = y->now;
    y->stats.aborted++;
    kad__yamux_abort(s, KAD_E_TIMEOUT, 0);
    kad__yamux_settle(s);
  }
}

int kad__yamux_tick(kad__yamux *y, kad_time now) {
  if (y->error != 0) {
    return y->error;
  }
  kad__yamux_set_now(y, now);
  expire_lingering(y);
  if (y->ping_waiting && silence_deadline(y) <= y->now) {
    /* Whoever sends us data is alive, even if the pong waits behind it. */
    if (y->last_input <= y->ping_at) {
      return kad__yamux_fail(y, KAD_E_TIMEOUT);
    }
    y->ping_waiting = false;
    y->ping_due = false;
  }
  if (silence_deadline(y) <= y->now) {
    kad__yamux_drop_spare(y);
    kad__yamux_start_ping(y);
  }
  return 0;
}

/* ---- figures ----------------------------------------------------------- */

size_t kad__yamux_stream_count(const kad__yamux *y) {
  return (size_t)y->held + y->flushing;
}

size_t kad__yamux_unacknowledged(const kad__yamux *y) {
  return y->unacked;
}

const kad__yamux_stats *kad__yamux_stats_get(const kad__yamux *y) {
  return &y->stats;
}

size_t kad__yamux_charge(const kad__yamux *y) {
  size_t table = y->slots == y->small_table
                     ? 0
                     : sizeof(kad__yamux_stream *) << y->slot_bits;
  return sizeof(*y) + table + y->buffers +
         ((size_t)y->inbound + y->outbound) * sizeof(kad__yamux_stream);
}
