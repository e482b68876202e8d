/* The gateway in front of us, by NAT-PMP or UPnP. All of it blocks; it takes no
 * memory of a node's, and is used by one thread. */
#ifndef KAD_RUNTIME_GATEWAY_H
#define KAD_RUNTIME_GATEWAY_H

#include "runtime/port_mapping.h"

typedef enum kad__gateway_kind {
  KAD__GATEWAY_NONE,
  KAD__GATEWAY_NATPMP,
  KAD__GATEWAY_UPNP
} kad__gateway_kind;

typedef struct kad__gateway {
  kad__gateway_kind kind;
  uint8_t ip[4]; /* its public address */
  int stop_fd;   /* readable: give up */
  void *state;   /* of the library */
} kad__gateway;

typedef struct kad__mapped_port {
  uint16_t port;
  uint16_t external; /* 0: not mapped */
} kad__mapped_port;

/* Looks for a gateway; false when there is none, or it was told to stop. */
bool kad__gateway_find(kad__gateway *g, const kad__port_mapping_config *config);
void kad__gateway_close(kad__gateway *g);
/* Learns the public address; false when it does not answer. */
bool kad__gateway_look(kad__gateway *g);
/* Maps, or renews, a TCP port; false when it does not work. */
bool kad__gateway_map(kad__gateway *g, kad__mapped_port *port,
                      kad_time lifetime);
void kad__gateway_unmap(kad__gateway *g, const kad__mapped_port *port);
/* Has somebody asked to stop? */
bool kad__gateway_stopped(const kad__gateway *g);

/* ---- by protocol; those that were not built in find nothing ------------- */

bool kad__natpmp_find(kad__gateway *g, const char *address);
void kad__natpmp_close(kad__gateway *g);
bool kad__natpmp_look(kad__gateway *g);
bool kad__natpmp_map(kad__gateway *g, kad__mapped_port *port,
                     uint32_t lifetime_s);

bool kad__upnp_find(kad__gateway *g, const char *url);
void kad__upnp_close(kad__gateway *g);
bool kad__upnp_look(kad__gateway *g);
bool kad__upnp_map(kad__gateway *g, kad__mapped_port *port,
                   uint32_t lifetime_s);
void kad__upnp_unmap(kad__gateway *g, const kad__mapped_port *port);

#endif
