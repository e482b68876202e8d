/* One allocation per event: the struct, then its bytes. Events are rare beside
 * packets, so plain copies are cheaper than rules about who may keep what. */
#include "node/events.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "node/streams.h"

typedef struct copied {
  kad__node_event place;
  kad_event event;
  uint8_t bytes[];
} copied;

static kad__node_event *place_of(kad__list *link) {
  return KAD__CONTAINER(link, kad__node_event, link);
}

static copied *copied_of(kad__node_event *place) {
  return KAD__CONTAINER(place, copied, place);
}

/* The fields of an event that point at bytes. */
#define FIELDS 7

static void fields_of(kad_event *event, kad_bytes *fields[FIELDS]) {
  fields[0] = &event->addresses;
  fields[1] = &event->observed;
  fields[2] = &event->key;
  fields[3] = &event->value;
  fields[4] = &event->agent;
  fields[5] = &event->protocols;
  fields[6] = &event->protocol;
}

void kad__node_events_init(kad__node_events *events,
                           const kad_allocator *allocator) {
  *events = (kad__node_events){.allocator = allocator};
  kad__list_init(&events->waiting);
}

void kad__node_events_fini(kad__node_events *events) {
  KAD__LIST_EACH(link, &events->waiting) {
    kad__release(events->allocator, copied_of(place_of(link)));
  }
  kad__release(events->allocator, events->taken);
}

kad__node_event *kad__node_event_new(const kad_allocator *allocator) {
  copied *space = kad__alloc(allocator, sizeof(*space));
  if (space == NULL) {
    return NULL;
  }
  kad__node_event_init(&space->place, NULL);
  return &space->place;
}

void kad__node_events_push_owned(kad__node_events *events,
                                 kad__node_event *space,
                                 const kad_event *event) {
  copied_of(space)->event = *event;
  kad__list_append(&events->waiting, &space->link);
  events->count++;
}

void kad__node_events_push_stream(kad__node_events *events,
                                  kad__node_event *place) {
  if (!kad__list_linked(&place->link)) {
    kad__list_append(&events->waiting, &place->link);
  }
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
  copied *queued = kad__alloc(events->allocator, sizeof(*queued) + total);
  if (queued == NULL) {
    events->dropped++;
    return;
  }
  kad__node_event_init(&queued->place, NULL);
  uint8_t *at = queued->bytes;
  for (size_t i = 0; i < FIELDS; i++) {
    if (fields[i]->len == 0) {
      continue;
    }
    memcpy(at, fields[i]->data, fields[i]->len);
    fields[i]->data = at;
    at += fields[i]->len;
  }
  kad__node_events_push_owned(events, &queued->place, &copy);
}

bool kad__node_events_take(kad__node_events *events, kad_event *out) {
  kad__release(events->allocator, events->taken);
  events->taken = NULL;
  if (kad__list_empty(&events->waiting)) {
    return false;
  }
  kad__node_event *first = place_of(events->waiting.next);
  if (first->stream != NULL) {
    if (!kad__node_stream_event(first->stream, out)) {
      kad__list_unlink(&first->link);
    }
    return true;
  }
  kad__list_unlink(&first->link);
  events->taken = first;
  events->count--;
  *out = copied_of(first)->event;
  return true;
}
