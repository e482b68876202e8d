/* Events are copied when they happen, since what they speak of may be gone
 * when the owner asks. The last event of a query has its memory from the
 * query's beginning: nobody waits for ever because memory ran out. */
#include "kademlia/state.h"

/* Moves `*bytes` into the node's own memory. */
static void keep(uint8_t **at, kad_bytes *bytes) {
  if (bytes->len == 0) {
    *bytes = (kad_bytes){0};
    return;
  }
  memcpy(*at, bytes->data, bytes->len);
  bytes->data = *at;
  *at += bytes->len;
}

static size_t event_bytes(const kad__dht_event *e) {
  return e->peer.id.len + e->peer.addresses.len + e->old_peer.len + e->key.len +
         e->record.key.len + e->record.value.len + e->record.publisher.len;
}

static kad__event_node *node_new(const kad_allocator *allocator,
                                 const kad__dht_event *event) {
  kad__event_node *node =
      kad__alloc(allocator, sizeof *node + event_bytes(event));
  if (node == NULL) {
    return NULL;
  }
  node->value = NULL;
  node->bounded = false;
  node->event = *event;
  kad__list_init(&node->link);
  uint8_t *at = node->bytes;
  keep(&at, &node->event.peer.id);
  keep(&at, &node->event.peer.addresses);
  keep(&at, &node->event.old_peer);
  keep(&at, &node->event.key);
  keep(&at, &node->event.record.key);
  keep(&at, &node->event.record.value);
  keep(&at, &node->event.record.publisher);
  node->event.record.time_received = (kad_bytes){0};
  return node;
}

kad__event_node *kad__event_reserve(const kad_allocator *allocator,
                                    kad_bytes key) {
  kad__dht_event event = {.type = KAD__DHT_QUERY_ENDED, .key = key};
  return node_new(allocator, &event);
}

void kad__event_queue(kad__dht *dht, kad__event_node *node) {
  kad__list_append(&dht->events, &node->link);
  dht->bounded_events += node->bounded;
}

void kad__event_push(kad__dht *dht, const kad__dht_event *event) {
  bool bounded = event->query == 0;
  if (bounded && dht->bounded_events >= dht->config.max_events) {
    return;
  }
  kad__event_node *node = node_new(&dht->allocator, event);
  if (node != NULL) {
    node->bounded = bounded;
    kad__event_queue(dht, node);
  }
}

void kad__event_of_query(kad__dht *dht, kad__query *q, kad__dht_event *event,
                         kad_time now) {
  if (q->reported || kad__query_class_of(q->kind)->silent) {
    return;
  }
  q->stats.end = now;
  event->query = q->id;
  event->kind = q->kind;
  event->stats = q->stats;
  event->step = ++q->steps;
  if ((dht->config.muted_events & 1u << event->type) == 0) {
    kad__event_push(dht, event);
  }
}

void kad__event_free(kad__dht *dht, kad__event_node *node) {
  if (node != NULL) {
    kad__value_unref(&dht->allocator, node->value);
    kad__release(&dht->allocator, node);
  }
}

bool kad__dht_poll_event(kad__dht *dht, kad__dht_event *out) {
  kad__event_free(dht, dht->delivered);
  dht->delivered = NULL;
  kad__list *link = kad__list_take(&dht->events);
  if (link == NULL) {
    return false;
  }
  dht->delivered = KAD__CONTAINER(link, kad__event_node, link);
  dht->bounded_events -= dht->delivered->bounded;
  *out = dht->delivered->event;
  return true;
}

void kad__events_fini(kad__dht *dht) {
  kad__event_free(dht, dht->delivered);
  dht->delivered = NULL;
  for (;;) {
    kad__list *link = kad__list_take(&dht->events);
    if (link == NULL) {
      return;
    }
    kad__event_free(dht, KAD__CONTAINER(link, kad__event_node, link));
  }
}
