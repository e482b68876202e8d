/* What the files of this folder share.
 *
 * Whoever can be named to the world is an object in the id table: a channel
 * (a byte channel with the connection over it), a listener, a resolution; a
 * dial is named to the node. Objects queue actions and events through sources
 * that are embedded in them, so that neither ever needs memory: what has
 * happened can always be told. */
#ifndef KAD_SWARM_SWARM_INTERNAL_H
#define KAD_SWARM_SWARM_INTERNAL_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/map.h"
#include "connection/noise_crypto.h"
#include "connection/pnet.h"
#include "kadmium/key.h"
#include "kadmium/multiaddr.h"
#include "kadmium/random.h"
#include "swarm/backoff.h"
#include "swarm/black_hole.h"
#include "swarm/rate.h"
#include "swarm/swarm.h"
#include "wire/addresses.h"

#define KAD__SWARM_PROTOCOLS_MAX 32
/* Names ever handled; their memory stays, since streams borrow it. */
#define KAD__SWARM_NAMES_MAX 128
#define KAD__SWARM_FLUSH_TIMEOUT (5 * KAD_SECOND)
#define KAD__SWARM_LAST_FLUSH_TIMEOUT KAD_SECOND /* when all is shut */
#define KAD__SWARM_PRIVATE_DIAL_TIMEOUT (5 * KAD_SECOND)
/* For how long an inbound upgrade is left alone when others want its place. */
#define KAD__SWARM_PENDING_PATIENCE (2 * KAD_SECOND)

/* Bounds of one dial: addresses tried, of them found by name resolution,
 * look-ups made, and dnsaddr records leading to each other. */
#define KAD__DIAL_ADDRESSES_MAX 64
#define KAD__DIAL_RESOLVED_MAX 32
#define KAD__DIAL_LOOKUPS_MAX 16
#define KAD__DIAL_DNS_DEPTH_MAX 4
/* Dials under way or waiting for their turn. */
#define KAD__DIALS_MAX 4096

/* Codes of stream resets (libp2p, the specification of error codes). */
#define KAD__RESET_NEGOTIATION 0x1001
#define KAD__RESET_LIMIT 0x1002

typedef enum kad__object_kind {
  KAD__OBJECT_CHANNEL = 1,
  KAD__OBJECT_LISTENER,
  KAD__OBJECT_RESOLUTION,
  KAD__OBJECT_DIAL
} kad__object_kind;

typedef enum kad__source_kind {
  KAD__SOURCE_STREAM,
  KAD__SOURCE_CONNECTED, /* a channel's */
  KAD__SOURCE_ENDED,     /* a channel's: DISCONNECTED or INBOUND_FAILED */
  KAD__SOURCE_DIAL,
  KAD__SOURCE_LISTENER,
  KAD__SOURCE_CHANNEL_ACTION,
  KAD__SOURCE_LISTENER_ACTION,
  KAD__SOURCE_RESOLUTION_ACTION
} kad__source_kind;

/* A place in the queue of events or of actions. */
typedef struct kad__source {
  kad__list link;
  uint8_t kind;
  uint8_t pending; /* bits, by kind */
  bool lent;       /* the last poll gave out bytes of its owner */
} kad__source;

/* Pending bits of streams, told in this order. */
#define KAD__STREAM_INBOUND 0x01
#define KAD__STREAM_OPENED 0x02
#define KAD__STREAM_READABLE 0x04
#define KAD__STREAM_WRITABLE 0x08
#define KAD__STREAM_DEAD 0x10

/* Pending bits of channels' actions, told in this order. */
#define KAD__CHANNEL_DIAL 0x01
#define KAD__CHANNEL_PAUSE 0x02
#define KAD__CHANNEL_RESUME 0x04
#define KAD__CHANNEL_CLOSE 0x08

/* ---- ids ---------------------------------------------------------------- */

typedef struct kad__id_slot {
  void *object; /* NULL when free */
  uint32_t generation;
  uint32_t kind_or_next; /* kind when used, the next free slot otherwise */
} kad__id_slot;

typedef struct kad__ids {
  kad__id_slot *slots;
  uint32_t count;
  uint32_t cap;
  uint32_t free; /* first free slot, UINT32_MAX: none */
} kad__ids;

void kad__ids_init(kad__ids *ids);
void kad__ids_fini(kad__ids *ids, const kad_allocator *allocator);
/* KAD_E_NO_MEMORY, also when the table can grow no more. */
int kad__ids_add(kad__ids *ids, const kad_allocator *allocator, kad__id *id,
                 kad__object_kind kind, void *object);
/* NULL when `id` is stale or of another kind. */
void *kad__ids_find(const kad__ids *ids, kad__id id, kad__object_kind kind);
/* 0 is removed without effect. */
void kad__ids_remove(kad__ids *ids, kad__id id);
/* The next object of `kind` in slot order; 0 and NULL at the end. */
kad__id kad__ids_next(const kad__ids *ids, kad__id after, kad__object_kind kind,
                      void **object);

/* ---- objects ------------------------------------------------------------ */

typedef struct kad__channel kad__channel;
typedef struct kad__dial kad__dial;

/* Whoever has limits of its own: all together, a peer, a place. */
typedef struct kad__account {
  kad__load used;
  const kad__load *max;
} kad__account;

/* A peer that is connected, being dialled, protected, or whose connections have
 * ended and left streams behind that their owner has not released. */
typedef struct kad__swarm_peer {
  kad__map_node node;
  kad_peer_id id;
  bool is_protected;
  kad__account account;
  uint32_t holders; /* channels that count in the account */
  uint32_t channel_count;
  kad__list channels; /* established, oldest first */
  kad__dial *dial;    /* NULL: none under way */
} kad__swarm_peer;

/* Length of the key of an IPv6 /48. */
#define KAD__ORIGIN_GROUP_LEN 6

/* Places remembered of those from where connections have come of late. */
#define KAD__RATE_ADDRESSES 4096
#define KAD__RATE_GROUPS 1024

/* Channels to and from one place: an IPv4 address, an IPv6 /64 or /48. */
typedef struct kad__origin {
  kad__map_node node;
  uint8_t key[KAD__RATE_KEY_MAX];
  uint8_t key_len;
  uint32_t count;   /* inbound ones that the world has */
  uint32_t holders; /* channels that count in the account */
  kad__account account;
  struct kad__origin *group; /* of a /64: its /48; NULL otherwise */
} kad__origin;

typedef enum kad__channel_state {
  KAD__CHANNEL_DIALING,   /* the world opens it */
  KAD__CHANNEL_UPGRADING, /* it is secured and multiplexed */
  KAD__CHANNEL_OPEN,      /* established */
  KAD__CHANNEL_CLOSING,   /* over for the node, last bytes are still sent */
  KAD__CHANNEL_CLOSED     /* over for the world too: its id is stale */
} kad__channel_state;

struct kad__channel {
  kad__swarm *swarm;
  kad__id id;
  kad__connection *connection; /* NULL while dialling */
  kad__swarm_peer *peer;       /* while OPEN */
  kad__dial *dial;             /* while its dial goes on */
  kad__origin *origin;         /* where the other end is; NULL: exempt */
  kad__swarm_peer *holder;     /* its peer, from OPEN until it is freed */
  kad__list in_swarm;
  kad__list group;   /* of its dial or of those pending, then of its peer */
  kad__list streams; /* handles not yet released, oldest first */
  kad__list dirty;   /* waits to be named by next_output */
  kad__source connected;
  kad__source ended;
  kad__source action;
  kad__heap_node timer;
  kad__metered *metered; /* its peer's; NULL: not counted */
  kad_bytes remote;      /* owned */
  kad_bytes local;       /* owned */
  kad_time opened;
  kad_time quiet_since; /* when the last stream went */
  kad_time close_by;    /* CLOSING: for how long bytes are still sent */
  kad__id told_dial;    /* which dial CONNECTED names */
  uint64_t bytes_in;    /* as the world carries them */
  uint64_t bytes_out;
  size_t charged;
  size_t held; /* of these: what streams' owners hold, and what waits there */
  uint32_t unnoted; /* bytes that came or went since it was charged */
  uint32_t refused; /* streams, of those counted in the swarm already */
  uint32_t starved;
  uint32_t stream_count;
  int error;
  uint8_t state;
  uint8_t candidate; /* index in its dial */
  uint8_t transport; /* 0: TCP, otherwise a number of the owner's */
  bool inbound;
  bool was_open;
  bool pulled; /* named by next_output, not yet pulled dry */
  bool paused;
  bool first;
  bool last;
  bool gate_passed; /* the gater was asked about the identity */
  bool in_place;    /* counted in its origin's `count` */
};

struct kad__stream {
  kad__source event;
  kad__heap_node timer;
  kad__list in_channel;
  kad__channel *channel;
  kad__yamux_stream *inner;
  void *user;
  uint64_t id;
  kad_time opened;
  uint64_t bytes_in; /* as kad__stream_count counts them */
  uint64_t bytes_out;
  kad_time deadline;         /* the owner's */
  kad_time agree_by;         /* of the negotiation */
  kad__metered *metered;     /* its protocol's; NULL: none so far */
  kad__protocol_names names; /* ours: what we propose */
  kad_bytes protocol;
  uint8_t *matched; /* owned: `protocol`, when a match has taken it */
  kad__buffer held; /* written before the protocol is known */
  kad__multistream negotiation;
  size_t elsewhere; /* what its owner holds of it */
  uint32_t tag;
  int error;
  bool inbound;
  bool agreed;
  bool told;       /* somebody has heard of it */
  bool close_held; /* our side ends when `held` has left */
};

typedef struct kad__listener {
  kad__swarm *swarm;
  kad__id id;
  kad__list in_swarm;
  kad__source event;
  kad__source action;
  kad_bytes address; /* owned: as asked for */
  uint8_t *bound;    /* owned: a list of wire/addresses.h */
  size_t bound_len;
  size_t told; /* bytes of `bound` whose LISTENING event was polled */
  int error;
  uint8_t transport; /* as a channel's */
  bool ended;
} kad__listener;

typedef enum kad__candidate_state {
  KAD__CANDIDATE_WAITING,
  KAD__CANDIDATE_OPENING,
  KAD__CANDIDATE_FAILED
} kad__candidate_state;

typedef struct kad__candidate {
  uint8_t *address; /* owned; with /p2p when it came so to an unnamed dial */
  uint16_t len;
  uint16_t transport_len; /* without /p2p */
  uint8_t state;
  uint8_t transport; /* 0: TCP, otherwise a number of the owner's */
  bool has_ip;
  bool is_private;
  int error;      /* why it failed */
  kad_time delay; /* from the start of the dial */
  uint64_t score; /* smaller is tried first */
} kad__candidate;

struct kad__dial {
  kad__swarm *swarm;
  kad__id id;
  kad__swarm_peer *peer; /* NULL: whoever answers */
  kad_peer_id name;      /* of `peer`, outlives it; len 0: unknown */
  kad__list in_swarm;
  kad__source event;
  kad__list waiting;  /* for its turn in swarm->dial_queue */
  kad__list channels; /* being opened or upgraded */
  kad__list resolutions;
  kad__heap_node timer;
  kad_time started;
  kad_time resolve_by; /* when look-ups are given up */
  kad__candidate *candidates;
  kad__buffer left_out; /* see left_out.c */
  uint8_t left_out_count;
  uint8_t count;
  uint8_t cap;
  uint8_t ranked; /* candidates at the last ranking */
  uint8_t resolved;
  uint8_t lookups;
  uint16_t opening;
  int error;        /* of what failed so far; KAD_E_DIAL: several */
  int skip_error;   /* why addresses were left out */
  bool is_awaited;  /* somebody waits for an event that names this dial */
  bool is_explicit; /* the address was given by name: back-off is not for it */
  bool answered;    /* the peer has connected to us meanwhile */
  bool ended;
};

typedef struct kad__resolution {
  kad__swarm *swarm;
  kad__id id;
  kad__source action;
  kad__list in_dial;
  kad__dial *dial; /* NULL once nobody waits any more */
  kad__resolve_query query;
  uint8_t depth;
  uint16_t address_len;
  uint16_t name_len;
  uint8_t bytes[]; /* the address, then the name to look up */
} kad__resolution;

struct kad__swarm {
  kad_allocator allocator;
  kad__swarm_config config;
  kad_time now; /* the latest that was told */
  kad__security *security;
  kad__connection_config connection_config;
  uint8_t network_key[KAD__PNET_KEY_LEN]; /* when the config has one */
  kad__peerstore *peerstore;
  kad__backoff backoff;
  kad__bandwidth bandwidth;
  kad__ids ids;
  kad__map peers;
  kad__map origins;
  kad__list events;
  kad__list actions;
  kad__list dirty;
  kad__list dial_queue;
  kad__list listeners;
  kad__list all_channels;
  kad__list all_dials;
  kad__heap channel_timers;
  kad__heap stream_timers;
  kad__heap dial_timers;
  kad__source *lent_event;
  kad__source *lent_action;
  kad__buffer scratch;  /* answers of negotiations, on their way to yamux */
  uint64_t last_stream; /* the id of the newest */
  bool shut;            /* for good */
  uint32_t established;
  uint32_t established_inbound;
  uint32_t closing;
  uint32_t pending_inbound;
  uint32_t opening; /* our channels, not yet established */
  uint32_t dials;
  kad__account account;
  kad__rate rate_of_addresses;
  kad__rate rate_of_groups;
  kad_swarm_counters counters;
  kad__values values;
  kad_time trim_at;    /* not before */
  kad__black_hole ip6; /* dials to public addresses of IPv6 */
  kad_bytes names[KAD__SWARM_PROTOCOLS_MAX]; /* handled now */
  uint32_t tags[KAD__SWARM_PROTOCOLS_MAX];
  kad__protocol_match matches[KAD__SWARM_PROTOCOLS_MAX];
  void *match_users[KAD__SWARM_PROTOCOLS_MAX];
  uint32_t name_count;
  kad_bytes *known; /* every name ever handled, owned */
  uint32_t known_count;
  kad__list pending; /* inbound channels that are upgrading, oldest first */
};

static inline void kad__swarm_set_now(kad__swarm *s, kad_time now) {
  if (now > s->now) {
    s->now = now;
  }
}

/* ---- swarm.c ------------------------------------------------------------ */

/* The secret of a hash map. */
void kad__draw_secret(uint64_t secret[2], kad_random *random);
/* A kad_bytes that is ours: made as a copy, empty without memory. */
int kad__owned_copy(kad_bytes *out, const kad_allocator *allocator,
                    kad_bytes from);
void kad__owned_release(const kad_allocator *allocator, kad_bytes owned);

/* ---- events.c ----------------------------------------------------------- */

void kad__source_init(kad__source *source, kad__source_kind kind);
/* Sets `bits` and queues the source at the end, unless it is queued. */
void kad__swarm_tell(kad__swarm *s, kad__source *source, uint8_t bits);
void kad__swarm_ask(kad__swarm *s, kad__source *source, uint8_t bits);
/* What the last polls gave out is no longer looked at. */
void kad__swarm_take_back(kad__swarm *s);
/* Takes back what was not polled yet. */
void kad__source_cancel(kad__source *source);

/* ---- address.c ---------------------------------------------------------- */

typedef enum kad__address_kind {
  KAD__ADDRESS_TCP,   /* /ip4|ip6/../tcp/.., perhaps with a zone and /p2p */
  KAD__ADDRESS_NAME,  /* begins with /dns, /dns4, /dns6 or /dnsaddr */
  KAD__ADDRESS_OTHER, /* valid, for the owner's transports at best */
  KAD__ADDRESS_BAD    /* not a valid multiaddr */
} kad__address_kind;

typedef struct kad__address_info {
  kad__address_kind kind;
  kad_bytes transport;     /* the address without a trailing /p2p */
  kad_bytes peer;          /* the trailing /p2p's id; empty: none */
  kad_bytes ip;            /* that it begins with: 4 or 16 bytes; or empty */
  uint16_t port;           /* of TCP or UDP on it */
  kad_multiaddr_part name; /* NAME: the first component */
  kad_bytes suffix;        /* NAME: what follows it */
} kad__address_info;

void kad__address_read(kad__address_info *out, kad_bytes address);
/* The 4 bytes of an IPv4 address in the clothes of IPv6; others as they are. */
kad_bytes kad__ip_unmap(kad_bytes ip);
bool kad__ip_is_private(kad_bytes ip);
bool kad__ip_is_loopback(kad_bytes ip);
bool kad__ip_is_unspecified(kad_bytes ip);
bool kad__ip_is_link_local6(kad_bytes ip);
/* An IPv6 address that is reached through the network at large. */
bool kad__ip_is_public6(kad_bytes ip);

/* ---- transport.c -------------------------------------------------------- */

/* Which transport carries the address: the owner's are asked first, then it is
 * our own TCP's, number 0, if it can. False: none does. */
bool kad__transport_choose(uint8_t *out, const kad__swarm *s,
                           const kad__address_info *info, bool to_dial);
/* Would one dial what a name other than a dnsaddr's leads to? */
bool kad__transport_resolvable(uint8_t *out, const kad__swarm *s,
                               const kad__address_info *info);
const char *kad__transport_name(const kad__swarm *s, uint8_t number);

/* ---- rank.c ------------------------------------------------------------- */

/* Sets score and delay of every candidate, when there are new ones. */
void kad__dial_rank(kad__dial *d);

/* ---- peers.c ------------------------------------------------------------ */

kad__swarm_peer *kad__swarm_find_peer(const kad__swarm *s,
                                      const kad_peer_id *id);
/* The entry of a peer, made when there is none; NULL without memory. */
kad__swarm_peer *kad__swarm_get_peer(kad__swarm *s, const kad_peer_id *id);
/* Frees the entry when nothing needs it any more. */
void kad__swarm_put_peer(kad__swarm *s, kad__swarm_peer *peer);
/* The connection to open a stream on; NULL: none. */
kad__channel *kad__swarm_best_channel(const kad__swarm_peer *peer);
/* How long a connection may leave our question whether it lives unanswered
 * before another one is taken in its place. */
#define KAD__SWARM_PROBE_TIMEOUT KAD_SECOND
/* Asks all its connections. */
void kad__swarm_probe_peer(kad__swarm_peer *peer);
/* Closes one that has not answered; false: there is none. The caller holds the
 * entry. */
bool kad__swarm_supplant(kad__swarm_peer *peer);

/* ---- gate.c ------------------------------------------------------------- */

bool kad__gate_dial_peer(kad__swarm *s, const kad_peer_id *peer);
/* The peer's len is 0: whoever answers. */
bool kad__gate_dial_address(kad__swarm *s, const kad_peer_id *peer,
                            kad_bytes address);
bool kad__gate_accept(kad__swarm *s, kad_bytes local, kad_bytes remote);
/* Asked once, as soon as the identity is proven; true until then. */
bool kad__gate_secured(kad__channel *c);
bool kad__gate_upgraded(kad__channel *c);

/* ---- trim.c ------------------------------------------------------------- */

/* When there are too many connections: when they are looked at. */
kad_time kad__swarm_trim_at(const kad__swarm *s);

/* ---- limits.c ----------------------------------------------------------- */

void kad__limits_init(kad__swarm *s);
void kad__limits_fini(kad__swarm *s);
/* May a channel from `remote` be accepted? KAD_E_LIMIT, KAD_E_NO_MEMORY. On
 * success it is pending, and `*origin` (NULL when exempt) counts it: give it to
 * kad__limits_enter, or back. */
int kad__limits_accept(kad__swarm *s, kad__origin **origin, kad_bytes remote);
void kad__limits_give_back(kad__swarm *s, kad__origin *origin);
/* The inbound channel, which is charged nothing yet, takes on what was
 * accepted. */
void kad__limits_enter(kad__channel *c, kad__origin *origin);
/* The same for a channel that we open, which no number of connections hinders.
 * KAD_E_NO_MEMORY. */
int kad__limits_dial(kad__channel *c);
/* The world has closed the channel, which may still be charged. */
void kad__limits_leave(kad__channel *c);
/* The channel goes, and nothing of it counts any more. */
void kad__limits_part(kad__channel *c);
/* May the upgraded channel become a connection to `peer`? Then it counts in
 * that one's account. KAD_E_LIMIT. */
int kad__limits_establish(kad__channel *c, kad__swarm_peer *peer);

/* ---- account.c ---------------------------------------------------------- */

/* Accounts that a channel counts in: of all, of its peer once it is
 * established, of its address and of the group of that. */
typedef struct kad__accounts {
  kad__account *list[4];
  size_t count;
} kad__accounts;

static inline kad__accounts kad__accounts_of(const kad__channel *c) {
  kad__accounts out = {.list = {&c->swarm->account}, .count = 1};
  if (c->holder != NULL) {
    out.list[out.count++] = &c->holder->account;
  }
  for (kad__origin *o = c->origin; o != NULL; o = o->group) {
    out.list[out.count++] = &o->account;
  }
  return out;
}

/* The channel is charged nothing any more. */
void kad__account_part(kad__channel *c);
/* Charges the channel what it holds now. */
void kad__account_charge(kad__channel *c);
/* So many bytes of it came or went: the same, unless they are few and its
 * output will be pulled at once, which does it. */
void kad__account_note(kad__channel *c, size_t bytes);
/* Is there room for another stream? KAD_E_LIMIT. */
int kad__account_may_open(const kad__channel *c, bool inbound);
/* Is there room for `len` bytes more of such a stream? KAD_E_LIMIT. */
int kad__account_may_hold(const kad__channel *c, bool inbound, size_t len);
void kad__account_opened(kad__channel *c, bool inbound);
void kad__account_released(kad__channel *c, bool inbound);
/* Tells the connection how much room it has for what will arrive. */
void kad__account_admit(kad__channel *c);
/* Counts what the connection has refused since the last time. */
void kad__account_refusals(kad__channel *c);
/* Is somebody so far beyond a limit that refusing streams was not enough? */
bool kad__account_overrun(const kad__channel *c);

/* ---- channel.c ---------------------------------------------------------- */

/* Asks the world to open a channel for a candidate of `d`. */
int kad__channel_dial(kad__dial *d, uint8_t candidate);
/* Ends the channel: its streams die, the node is told; what is queued is
 * still sent, then the world is asked to close. */
void kad__channel_drop(kad__channel *c, int error);
/* To be called after whatever may have changed the connection. */
void kad__channel_pump(kad__channel *c);
/* Puts the channel on the list of those with output, if it has some. */
void kad__channel_touch(kad__channel *c);
/* Frees the channel when nothing refers to it any more. */
void kad__channel_reap(kad__channel *c);
void kad__channel_free(kad__channel *c);
void kad__channel_tick(kad__channel *c, kad_time now);

/* ---- idle.c ------------------------------------------------------------- */

/* When the channel has been idle for too long; KAD_TIME_NEVER. */
kad_time kad__channel_idle_at(const kad__channel *c);
/* Until when the last bytes of a channel that closes now are sent. */
kad_time kad__channel_flush_until(const kad__swarm *s);
/* Makes the timer ring no later than the channel needs. */
void kad__channel_arm(kad__channel *c);

/* ---- dial.c ------------------------------------------------------------- */

/* Adds one address to `d`, looking up names. 0, or why it is left out. */
int kad__dial_add(kad__dial *d, kad_bytes address, uint8_t depth);
/* Ranks what was added, starts what is due, ends the dial when nothing is
 * left. `d` may be gone afterwards. */
void kad__dial_progress(kad__dial *d);
void kad__dial_note(kad__dial *d, int error);
/* A channel of `d` has failed and left it. */
void kad__dial_channel_failed(kad__dial *d, kad__channel *c, int error);
/* `c` is established: the dial is over. */
void kad__dial_succeeded(kad__dial *d, kad__channel *c);
/* The peer is connected by other means while we dial it: it connected to us,
 * or answered at an address that was dialled without a name. */
void kad__dial_answered(kad__dial *d, kad__channel *c);
void kad__dial_next_turn(kad__swarm *s);
void kad__dial_tick(kad__dial *d);
void kad__dial_free(kad__dial *d);
/* Ends it with KAD_E_CANCELLED; whoever waits is told. */
void kad__dial_cancel(kad__dial *d);
/* The peer that a candidate must prove to be; false: anyone. */
bool kad__dial_expected(const kad__dial *d, const kad__candidate *candidate,
                        kad_peer_id *out);

/* ---- left_out.c --------------------------------------------------------- */

/* An address that is not tried, or a name that leads nowhere: told when the
 * dial fails, as far as there is room for it. */
void kad__dial_leave_out(kad__dial *d, kad_bytes address, int error);

/* ---- dns.c -------------------------------------------------------------- */

int kad__dns_start(kad__dial *d, kad_bytes address,
                   const kad__address_info *info, uint8_t depth);
/* Gives up every look-up of `d`. */
void kad__dns_cancel(kad__dial *d);
/* The same, because their time is over. */
void kad__dns_expire(kad__dial *d);
void kad__resolution_reap(kad__resolution *r);
void kad__resolution_free(kad__resolution *r);

/* ---- listen.c ----------------------------------------------------------- */

bool kad__listener_next(kad__listener *l, kad__swarm_event *out);
void kad__listener_reap(kad__listener *l);
void kad__listener_free(kad__listener *l);
/* Stops to listen, unless it has ended already; LISTEN_CLOSED follows. */
void kad__listener_end(kad__listener *l);
/* Is `transport` one of our own bound addresses? */
bool kad__swarm_listens_on(const kad__swarm *s, kad_bytes transport);

/* ---- stream.c and negotiate.c ------------------------------------------- */

/* Takes on a stream that the peer opened. */
void kad__stream_adopt(kad__channel *c, kad__yamux_stream *inner);
void kad__stream_died(kad__stream *stream, int error);
void kad__stream_expired(kad__stream *stream, kad_time now);
void kad__stream_destroy(kad__stream *stream);
/* Frees what was written before the protocol is known. */
void kad__stream_drop_held(kad__stream *stream);
/* Sets the timer to the earlier of both deadlines. */
int kad__stream_arm(kad__stream *stream);

/* ---- traffic.c ----------------------------------------------------------- */

/* Counts bytes of an application; of a connection; meters the channel's peer
 * from now on. */
void kad__stream_count(kad__stream *stream, size_t in, size_t out);
void kad__channel_count(kad__channel *c, size_t in, size_t out);
void kad__channel_meter(kad__channel *c);

int kad__negotiation_start(kad__stream *stream);
/* Bytes or the end have arrived: negotiates, or tells the owner. */
void kad__stream_readable(kad__stream *stream);
/* What was queued has left: told once the protocol is agreed. */
void kad__stream_writable(kad__stream *stream);

#endif
