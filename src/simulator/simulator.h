/* A world of virtual time for whole nodes: real Noise, yamux and DHT over
 * simulated links with latency and loss.
 *
 * Nothing here looks at a clock: time jumps from event to event, so an hour of
 * a network takes seconds, and one seed gives one run. The trace digest covers
 * every byte that was delivered, when, and to whom; two runs are the same run
 * exactly when their digests are equal.
 *
 * Links are reliable and ordered, as TCP makes them: what is lost arrives
 * later, by the time that a retransmission takes. A crashed node answers
 * nothing; what is on its way to it is lost.
 *
 * Names are known: n7 is host 7, and dnsaddr of it its address with its id.
 *
 * Unless it is told otherwise the world is kind. kad__simulator_set_faults
 * makes it disturb links, dials and hosts by chance, and some functions do so
 * to one of them. */
#ifndef KAD_SIMULATOR_SIMULATOR_H
#define KAD_SIMULATOR_SIMULATOR_H

#include "node/node.h"

typedef struct kad__simulator kad__simulator;

typedef struct kad__simulator_config {
  const kad_allocator *allocator;
  uint64_t seed;
  kad_time latency_min; /* one way; each pair of nodes has its own */
  kad_time latency_max;
  uint32_t loss_per_million; /* of chunks; each loss costs one `retransmit` */
  kad_time retransmit;
  kad_time dial_timeout; /* until a dial to a crashed node fails */
  uint64_t unix_ns;      /* the wall clock at time 0 */
  bool public_addresses; /* each host in a /16 of its own, from 11.0.0.0 on;
                            else all in 10.0.0.0/8 */
} kad__simulator_config;

/* 10 to 100 ms, no loss, retransmission after 200 ms. */
void kad__simulator_config_default(kad__simulator_config *config);

int kad__simulator_new(kad__simulator **out,
                       const kad__simulator_config *config);
void kad__simulator_free(kad__simulator *s);

/* Adds a node that listens and joins through node `contact` (or is the first
 * of its network: KAD__SIMULATOR_NOBODY). `config` gives the protocol, mode and
 * limits; the simulator fills in identity, seed and addresses (with
 * KAD__SIMULATOR_NOBODY the bootstrap addresses of `config` stay), and its own
 * allocator where none is given. Returns the node's number, or KAD_E_NO_MEMORY
 * and kin. */
#define KAD__SIMULATOR_NOBODY UINT32_MAX
int kad__simulator_add(kad__simulator *s, const kad__node_config *config,
                       uint32_t contact);

size_t kad__simulator_count(const kad__simulator *s);
/* NULL after a crash. */
kad__node *kad__simulator_node(kad__simulator *s, uint32_t number);
/* Also of a node that has crashed. */
const kad_peer_id *kad__simulator_id(const kad__simulator *s, uint32_t number);

/* The node is gone, at once and without a word; its peers notice by what they
 * do not hear. */
void kad__simulator_crash(kad__simulator *s, uint32_t number);
/* A crashed node lives again, with its identity and address, and no memory of
 * what was. Otherwise as kad__simulator_add. */
int kad__simulator_restart(kad__simulator *s, uint32_t number,
                           const kad__node_config *config, uint32_t contact);
/* Cuts every link between the nodes below `border` and the others, or heals
 * them: what is sent meanwhile is lost. */
void kad__simulator_partition(kad__simulator *s, uint32_t border, bool on);

/* Nobody can dial the node any more, or again: a dial fails after its time, as
 * at a router without a forwarded port. Connections stay. */
void kad__simulator_firewall(kad__simulator *s, uint32_t number, bool on);

/* ---- trouble ------------------------------------------------------------- */

/* What goes wrong by chance; nothing where it is 0. */
typedef struct kad__simulator_faults {
  kad_time jitter; /* what is sent takes up to so much longer */
  kad_time lag;    /* a host takes up to so long to look at what has come, reads
                      it in one go, and acts and sends in any order */
  uint32_t split;  /* of 1000 chunks: the host sends a few bytes only */
  uint32_t refused;    /* of 1000 dials */
  uint32_t unanswered; /* of 1000 dials: nobody ever says anything */
  uint32_t late;   /* of 1000 dials: the dialler speaks before the listener has
                      accepted, and may be turned away */
  uint32_t mortal; /* of 1000 links: cut when some bytes, at most `life`, have
                      crossed */
  uint64_t life;
  size_t window; /* bytes of one direction that were sent and not read: who has
                    as many waits, as for a full socket */
} kad__simulator_faults;

/* From now on; what is under way, and links that exist, stay as they are. */
void kad__simulator_set_faults(kad__simulator *s,
                               const kad__simulator_faults *faults);

/* Links dialled from now on are cut when so many bytes have crossed, in both
 * directions together; 0: as the faults say. */
void kad__simulator_next_life(kad__simulator *s, uint64_t bytes);

typedef enum kad__simulator_trouble {
  KAD__SIMULATOR_CUT,    /* what is under way is lost; each end sees an error in
                            its own time */
  KAD__SIMULATOR_DEAFEN, /* one end, or both, hear nothing any more, and are
                            told nothing */
  KAD__SIMULATOR_HOLD    /* nothing arrives for up to `time` */
} kad__simulator_trouble;

/* Does so to any link that has both ends; false when there is none. */
bool kad__simulator_disturb(kad__simulator *s, kad__simulator_trouble trouble,
                            kad_time time);

/* ---- running ------------------------------------------------------------- */

/* Starts a request at a node; its events come from kad__simulator_poll. */
int kad__simulator_start(kad__simulator *s, uint32_t number,
                         kad_request_id *out, const kad_request *request);

/* After calls to a node that may have given it something to do, such as writing
 * to a stream. */
void kad__simulator_touch(kad__simulator *s, uint32_t number);

kad_time kad__simulator_now(const kad__simulator *s);
/* Lets the next thing happen, if it is due by `until`; false otherwise, and
 * then it is `until`. */
bool kad__simulator_step(kad__simulator *s, kad_time until);
/* The next event of any node, in the order in which they happened. */
bool kad__simulator_poll(kad__simulator *s, uint32_t *number, kad_event *out);

/* Runs until `number` has had the END of `request`, which is returned with the
 * last result before it (values are copied: valid until the next call). False
 * when `until` came first. Events of other nodes and requests are dropped. */
typedef struct kad__simulator_result {
  kad_event end;
  kad_event last; /* type KAD_EVENT_END when there was no result */
  size_t results;
} kad__simulator_result;

bool kad__simulator_finish(kad__simulator *s, uint32_t number,
                           kad_request_id request, kad_time until,
                           kad__simulator_result *out);

/* Everything that has happened so far, as 64 bits. */
uint64_t kad__simulator_trace(const kad__simulator *s);

typedef struct kad__simulator_counters {
  uint64_t chunks, bytes, losses, dials;
  uint64_t arrived; /* of the bytes */
  uint64_t cuts;    /* of links */
} kad__simulator_counters;

const kad__simulator_counters *kad__simulator_counters_get(
    const kad__simulator *s);

#endif
