/* Asks the gateway in front of us to forward our ports: NAT-PMP first, which
 * takes two datagrams, then UPnP. Both libraries block, so a thread of its own
 * talks to the gateway; the loop tells it which ports we listen on and is woken
 * when there is news. A mapping lives for a minute and is renewed three times
 * in it; it is removed in the end. */
#ifndef KAD_RUNTIME_PORT_MAPPING_H
#define KAD_RUNTIME_PORT_MAPPING_H

#include "runtime/world.h"

typedef struct kad__port_mapping_config {
  kad_time lifetime; /* of a mapping: 60 s */
  kad_time renew;    /* how often it is asked for again: 20 s */
  kad_time search;   /* how often a gateway is looked for: 5 min */
  /* For tests: these gateways instead of those that the network shows, and
   * ports that only loopback reaches. */
  const char *natpmp_gateway; /* IPv4 text */
  const char *upnp_url;       /* of the root description */
  bool only_these;
  bool loopback;
} kad__port_mapping_config;

void kad__port_mapping_config_default(kad__port_mapping_config *config);

/* False when it was built without both libraries. */
bool kad__port_mapping_supported(void);

/* Begins; what the config points at must live as long. KAD_E_UNSUPPORTED,
 * KAD_E_NO_MEMORY, KAD_E_WORLD. */
int kad__port_mapping_new(kad__port_mapping **out, kad__world *world,
                          const kad__port_mapping_config *config);
/* Removes the mappings, which takes as long as the gateway does, a few seconds
 * at most; its memory goes with the loop. Takes NULL. */
void kad__port_mapping_free(kad__port_mapping *m);
/* The node may listen on other ports now. */
void kad__port_mapping_turn(kad__port_mapping *m);

#endif
