/* UPnP Internet Gateway Device by miniupnpc. Discovery is cut into pieces of a
 * second, so that whoever wants to stop does not wait for all of it. */
#include "runtime/gateway.h"

#ifdef KADMIUM_UPNP

#include <arpa/inet.h>
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DISCOVERY_ROUNDS 5
#define DISCOVERY_MS 1000
/* Ports beyond our own that are tried when that is taken by somebody else. */
#define OTHER_PORTS 3

/* Errors of AddPortMapping: the port is another host's; only mappings without
 * an end are supported. */
#define CONFLICT 718
#define ONLY_PERMANENT 725

typedef struct upnp {
  struct UPNPUrls urls;
  struct IGDdatas data;
  char lan[64]; /* our address on that side */
} upnp;

static bool is_gateway(upnp *u, struct UPNPDev *devices) {
#if MINIUPNPC_API_VERSION >= 18
  char wan[64];
  int found = UPNP_GetValidIGD(devices, &u->urls, &u->data, u->lan,
                               sizeof(u->lan), wan, sizeof(wan));
#else
  int found =
      UPNP_GetValidIGD(devices, &u->urls, &u->data, u->lan, sizeof(u->lan));
#endif
  if (found > 1) {
    FreeUPNPUrls(&u->urls); /* it has no uplink, or is no gateway */
  }
  return found == 1;
}

static bool discover(const kad__gateway *g, upnp *u) {
  for (int i = 0; i < DISCOVERY_ROUNDS && !kad__gateway_stopped(g); i++) {
    int error = 0;
    struct UPNPDev *devices = upnpDiscover(DISCOVERY_MS, NULL, NULL,
                                           UPNP_LOCAL_PORT_ANY, 0, 2, &error);
    bool found = devices != NULL && is_gateway(u, devices);
    freeUPNPDevlist(devices);
    if (found) {
      return true;
    }
  }
  return false;
}

bool kad__upnp_find(kad__gateway *g, const char *url) {
  upnp *u = calloc(1, sizeof(*u));
  if (u == NULL) {
    return false;
  }
  bool found = url == NULL ? discover(g, u)
                           : UPNP_GetIGDFromUrl(url, &u->urls, &u->data, u->lan,
                                                sizeof(u->lan)) == 1;
  if (!found) {
    free(u);
    return false;
  }
  g->state = u;
  if (!kad__upnp_look(g)) {
    kad__upnp_close(g);
    return false;
  }
  return true;
}

void kad__upnp_close(kad__gateway *g) {
  upnp *u = g->state;
  FreeUPNPUrls(&u->urls);
  free(u);
  g->state = NULL;
}

bool kad__upnp_look(kad__gateway *g) {
  upnp *u = g->state;
  char text[64] = "";
  return UPNP_GetExternalIPAddress(u->urls.controlURL,
                                   u->data.first.servicetype,
                                   text) == UPNPCOMMAND_SUCCESS &&
         inet_pton(AF_INET, text, g->ip) == 1;
}

static int add(const upnp *u, uint16_t port, uint16_t external,
               uint32_t lifetime_s) {
  char inside[8];
  char outside[8];
  char lease[16];
  snprintf(inside, sizeof(inside), "%u", port);
  snprintf(outside, sizeof(outside), "%u", external);
  snprintf(lease, sizeof(lease), "%u", lifetime_s);
  return UPNP_AddPortMapping(u->urls.controlURL, u->data.first.servicetype,
                             outside, inside, u->lan, "kadmium", "TCP", NULL,
                             lease);
}

bool kad__upnp_map(kad__gateway *g, kad__mapped_port *port,
                   uint32_t lifetime_s) {
  uint16_t first = port->external != 0 ? port->external : port->port;
  for (uint32_t i = 0; i <= OTHER_PORTS && first + i <= UINT16_MAX; i++) {
    uint16_t wish = (uint16_t)(first + i);
    int result = add(g->state, port->port, wish, lifetime_s);
    if (result == ONLY_PERMANENT) {
      result = add(g->state, port->port, wish, 0);
    }
    if (result == UPNPCOMMAND_SUCCESS) {
      port->external = wish;
      return true;
    }
    if (result != CONFLICT) {
      return false;
    }
  }
  return false;
}

void kad__upnp_unmap(kad__gateway *g, const kad__mapped_port *port) {
  const upnp *u = g->state;
  char outside[8];
  snprintf(outside, sizeof(outside), "%u", port->external);
  (void)UPNP_DeletePortMapping(u->urls.controlURL, u->data.first.servicetype,
                               outside, "TCP", NULL);
}

#else

bool kad__upnp_find(kad__gateway *g, const char *url) {
  (void)g;
  (void)url;
  return false;
}

void kad__upnp_close(kad__gateway *g) {
  (void)g;
}

bool kad__upnp_look(kad__gateway *g) {
  (void)g;
  return false;
}

bool kad__upnp_map(kad__gateway *g, kad__mapped_port *port,
                   uint32_t lifetime_s) {
  (void)g;
  (void)port;
  (void)lifetime_s;
  return false;
}

void kad__upnp_unmap(kad__gateway *g, const kad__mapped_port *port) {
  (void)g;
  (void)port;
}

#endif
