/* What the files of the world of whole nodes share: simulator.c (time, and what
 * happens), simulator_link.c (links and their faults), simulator_host.c (what
 * hosts do and are told), simulator_name.c (look-ups). */
#ifndef KAD_SIMULATOR_SIMULATOR_INTERNAL_H
#define KAD_SIMULATOR_SIMULATOR_INTERNAL_H

#include "base/alloc.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "simulator/simulator.h"

#define KAD__SIM_OUTPUT_LEN ((size_t)64 * 1024)
/* /ip4/10.x.x.x/tcp/4001, or /ip4/x.x.0.1/tcp/4001 */
#define KAD__SIM_ADDRESS_LEN 8
#define KAD__SIM_PORT_AT 6
#define KAD__SIM_LISTENERS 4

typedef struct kad__sim_listener {
  kad__id id; /* 0: a free place */
  uint16_t port;
} kad__sim_listener;

typedef struct kad__sim_host {
  kad__node *node; /* NULL: crashed */
  kad_key_pair *identity;
  kad__heap_node deadline;
  kad__list dirty;    /* in kad__simulator.dirty while it may have events */
  kad__list readable; /* ends with something to read */
  kad__list writable; /* ends that have room again */
  kad__map ends;      /* of its links, by connection id */
  uint32_t number;
  kad__sim_listener listeners[KAD__SIM_LISTENERS];
  bool walled; /* against dials */
  uint8_t address[KAD__SIM_ADDRESS_LEN];
} kad__sim_host;

/* One side of a link. */
typedef struct kad__sim_end {
  kad__map_node node;
  kad__list ready;    /* in host.readable */
  kad__list roomy;    /* in host.writable */
  kad__list arrived;  /* happenings that wait to be read */
  kad__id connection; /* 0: this side has gone, or is not there yet */
  kad__sim_host *host;
  kad_time last_arrival; /* nothing arrives before this */
  size_t unread;         /* bytes that it has sent, and that were not read */
  bool coming;           /* it will be accepted, or not */
  bool paused;
  bool full; /* it has more to send, and no room */
  bool deaf; /* nothing arrives any more */
  struct kad__sim_link *link;
} kad__sim_end;

typedef struct kad__sim_link {
  kad__list in_all;
  kad__sim_end ends[2]; /* dialler, listener */
  kad_time latency;
  kad_time held_until;
  uint64_t life;       /* bytes that still arrive, of both directions */
  uint32_t references; /* ends in maps, and happenings that are not over */
  uint16_t port;       /* that was dialled */
  uint8_t query;       /* of a look-up */
  bool dead;
} kad__sim_link;

typedef enum kad__sim_type {
  KAD__SIM_CHUNK,   /* bytes arrive at end `side` */
  KAD__SIM_END,     /* end `side` sees the end, or `error` */
  KAD__SIM_ARRIVAL, /* a dial reaches its listener */
  KAD__SIM_OUTCOME, /* the dialler learns `error` */
  KAD__SIM_ACCEPT,  /* the listener takes a dial that has succeeded */
  KAD__SIM_WAKE,    /* end `side` is held no longer */
  KAD__SIM_NAME     /* a look-up is answered */
} kad__sim_type;

typedef struct kad__sim_happening {
  kad__heap_node at;
  kad__list waiting; /* in kad__sim_end.arrived */
  kad__sim_type type;
  kad__sim_link *link;
  int side;
  int error;
  size_t len;
  uint8_t bytes[];
} kad__sim_happening;

struct kad__simulator {
  kad_allocator allocator;
  kad__simulator_config config;
  kad__simulator_faults faults;
  kad_random random;
  kad_time now;
  kad__sim_host **hosts;
  uint32_t count;
  uint32_t cap;
  kad__list links;
  uint64_t next_life;
  kad__heap future;    /* happenings */
  kad__heap deadlines; /* of hosts */
  kad__list dirty;
  uint32_t border; /* of a partition */
  bool partitioned;
  uint64_t trace;
  kad__simulator_counters counters;
  uint8_t *kept; /* of kad__simulator_finish */
  uint8_t output[KAD__SIM_OUTPUT_LEN];
};

/* True `per_mille` times of 1000; nothing is drawn for 0. */
static inline bool kad__sim_chance(kad__simulator *s, uint32_t per_mille) {
  return per_mille != 0 && kad_random_below(&s->random, 1000) < per_mille;
}

static inline kad__sim_end *kad__sim_other(kad__sim_end *end) {
  return &end->link->ends[end == &end->link->ends[0]];
}

/* ---- links: simulator_link.c --------------------------------------------- */

/* A link whose ends are not mapped yet; the caller's to release. NULL without
 * memory. */
kad__sim_link *kad__sim_link_new(kad__simulator *s, kad__sim_host *dialler,
                                 kad__sim_host *listener);
void kad__sim_link_release(kad__simulator *s, kad__sim_link *link);
/* Names an end by its connection; KAD_E_NO_MEMORY. */
int kad__sim_map(kad__simulator *s, kad__sim_end *end, kad__id connection);
/* This side is gone, with all that it has not read. */
void kad__sim_unmap(kad__simulator *s, kad__sim_end *end);
kad__sim_end *kad__sim_find(kad__sim_host *h, kad__id connection);
/* What has arrived at an end is dropped. */
void kad__sim_drop_arrived(kad__simulator *s, kad__sim_end *end);

/* A happening of `link` at `at`; NULL without memory. */
kad__sim_happening *kad__sim_plan(kad__simulator *s, kad__sim_type type,
                                  kad__sim_link *link, int side,
                                  kad_bytes bytes, kad_time at);
void kad__sim_happening_free(kad__simulator *s, kad__sim_happening *h);
/* Sends to `end`, behind all that was sent to it before. */
void kad__sim_send(kad__simulator *s, kad__sim_end *end, kad__sim_type type,
                   kad_bytes bytes);
/* A chunk or an end has crossed the link. True: it waits to be read, and is
 * the end's; false: it is lost. */
bool kad__sim_arrive(kad__simulator *s, kad__sim_happening *h);
/* Are its ends on two sides of a partition? */
bool kad__sim_parted(const kad__simulator *s, const kad__sim_link *link);
/* Its host may read what has arrived at `end`, if there is something. */
void kad__sim_mark_readable(kad__simulator *s, kad__sim_end *end);

/* ---- names: simulator_name.c --------------------------------------------- */

void kad__sim_resolve(kad__simulator *s, kad__sim_host *h,
                      const kad__world_action *action);
void kad__sim_name_answered(kad__simulator *s, const kad__sim_happening *h);

/* ---- hosts: simulator_host.c --------------------------------------------- */

/* Lets a host work off what it was told, now or soon. */
void kad__sim_turn(kad__simulator *s, kad__sim_host *h);
/* Now. */
void kad__sim_settle(kad__simulator *s, kad__sim_host *h);
void kad__sim_host_free(kad__simulator *s, kad__sim_host *h);
/* The fates of a dial. */
void kad__sim_dial_arrives(kad__simulator *s, kad__sim_link *link);
void kad__sim_dial_accepted(kad__simulator *s, kad__sim_link *link);
void kad__sim_dial_ends(kad__simulator *s, const kad__sim_happening *h);

#endif
