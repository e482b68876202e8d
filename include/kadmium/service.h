/**
 * @file
 * A node that runs by itself: a thread with its own event loop, and calls that
 * block or call back.
 *
 * Every function may be called from any thread, except that kad_service_call,
 * kad_service_visit and kad_service_stop may not be called from a callback.
 */
#ifndef KADMIUM_SERVICE_H
#define KADMIUM_SERVICE_H

#include "kadmium/node.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct kad_service kad_service;

/**
 * Takes an event of a request, or of the node's life. Runs on the service's
 * thread: be brief, do not block. The event is valid for the call.
 */
typedef void (*kad_service_callback)(void *user, const kad_event *event);

/**
 * Makes a node and starts its thread. `observer` (may be NULL) takes the events
 * that belong to no request. Errors as kad_node_new, and KAD_E_WORLD when no
 * thread can be had.
 */
KAD_API int kad_service_start(kad_service **out,
                              const kad_node_options *options,
                              kad_service_callback observer, void *user);

/** Ends the node in good order (see kad_node_close) and the thread, and frees;
 * takes NULL. Requests that run get their KAD_EVENT_END with KAD_E_CANCELLED
 * first, and the observer hears of everything that ends. */
KAD_API void kad_service_stop(kad_service *service);

/** Our PeerId, borrowed. */
KAD_API const kad_peer_id *kad_service_id(const kad_service *service);

/**
 * Starts a request and returns; `callback` takes its events, the last being
 * KAD_EVENT_END. `*out` (may be NULL) is its number. The request is copied.
 * KAD_E_INVALID_ARGUMENT, KAD_E_NO_MEMORY; every other failure is the error of
 * the END event.
 */
KAD_API int kad_service_submit(kad_service *service, kad_request_id *out,
                               const kad_request *request,
                               kad_service_callback callback, void *user);

/**
 * Runs a request and blocks until it has ended; returns its error, or 0.
 * `callback` (may be NULL) takes its events meanwhile, on the service's thread.
 */
KAD_API int kad_service_call(kad_service *service, const kad_request *request,
                             kad_service_callback callback, void *user);

/** Looks at a service's node, on the service's thread. `node` is valid for the
 * call, and what it lends until it returns. */
typedef void (*kad_service_visitor)(void *user, kad_node *node);

/**
 * Runs `visitor` between two turns of the node and blocks until it has
 * returned: the way to all that routing.h and node.h offer beside requests,
 * such as the routing table, the mode, addresses, a verdict, a snapshot.
 * Requests have the same numbers there and here. The visitor may not start
 * requests, and not poll, drive or free the node; events that it causes are
 * delivered when it has returned.
 *
 * KAD_E_CANCELLED: the service is being stopped; KAD_E_WORLD. It has not been
 * run then.
 */
KAD_API int kad_service_visit(kad_service *service, kad_service_visitor visitor,
                              void *user);

/** Ends a request early; nothing when it has ended already. */
KAD_API void kad_service_cancel(kad_service *service, kad_request_id request);

/** The state of the node, as of its last turn. */
KAD_API void kad_service_get_status(kad_service *service, kad_node_status *out);

#ifdef __cplusplus
}
#endif

#endif
