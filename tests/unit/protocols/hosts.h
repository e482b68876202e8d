/* A few whole hosts (swarm, protocols, DHT) in one process: what one sends, the
 * other receives at once. The store keeps nothing. */
#ifndef KAD_TESTS_HOSTS_H
#define KAD_TESTS_HOSTS_H

#include "kadmium/key.h"
#include "protocols/autonat.h"
#include "protocols/identify.h"
#include "protocols/kad.h"
#include "protocols/ping.h"

#define HOSTS_MAX 24
#define PIPES_MAX 512

/* Stream events of this tag and of streams opened with it are the test's. */
#define TEST_TAG KAD__TAG_FREE

typedef struct host {
  kad_random random;
  kad_key_pair *key;
  kad_peer_id id;
  kad__swarm *swarm;
  kad__own_addresses *own;
  kad__identify *identify;
  kad__ping *ping;
  kad__autonat *autonat;
  kad__store *store;
  kad__dht *dht;
  kad__kad *kad;
  uint8_t address[64];
  size_t address_len;

  /* What has happened, the last of each kind. */
  size_t identified;
  size_t identify_failed;
  kad__identify_event identify_event;
  uint8_t observed[128];
  size_t pongs;
  kad__ping_event pong;
  size_t probed;
  kad__autonat_event probe;
  size_t ended; /* queries */
  kad__dht_event query;
  size_t found;    /* peers of queries, and providers */
  size_t dead;     /* streams of the test's */
  size_t readable; /* bytes that streams of the test's got */
} host;

typedef struct pipe_end {
  host *host;
  kad__id id;
} pipe_end;

typedef struct hosts {
  host host[HOSTS_MAX];
  size_t count;
  pipe_end pipes[PIPES_MAX][2]; /* host NULL: closed */
  kad_time now;
} hosts;

/* `count` hosts that listen on /ip4/<network>.<index + 1>/tcp/4001. */
hosts *hosts_new(const kad_allocator *allocator, size_t count,
                 const char *network, uint64_t seed);
void hosts_free(hosts *h);
/* Carries bytes and events until nothing happens any more. */
void hosts_run(hosts *h);
/* Lets time pass up to `until`, in steps of at most one second. */
void hosts_wait(hosts *h, kad_time until);
/* `a` dials `b`, and everything that follows. */
void hosts_connect(hosts *h, size_t a, size_t b);
/* Cuts every channel between the two. */
void hosts_cut(hosts *h, size_t a, size_t b);

#endif
