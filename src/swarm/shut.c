/* The orderly end: nothing new comes in or goes out, what there is is closed
 * and its peers are told, and all of it is reported as ever. The world carries
 * on until the last bytes have left or their time is over. */
#include "swarm/swarm_internal.h"

static void shut_channel(kad__channel *c) {
  kad__swarm *s = c->swarm;
  if (c->state == KAD__CHANNEL_OPEN) {
    kad__swarm_close(s, c->id, KAD_CONNECTION_CODE_SHUTDOWN, s->now);
  } else if (c->state == KAD__CHANNEL_UPGRADING) {
    kad__channel_drop(c, KAD_E_CANCELLED);
  } else if (c->state == KAD__CHANNEL_CLOSING) {
    c->close_by = kad__time_min(c->close_by, kad__channel_flush_until(s));
    kad__channel_arm(c);
  }
}

static void shut_channels(kad__swarm *s) {
  KAD__LIST_EACH(node, &s->all_channels) {
    shut_channel(KAD__CONTAINER(node, kad__channel, in_swarm));
  }
}

void kad__swarm_shut(kad__swarm *s, kad_time now) {
  kad__swarm_set_now(s, now);
  if (s->shut) {
    return;
  }
  s->shut = true;
  KAD__LIST_EACH(node, &s->listeners) {
    kad__listener_end(KAD__CONTAINER(node, kad__listener, in_swarm));
  }
  KAD__LIST_EACH(node, &s->all_dials) {
    kad__dial_cancel(KAD__CONTAINER(node, kad__dial, in_swarm));
  }
  shut_channels(s);
}

bool kad__swarm_is_shut(const kad__swarm *s) {
  uint32_t channels =
      s->established + s->closing + s->opening + s->pending_inbound;
  return s->shut && channels == 0 && kad__list_empty(&s->events);
}
