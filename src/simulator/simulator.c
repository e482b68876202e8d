/* One heap of things that will happen, and one of the hosts' deadlines: time
 * goes from the earliest to the next. */
#include "simulator/simulator_internal.h"

void kad__simulator_config_default(kad__simulator_config *config) {
  *config = (kad__simulator_config){.latency_min = 10 * KAD_MILLISECOND,
                                    .latency_max = 100 * KAD_MILLISECOND,
                                    .retransmit = 200 * KAD_MILLISECOND,
                                    .dial_timeout = 5 * KAD_SECOND,
                                    .unix_ns = 1767225600 * KAD_SECOND};
}

/* ---- the trace ----------------------------------------------------------- */

/* SipHash chained over itself: fast, and any difference stays. */
static void trace_bytes(kad__simulator *s, kad_bytes bytes) {
  uint64_t key[2] = {s->trace, 0x6b61646d69756dULL};
  s->trace = kad__siphash(key, bytes);
}

static void trace(kad__simulator *s, uint64_t what, uint64_t whom,
                  kad_bytes bytes) {
  uint64_t words[4] = {s->now, what, whom, bytes.len};
  trace_bytes(s, kad__bytes(words, sizeof(words)));
  trace_bytes(s, bytes);
}

static void happen(kad__simulator *s, kad__sim_happening *h) {
  kad__sim_end *end = &h->link->ends[h->side];
  trace(s, (uint64_t)h->type, end->host->number, kad__bytes(h->bytes, h->len));
  switch (h->type) {
    case KAD__SIM_ARRIVAL:
      kad__sim_dial_arrives(s, h->link);
      break;
    case KAD__SIM_ACCEPT:
      kad__sim_dial_accepted(s, h->link);
      break;
    case KAD__SIM_OUTCOME:
      kad__sim_dial_ends(s, h);
      break;
    case KAD__SIM_NAME:
      kad__sim_name_answered(s, h);
      break;
    case KAD__SIM_WAKE:
      kad__sim_mark_readable(s, end);
      kad__sim_turn(s, end->host);
      break;
    case KAD__SIM_CHUNK:
    case KAD__SIM_END:
      if (kad__sim_arrive(s, h)) {
        kad__sim_turn(s, end->host);
        return;
      }
      break;
  }
  kad__sim_happening_free(s, h);
}

/* ---- time ---------------------------------------------------------------- */

kad_time kad__simulator_now(const kad__simulator *s) {
  return s->now;
}

bool kad__simulator_step(kad__simulator *s, kad_time until) {
  kad_time next_happening = kad__heap_deadline(&s->future);
  kad_time next_deadline = kad__heap_deadline(&s->deadlines);
  kad_time next = kad__time_min(next_happening, next_deadline);
  if (next > until) {
    s->now = until;
    return false;
  }
  s->now = next;
  if (next_happening <= next_deadline) {
    kad__heap_node *node = kad__heap_take_due(&s->future, s->now);
    happen(s, KAD__CONTAINER(node, kad__sim_happening, at));
    return true;
  }
  kad__heap_node *node = kad__heap_take_due(&s->deadlines, s->now);
  kad__sim_settle(s, KAD__CONTAINER(node, kad__sim_host, deadline));
  return true;
}

bool kad__simulator_poll(kad__simulator *s, uint32_t *number, kad_event *out) {
  while (!kad__list_empty(&s->dirty)) {
    kad__sim_host *h = KAD__CONTAINER(s->dirty.next, kad__sim_host, dirty);
    if (h->node != NULL && kad__node_poll(h->node, out)) {
      *number = h->number;
      return true;
    }
    kad__list_unlink(&h->dirty);
  }
  return false;
}

/* ---- hosts --------------------------------------------------------------- */

size_t kad__simulator_count(const kad__simulator *s) {
  return s->count;
}

kad__node *kad__simulator_node(kad__simulator *s, uint32_t number) {
  return s->hosts[number]->node;
}

const kad_peer_id *kad__simulator_id(const kad__simulator *s, uint32_t number) {
  return kad_key_pair_peer_id(s->hosts[number]->identity);
}

void kad__simulator_firewall(kad__simulator *s, uint32_t number, bool on) {
  s->hosts[number]->walled = on;
}

void kad__simulator_partition(kad__simulator *s, uint32_t border, bool on) {
  s->border = border;
  s->partitioned = on;
}

/* ---- requests ------------------------------------------------------------ */

int kad__simulator_start(kad__simulator *s, uint32_t number,
                         kad_request_id *out, const kad_request *request) {
  kad__sim_host *h = s->hosts[number];
  if (h->node == NULL) {
    return KAD_E_CLOSED;
  }
  int error = kad__node_start(h->node, out, request, s->now);
  kad__sim_turn(s, h);
  return error;
}

void kad__simulator_touch(kad__simulator *s, uint32_t number) {
  kad__sim_turn(s, s->hosts[number]);
}

/* Copies the bytes of a result, so that it survives the events behind it. */
static void keep_result(kad__simulator *s, kad__simulator_result *out,
                        const kad_event *event) {
  size_t len = event->value.len + event->addresses.len;
  uint8_t *kept = kad__resize(&s->allocator, s->kept, len + 1);
  if (kept == NULL) {
    return;
  }
  s->kept = kept;
  out->last = *event;
  out->last.key = kad__bytes(NULL, 0);
  out->last.value = kad__bytes(kept, event->value.len);
  out->last.addresses =
      kad__bytes(kept + event->value.len, event->addresses.len);
  if (event->value.len > 0) {
    memcpy(kept, event->value.data, event->value.len);
  }
  if (event->addresses.len > 0) {
    memcpy(kept + event->value.len, event->addresses.data,
           event->addresses.len);
  }
}

bool kad__simulator_finish(kad__simulator *s, uint32_t number,
                           kad_request_id request, kad_time until,
                           kad__simulator_result *out) {
  kad_event event;
  uint32_t from = 0;
  *out = (kad__simulator_result){.last.type = KAD_EVENT_END};
  do {
    while (kad__simulator_poll(s, &from, &event)) {
      if (from != number || event.request != request) {
        continue;
      }
      if (event.type == KAD_EVENT_END) {
        out->end = event;
        return true;
      }
      out->results++;
      keep_result(s, out, &event);
    }
  } while (kad__simulator_step(s, until));
  return false;
}

/* ---- the whole ----------------------------------------------------------- */

int kad__simulator_new(kad__simulator **out,
                       const kad__simulator_config *config) {
  kad__simulator *s = kad__calloc(config->allocator, 1, sizeof(*s));
  if (s == NULL) {
    return KAD_E_NO_MEMORY;
  }
  s->allocator = *config->allocator;
  s->config = *config;
  s->config.allocator = &s->allocator;
  kad_random_init_u64(&s->random, config->seed);
  kad__list_init(&s->dirty);
  kad__list_init(&s->links);
  *out = s;
  return 0;
}

void kad__simulator_free(kad__simulator *s) {
  if (s == NULL) {
    return;
  }
  for (uint32_t i = 0; i < s->count; i++) {
    kad__simulator_crash(s, i);
  }
  KAD__LIST_EACH(node, &s->links) {
    kad__sim_drop_arrived(
        s, &KAD__CONTAINER(node, kad__sim_link, in_all)->ends[1]);
  }
  for (uint32_t i = 0; i < s->future.len; i++) {
    kad__sim_happening_free(
        s, KAD__CONTAINER(s->future.nodes[i], kad__sim_happening, at));
  }
  for (uint32_t i = 0; i < s->count; i++) {
    kad__sim_host_free(s, s->hosts[i]);
  }
  kad_allocator allocator = s->allocator;
  kad__heap_fini(&s->future, &allocator);
  kad__heap_fini(&s->deadlines, &allocator);
  kad__release(&allocator, s->hosts);
  kad__release(&allocator, s->kept);
  kad__release(&allocator, s);
}

uint64_t kad__simulator_trace(const kad__simulator *s) {
  return s->trace;
}

const kad__simulator_counters *kad__simulator_counters_get(
    const kad__simulator *s) {
  return &s->counters;
}
