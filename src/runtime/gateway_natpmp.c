/* NAT-PMP (RFC 6886) by libnatpmp. The library would repeat a request for a
 * minute; a gateway that speaks the protocol answers the first or second. */
#include "runtime/gateway.h"

#ifdef KADMIUM_NATPMP

#include <arpa/inet.h>
#include <natpmp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* Sent at 0, 250 and 750 ms; given up at 1.75 s. */
#define TRIES 3

/* Waits for the answer to what was sent; false when there is none, or it is no.
 */
static bool await(const kad__gateway *g, natpmpresp_t *answer) {
  natpmp_t *p = g->state;
  int result = NATPMP_TRYAGAIN;
  while (result == NATPMP_TRYAGAIN && p->try_number <= TRIES) {
    struct timeval wait = {.tv_sec = 0};
    (void)getnatpmprequesttimeout(p, &wait);
    struct pollfd fds[2] = {{.fd = p->s, .events = POLLIN},
                            {.fd = g->stop_fd, .events = POLLIN}};
    long ms = wait.tv_sec * 1000 + wait.tv_usec / 1000 + 1;
    if (poll(fds, g->stop_fd < 0 ? 1 : 2, ms < 0 ? 0 : (int)ms) > 0 &&
        fds[1].revents != 0) {
      return false;
    }
    result = readnatpmpresponseorretry(p, answer);
  }
  return result == 0;
}

bool kad__natpmp_look(kad__gateway *g) {
  natpmpresp_t answer;
  if (sendpublicaddressrequest(g->state) < 0 || !await(g, &answer) ||
      answer.type != NATPMP_RESPTYPE_PUBLICADDRESS) {
    return false;
  }
  memcpy(g->ip, &answer.pnu.publicaddress.addr, sizeof(g->ip));
  return true;
}

bool kad__natpmp_find(kad__gateway *g, const char *address) {
  struct in_addr forced = {.s_addr = 0};
  if (address != NULL && inet_pton(AF_INET, address, &forced) != 1) {
    return false;
  }
  natpmp_t *p = malloc(sizeof(*p));
  if (p == NULL) {
    return false;
  }
  if (initnatpmp(p, address != NULL, forced.s_addr) < 0) {
    free(p);
    return false;
  }
  g->state = p;
  if (!kad__natpmp_look(g)) {
    kad__natpmp_close(g);
    return false;
  }
  return true;
}

void kad__natpmp_close(kad__gateway *g) {
  closenatpmp(g->state);
  free(g->state);
  g->state = NULL;
}

bool kad__natpmp_map(kad__gateway *g, kad__mapped_port *port,
                     uint32_t lifetime_s) {
  /* The same port outside, if it is free; what it granted before, else. */
  uint16_t wish = port->external != 0 ? port->external : port->port;
  natpmpresp_t answer;
  if (sendnewportmappingrequest(g->state, NATPMP_PROTOCOL_TCP, port->port,
                                lifetime_s == 0 ? 0 : wish, lifetime_s) < 0 ||
      !await(g, &answer) || answer.type != NATPMP_RESPTYPE_TCPPORTMAPPING ||
      answer.pnu.newportmapping.privateport != port->port) {
    return false;
  }
  port->external = answer.pnu.newportmapping.mappedpublicport;
  return true;
}

#else

bool kad__natpmp_find(kad__gateway *g, const char *address) {
  (void)g;
  (void)address;
  return false;
}

void kad__natpmp_close(kad__gateway *g) {
  (void)g;
}

bool kad__natpmp_look(kad__gateway *g) {
  (void)g;
  return false;
}

bool kad__natpmp_map(kad__gateway *g, kad__mapped_port *port,
                     uint32_t lifetime_s) {
  (void)g;
  (void)port;
  (void)lifetime_s;
  return false;
}

#endif
