/* Looking into a DHT without changing it: its buckets, its peers, the queries
 * that run. Everything that is returned is borrowed until the DHT is next
 * called; the cursors stay usable, and skip or repeat what moved meanwhile. */
#ifndef KAD_KADEMLIA_INSPECT_H
#define KAD_KADEMLIA_INSPECT_H

#include "kademlia/dht.h"

/* A k-bucket: the peers that share exactly `index` leading bits with us. */
typedef struct kad__bucket_view {
  uint32_t index;   /* 0 (half of the key space) to 255 */
  uint32_t entries; /* pending one not counted */
  bool pending;     /* somebody waits for a place */
} kad__bucket_view;

/* The next bucket that holds somebody, the closest to us first: start with
 * *cursor = 0; false at the end. */
bool kad__dht_next_bucket(const kad__dht *dht, uint32_t *cursor,
                          kad__bucket_view *out);
/* The bucket of a key, which may be empty; false for our own. */
bool kad__dht_bucket_of(const kad__dht *dht, kad_bytes key,
                        kad__bucket_view *out);

typedef struct kad__entry_view {
  kad_bytes peer;
  kad_bytes addresses;
  uint32_t bucket;
  bool connected;
  bool pending;
} kad__entry_view;

/* The next peer of a bucket, the longest disconnected first, then the longest
 * connected, the pending one last: start with *cursor = 0; false at the end. */
bool kad__dht_next_entry(const kad__dht *dht, uint32_t bucket, uint32_t *cursor,
                         kad__entry_view *out);

typedef struct kad__query_view {
  kad__query_id id;
  kad__query_kind kind;
  bool spreading;     /* the lookup is over: something is given to the peers */
  uint32_t step;      /* events so far */
  uint32_t got;       /* results so far */
  uint32_t stored;    /* peers that took what is given */
  uint32_t remaining; /* of a bootstrap: buckets that are left */
  kad_bytes key;
  kad__query_stats stats;
} kad__query_view;

/* A query that runs and has not reported its end; false otherwise. */
bool kad__dht_query(const kad__dht *dht, kad__query_id id,
                    kad__query_view *out);
/* The next one after `id` (0: the first), in the order of ids. */
bool kad__dht_next_query(const kad__dht *dht, kad__query_id id,
                         kad__query_view *out);

/* Queries that have reported their end and still give records away: a node
 * that leaves now would cut them short. */
size_t kad__dht_background(const kad__dht *dht);

#endif
