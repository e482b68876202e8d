/* What transports report (kadmium/transport.h): each report is looked up, goes
 * into the swarm as if a socket had said it, and is followed by a turn. */
#include "base/alloc.h"
#include "kadmium/multiaddr.h"
#include "runtime/kad_node.h"
#include "runtime/system.h"
#include "runtime/transport_internal.h"
#include "wire/addresses.h"

/* Addresses of a listener. */
#define LISTEN_MAX 4096

/* Nothing may be reported while a transport's function runs: the node is in the
 * middle of something then. */
static int look_up(kad__transport_channel **out, const kad_node *node,
                   uint64_t id) {
  const kad__transports *t = node->host.transports;
  if (t != NULL && t->inside) {
    return KAD_E_STATE;
  }
  *out = t == NULL ? NULL : kad__transport_find(t, id);
  return *out == NULL ? KAD_E_NOT_FOUND : 0;
}

/* The same for a channel that is being dialled, or is not. */
static int look_up_as(kad__transport_channel **out, const kad_node *node,
                      uint64_t id, bool opening) {
  int error = look_up(out, node, id);
  return error == 0 && (*out)->opening != opening ? KAD_E_STATE : error;
}

static int look_up_listener(kad__transport_listener **out, const kad_node *node,
                            uint64_t id) {
  const kad__transports *t = node->host.transports;
  if (t != NULL && t->inside) {
    return KAD_E_STATE;
  }
  *out = t == NULL ? NULL : kad__transport_find_listener(t, id);
  return *out == NULL ? KAD_E_NOT_FOUND : 0;
}

static bool fits(kad_bytes address) {
  kad_multiaddr_part part;
  return kad_multiaddr_check(address) == 0 &&
         !(kad_multiaddr_find(address, KAD_MULTIADDR_P2P, &part, NULL) &&
           part.value.data + part.value.len == address.data + address.len);
}

static int named(int error) {
  return error < 0 ? error : KAD_E_IO;
}

int kad_transport_listening(kad_node *node, uint64_t id,
                            const kad_bytes *addresses, size_t count) {
  kad__transport_listener *l = NULL;
  uint8_t list[LISTEN_MAX];
  size_t len = 0;
  int error = look_up_listener(&l, node, id);
  if (error < 0) {
    return error;
  }
  kad_bytes asked = kad__bytes(l->address, l->address_len);
  for (size_t i = 0; i < count; i++) {
    if (!fits(addresses[i])) {
      return KAD_E_MULTIADDR;
    }
    if (!kad__addresses_append(list, sizeof(list), &len, addresses[i])) {
      return KAD_E_LIMIT;
    }
  }
  if (count == 0) {
    (void)kad__addresses_append(list, sizeof(list), &len, asked);
  }
  kad__swarm_listening(kad__transports_swarm(l->all), id, kad__bytes(list, len),
                       kad__system_now());
  kad__host_turn(&node->host);
  return 0;
}

int kad_transport_listen_failed(kad_node *node, uint64_t id, int error) {
  kad__transport_listener *l = NULL;
  int result = look_up_listener(&l, node, id);
  if (result < 0) {
    return result;
  }
  kad__swarm *swarm = kad__transports_swarm(l->all);
  kad__transport_forget_listener(l);
  kad__swarm_listen_failed(swarm, id, named(error));
  kad__host_turn(&node->host);
  return 0;
}

static int accept_channel(kad__transport_channel *c, kad__id from,
                          kad_bytes remote, kad_bytes local) {
  kad__swarm *swarm = kad__transports_swarm(c->all);
  kad_time now = kad__system_now();
  kad__id id = 0;
  int error = kad__swarm_accepted(swarm, &id, from, remote, local, now);
  if (error < 0) {
    return error;
  }
  error = kad__transport_channel_map(c, id);
  if (error < 0) {
    kad__swarm_closed(swarm, id, error, now);
  }
  return error;
}

/* The turn is left to the next drive: the transport does not know the number
 * yet, by which it may have to report. */
int kad_transport_accepted(kad_node *node, uint64_t *id, uint64_t listener_id,
                           void *own, kad_bytes remote, kad_bytes local) {
  kad__transport_listener *l = NULL;
  int error = look_up_listener(&l, node, listener_id);
  if (error < 0) {
    return error;
  }
  if (local.len == 0) {
    local = kad__bytes(l->address, l->address_len);
  }
  if (!fits(remote) || !fits(local)) {
    return KAD_E_MULTIADDR;
  }
  kad__transport_channel *c = kad__transport_channel_new(l->all, l->transport);
  if (c == NULL) {
    return KAD_E_NO_MEMORY;
  }
  c->own = own;
  error = accept_channel(c, listener_id, remote, local);
  node->host.world->due = true;
  if (error < 0) {
    kad__release(&l->all->allocator, c);
    return error;
  }
  *id = c->id;
  return 0;
}

int kad_transport_dialed(kad_node *node, uint64_t id, kad_bytes local) {
  kad__transport_channel *c = NULL;
  int error = look_up_as(&c, node, id, true);
  if (error < 0) {
    return error;
  }
  if (local.len != 0 && !fits(local)) {
    return KAD_E_MULTIADDR;
  }
  c->opening = false;
  kad__swarm_dialed(kad__transports_swarm(c->all), id, local,
                    kad__system_now());
  kad__host_turn(&node->host);
  return 0;
}

int kad_transport_dial_failed(kad_node *node, uint64_t id, int error) {
  kad__transport_channel *c = NULL;
  int result = look_up_as(&c, node, id, true);
  return result < 0 ? result : kad_transport_closed(node, id, named(error));
}

int kad_transport_received(kad_node *node, uint64_t id, uint8_t *bytes,
                           size_t len) {
  kad__transport_channel *c = NULL;
  int error = look_up_as(&c, node, id, false);
  if (error < 0) {
    return error;
  }
  if (c->paused) {
    return KAD_E_AGAIN;
  }
  if (len != 0) {
    kad__swarm_input(kad__transports_swarm(c->all), id, bytes, len,
                     kad__system_now());
    kad__host_turn(&node->host);
  }
  return 0;
}

int kad_transport_writable(kad_node *node, uint64_t id) {
  kad__transport_channel *c = NULL;
  int error = look_up_as(&c, node, id, false);
  if (error < 0) {
    return error;
  }
  c->full = false;
  if (kad__transport_pull(c)) {
    kad__host_turn(&node->host);
  }
  return 0;
}

int kad_transport_closed(kad_node *node, uint64_t id, int error) {
  kad__transport_channel *c = NULL;
  int result = look_up(&c, node, id);
  if (result < 0) {
    return result;
  }
  kad__swarm *swarm = kad__transports_swarm(c->all);
  kad__transport_forget(c);
  kad__swarm_closed(swarm, id, error == 0 ? 0 : named(error),
                    kad__system_now());
  kad__host_turn(&node->host);
  return 0;
}

/* ---- the choice ---------------------------------------------------------- */

const char *kad_node_transport_for_dialing(const kad_node *node,
                                           kad_bytes address) {
  return kad__swarm_transport_for(kad__node_swarm(node->host.node), address,
                                  true);
}

const char *kad_node_transport_for_listening(const kad_node *node,
                                             kad_bytes address) {
  return kad__swarm_transport_for(kad__node_swarm(node->host.node), address,
                                  false);
}
