/* Every invariant of a session, walked: for tests and fuzzers, after each
 * step. Slow, and called by nothing else. */
#include "connection/yamux_internal.h"

#define HOLDS(condition) \
  do {                   \
    if (!(condition)) {  \
      return __LINE__;   \
    }                    \
  } while (0)

/* What the counters of the session must be. */
typedef struct sums {
  size_t unread, queued, sendable, granted, buffers;
  uint32_t inbound, outbound, unacked, held, flushing;
} sums;

static int check_window(const kad__yamux_stream *s) {
  const kad__yamux *y = s->session;
  if (s->error != 0 || s->fin_received) {
    HOLDS(s->window == 0);
    return 0;
  }
  HOLDS(s->window >= KAD__YAMUX_INITIAL_WINDOW);
  HOLDS(s->window == KAD__YAMUX_INITIAL_WINDOW ||
        s->window <= y->config.window_max);
  uint64_t used = (uint64_t)s->receive_window + kad__buffer_len(&s->in) +
                  s->consumed + (y->body == s ? y->body_left : 0);
  HOLDS(s->released ? used <= s->window : used == s->window);
  return 0;
}

static int check_state(const kad__yamux_stream *s) {
  size_t unsent = kad__buffer_len(&s->out);
  HOLDS(!s->fin_sent || (s->write_closed && unsent == 0));
  HOLDS(!s->reset_due || s->error != 0);
  HOLDS(!s->released || kad__buffer_len(&s->in) == 0);
  HOLDS(!s->released || s->events == 0);
  HOLDS(!s->released || s->reset_due ||
        (s->error == 0 && !kad__yamux_finished(s)));
  HOLDS((s->events != 0) == kad__list_linked(&s->waking));
  HOLDS(!s->syn_due || (!s->inbound && s->unacked));
  HOLDS(!s->ack_due || (s->inbound && s->announced));
  HOLDS(s->announced || s->inbound);
  HOLDS(s->sendable ==
        (unsent < s->send_window ? unsent : (size_t)s->send_window));
  HOLDS(s->error == 0 || unsent == 0);
  return 0;
}

static int check_queue(kad__yamux_stream *s) {
  uint8_t queue = s->queue;
  HOLDS((queue != KAD__YAMUX_QUEUE_NONE) == kad__list_linked(&s->sending));
  kad__yamux_schedule(s);
  HOLDS(queue == s->queue);
  return 0;
}

static int check_stream(kad__yamux_stream *s, sums *t) {
  const kad__yamux *y = s->session;
  HOLDS(kad__yamux_find(y, s->id) == s);
  HOLDS(s->inbound == ((s->id & 1) == (y->client ? 0u : 1u)));
  int line = check_window(s);
  line = line == 0 ? check_state(s) : line;
  line = line == 0 ? check_queue(s) : line;
  t->unread += kad__buffer_len(&s->in);
  t->queued += kad__buffer_len(&s->out);
  t->sendable += s->sendable;
  t->granted += s->window;
  t->buffers += (size_t)s->in.cap + s->out.cap;
  t->inbound += s->inbound;
  t->outbound += !s->inbound;
  t->unacked += s->unacked;
  t->held += !s->released;
  t->flushing += s->flushing;
  return line;
}

static int check_list(kad__list *list, bool lingering, sums *t) {
  kad_time last = 0;
  KAD__LIST_EACH(node, list) {
    kad__yamux_stream *s = KAD__CONTAINER(node, kad__yamux_stream, member);
    int line = check_stream(s, t);
    if (line != 0) {
      return line;
    }
    HOLDS(!lingering || (s->released && s->progress >= last));
    last = s->progress;
  }
  return 0;
}

static int check_sums(const kad__yamux *y, const sums *t) {
  HOLDS(y->unread == t->unread && y->unread <= y->config.receive_max);
  HOLDS(y->queued == t->queued);
  HOLDS(y->sendable == t->sendable);
  HOLDS(y->granted == t->granted);
  HOLDS(y->buffers == t->buffers + y->control.cap + y->spare.cap);
  HOLDS(kad__buffer_len(&y->spare) == 0);
  HOLDS(y->inbound == t->inbound);
  HOLDS(y->inbound <= y->config.max_inbound_streams);
  HOLDS(y->outbound == t->outbound);
  HOLDS(y->outbound <= y->config.max_outbound_streams);
  HOLDS(y->unacked == t->unacked && y->unacked <= y->config.max_unacked);
  HOLDS(y->held == t->held);
  HOLDS(y->flushing == t->flushing);
  HOLDS(y->pongs <= KAD__YAMUX_MAX_PONGS);
  HOLDS(y->refusals <= KAD__YAMUX_MAX_REFUSALS);
  HOLDS(kad__buffer_len(&y->control) ==
        ((size_t)y->pongs + y->refusals) * KAD__YAMUX_HEADER_LEN);
  HOLDS(y->drain_budget <= KAD__YAMUX_DRAIN_MAX);
  HOLDS(y->resets_left <= KAD__YAMUX_RESET_BURST);
  HOLDS(y->inbound + y->outbound != 0 || y->slots == y->small_table);
  return 0;
}

int kad__yamux_check(kad__yamux *y) {
  sums t = {0};
  int line = check_list(&y->streams, false, &t);
  line = line == 0 ? check_list(&y->lingering, true, &t) : line;
  return line == 0 ? check_sums(y, &t) : line;
}
