/**
 * @file
 * Which connections are worth keeping. When a node has more than its high water
 * mark, it closes those to the peers of least value until the low one is
 * reached: peers have tags with values, tags may decay, and peers may be
 * protected. The marks are options of the node (kad_node_options.low_water,
 * high_water, grace_period); beyond max_connections none is accepted at all.
 *
 * What is closed first: the peer with the lower sum of its tags; of equals, one
 * without streams; one that has connected to us; one with fewer streams. Never:
 * a protected peer, and one that came within the grace period.
 *
 * Tags and protections outlive connections; those of a peer that is not
 * connected are kept as long as it has any.
 */
#ifndef KADMIUM_CONNECTION_MANAGER_H
#define KADMIUM_CONNECTION_MANAGER_H

#include "kadmium/node.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Length of a tag's name at most, and tags and protections of one peer. */
#define KAD_TAG_MAX 31
#define KAD_TAGS_MAX 32

/** Gives a peer's tag a value. KAD_E_INVALID_ARGUMENT: a name that is empty,
 * too long, or that of a decaying tag. KAD_E_LIMIT, KAD_E_NO_MEMORY. */
KAD_API int kad_node_tag_peer(kad_node *node, const kad_peer_id *peer,
                              const char *tag, int value);
/** Adds to its value, 0 at first. Errors as above. */
KAD_API int kad_node_adjust_tag(kad_node *node, const kad_peer_id *peer,
                                const char *tag, int by);
/** Takes the tag off; false: it has none of that name. Decaying ones too. */
KAD_API bool kad_node_untag_peer(kad_node *node, const kad_peer_id *peer,
                                 const char *tag);
/** The sum of its tags. */
KAD_API int64_t kad_node_peer_value(const kad_node *node,
                                    const kad_peer_id *peer);

/** Keeps the peer's connections, idle ones too, until each that protects it, by
 * a name of its own, has taken that back. Errors as kad_node_tag_peer. */
KAD_API int kad_node_protect(kad_node *node, const kad_peer_id *peer,
                             const char *tag);
/** Returns whether others still protect the peer. */
KAD_API bool kad_node_unprotect(kad_node *node, const kad_peer_id *peer,
                                const char *tag);
/** By that name, or NULL: by any. */
KAD_API bool kad_node_is_protected(const kad_node *node,
                                   const kad_peer_id *peer, const char *tag);

/** How a tag loses value as time goes on. */
typedef enum kad_decay {
  KAD_DECAY_NONE,
  KAD_DECAY_FIXED,  /**< less by `amount` each interval, gone at 0 */
  KAD_DECAY_LINEAR, /**< times `amount` thousandths, gone at 0 */
  KAD_DECAY_EXPIRE  /**< gone when it was not bumped for one interval */
} kad_decay;

/** What a bump does. */
typedef enum kad_bump {
  KAD_BUMP_ADD,
  KAD_BUMP_ADD_BOUNDED, /**< from `min` to `max` */
  KAD_BUMP_REPLACE
} kad_bump;

typedef struct kad_decaying_tag {
  const char *name;
  kad_time interval; /**< at least 1 s */
  kad_decay decay;
  int amount;
  kad_bump bump;
  int min;
  int max;
} kad_decaying_tag;

/** Makes a kind of tag that decays. KAD_E_INVALID_ARGUMENT: a name that there
 * is, or a value that makes no sense. KAD_E_LIMIT: 32 kinds. */
KAD_API int kad_node_add_decaying_tag(kad_node *node,
                                      const kad_decaying_tag *tag);
/** Bumps a peer's tag of such a kind. KAD_E_NOT_FOUND: there is no such kind.
 * KAD_E_LIMIT, KAD_E_NO_MEMORY. */
KAD_API int kad_node_bump_tag(kad_node *node, const kad_peer_id *peer,
                              const char *tag, int by);

/** Closes down to the low water mark now, grace period or not; returns how many
 * connections were closed. */
KAD_API size_t kad_node_trim_connections(kad_node *node);

#ifdef __cplusplus
}
#endif

#endif
