/* An entry per peer that has a tag or a protector, with a short array of each:
 * a few names are found faster by looking at all of them. */
#include "swarm/values.h"

#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"

typedef struct name {
  char text[KAD_TAG_MAX + 1];
} name;

typedef struct entry {
  kad__map_node node;
  kad_peer_id id;
  kad__tag *tags;
  name *protectors;
  uint8_t tag_count;
  uint8_t protector_count;
} entry;

static entry *entry_of(kad__map_node *node) {
  return node == NULL ? NULL : KAD__CONTAINER(node, entry, node);
}

void kad__values_init(kad__values *values, const kad_allocator *allocator,
                      const uint64_t secret[2]) {
  *values = (kad__values){.allocator = allocator};
  kad__map_init(&values->peers, secret);
}

static void entry_free(kad__values *values, entry *e) {
  kad__release(values->allocator, e->tags);
  kad__release(values->allocator, e->protectors);
  kad__release(values->allocator, e);
}

void kad__values_fini(kad__values *values) {
  uint32_t slot = 0;
  kad__map_node *node = kad__map_next(&values->peers, &slot, NULL);
  while (node != NULL) {
    kad__map_node *next = kad__map_next(&values->peers, &slot, node);
    entry_free(values, entry_of(node));
    node = next;
  }
  kad__map_fini(&values->peers, values->allocator);
}

static entry *find(const kad__values *values, const kad_peer_id *peer) {
  return entry_of(kad__map_find(&values->peers, kad_peer_id_bytes(peer)));
}

static entry *get(kad__values *values, const kad_peer_id *peer) {
  entry *e = find(values, peer);
  if (e != NULL) {
    return e;
  }
  e = kad__calloc(values->allocator, 1, sizeof(*e));
  if (e == NULL) {
    return NULL;
  }
  e->id = *peer;
  if (kad__map_add(&values->peers, values->allocator, &e->node,
                   kad_peer_id_bytes(&e->id)) < 0) {
    kad__release(values->allocator, e);
    return NULL;
  }
  return e;
}

/* Frees the entry of a peer of which nothing is left to say. */
static void put(kad__values *values, entry *e) {
  if (e->tag_count == 0 && e->protector_count == 0) {
    kad__map_remove(&values->peers, &e->node);
    entry_free(values, e);
  }
}

static bool is_name(const char *text) {
  size_t len = strlen(text);
  return len > 0 && len <= KAD_TAG_MAX;
}

/* ---- tags ---------------------------------------------------------------- */

static int find_kind(const kad__values *values, const char *text) {
  for (int i = 0; i < values->decaying_count; i++) {
    if (strcmp(values->decaying[i].name, text) == 0) {
      return i;
    }
  }
  return -1;
}

static kad__tag *find_tag(const entry *e, const char *text) {
  for (size_t i = 0; i < e->tag_count; i++) {
    if (strcmp(e->tags[i].name, text) == 0) {
      return &e->tags[i];
    }
  }
  return NULL;
}

static int add_tag(kad__values *values, entry *e, kad__tag **out,
                   const char *text) {
  if (e->tag_count >= KAD_TAGS_MAX) {
    return KAD_E_LIMIT;
  }
  kad__tag *tags = kad__resize_array(values->allocator, e->tags,
                                     e->tag_count + 1u, sizeof(tags[0]));
  if (tags == NULL) {
    return KAD_E_NO_MEMORY;
  }
  e->tags = tags;
  *out = &tags[e->tag_count++];
  **out = (kad__tag){0};
  memcpy((*out)->name, text, strlen(text));
  return 0;
}

/* The peer's tag, made with value 0 when it has none of that name. */
static int get_tag(kad__values *values, kad__tag **out, const kad_peer_id *peer,
                   const char *text) {
  entry *e = get(values, peer);
  if (e == NULL) {
    return KAD_E_NO_MEMORY;
  }
  *out = find_tag(e, text);
  int error = *out != NULL ? 0 : add_tag(values, e, out, text);
  if (error < 0) {
    put(values, e);
  }
  return error;
}

static int get_plain(kad__values *values, kad__tag **out,
                     const kad_peer_id *peer, const char *text) {
  return !is_name(text) || find_kind(values, text) >= 0
             ? KAD_E_INVALID_ARGUMENT
             : get_tag(values, out, peer, text);
}

static int add(int a, int b) {
  int64_t sum = (int64_t)a + b;
  return sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : (int)sum;
}

int kad__values_tag(kad__values *values, const kad_peer_id *peer,
                    const char *text, int value) {
  kad__tag *tag = NULL;
  int error = get_plain(values, &tag, peer, text);
  if (error == 0) {
    tag->value = value;
  }
  return error;
}

int kad__values_adjust(kad__values *values, const kad_peer_id *peer,
                       const char *text, int by) {
  kad__tag *tag = NULL;
  int error = get_plain(values, &tag, peer, text);
  if (error == 0) {
    tag->value = add(tag->value, by);
  }
  return error;
}

static void remove_tag(entry *e, kad__tag *tag) {
  *tag = e->tags[--e->tag_count];
}

bool kad__values_untag(kad__values *values, const kad_peer_id *peer,
                       const char *text) {
  entry *e = find(values, peer);
  kad__tag *tag = e == NULL ? NULL : find_tag(e, text);
  if (tag == NULL) {
    return false;
  }
  remove_tag(e, tag);
  put(values, e);
  return true;
}

int64_t kad__values_of(const kad__values *values, const kad_peer_id *peer) {
  const entry *e = find(values, peer);
  int64_t sum = 0;
  for (size_t i = 0; e != NULL && i < e->tag_count; i++) {
    sum += e->tags[i].value;
  }
  return sum;
}

/* ---- protection ---------------------------------------------------------- */

static name *find_protector(const entry *e, const char *text) {
  for (size_t i = 0; i < e->protector_count; i++) {
    if (strcmp(e->protectors[i].text, text) == 0) {
      return &e->protectors[i];
    }
  }
  return NULL;
}

static int add_protector(kad__values *values, entry *e, const char *text) {
  if (e->protector_count >= KAD_TAGS_MAX) {
    return KAD_E_LIMIT;
  }
  name *names = kad__resize_array(values->allocator, e->protectors,
                                  e->protector_count + 1u, sizeof(names[0]));
  if (names == NULL) {
    return KAD_E_NO_MEMORY;
  }
  e->protectors = names;
  name *added = &names[e->protector_count++];
  *added = (name){{0}};
  memcpy(added->text, text, strlen(text));
  return 0;
}

int kad__values_protect(kad__values *values, const kad_peer_id *peer,
                        const char *text) {
  if (!is_name(text)) {
    return KAD_E_INVALID_ARGUMENT;
  }
  entry *e = get(values, peer);
  if (e == NULL) {
    return KAD_E_NO_MEMORY;
  }
  int error =
      find_protector(e, text) != NULL ? 0 : add_protector(values, e, text);
  if (error < 0) {
    put(values, e);
  }
  return error;
}

bool kad__values_unprotect(kad__values *values, const kad_peer_id *peer,
                           const char *text) {
  entry *e = find(values, peer);
  name *protector = e == NULL ? NULL : find_protector(e, text);
  if (protector != NULL) {
    *protector = e->protectors[--e->protector_count];
    put(values, e);
  }
  return kad__values_protected(values, peer, NULL);
}

bool kad__values_protected(const kad__values *values, const kad_peer_id *peer,
                           const char *text) {
  const entry *e = find(values, peer);
  if (e == NULL) {
    return false;
  }
  return text == NULL ? e->protector_count > 0
                      : find_protector(e, text) != NULL;
}

/* ---- decay --------------------------------------------------------------- */

static bool makes_sense(const kad_decaying_tag *kind) {
  if (kind->interval < KAD_SECOND || kind->decay > KAD_DECAY_EXPIRE ||
      kind->bump > KAD_BUMP_REPLACE) {
    return false;
  }
  if (kind->bump == KAD_BUMP_ADD_BOUNDED && kind->min > kind->max) {
    return false;
  }
  if (kind->decay == KAD_DECAY_FIXED) {
    return kind->amount > 0;
  }
  return kind->decay != KAD_DECAY_LINEAR ||
         (kind->amount >= 0 && kind->amount < 1000);
}

int kad__values_add_kind(kad__values *values, const kad_decaying_tag *kind,
                         kad_time now) {
  if (kind->name == NULL || !is_name(kind->name) || !makes_sense(kind) ||
      find_kind(values, kind->name) >= 0) {
    return KAD_E_INVALID_ARGUMENT;
  }
  if (values->decaying_count >= KAD__DECAYING_TAGS_MAX) {
    return KAD_E_LIMIT;
  }
  kad__decaying *d = &values->decaying[values->decaying_count++];
  *d = (kad__decaying){.kind = *kind,
                       .next = kad__time_add(now, kind->interval)};
  memcpy(d->name, kind->name, strlen(kind->name));
  d->kind.name = d->name;
  return 0;
}

int kad__values_bump(kad__values *values, const kad_peer_id *peer,
                     const char *text, int by) {
  int found = find_kind(values, text);
  if (found < 0) {
    return KAD_E_NOT_FOUND;
  }
  const kad_decaying_tag *kind = &values->decaying[found].kind;
  kad__tag *tag = NULL;
  int error = get_tag(values, &tag, peer, text);
  if (error < 0) {
    return error;
  }
  int value = kind->bump == KAD_BUMP_REPLACE ? by : add(tag->value, by);
  if (kind->bump == KAD_BUMP_ADD_BOUNDED) {
    value = value < kind->min ? kind->min : value;
    value = value > kind->max ? kind->max : value;
  }
  tag->value = value;
  tag->kind = (uint8_t)(found + 1);
  tag->bumped = true;
  return 0;
}

/* False when the tag is gone. */
static bool decay(kad__tag *tag, const kad_decaying_tag *kind) {
  bool bumped = tag->bumped;
  tag->bumped = false;
  switch (kind->decay) {
    case KAD_DECAY_NONE:
      return true;
    case KAD_DECAY_FIXED:
      tag->value = add(tag->value, -kind->amount);
      return tag->value > 0;
    case KAD_DECAY_LINEAR:
      tag->value = (int)((int64_t)tag->value * kind->amount / 1000);
      return tag->value > 0;
    case KAD_DECAY_EXPIRE:
      return bumped;
  }
  return true;
}

static void decay_entry(kad__values *values, entry *e, uint8_t kind) {
  for (size_t i = 0; i < e->tag_count;) {
    kad__tag *tag = &e->tags[i];
    if (tag->kind == kind + 1 && !decay(tag, &values->decaying[kind].kind)) {
      remove_tag(e, tag);
    } else {
      i++;
    }
  }
  put(values, e);
}

static void decay_all(kad__values *values, uint8_t kind) {
  uint32_t slot = 0;
  kad__map_node *node = kad__map_next(&values->peers, &slot, NULL);
  while (node != NULL) {
    kad__map_node *next = kad__map_next(&values->peers, &slot, node);
    decay_entry(values, entry_of(node), kind);
    node = next;
  }
}

kad_time kad__values_deadline(const kad__values *values) {
  kad_time at = KAD_TIME_NEVER;
  for (size_t i = 0; i < values->decaying_count; i++) {
    at = kad__time_min(at, values->decaying[i].next);
  }
  return values->peers.len == 0 ? KAD_TIME_NEVER : at;
}

void kad__values_tick(kad__values *values, kad_time now) {
  for (uint8_t i = 0; i < values->decaying_count; i++) {
    kad__decaying *d = &values->decaying[i];
    if (d->next > now) {
      continue;
    }
    d->next = kad__time_add(now, d->kind.interval);
    decay_all(values, i);
  }
}
