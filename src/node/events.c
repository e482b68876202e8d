/* One allocation per event: the struct, then its bytes. Events are rare beside
 * packets, so plain copies are cheaper than rules about who may keep what. */
#include "node/events.h"

#include "base/alloc.h"
#include "base/bytes.h"

struct kad__node_event {
  kad__list link;
  kad_event event;
  uint8_t bytes[];
};

/* The fields of an event that point at bytes. */
#define FIELDS 6

static void fields_of(kad_event *event, kad_bytes *fields[FIELDS]) {
  fields[0] = &event->addresses;
  fields[1] = &event->observed;
  fields[2] = &event->key;
  fields[3] = &event->value;
  fields[4] = &event->agent;
  fields[5] = &event->protocols;
}

void kad__node_events_init(kad__node_events *events,
                           const kad_allocator *allocator) {
  *events = (kad__node_events){.allocator = allocator};
  kad__list_init(&events->waiting);
}

void kad__node_events_fini(kad__node_events *events) {
  KAD__LIST_EACH(link, &events->waiting) {
    kad__release(events->allocator,
                 KAD__CONTAINER(link, kad__node_event, link));
  }
  kad__release(events->allocator, events->taken);
}

kad__node_event *kad__node_event_new(const kad_allocator *allocator) {
  return kad__alloc(allocator, sizeof(kad__node_event));
}

void kad__node_events_push_owned(kad__node_events *events,
                                 kad__node_event *space,
                                 const kad_event *event) {
  space->event = *event;
  kad__list_append(&events->waiting, &space->link);
  events->count++;
}

void kad__node_events_push(kad__node_events *events, const kad_event *event) {
  if (events->count >= KAD__NODE_EVENTS_MAX && event->request == 0) {
    events->dropped++;
    return;
  }
  kad_event copy = *event;
  kad_bytes *fields[FIELDS];
  fields_of(&copy, fields);
  size_t total = 0;
  for (size_t i = 0; i < FIELDS; i++) {
    total += fields[i]->len;
  }
  kad__node_event *queued =
      kad__alloc(events->allocator, sizeof(*queued) + total);
  if (queued == NULL) {
    events->dropped++;
    return;
  }
  uint8_t *at = queued->bytes;
  for (size_t i = 0; i < FIELDS; i++) {
    if (fields[i]->len == 0) {
      continue;
    }
    memcpy(at, fields[i]->data, fields[i]->len);
    fields[i]->data = at;
    at += fields[i]->len;
  }
  kad__node_events_push_owned(events, queued, &copy);
}

bool kad__node_events_take(kad__node_events *events, kad_event *out) {
  kad__release(events->allocator, events->taken);
  events->taken = NULL;
  kad__list *link = kad__list_take(&events->waiting);
  if (link == NULL) {
    return false;
  }
  events->taken = KAD__CONTAINER(link, kad__node_event, link);
  events->count--;
  *out = events->taken->event;
  return true;
}
