/* Buckets are small arrays, grown on demand and scanned in a row: at twenty
 * entries of 24 bytes that beats every clever structure, and a table of a
 * quiet node stays a few kilobytes. */
#include "kademlia/table.h"

#include "base/alloc.h"

_Static_assert(sizeof(kad__entry) == 24, "100,000 nodes must fit");

static void entry_drop(kad__table *t, const kad__entry *e) {
  kad__list_unref(t->book, e->addresses);
  kad__peer_unref(t->book, e->peer);
}

static void pending_drop(kad__table *t, kad__bucket *b) {
  entry_drop(t, &b->pending->entry);
  kad__release(t->allocator, b->pending);
  b->pending = NULL;
  t->pending_count--;
}

void kad__table_init(kad__table *table, const kad_allocator *allocator,
                     kad__peer_book *book, const kad__key *local,
                     uint32_t bucket_size, kad_time pending_timeout) {
  *table = (kad__table){.allocator = allocator,
                        .book = book,
                        .local = *local,
                        .bucket_size = bucket_size,
                        .pending_timeout = pending_timeout};
}

void kad__table_fini(kad__table *table) {
  for (uint32_t i = 0; i < table->bucket_count; i++) {
    kad__bucket *b = &table->buckets[i];
    for (uint32_t j = 0; j < b->count; j++) {
      entry_drop(table, &b->entries[j]);
    }
    if (b->pending != NULL) {
      pending_drop(table, b);
    }
    kad__release(table->allocator, b->entries);
  }
  kad__release(table->allocator, table->buckets);
  table->buckets = NULL;
  table->bucket_count = 0;
}

static kad__bucket *bucket_of(const kad__table *t, kad__peer peer) {
  uint32_t index = kad__table_index(t, kad__peer_key(t->book, peer));
  return index < t->bucket_count ? &t->buckets[index] : NULL;
}

kad__entry *kad__table_find(const kad__table *table, kad__peer peer) {
  kad__bucket *b = bucket_of(table, peer);
  for (uint32_t i = 0; b != NULL && i < b->count; i++) {
    if (b->entries[i].peer == peer) {
      return &b->entries[i];
    }
  }
  return NULL;
}

kad__entry *kad__table_find_pending(const kad__table *table, kad__peer peer) {
  kad__bucket *b = bucket_of(table, peer);
  if (b == NULL || b->pending == NULL || b->pending->entry.peer != peer) {
    return NULL;
  }
  return &b->pending->entry;
}

/* ---- inside one bucket -------------------------------------------------- */

static void bucket_take(kad__bucket *b, uint32_t at) {
  memmove(&b->entries[at], &b->entries[at + 1],
          (b->count - at - 1) * sizeof b->entries[0]);
  b->count--;
  if (at < b->first_connected) {
    b->first_connected--;
  }
}

/* At the most recent place of its status; there is room. */
static void bucket_put(kad__bucket *b, kad__entry entry, bool connected) {
  uint32_t at = connected ? b->count : b->first_connected;
  memmove(&b->entries[at + 1], &b->entries[at],
          (b->count - at) * sizeof b->entries[0]);
  if (connected) {
    entry.flags |= KAD__ENTRY_CONNECTED;
  } else {
    entry.flags &= (uint8_t)~KAD__ENTRY_CONNECTED;
    b->first_connected++;
  }
  b->entries[at] = entry;
  b->count++;
}

static int bucket_reserve(kad__table *t, kad__bucket *b) {
  if (b->count < b->cap) {
    return 0;
  }
  uint32_t cap = b->cap == 0 ? 4 : b->cap + b->cap / 2;
  cap = cap > t->bucket_size ? t->bucket_size : cap;
  kad__entry *entries =
      kad__resize_array(t->allocator, b->entries, cap, sizeof entries[0]);
  if (entries == NULL) {
    return KAD_E_NO_MEMORY;
  }
  b->entries = entries;
  b->cap = cap;
  return 0;
}

static int reserve_index(kad__table *t, uint32_t index) {
  if (index < t->bucket_count) {
    return 0;
  }
  uint32_t count = index + 1;
  kad__bucket *buckets =
      kad__resize_array(t->allocator, t->buckets, count, sizeof buckets[0]);
  if (buckets == NULL) {
    return KAD_E_NO_MEMORY;
  }
  memset(&buckets[t->bucket_count], 0,
         (count - t->bucket_count) * sizeof buckets[0]);
  t->buckets = buckets;
  t->bucket_count = count;
  return 0;
}

/* ---- changes ------------------------------------------------------------ */

static int pending_put(kad__table *t, kad__bucket *b, const kad__entry *entry,
                       kad_time now) {
  b->pending = kad__alloc(t->allocator, sizeof *b->pending);
  if (b->pending == NULL) {
    return KAD_E_NO_MEMORY;
  }
  b->pending->entry = *entry;
  b->pending->entry.flags |= KAD__ENTRY_CONNECTED;
  b->pending->due = kad__time_add(now, t->pending_timeout);
  t->pending_count++;
  return KAD__INSERT_PENDING;
}

static int bucket_insert(kad__table *t, kad__bucket *b, const kad__entry *entry,
                         bool connected, kad_time now, kad__peer *oldest) {
  if (b->count < t->bucket_size) {
    if (bucket_reserve(t, b) != 0) {
      return KAD_E_NO_MEMORY;
    }
    bucket_put(b, *entry, connected);
    t->size++;
    return KAD__INSERTED;
  }
  if (!connected || b->first_connected == 0 || b->pending != NULL) {
    return KAD__INSERT_FULL;
  }
  *oldest = b->entries[0].peer;
  return pending_put(t, b, entry, now);
}

int kad__table_insert(kad__table *table, kad__peer peer, kad__list_id addresses,
                      bool connected, kad_time now, kad__peer *oldest) {
  const kad__key *key = kad__peer_key(table->book, peer);
  kad__entry entry = {.word = key->w[0],
                      .peer = peer,
                      .addresses = addresses,
                      .seen = (uint32_t)(now / KAD_SECOND),
                      .flags = addresses == 0 ? 0 : KAD__ENTRY_ADDRESSED};
  uint32_t index = kad__table_index(table, key);
  *oldest = 0;
  if (index == KAD__KEY_BITS) {
    return KAD_E_SELF;
  }
  if (reserve_index(table, index) != 0) {
    return KAD_E_NO_MEMORY;
  }
  int result = bucket_insert(table, &table->buckets[index], &entry, connected,
                             now, oldest);
  if (result == KAD__INSERTED || result == KAD__INSERT_PENDING) {
    kad__peer_ref(table->book, peer);
    kad__list_ref(table->book, addresses);
  }
  return result;
}

void kad__table_set_connected(kad__table *table, kad__entry *entry,
                              bool connected) {
  kad__bucket *b = bucket_of(table, entry->peer);
  if (b->pending != NULL && entry == &b->pending->entry) {
    entry->flags &= (uint8_t)~KAD__ENTRY_CONNECTED;
    entry->flags |= connected ? KAD__ENTRY_CONNECTED : 0;
    return;
  }
  uint32_t at = (uint32_t)(entry - b->entries);
  kad__entry copy = *entry;
  bucket_take(b, at);
  bucket_put(b, copy, connected);
  if (at == 0 && connected && b->pending != NULL) {
    pending_drop(table, b);
  }
}

void kad__table_set_addresses(kad__table *table, kad__entry *entry,
                              kad__list_id addresses) {
  kad__list_ref(table->book, addresses);
  kad__list_unref(table->book, entry->addresses);
  entry->addresses = addresses;
  entry->flags &= (uint8_t)~KAD__ENTRY_ADDRESSED;
  entry->flags |= addresses == 0 ? 0 : KAD__ENTRY_ADDRESSED;
}

bool kad__table_remove(kad__table *table, kad__peer peer) {
  kad__bucket *b = bucket_of(table, peer);
  kad__entry *entry = kad__table_find(table, peer);
  if (entry == NULL) {
    if (kad__table_find_pending(table, peer) == NULL) {
      return false;
    }
    pending_drop(table, b);
    return true;
  }
  kad__entry copy = *entry;
  bucket_take(b, (uint32_t)(entry - b->entries));
  table->size--;
  if (b->pending != NULL) {
    b->pending->due = 0;
  }
  entry_drop(table, &copy);
  return true;
}

/* ---- pending slots ------------------------------------------------------ */

static bool apply_one(kad__table *t, uint32_t index, kad__applied *out) {
  kad__bucket *b = &t->buckets[index];
  kad__entry entry = b->pending->entry;
  bool full = b->count >= t->bucket_size;
  if (full && b->first_connected == 0) {
    pending_drop(t, b);
    return false;
  }
  *out = (kad__applied){.inserted = entry.peer, .bucket = index};
  if (full) {
    out->evicted = b->entries[0].peer;
    kad__list_unref(t->book, b->entries[0].addresses);
    bucket_take(b, 0);
    t->size--;
  }
  kad__release(t->allocator, b->pending);
  b->pending = NULL;
  t->pending_count--;
  /* There is room without allocating: the bucket was full when the newcomer
   * came, and arrays never shrink. */
  bucket_put(b, entry, (entry.flags & KAD__ENTRY_CONNECTED) != 0);
  t->size++;
  return true;
}

bool kad__table_apply(kad__table *table, kad_time now, kad__applied *out) {
  for (uint32_t i = 0; i < table->bucket_count && table->pending_count > 0;
       i++) {
    const kad__pending *pending = table->buckets[i].pending;
    if (pending != NULL && pending->due <= now && apply_one(table, i, out)) {
      return true;
    }
  }
  return false;
}

kad_time kad__table_deadline(const kad__table *table) {
  kad_time at = KAD_TIME_NEVER;
  for (uint32_t i = 0; i < table->bucket_count && table->pending_count > 0;
       i++) {
    const kad__pending *pending = table->buckets[i].pending;
    at = pending == NULL ? at : kad__time_min(at, pending->due);
  }
  return at;
}

/* ---- looking around ----------------------------------------------------- */

/* What of one bucket may be among the closest. Up to GATHERED_MAX items are put
 * in order by counting, for each, how many are nearer: no branch depends on a
 * distance, so none is guessed wrong, which is what sorting a few items costs,
 * and compilers count four at a time. Larger buckets than real ones first guess
 * how near the closest must be. */
#define COUNTED 32
#define GATHERED_MAX (2 * COUNTED)
#define DEEPEST_COUNTED 31 /* below, too few bits of a word are left */

typedef struct search {
  kad__near *items;
  size_t count; /* of closer buckets, in order */
  size_t cap;
  const kad__key *target;
  const kad__table_filter *filter;
  const kad__peer_book *book;
} search;

static bool nearer(const search *s, const kad__near *a, const kad__near *b) {
  if (a->distance != b->distance) {
    return a->distance < b->distance;
  }
  kad__key da =
      kad__key_distance(kad__peer_key(s->book, a->entry->peer), s->target);
  kad__key db =
      kad__key_distance(kad__peer_key(s->book, b->entry->peer), s->target);
  return kad__key_compare(&da, &db) < 0;
}

static bool wanted(const kad__entry *e, const kad__table_filter *f) {
  return e->peer != f->skip && (e->flags & f->require) == f->require &&
         (e->flags & f->reject) == 0;
}

/* Those at most `limit` away; more than GATHERED_MAX when they are too many. */
static size_t gather(const search *s, const kad__bucket *b, uint64_t limit,
                     kad__near *out) {
  const uint64_t target = s->target->w[0];
  size_t n = 0;
  for (uint32_t i = 0; i < b->count; i++) {
    const kad__entry *e = &b->entries[i];
    uint64_t d = e->word ^ target;
    if (d > limit || !wanted(e, s->filter)) {
      continue;
    }
    if (n == GATHERED_MAX) {
      return GATHERED_MAX + 1;
    }
    out[n++] = (kad__near){d, e};
  }
  return n;
}

static uint32_t count_below(const int32_t list[COUNTED], int32_t value) {
  uint32_t count = 0;
  for (size_t i = 0; i < COUNTED; i++) {
    count += list[i] < value;
  }
  return count;
}

/* How far each of `n` items is within a bucket, in 32 bits of which the first
 * is the first that differs between them; the rest is filled up. */
static void shorten(int32_t out[GATHERED_MAX], const kad__near *items, size_t n,
                    uint32_t bucket) {
  for (size_t i = 0; i < GATHERED_MAX; i++) {
    out[i] = INT32_MAX;
  }
  for (size_t i = 0; i < n; i++) {
    uint32_t top = (uint32_t)(items[i].distance << (bucket + 1) >> 32);
    out[i] = (int32_t)((int64_t)top + INT32_MIN);
  }
}

/* Moves the nearest of `n` items behind those that are there. False, with
 * nothing changed that counts, when two are too close to each other to be told
 * apart. */
static bool place(search *s, const kad__near *items, size_t n,
                  uint32_t bucket) {
  int32_t distances[GATHERED_MAX];
  size_t room = s->cap - s->count;
  size_t sum = 0;
  shorten(distances, items, n, bucket);
  for (size_t i = 0; i < n; i++) {
    size_t rank = count_below(distances, distances[i]);
    if (n > COUNTED) {
      rank += count_below(distances + COUNTED, distances[i]);
    }
    sum += rank;
    if (rank < room) {
      s->items[s->count + rank] = items[i];
    }
  }
  if (sum != n * (n - 1) / 2) {
    return false;
  }
  s->count += n < room ? n : room;
  return true;
}

/* A sorted window, into which an entry is moved when it beats the last: for
 * whatever is too much to be gathered. */
static void slide(search *s, const kad__bucket *b) {
  kad__near *window = s->items + s->count;
  size_t room = s->cap - s->count;
  size_t n = 0;
  for (uint32_t i = 0; i < b->count; i++) {
    const kad__entry *e = &b->entries[i];
    kad__near item = {e->word ^ s->target->w[0], e};
    if (!wanted(e, s->filter) ||
        (n == room && !nearer(s, &item, &window[n - 1]))) {
      continue;
    }
    size_t at = n < room ? n++ : n - 1;
    for (; at > 0 && nearer(s, &item, &window[at - 1]); at--) {
      window[at] = window[at - 1];
    }
    window[at] = item;
  }
  s->count += n;
}

/* The distance within which half as many again as there is room for are
 * expected, when the keys of bucket `index` are spread evenly. `d` is how far
 * we are from the target: entries differ from us, and so from `d`, below bit
 * `index`. */
static uint64_t guess_limit(const search *s, const kad__bucket *b,
                            const kad__key *d, uint32_t index) {
  uint64_t room = s->cap - s->count;
  uint64_t expected = room + room / 2 + 4;
  if (index > DEEPEST_COUNTED || expected >= b->count) {
    return UINT64_MAX;
  }
  uint64_t bit = UINT64_C(1) << (63 - index);
  uint64_t nearest = (d->w[0] ^ bit) & ~(bit - 1);
  return nearest + bit / b->count * expected;
}

static void search_bucket(search *s, const kad__table *t, const kad__key *d,
                          uint32_t index) {
  const kad__bucket *b = &t->buckets[index];
  kad__near items[GATHERED_MAX];
  uint64_t limit =
      b->count > GATHERED_MAX ? guess_limit(s, b, d, index) : UINT64_MAX;
  size_t n = gather(s, b, limit, items);
  bool complete = limit == UINT64_MAX || n >= s->cap - s->count;
  if (n > GATHERED_MAX || !complete || index > DEEPEST_COUNTED ||
      !place(s, items, n, index)) {
    slide(s, b);
  }
}

/* Each bucket lies, as a whole, closer to or farther from the target than any
 * other. First the one into which the target falls; then, going deeper, those
 * whose bit of the distance is set; then back up, those whose bit is not. */
size_t kad__table_closest(const kad__table *table, kad__near *out, size_t cap,
                          const kad__key *target,
                          const kad__table_filter *filter) {
  kad__key d = kad__key_distance(&table->local, target);
  search s = {.items = out,
              .cap = cap,
              .target = target,
              .filter = filter,
              .book = table->book};
  for (uint32_t i = kad__key_leading_zeros(&d);
       i < table->bucket_count && s.count < cap; i++) {
    if (kad__key_bit(&d, i)) {
      search_bucket(&s, table, &d, i);
    }
  }
  for (uint32_t i = table->bucket_count; i > 0 && s.count < cap; i--) {
    if (!kad__key_bit(&d, i - 1)) {
      search_bucket(&s, table, &d, i - 1);
    }
  }
  return s.count;
}

static size_t healthy(const kad__bucket *b) {
  size_t count = 0;
  for (uint32_t i = 0; i < b->count; i++) {
    count += (b->entries[i].flags & KAD__ENTRY_FAILED) == 0;
  }
  return count;
}

size_t kad__table_count_between(const kad__table *table,
                                const kad__key *target) {
  kad__key d = kad__key_distance(&table->local, target);
  uint32_t first = kad__key_leading_zeros(&d);
  size_t count = 0;
  if (first >= table->bucket_count) {
    return 0;
  }
  const kad__bucket *b = &table->buckets[first];
  for (uint32_t i = 0; i < b->count; i++) {
    kad__key other = kad__key_distance(
        &table->local, kad__peer_key(table->book, b->entries[i].peer));
    count += (b->entries[i].flags & KAD__ENTRY_FAILED) == 0 &&
             kad__key_compare(&other, &d) <= 0;
  }
  for (uint32_t i = first + 1; i < table->bucket_count; i++) {
    count += kad__key_bit(&d, i) ? healthy(&table->buckets[i]) : 0;
  }
  return count;
}

const kad__entry *kad__table_at(const kad__table *table, uint64_t n) {
  const kad__bucket *b = table->buckets;
  while (n >= b->count) {
    n -= b->count;
    b++;
  }
  return &b->entries[n];
}

int kad__table_deepest(const kad__table *table) {
  for (uint32_t i = table->bucket_count; i > 0; i--) {
    if (table->buckets[i - 1].count > 0) {
      return (int)i - 1;
    }
  }
  return -1;
}

static const char *check_entry(const kad__table *t, const kad__entry *e,
                               uint32_t bucket) {
  const kad__key *key = kad__peer_key(t->book, e->peer);
  if (e->word != key->w[0]) {
    return "table: an entry's key is not its peer's";
  }
  if (kad__table_index(t, key) != bucket) {
    return "table: an entry is in the wrong bucket";
  }
  if ((e->addresses != 0) != ((e->flags & KAD__ENTRY_ADDRESSED) != 0)) {
    return "table: the flag of addresses is wrong";
  }
  if ((e->failures != 0) != ((e->flags & KAD__ENTRY_FAILED) != 0)) {
    return "table: the flag of failures is wrong";
  }
  return NULL;
}

static const char *check_bucket(const kad__table *t, uint32_t index) {
  const kad__bucket *b = &t->buckets[index];
  if (b->count > t->bucket_size || b->count > b->cap ||
      b->first_connected > b->count) {
    return "table: a bucket's counts are wrong";
  }
  for (uint32_t i = 0; i < b->count; i++) {
    const char *broken = check_entry(t, &b->entries[i], index);
    if (broken != NULL) {
      return broken;
    }
    bool connected = (b->entries[i].flags & KAD__ENTRY_CONNECTED) != 0;
    if (connected != (i >= b->first_connected)) {
      return "table: the border of the connected is wrong";
    }
    for (uint32_t j = 0; j < i; j++) {
      if (b->entries[i].peer == b->entries[j].peer) {
        return "table: a peer is there twice";
      }
    }
  }
  if (b->pending == NULL) {
    return NULL;
  }
  if (kad__table_find(t, b->pending->entry.peer) != NULL) {
    return "table: a peer is present and pending";
  }
  return check_entry(t, &b->pending->entry, index);
}

const char *kad__table_check(const kad__table *table) {
  size_t size = 0;
  size_t pending = 0;
  for (uint32_t i = 0; i < table->bucket_count; i++) {
    const char *broken = check_bucket(table, i);
    if (broken != NULL) {
      return broken;
    }
    size += table->buckets[i].count;
    pending += table->buckets[i].pending != NULL;
  }
  if (size != table->size || pending != table->pending_count) {
    return "table: the totals are wrong";
  }
  return NULL;
}
