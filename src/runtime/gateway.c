/* Which of the two protocols a gateway speaks. */
#include "runtime/gateway.h"

#include <poll.h>

bool kad__gateway_stopped(const kad__gateway *g) {
  struct pollfd fd = {.fd = g->stop_fd, .events = POLLIN};
  return g->stop_fd >= 0 && poll(&fd, 1, 0) > 0;
}

bool kad__gateway_find(kad__gateway *g,
                       const kad__port_mapping_config *config) {
  bool natpmp = !config->only_these || config->natpmp_gateway != NULL;
  bool upnp = !config->only_these || config->upnp_url != NULL;
  if (natpmp && kad__natpmp_find(g, config->natpmp_gateway)) {
    g->kind = KAD__GATEWAY_NATPMP;
  } else if (upnp && !kad__gateway_stopped(g) &&
             kad__upnp_find(g, config->upnp_url)) {
    g->kind = KAD__GATEWAY_UPNP;
  }
  return g->kind != KAD__GATEWAY_NONE;
}

void kad__gateway_close(kad__gateway *g) {
  if (g->kind == KAD__GATEWAY_NATPMP) {
    kad__natpmp_close(g);
  } else if (g->kind == KAD__GATEWAY_UPNP) {
    kad__upnp_close(g);
  }
  g->kind = KAD__GATEWAY_NONE;
}

bool kad__gateway_look(kad__gateway *g) {
  return g->kind == KAD__GATEWAY_NATPMP ? kad__natpmp_look(g)
                                        : kad__upnp_look(g);
}

bool kad__gateway_map(kad__gateway *g, kad__mapped_port *port,
                      kad_time lifetime) {
  uint32_t seconds = (uint32_t)(lifetime / KAD_SECOND);
  return g->kind == KAD__GATEWAY_NATPMP ? kad__natpmp_map(g, port, seconds)
                                        : kad__upnp_map(g, port, seconds);
}

void kad__gateway_unmap(kad__gateway *g, const kad__mapped_port *port) {
  kad__mapped_port none = {.port = port->port};
  if (port->external == 0) {
    return;
  }
  if (g->kind == KAD__GATEWAY_NATPMP) {
    (void)kad__natpmp_map(g, &none, 0);
  } else if (g->kind == KAD__GATEWAY_UPNP) {
    kad__upnp_unmap(g, port);
  }
}
