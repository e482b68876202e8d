/* An id is a slot and the generation of its use: finding one is an index and a
 * comparison, and a stale id fits no object. A slot whose generations are used
 * up is left out for ever, so that no id comes twice. */
#include "swarm/swarm_internal.h"

#define NO_SLOT UINT32_MAX
#define SLOTS_MIN 16u
#define SLOTS_MAX (UINT32_C(1) << 24)

void kad__ids_init(kad__ids *ids) {
  *ids = (kad__ids){.free = NO_SLOT};
}

void kad__ids_fini(kad__ids *ids, const kad_allocator *allocator) {
  kad__release(allocator, ids->slots);
  kad__ids_init(ids);
}

static kad__id make_id(uint32_t generation, uint32_t slot) {
  return (kad__id)generation << 32 | slot;
}

static int make_slot(kad__ids *ids, const kad_allocator *allocator) {
  if (ids->count == ids->cap) {
    uint32_t cap = ids->cap == 0 ? SLOTS_MIN : 2 * ids->cap;
    kad__id_slot *slots =
        cap > SLOTS_MAX
            ? NULL
            : kad__resize_array(allocator, ids->slots, cap, sizeof(*slots));
    if (slots == NULL) {
      return KAD_E_NO_MEMORY;
    }
    ids->slots = slots;
    ids->cap = cap;
  }
  ids->slots[ids->count] = (kad__id_slot){.kind_or_next = NO_SLOT};
  ids->free = ids->count++;
  return 0;
}

int kad__ids_add(kad__ids *ids, const kad_allocator *allocator, kad__id *id,
                 kad__object_kind kind, void *object) {
  if (ids->free == NO_SLOT) {
    int result = make_slot(ids, allocator);
    if (result < 0) {
      return result;
    }
  }
  uint32_t index = ids->free;
  kad__id_slot *slot = &ids->slots[index];
  ids->free = slot->kind_or_next;
  slot->object = object;
  slot->generation++;
  slot->kind_or_next = (uint32_t)kind;
  *id = make_id(slot->generation, index);
  return 0;
}

static kad__id_slot *find_slot(const kad__ids *ids, kad__id id) {
  uint32_t index = (uint32_t)id;
  if (index >= ids->count) {
    return NULL;
  }
  kad__id_slot *slot = &ids->slots[index];
  bool known = slot->object != NULL && slot->generation == (uint32_t)(id >> 32);
  return known ? slot : NULL;
}

void *kad__ids_find(const kad__ids *ids, kad__id id, kad__object_kind kind) {
  const kad__id_slot *slot = find_slot(ids, id);
  return slot == NULL || slot->kind_or_next != (uint32_t)kind ? NULL
                                                              : slot->object;
}

void kad__ids_remove(kad__ids *ids, kad__id id) {
  kad__id_slot *slot = find_slot(ids, id);
  if (slot == NULL) {
    return;
  }
  slot->object = NULL;
  if (slot->generation != UINT32_MAX) {
    slot->kind_or_next = ids->free;
    ids->free = (uint32_t)id;
  }
}

kad__id kad__ids_next(const kad__ids *ids, kad__id after, kad__object_kind kind,
                      void **object) {
  uint32_t index = after == 0 ? 0 : (uint32_t)after + 1;
  for (; index < ids->count; index++) {
    const kad__id_slot *slot = &ids->slots[index];
    if (slot->object != NULL && slot->kind_or_next == (uint32_t)kind) {
      *object = slot->object;
      return make_id(slot->generation, index);
    }
  }
  *object = NULL;
  return 0;
}
