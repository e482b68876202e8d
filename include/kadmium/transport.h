/**
 * @file
 * Transports of your own. Whatever carries bytes in order and without loss can
 * carry connections: Unix sockets, a proxy, WebSockets, memory. The node
 * secures and multiplexes them, and ranks, limits and ends them as it does
 * TCP's.
 *
 *     node -> transport   the functions of kad_transport, while it works
 *     transport -> node   kad_transport_accepted, kad_transport_received ...
 *
 * The node calls the functions to have something done, and you report from your
 * own loop what has happened. examples/unix_transport.c is a whole one.
 *
 * A channel or listener has a number of the node's, by which you report of it,
 * and a pointer of yours, which the functions are given. Numbers are never used
 * again: what you report of one that is over changes nothing, and is
 * KAD_E_NOT_FOUND.
 *
 * Whatever the node was given by a transport it gives back by exactly one
 * `close` or `unlisten`, at the latest in kad_node_free, unless you have
 * reported its end before. After that it does not touch the pointer any more.
 *
 * With a kad_service the functions run on its thread (in kad_service_start and
 * kad_service_stop on the caller's), and other threads report inside a
 * kad_service_visit. Hold no lock there for which a function waits.
 */
#ifndef KADMIUM_TRANSPORT_H
#define KADMIUM_TRANSPORT_H

#include "kadmium/node.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What `dial` and `listen` return when they do not fail. */
typedef enum kad_transport_progress {
  KAD_TRANSPORT_PENDING = 0, /**< you will report how it ended */
  KAD_TRANSPORT_DONE = 1     /**< it stands already */
} kad_transport_progress;

/**
 * A transport. Its functions are brief, do not block and call nothing of the
 * node: a report is refused meanwhile, with KAD_E_STATE. Addresses are binary
 * multiaddrs without a trailing /p2p, borrowed for the call as all bytes are.
 *
 * For kad_node_options.transports, where the first that can do it is taken,
 * and the built-in TCP when none can. So a transport may take over TCP.
 */
typedef struct kad_transport {
  /** What kad_connection_info.transport says; copied. */
  const char *name;
  void *user; /**< the first argument of every function */

  /**
   * Would you dial or listen there? Either may be NULL: never. A name that you
   * claim (/dns4/example.org/..) is yours to resolve. Of others you are asked
   * again what they lead to; before a look-up, to see whether it is worth it,
   * with an unspecified IP in the place of the name.
   */
  bool (*can_dial)(void *user, kad_bytes address);
  bool (*can_listen)(void *user, kad_bytes address);

  /**
   * Begins to listen. Sets `*listener` to your pointer and returns a
   * kad_transport_progress, DONE meaning: at that very address. An error ends
   * it: there is no listener then. NULL when can_listen is.
   */
  int (*listen)(void *user, void **listener, uint64_t id, kad_bytes address);
  /** Ends a listener. Its channels stay. NULL when can_listen is. */
  void (*unlisten)(void *user, void *listener);

  /**
   * Begins to open a channel, as `listen` does a listener. An error is the
   * address's in the list of what a dial has tried, and lets it rest, but for
   * KAD_E_LIMIT and KAD_E_NO_MEMORY, which are ours. NULL when can_dial is.
   */
  int (*dial)(void *user, void **channel, uint64_t id, kad_bytes address);

  /**
   * Sends bytes. Returns how many of them you have taken, copied if need be.
   * Fewer than all: no more come, and the rest again, until you report
   * kad_transport_writable. An error ends the channel; `close` follows.
   */
  int (*write)(void *user, void *channel, kad_bytes bytes);
  /** Stops to read from the channel, or goes on; at first you read. */
  void (*read)(void *user, void *channel, bool on);
  /**
   * Ends a channel, also one that is still being dialled: in good order, after
   * what you have taken was sent. What it still receives is for nobody.
   */
  void (*close)(void *user, void *channel);
} kad_transport;

/** How many transports a node takes. */
#define KAD_TRANSPORTS_MAX 32

/* ---- reports --------------------------------------------------------------
 *
 * Each returns 0 or an error that says why it was not taken. Those below are of
 * all: KAD_E_NOT_FOUND: there is no such listener or channel (any more).
 * KAD_E_STATE: a function of a transport of this node is running, or the
 * channel is still being dialled, or is not any more.
 *
 * But for kad_transport_accepted the node works on what was reported at once,
 * and may call any function, for that channel and for others: what you keep of
 * a channel may be gone when a report returns.
 */

/** A listener listens, on these addresses; none: on the one that was asked for.
 * May be said again when they change. KAD_E_MULTIADDR: one is malformed, or
 * ends in /p2p. KAD_E_LIMIT: more than 4 KiB. */
KAD_API int kad_transport_listening(kad_node *node, uint64_t listener,
                                    const kad_bytes *addresses, size_t count);

/** A listener could not be made, or has ended by itself:
 * KAD_EVENT_LISTEN_FAILED or KAD_EVENT_LISTEN_CLOSED tells the owner. */
KAD_API int kad_transport_listen_failed(kad_node *node, uint64_t listener,
                                        int error);

/**
 * Somebody has connected to a listener. `*id` is the number of the channel and
 * `channel` your pointer. `remote` is where it comes from: an address with an
 * IP counts against the limits of that IP, another only against those of all
 * (kad_node_options). `local` may be empty: the listener's address. The node
 * works on it when it is driven next; kad_node_timeout is 0 until then.
 *
 * KAD_E_LIMIT, KAD_E_GATED: refused, as others are who connect.
 * KAD_E_MULTIADDR, KAD_E_NO_MEMORY. After an error there is no channel: close
 * it yourself.
 */
KAD_API int kad_transport_accepted(kad_node *node, uint64_t *id,
                                   uint64_t listener, void *channel,
                                   kad_bytes remote, kad_bytes local);

/** A channel that was dialled stands. `local` may be empty. KAD_E_MULTIADDR. */
KAD_API int kad_transport_dialed(kad_node *node, uint64_t channel,
                                 kad_bytes local);
/** ... or could not be opened. */
KAD_API int kad_transport_dial_failed(kad_node *node, uint64_t channel,
                                      int error);

/** Bytes were read; they are decrypted where they stand. KAD_E_AGAIN: `read`
 * has stopped the channel, and nothing was taken. */
KAD_API int kad_transport_received(kad_node *node, uint64_t channel,
                                   uint8_t *bytes, size_t len);

/** There is room to write again. */
KAD_API int kad_transport_writable(kad_node *node, uint64_t channel);

/** The channel has ended: 0: the other side has closed it. */
KAD_API int kad_transport_closed(kad_node *node, uint64_t channel, int error);

/* ---- the choice ---------------------------------------------------------- */

/** The name of the transport that would dial a binary multiaddr ("tcp": the
 * built-in one), with or without /p2p; of a name what it leads to counts. NULL:
 * none, as for a dnsaddr, of which one cannot tell. */
KAD_API const char *kad_node_transport_for_dialing(const kad_node *node,
                                                   kad_bytes address);
/** The same for listening. */
KAD_API const char *kad_node_transport_for_listening(const kad_node *node,
                                                     kad_bytes address);

#ifdef __cplusplus
}
#endif

#endif
