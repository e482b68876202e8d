/* Chaining through the values themselves: an entry costs no allocation, removal
 * moves nothing, and a table that cannot grow still works. The hash is kept in
 * the node, so growing and most misses never touch a key. */
#include "base/map.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "kadmium/error.h"

#define MAP_SLOTS_MIN 8u
#define MAP_SLOTS_MAX (UINT32_C(1) << 31)

void kad__map_init(kad__map *map, const uint64_t secret[2]) {
  *map = (kad__map){.secret = {secret[0], secret[1]}};
}

void kad__map_fini(kad__map *map, const kad_allocator *allocator) {
  kad__release(allocator, map->slots);
  map->slots = NULL;
  map->slot_count = 0;
  map->len = 0;
}

static void fetch(const void *memory) {
#if defined(__GNUC__)
  __builtin_prefetch(memory);
#else
  (void)memory;
#endif
}

static kad__map_node **slot_of(const kad__map *map, uint32_t hash) {
  return &map->slots[hash & (map->slot_count - 1)];
}

uint32_t kad__map_hash(const kad__map *map, kad_bytes key) {
  uint32_t hash = (uint32_t)kad__siphash(map->secret, key);
  if (map->len > 0) {
    fetch(slot_of(map, hash));
  }
  return hash;
}

void kad__map_expect(const kad__map *map, uint32_t hash) {
  if (map->len > 0) {
    fetch(*slot_of(map, hash));
  }
}

kad__map_node *kad__map_find(const kad__map *map, kad_bytes key) {
  return map->len == 0
             ? NULL
             : kad__map_find_hashed(map, key,
                                    (uint32_t)kad__siphash(map->secret, key));
}

kad__map_node *kad__map_find_hashed(const kad__map *map, kad_bytes key,
                                    uint32_t hash) {
  if (map->len == 0) {
    return NULL;
  }
  kad__map_node *node = *slot_of(map, hash);
  for (; node != NULL; node = node->next) {
    if (node->hash == hash &&
        kad__bytes_equal(kad__bytes(node->key, node->key_len), key)) {
      break;
    }
  }
  return node;
}

static void put(kad__map *map, kad__map_node *node) {
  kad__map_node **slot = slot_of(map, node->hash);
  node->next = *slot;
  *slot = node;
}

static int resize(kad__map *map, const kad_allocator *allocator,
                  uint32_t slot_count) {
  kad__map_node **slots =
      kad__calloc(allocator, slot_count, sizeof(kad__map_node *));
  if (slots == NULL) {
    return KAD_E_NO_MEMORY;
  }
  kad__map_node **old = map->slots;
  uint32_t old_count = map->slot_count;
  map->slots = slots;
  map->slot_count = slot_count;
  for (uint32_t i = 0; i < old_count; i++) {
    for (kad__map_node *node = old[i], *next; node != NULL; node = next) {
      next = node->next;
      put(map, node);
    }
  }
  kad__release(allocator, old);
  return 0;
}

int kad__map_add(kad__map *map, const kad_allocator *allocator,
                 kad__map_node *node, kad_bytes key) {
  assert(key.len <= UINT32_MAX);
  if (map->slot_count == 0) {
    int result = resize(map, allocator, MAP_SLOTS_MIN);
    if (result < 0) {
      return result;
    }
  } else if (map->len >= map->slot_count && map->slot_count < MAP_SLOTS_MAX) {
    (void)resize(map, allocator, 2 * map->slot_count);
  }
  node->key = key.data;
  node->key_len = (uint32_t)key.len;
  node->hash = kad__map_hash(map, key);
  put(map, node);
  map->len++;
  return 0;
}

void kad__map_remove(kad__map *map, kad__map_node *node) {
  kad__map_node **link = slot_of(map, node->hash);
  while (*link != node) {
    assert(*link != NULL);
    link = &(*link)->next;
  }
  *link = node->next;
  node->next = NULL;
  map->len--;
}

kad__map_node *kad__map_next(const kad__map *map, uint32_t *slot,
                             kad__map_node *node) {
  if (node != NULL && node->next != NULL) {
    return node->next;
  }
  while (*slot < map->slot_count) {
    kad__map_node *first = map->slots[(*slot)++];
    if (first != NULL) {
      return first;
    }
  }
  return NULL;
}

/* SipHash (Aumasson and Bernstein, 2012) with one round per word and three at
 * the end: what hash tables of Rust, Python and Ruby use. */
typedef struct sip_state {
  uint64_t a, b, c, d;
} sip_state;

static uint64_t rotate(uint64_t x, unsigned by) {
  return x << by | x >> (64 - by);
}

static void sip_round(sip_state *s) {
  s->a += s->b;
  s->c += s->d;
  s->b = rotate(s->b, 13) ^ s->a;
  s->d = rotate(s->d, 16) ^ s->c;
  s->a = rotate(s->a, 32) + s->d;
  s->c += s->b;
  s->d = rotate(s->d, 21) ^ s->a;
  s->b = rotate(s->b, 17) ^ s->c;
  s->c = rotate(s->c, 32);
}

static void sip_word(sip_state *s, uint64_t word) {
  s->d ^= word;
  sip_round(s);
  s->a ^= word;
}

/* Written out, since compilers make one load of it. */
static uint64_t load64_little(const uint8_t *p) {
  return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 |
         (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 |
         (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

uint64_t kad__siphash(const uint64_t secret[2], kad_bytes key) {
  sip_state s = {.a = secret[0] ^ UINT64_C(0x736f6d6570736575),
                 .b = secret[1] ^ UINT64_C(0x646f72616e646f6d),
                 .c = secret[0] ^ UINT64_C(0x6c7967656e657261),
                 .d = secret[1] ^ UINT64_C(0x7465646279746573)};
  size_t i = 0;
  for (; key.len - i >= 8; i += 8) {
    sip_word(&s, load64_little(key.data + i));
  }
  uint64_t tail = (uint64_t)key.len << 56;
  for (unsigned shift = 0; i < key.len; i++, shift += 8) {
    tail |= (uint64_t)key.data[i] << shift;
  }
  sip_word(&s, tail);
  s.c ^= 0xff;
  for (int round = 0; round < 3; round++) {
    sip_round(&s);
  }
  return s.a ^ s.b ^ s.c ^ s.d;
}
