/* Timers of channels. Every channel is in the heap as long as the world has
 * it, and its place there is only ever moved forward when something becomes due
 * earlier: what is put off, as with every frame that arrives, costs nothing
 * until the old time comes. */
#include "swarm/swarm_internal.h"

kad_time kad__channel_idle_at(const kad__channel *c) {
  if (c->state != KAD__CHANNEL_OPEN || c->stream_count != 0 ||
      c->peer->is_protected) {
    return KAD_TIME_NEVER;
  }
  return kad__time_add(c->quiet_since, c->swarm->config.idle_timeout);
}

static kad_time dial_deadline(const kad__channel *c) {
  kad__address_info info;
  kad__address_read(&info, c->remote);
  kad_time timeout = c->swarm->config.dial_timeout;
  if (kad__ip_is_private(info.ip)) {
    timeout = kad__time_min(timeout, KAD__SWARM_PRIVATE_DIAL_TIMEOUT);
  }
  return kad__time_add(c->opened, timeout);
}

static kad_time due(const kad__channel *c) {
  switch ((kad__channel_state)c->state) {
    case KAD__CHANNEL_DIALING:
      return dial_deadline(c);
    case KAD__CHANNEL_UPGRADING:
      return kad__connection_deadline(c->connection);
    case KAD__CHANNEL_OPEN:
      return kad__time_min(kad__connection_deadline(c->connection),
                           kad__channel_idle_at(c));
    case KAD__CHANNEL_CLOSING:
      return c->close_by;
    case KAD__CHANNEL_CLOSED:
      break;
  }
  return KAD_TIME_NEVER;
}

void kad__channel_arm(kad__channel *c) {
  kad_time at = due(c);
  if (at < c->timer.at && kad__heap_has(&c->timer)) {
    (void)kad__heap_set(&c->swarm->channel_timers, &c->swarm->allocator,
                        &c->timer, at);
  }
}

kad_time kad__channel_flush_until(const kad__swarm *s) {
  return kad__time_add(s->now, s->shut ? KAD__SWARM_LAST_FLUSH_TIMEOUT
                                       : KAD__SWARM_FLUSH_TIMEOUT);
}

/* Puts the timer where it belongs after it rang, and never where it would ring
 * again at once. */
static void rearm(kad__channel *c, kad_time now) {
  kad_time at = due(c);
  if (at <= now) {
    at = kad__time_add(now, KAD_MILLISECOND);
  }
  if (kad__heap_has(&c->timer)) {
    (void)kad__heap_set(&c->swarm->channel_timers, &c->swarm->allocator,
                        &c->timer, at);
  }
}

void kad__channel_tick(kad__channel *c, kad_time now) {
  if (due(c) > now) {
    rearm(c, now);
    return;
  }
  if (c->state == KAD__CHANNEL_DIALING || c->state == KAD__CHANNEL_CLOSING) {
    kad__channel_drop(c, KAD_E_TIMEOUT);
    return;
  }
  if (kad__channel_idle_at(c) <= now) {
    kad__swarm_disconnect(c->swarm, c->id, now);
    return;
  }
  int result = kad__connection_tick(c->connection, now);
  if (result < 0) {
    kad__channel_drop(c, result);
    return;
  }
  kad__channel_pump(c);
  rearm(c, now);
}
