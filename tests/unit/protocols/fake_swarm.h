/* A swarm that does nothing by itself: the test says what arrives and when
 * bytes leave, and looks at what the protocols did. Using a stream that was
 * given back ends the program. */
#ifndef KAD_TESTS_FAKE_SWARM_H
#define KAD_TESTS_FAKE_SWARM_H

#include "base/bytes.h"
#include "base/list.h"
#include "kadmium/key.h"
#include "kadmium/multiaddr.h"
#include "swarm/swarm.h"

#define FAKE_CONNECTIONS 64
#define FAKE_PROTOCOLS 8
#define FAKE_DIALS 64

typedef struct fake_connection {
  kad__connection_info info; /* id 0: free */
  uint8_t remote[64];
} fake_connection;

struct kad__swarm {
  kad__peerstore *peerstore;
  kad__list streams; /* all that ever were, in order */
  kad__id next_connection;
  fake_connection connections[FAKE_CONNECTIONS];
  kad_bytes protocols[FAKE_PROTOCOLS];
  uint32_t tags[FAKE_PROTOCOLS];
  size_t protocol_count;
  kad_bytes listening[8];
  size_t listening_count;

  /* What the swarm's functions answer. */
  int handle_error;
  int open_error;
  int write_error;
  int deadline_error;
  int dial_result; /* of kad__swarm_dial and, an error, _dial_address */

  kad_peer_id dials[FAKE_DIALS];
  size_t dial_count;
  kad__id last_dial; /* of kad__swarm_dial_address */
  uint8_t dialled[KAD_MULTIADDR_MAX];
  size_t dialled_len;
};

struct kad__stream {
  kad__list link;
  kad__swarm *swarm;
  kad_peer_id peer;
  kad__id connection;
  kad_bytes protocol;
  uint32_t tag;
  void *user;
  kad__buffer in;
  kad__buffer out;
  size_t reserved;
  size_t sent;    /* bytes of `out` that have left */
  size_t charged; /* by kad__stream_charge */
  bool ended;
  bool write_closed;
  bool gone; /* released or reset */
  bool was_reset;
  uint32_t code;
  kad_time deadline;
};

kad__swarm *fake_swarm_new(void);
void fake_swarm_free(kad__swarm *s);

/* The id of a new connection to `peer`. */
kad__id fake_connect(kad__swarm *s, const kad_peer_id *peer,
                     kad_bytes public_key, const char *remote, bool inbound);
void fake_disconnect(kad__swarm *s, kad__id connection);

/* A stream that the peer opened; the test passes its events on. */
kad__stream *fake_inbound(kad__swarm *s, kad__id connection, uint32_t tag);
/* The `index`-th stream of all, from 0; NULL past the end. */
kad__stream *fake_stream(kad__swarm *s, size_t index);
size_t fake_stream_count(const kad__swarm *s);
/* Those that were not given back. */
size_t fake_live_streams(const kad__swarm *s);

void fake_arrive(kad__stream *stream, kad_bytes bytes);
/* Everything queued leaves. */
void fake_flush(kad__stream *stream);
kad_bytes fake_written(const kad__stream *stream);

kad__swarm_event fake_event(kad__swarm_event_type type, kad__stream *stream);
kad__swarm_event fake_peer_event(kad__swarm_event_type type, kad__id connection,
                                 const kad_peer_id *peer);

/* A PeerId that belongs to `number`. */
kad_peer_id fake_peer(unsigned number);

#endif
