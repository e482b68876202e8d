/* A call lives from the moment a query wants it until its end is known; it is
 * kept until the gateway has really sent it, however long that takes to dial.
 * Its id carries its slot in the low bits and a sequence above, so finding it
 * is one comparison and a late report about an old call finds nothing.
 *
 * How long an answer takes is learned as TCP learns its retransmission
 * time-out: mean plus four times the mean deviation. Past that a peer is slow.
 */
#include "kademlia/state.h"

#define SLOT_BITS 24
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)
/* Before anything is known, and the least that is ever believed. */
#define SLOW_FIRST (2 * KAD_SECOND)
#define SLOW_MIN (200 * KAD_MILLISECOND)

static kad__call *call_of(kad__heap_node *timer) {
  return KAD__CONTAINER(timer, kad__call, timer);
}

/* ---- memory ------------------------------------------------------------- */

static int slots_reserve(kad__dht *dht) {
  if (dht->free_slot_count > 0 || dht->slot_count < dht->slot_cap) {
    return 0;
  }
  uint32_t cap = dht->slot_cap == 0 ? 16 : dht->slot_cap * 2;
  if (cap > SLOT_MASK) {
    return KAD_E_LIMIT;
  }
  uint32_t *free_slots = kad__resize_array(&dht->allocator, dht->free_slots,
                                           cap, sizeof free_slots[0]);
  if (free_slots == NULL) {
    return KAD_E_NO_MEMORY;
  }
  dht->free_slots = free_slots;
  kad__call **slots =
      kad__resize_array(&dht->allocator, dht->slots, cap, sizeof(kad__call *));
  if (slots == NULL) {
    return KAD_E_NO_MEMORY;
  }
  dht->slots = slots;
  dht->slot_cap = cap;
  return 0;
}

static kad__call *call_find(const kad__dht *dht, kad__call_id id) {
  uint64_t slot = id & SLOT_MASK;
  if (slot >= dht->slot_count || dht->slots[slot] == NULL ||
      dht->slots[slot]->id != id) {
    return NULL;
  }
  return dht->slots[slot];
}

/* A DHT at rest holds nothing for calls. */
static void release_when_idle(kad__dht *dht) {
  if (dht->call_count > 0 || dht->queries.len > 0) {
    return;
  }
  kad__release(&dht->allocator, dht->scratch);
  kad__release(&dht->allocator, dht->slots);
  kad__release(&dht->allocator, dht->free_slots);
  dht->scratch = NULL;
  dht->slots = NULL;
  dht->free_slots = NULL;
  dht->slot_count = dht->slot_cap = dht->free_slot_count = 0;
  if (dht->timers.len == 0) {
    kad__heap_fini(&dht->timers, &dht->allocator);
  }
}

static void call_free(kad__dht *dht, kad__call *call) {
  kad__heap_remove(&dht->timers, &call->timer);
  kad__list_unlink(&call->link);
  kad__list_unlink(&call->query_link);
  dht->slots[call->slot] = NULL;
  dht->free_slots[dht->free_slot_count++] = call->slot;
  dht->call_count--;
  dht->probes -= call->query == NULL && call->state != KAD__CALL_CANCELLED;
  kad__list_unref(dht->book, call->addresses);
  kad__peer_unref(dht->book, call->peer);
  kad__release(&dht->allocator, call);
}

void kad__calls_fini(kad__dht *dht) {
  for (uint32_t i = 0; i < dht->slot_count; i++) {
    if (dht->slots[i] != NULL) {
      call_free(dht, dht->slots[i]);
    }
  }
  kad__release(&dht->allocator, dht->scratch);
  kad__release(&dht->allocator, dht->slots);
  kad__release(&dht->allocator, dht->free_slots);
  kad__heap_fini(&dht->timers, &dht->allocator);
}

/* ---- time --------------------------------------------------------------- */

static kad_time slow_after(const kad__dht *dht) {
  kad_time slow = dht->config.slow_timeout;
  if (slow == 0 && dht->smooth_time == 0) {
    slow = SLOW_FIRST;
  } else if (slow == 0) {
    slow = dht->smooth_time + 4 * dht->smooth_variation;
    slow = slow < SLOW_MIN ? SLOW_MIN : slow;
  }
  return kad__time_min(slow, dht->config.peer_timeout);
}

static void learn_time(kad__dht *dht, kad_time sample) {
  if (dht->smooth_time == 0) {
    dht->smooth_time = sample == 0 ? 1 : sample;
    dht->smooth_variation = sample / 2;
    return;
  }
  kad_time off = sample > dht->smooth_time ? sample - dht->smooth_time
                                           : dht->smooth_time - sample;
  dht->smooth_variation = (3 * dht->smooth_variation + off) / 4;
  dht->smooth_time = (7 * dht->smooth_time + sample) / 8;
  dht->smooth_time = dht->smooth_time == 0 ? 1 : dht->smooth_time;
}

/* ---- beginning ---------------------------------------------------------- */

static int call_prepare(kad__dht *dht) {
  if (dht->scratch == NULL) {
    dht->scratch = kad__alloc(&dht->allocator, sizeof *dht->scratch);
    if (dht->scratch == NULL) {
      return KAD_E_NO_MEMORY;
    }
  }
  return slots_reserve(dht);
}

static void call_register(kad__dht *dht, kad__call *call) {
  call->slot = dht->free_slot_count > 0
                   ? dht->free_slots[--dht->free_slot_count]
                   : dht->slot_count++;
  dht->slots[call->slot] = call;
  call->id = ++dht->call_sequence << SLOT_BITS | call->slot;
  dht->call_count++;
  dht->counters.calls++;
  kad__peer_ref(dht->book, call->peer);
  kad__list_ref(dht->book, call->addresses);
}

int kad__call_start(kad__dht *dht, kad__query *query, kad__peer peer,
                    kad__list_id addresses, kad__message_type type,
                    kad_time deadline, kad_time now) {
  int error = call_prepare(dht);
  kad__call *call =
      error != 0 ? NULL : kad__alloc(&dht->allocator, sizeof *call);
  if (call == NULL) {
    return error != 0 ? error : KAD_E_NO_MEMORY;
  }
  *call = (kad__call){.query = query,
                      .peer = peer,
                      .addresses = addresses,
                      .started = now,
                      .type = (uint8_t)type,
                      .state = KAD__CALL_QUEUED};
  call->deadline =
      kad__time_min(kad__time_add(now, dht->config.peer_timeout), deadline);
  kad__heap_node_init(&call->timer);
  kad_time slow = kad__time_add(now, slow_after(dht));
  if (kad__heap_set(&dht->timers, &dht->allocator, &call->timer,
                    kad__time_min(slow, call->deadline)) != 0) {
    kad__release(&dht->allocator, call);
    return KAD_E_NO_MEMORY;
  }
  kad__list_init(&call->link);
  kad__list_init(&call->query_link);
  call_register(dht, call);
  kad__list_append(&dht->queued, &call->link);
  if (query != NULL) {
    kad__list_append(&query->calls, &call->query_link);
  }
  return 0;
}

bool kad__call_probe(kad__dht *dht, kad__peer peer, kad_time now) {
  if (dht->probes >= KAD__PROBES_MAX || peer == dht->self ||
      kad__call_start(dht, NULL, peer, 0, KAD__FIND_NODE, KAD_TIME_NEVER,
                      now) != 0) {
    return false;
  }
  dht->probes++;
  return true;
}

bool kad__call_awaits(const kad__dht *dht, kad__peer peer) {
  for (uint32_t i = 0; i < dht->slot_count; i++) {
    const kad__call *call = dht->slots[i];
    if (call != NULL && call->peer == peer &&
        call->state != KAD__CALL_CANCELLED && call->type != KAD__ADD_PROVIDER) {
      return true;
    }
  }
  return false;
}

/* ---- handing out -------------------------------------------------------- */

static void call_describe(kad__dht *dht, const kad__call *call,
                          kad__dht_call *out) {
  kad__call_scratch *s = dht->scratch;
  kad_bytes trusted = kad__member_addresses(dht, call->peer);
  kad_bytes told = kad__list_bytes(dht->book, call->addresses);
  *out = (kad__dht_call){.id = call->id,
                         .query = call->query == NULL ? 0 : call->query->id,
                         .peer = kad__peer_id(dht->book, call->peer),
                         .addresses = trusted,
                         .deadline = call->deadline,
                         .expects_reply = call->type != KAD__ADD_PROVIDER,
                         .message = &s->message};
  if (told.len > 0) {
    size_t len = 0;
    kad__list_merge(s->addresses, sizeof s->addresses, &len, trusted);
    kad__list_merge(s->addresses, sizeof s->addresses, &len, told);
    out->addresses = kad__bytes(s->addresses, len);
  }
  kad__query_request(dht, call, &s->message);
}

bool kad__dht_poll_call(kad__dht *dht, kad__dht_call *out) {
  kad__list *link = kad__list_take(&dht->queued);
  if (link == NULL) {
    release_when_idle(dht);
    return false;
  }
  kad__call *call = KAD__CONTAINER(link, kad__call, link);
  call->state = KAD__CALL_OPEN;
  call_describe(dht, call, out);
  return true;
}

kad__call_id kad__dht_poll_cancel(kad__dht *dht) {
  if (kad__list_empty(&dht->cancelled)) {
    return 0;
  }
  kad__call *call = KAD__CONTAINER(dht->cancelled.next, kad__call, link);
  kad__call_id id = call->id;
  call_free(dht, call);
  return id;
}

/* ---- ends --------------------------------------------------------------- */

/* A lookup on several paths came by it. */
static bool in_passing(const kad__call *call) {
  return call->query != NULL && call->query->phase == KAD__PHASE_LOOKUP &&
         call->query->lookup.config.paths > 1;
}

/* Nobody waits any more: the gateway is told if it knows of it. */
static void call_abandon(kad__dht *dht, kad__call *call) {
  if (call->state == KAD__CALL_QUEUED) {
    call_free(dht, call);
    return;
  }
  if (in_passing(call)) {
    kad__member_passed(dht, call->peer);
  }
  dht->probes -= call->query == NULL;
  call->query = NULL;
  call->state = KAD__CALL_CANCELLED;
  kad__heap_remove(&dht->timers, &call->timer);
  kad__list_unlink(&call->query_link);
  kad__list_append(&dht->cancelled, &call->link);
}

/* A slow peer is waited for on its own account, as if it were probed: if it is
 * dead it would never be found out otherwise, the others always being quicker.
 */
static void call_detach(kad__dht *dht, kad__call *call) {
  kad__list_unlink(&call->query_link);
  call->query = NULL;
  dht->probes++;
}

void kad__calls_cancel(kad__dht *dht, kad__query *query) {
  KAD__LIST_EACH(link, &query->calls) {
    kad__call *call = KAD__CONTAINER(link, kad__call, query_link);
    if (call->slow && call->state == KAD__CALL_OPEN &&
        dht->probes < KAD__PROBES_MAX) {
      call_detach(dht, call);
    } else {
      call_abandon(dht, call);
    }
  }
}

/* A stream that is reset is how a peer refuses a record: it is alive. */
static bool refused_only(const kad__call *call, int error) {
  return error == KAD_E_STREAM_RESET && call->type != KAD__FIND_NODE;
}

/* `tell`: the gateway does not know of it yet. */
static void call_failed(kad__dht *dht, kad__call *call, int error, kad_time now,
                        bool tell) {
  kad__query *query = call->query;
  kad__peer peer = call->peer;
  bool alive = refused_only(call, error);
  kad__peer_ref(dht->book, peer);
  if (tell) {
    call_abandon(dht, call);
  } else {
    call_free(dht, call);
  }
  dht->counters.failures++;
  if (!alive) {
    kad__member_failed(dht, peer, error, now);
  }
  if (query != NULL) {
    kad__query_failed(dht, query, peer, error, now);
  }
  kad__peer_unref(dht->book, peer);
}

void kad__dht_failed(kad__dht *dht, kad__call_id id, int error, kad_time now) {
  kad__call *call = call_find(dht, id);
  if (call == NULL || call->state != KAD__CALL_OPEN) {
    return;
  }
  call_failed(dht, call, error, now, false);
}

/* A reply must be of the request's type and about the same key; who stores a
 * record says so by echoing its value. Answers to FIND_NODE need no key. */
static bool reply_fits(const kad__call *call, const kad__message *reply) {
  if (reply->type != (kad__message_type)call->type ||
      call->type == KAD__ADD_PROVIDER) {
    return false;
  }
  if (call->type == KAD__FIND_NODE || call->query == NULL) {
    return true;
  }
  if (reply->key.len > 0 &&
      !kad__bytes_equal(reply->key, kad__query_key(call->query))) {
    return false;
  }
  if (call->type != KAD__PUT_VALUE) {
    return true;
  }
  return reply->has_record &&
         kad__bytes_equal(reply->record.value,
                          call->query->value->record.value);
}

static void call_succeeded(kad__dht *dht, kad__call *call,
                           const kad__message *reply, kad_time now) {
  kad__query *query = call->query;
  kad__peer peer = call->peer;
  bool blank =
      query == NULL && call->type == KAD__FIND_NODE && reply->closer_count == 0;
  if (in_passing(call)) {
    kad__member_passed(dht, peer);
  }
  kad__peer_ref(dht->book, peer);
  call_free(dht, call);
  kad__member_answered(dht, peer, blank, now);
  if (query != NULL) {
    kad__query_replied(dht, query, peer, reply, now);
  }
  kad__peer_unref(dht->book, peer);
}

int kad__dht_replied(kad__dht *dht, kad__call_id id, const kad__message *reply,
                     kad_time now) {
  kad__call *call = call_find(dht, id);
  if (call == NULL || call->state != KAD__CALL_OPEN) {
    return 0;
  }
  if (!reply_fits(call, reply)) {
    dht->counters.bad_replies++;
    call_failed(dht, call, KAD_E_MESSAGE, now, false);
    return KAD_E_MESSAGE;
  }
  dht->counters.replies++;
  dht->last_reply = now;
  dht->alone_since = KAD_TIME_NEVER;
  learn_time(dht, now - call->started);
  call_succeeded(dht, call, reply, now);
  return 0;
}

void kad__dht_sent(kad__dht *dht, kad__call_id id, kad_time now) {
  kad__call *call = call_find(dht, id);
  if (call == NULL || call->state != KAD__CALL_OPEN ||
      call->type != KAD__ADD_PROVIDER) {
    return;
  }
  /* That it was sent proves little about the peer: no news for the table. */
  kad__query *query = call->query;
  kad__peer peer = call->peer;
  kad__peer_ref(dht->book, peer);
  call_free(dht, call);
  if (query != NULL) {
    kad__query_replied(dht, query, peer, NULL, now);
  }
  kad__peer_unref(dht->book, peer);
}

/* Slow; lost when it has taken half as long again; then the deadline. */
static void call_delayed(kad__dht *dht, kad__call *call, kad_time now) {
  kad_time lost = kad__time_add(now, (now - call->started) / 2);
  bool was_slow = call->slow;
  call->slow = true;
  /* Moving a node that is in the heap cannot fail. */
  (void)kad__heap_set(
      &dht->timers, &dht->allocator, &call->timer,
      was_slow ? call->deadline : kad__time_min(lost, call->deadline));
  if (call->query != NULL) {
    kad__query_delayed(dht, call->query, call->peer, was_slow, now);
  }
}

void kad__calls_tick(kad__dht *dht, kad_time now) {
  for (;;) {
    kad__heap_node *first = kad__heap_first(&dht->timers);
    if (first == NULL || first->at > now) {
      return;
    }
    kad__call *call = call_of(first);
    if (now < call->deadline) {
      call_delayed(dht, call, now);
    } else {
      call_failed(dht, call, KAD_E_TIMEOUT, now, true);
    }
  }
}

/* ---- invariants --------------------------------------------------------- */

const char *kad__calls_check(const kad__dht *dht) {
  uint32_t count = 0;
  uint32_t probes = 0;
  for (uint32_t i = 0; i < dht->slot_count; i++) {
    const kad__call *call = dht->slots[i];
    if (call == NULL) {
      continue;
    }
    count++;
    probes += call->query == NULL && call->state != KAD__CALL_CANCELLED;
    if (call->slot != i || (call->id & SLOT_MASK) != i) {
      return "calls: a call is in the wrong slot";
    }
    if (kad__heap_has(&call->timer) == (call->state == KAD__CALL_CANCELLED)) {
      return "calls: a timer is missing or left over";
    }
    if (kad__list_linked(&call->link) == (call->state == KAD__CALL_OPEN)) {
      return "calls: a call is in the wrong queue";
    }
  }
  if (count != dht->call_count || probes != dht->probes ||
      count + dht->free_slot_count != dht->slot_count) {
    return "calls: the totals are wrong";
  }
  return NULL;
}
