/* The two sides of AutoNAT, and what they share. */
#ifndef KAD_PROTOCOLS_AUTONAT_INTERNAL_H
#define KAD_PROTOCOLS_AUTONAT_INTERNAL_H

#include "base/list.h"
#include "protocols/autonat.h"

/* Of a whole request, dial and data included. */
#define KAD__AUTONAT_TIMEOUT KAD_MINUTE
/* Of the stream on which the number is said. */
#define KAD__AUTONAT_BACK_TIMEOUT (5 * KAD_SECOND)
/* Dial-backs that are read at once. */
#define KAD__AUTONAT_BACKS_MAX 8
/* Data that a server may ask for, and that ours asks for. */
#define KAD__AUTONAT_WANTED_MIN ((uint64_t)30000)
#define KAD__AUTONAT_WANTED_MAX ((uint64_t)100000)

/* Requests of the last minute. */
typedef struct kad__autonat_log {
  struct kad__autonat_log_entry {
    kad_time at;
    kad_peer_id peer;
    bool with_data;
  } * entries; /* a ring of config.max_requests */
  uint32_t next;
  uint32_t count;
} kad__autonat_log;

struct kad__autonat {
  kad__autonat_config config;
  kad_allocator allocator;
  kad__list visits; /* requests of others, see autonat_server.c */
  uint32_t visit_count;
  kad__autonat_log log;
  kad__list probes; /* of ours, see autonat_client.c */
  kad__list ended;
  kad__stream *backs[KAD__AUTONAT_BACKS_MAX]; /* numbers that half arrived */
  size_t back_count;
  uint32_t probe_count; /* running, and ended but not polled */
  uint64_t last_id;
  kad__autonat_counters counters;
};

/* The next whole message of a stream. Returns what it takes of the stream, 0
 * when more must arrive, KAD_E_TRUNCATED at the end, KAD_E_VARINT,
 * KAD_E_MESSAGE_TOO_LARGE. */
int kad__autonat_read(kad_bytes *out, const kad__stream *stream);

void kad__autonat_server_stream(kad__autonat *a, const kad__swarm_event *event,
                                kad_time now);
void kad__autonat_server_back(kad__autonat *a, const kad__swarm_event *event,
                              kad_time now);
void kad__autonat_server_dial(kad__autonat *a, const kad__swarm_event *event,
                              kad_time now);
void kad__autonat_server_tick(kad__autonat *a, kad_time now);
kad_time kad__autonat_server_deadline(const kad__autonat *a);
void kad__autonat_server_fini(kad__autonat *a);

void kad__autonat_client_stream(kad__autonat *a, const kad__swarm_event *event,
                                kad_time now);
/* A dial-back that a peer makes for us. */
void kad__autonat_client_back(kad__autonat *a, const kad__swarm_event *event,
                              kad_time now);
void kad__autonat_client_tick(kad__autonat *a, kad_time now);
kad_time kad__autonat_client_deadline(const kad__autonat *a);
void kad__autonat_client_fini(kad__autonat *a);

#endif
