/* A DNS server on loopback, UDP and TCP, that says what the test tells it. */
#ifndef KAD_TESTS_RUNTIME_DNS_SERVER_H
#define KAD_TESTS_RUNTIME_DNS_SERVER_H

#include <pthread.h>
#include <stdatomic.h>

#include "support.h"

enum { DNS_A = 1, DNS_TXT = 16, DNS_AAAA = 28 };
enum { DNS_NO_NAME = 3, DNS_SERVER_FAILURE = 2 };

/* An answer under construction. */
typedef struct dns_reply {
  uint8_t bytes[65535];
  size_t len;
  uint16_t answers;
  uint8_t code;
  bool silent;  /* say nothing */
  bool garbage; /* send `bytes` as they are */
} dns_reply;

/* Fills a reply; runs on the server's thread. */
typedef void (*dns_answer)(void *user, const char *name, int type,
                           dns_reply *reply);

typedef struct dns_server {
  int udp;
  int tcp;
  int stop[2];
  pthread_t thread;
  dns_answer answer;
  void *user;
  atomic_size_t queries;
  char address[32]; /* as kad__dns_set_servers takes it */
} dns_server;

void dns_server_start(dns_server *s, dns_answer answer, void *user);
void dns_server_stop(dns_server *s);

/* One more record of the name that was asked for; false when there is no room.
 */
bool dns_reply_add(dns_reply *reply, int type, const void *data, size_t len);
/* A TXT record, in as many strings as it needs. */
bool dns_reply_text(dns_reply *reply, const void *text, size_t len);

#endif
