/* Small gateways on loopback, each with a thread: they grant what they are
 * asked for, refuse when they are told to, and remember it. */
#ifndef KAD_TESTS_RUNTIME_GATEWAYS_H
#define KAD_TESTS_RUNTIME_GATEWAYS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct gateway {
  int fd;
  uint16_t listens; /* UPnP: its TCP port */
  pthread_t thread;
  atomic_bool ending;
  atomic_bool silent;    /* answers nothing */
  atomic_bool taken;     /* UPnP: the first port is somebody else's */
  atomic_bool permanent; /* UPnP: grants only without an end */
  atomic_uint maps;      /* mappings granted, renewals too */
  atomic_uint removals;  /* mappings removed */
  atomic_uint port;      /* inside, of the last one granted */
  atomic_uint external;  /* outside, of the last one */
  atomic_uint lifetime;  /* of the last one, in seconds */
} gateway;

/* Both have the public address 192.0.2.77. False: the port that the protocol
 * needs (5351) is taken on this machine. */
bool gateway_natpmp(gateway *g);
bool gateway_upnp(gateway *g);
void gateway_close(gateway *g);

#endif
