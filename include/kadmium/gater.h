/**
 * @file
 * Who may connect: five questions that a node asks its owner on the way to a
 * connection, and a ready-made answer to them, a list of what is blocked.
 */
#ifndef KADMIUM_GATER_H
#define KADMIUM_GATER_H

#include "kadmium/peer_id.h"
#include "kadmium/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The questions, in the order in which they are asked. Each function, which may
 * be NULL, returns whether it may go on. Addresses are binary multiaddrs,
 * borrowed for the call. The functions run while the node is driven: they are
 * brief, and call nothing of the node. What they refuse is counted, and is
 * KAD_E_GATED where somebody waits for it.
 */
typedef struct kad_gater {
  void *user;
  /** We are about to dial a peer; not asked when it is connected. */
  bool (*dial_peer)(void *user, const kad_peer_id *peer);
  /** ... at one of its addresses, names resolved. `peer` is NULL when whoever
   * answers there will do. */
  bool (*dial_address)(void *user, const kad_peer_id *peer, kad_bytes address);
  /** Somebody has connected; nothing was read yet. */
  bool (*accept)(void *user, kad_bytes local, kad_bytes remote);
  /** Its identity is proven, before anything else is spoken. */
  bool (*secured)(void *user, bool inbound, const kad_peer_id *peer,
                  kad_bytes remote);
  /** The connection is complete. Who is refused now is told so (code 0x1007).
   */
  bool (*upgraded)(void *user, bool inbound, const kad_peer_id *peer,
                   kad_bytes remote);
} kad_gater;

/* ---- the ready-made one -------------------------------------------------- */

/** Peers, IP addresses and subnets that are blocked. Of one thread, the one
 * that drives the nodes which use it; it outlives them. */
typedef struct kad_blocklist kad_blocklist;

/** An empty one. `allocator` NULL: kad_allocator_default(). KAD_E_NO_MEMORY. */
KAD_API int kad_blocklist_new(kad_blocklist **out,
                              const kad_allocator *allocator);
/** Takes NULL. */
KAD_API void kad_blocklist_free(kad_blocklist *list);

/** Its functions, for kad_node_options.gater. An address without an IP is never
 * blocked. Connections that exist are not closed: see kad_node_disconnect. */
KAD_API kad_gater kad_blocklist_gater(kad_blocklist *list);

/** KAD_E_NO_MEMORY. Nothing when it is blocked already. */
KAD_API int kad_blocklist_add_peer(kad_blocklist *list,
                                   const kad_peer_id *peer);
/** An IP address or a subnet as text: "192.0.2.7", "192.0.2.0/24",
 * "2001:db8::/32"; bits behind the prefix are dropped. KAD_E_INVALID_ARGUMENT:
 * it is neither. KAD_E_NO_MEMORY. */
KAD_API int kad_blocklist_add_subnet(kad_blocklist *list, const char *subnet);
/** False when it was not blocked, or is malformed. */
KAD_API bool kad_blocklist_remove_peer(kad_blocklist *list,
                                       const kad_peer_id *peer);
KAD_API bool kad_blocklist_remove_subnet(kad_blocklist *list,
                                         const char *subnet);

/** How many peers and subnets are blocked. */
KAD_API size_t kad_blocklist_count(const kad_blocklist *list);
KAD_API bool kad_blocklist_has_peer(const kad_blocklist *list,
                                    const kad_peer_id *peer);
/** Is the IP address of a binary multiaddr blocked? */
KAD_API bool kad_blocklist_has_address(const kad_blocklist *list,
                                       kad_bytes address);

/**
 * All of it as text, a line each ("peer ID" or "subnet IP/BITS"), not ended by
 * NUL. Returns the length; more than `cap`: nothing was written, come again.
 */
KAD_API size_t kad_blocklist_save(const kad_blocklist *list, char *out,
                                  size_t cap);
/** Adds what such a text says; empty lines and those that begin with '#' are
 * passed over. KAD_E_INVALID_ARGUMENT: a line is malformed; those before it
 * have been added. KAD_E_NO_MEMORY. */
KAD_API int kad_blocklist_load(kad_blocklist *list, const char *text,
                               size_t len);

#ifdef __cplusplus
}
#endif

#endif
