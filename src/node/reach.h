/* Where others reach us. What the owner announces counts, and what it confirms;
 * on a public network we also ask: an address at which others see us, with the
 * port that we listen on, is a candidate, and counts once two peers have
 * dialled it with success (AutoNAT v2). A node that decides its mode by itself
 * serves while there is such an address.
 *
 * What several observers agree on, and what the gateway has mapped to a port of
 * ours, is announced too, unless those who were asked could not reach it; it
 * makes no server. */
#ifndef KAD_NODE_REACH_H
#define KAD_NODE_REACH_H

#include "node/node.h"
#include "node/observed.h"
#include "protocols/autonat.h"
#include "protocols/identify.h"

/* Addresses that are confirmed or may be. */
#define KAD__REACH_MAX 16
/* Peers whose last answer about an address is remembered. */
#define KAD__REACH_ANSWERS 4

typedef struct kad__reach_answer {
  kad_peer_id server; /* its len is 0: none */
  int value;          /* 1: it reached us, -1: it did not */
} kad__reach_answer;

typedef struct kad__candidate_address {
  uint8_t address[KAD_MULTIADDR_MAX];
  size_t len;
  bool by_owner;  /* never asked about */
  bool reachable; /* confirmed */
  bool judged;    /* the owner knows whether it is */
  bool observed;  /* enough observers agree on it */
  bool mapped;    /* the gateway forwards it to us */
  bool waits;     /* nobody could be asked: the next who comes is */
  kad_time next;  /* when to ask again */
  kad_time seen;  /* last confirmed or observed */
  kad__reach_answer answers[KAD__REACH_ANSWERS];
  size_t next_answer;
} kad__candidate_address;

typedef struct kad__reach {
  kad__autonat *autonat; /* NULL: nobody is asked, and nobody dialled for */
  bool asks;
  uint8_t announced[KAD__OWN_ADDRESSES_MAX]; /* by the configuration */
  size_t announced_len;
  kad__candidate_address *candidates; /* KAD__REACH_MAX of them; len 0: free */
  uint64_t probe;                     /* 0: none runs */
  kad__candidate_address *asked;      /* what it is about; NULL: gone since */
  kad__observed observed;
} kad__reach;

/* KAD_E_INVALID_ARGUMENT (too much is announced), KAD_E_NO_MEMORY,
 * KAD_E_LIMIT. */
int kad__reach_init(kad__node *node, const kad__node_config *config);
void kad__reach_fini(kad__node *node);

/* True when an address counts. */
bool kad__reach_known(const kad__node *node);
/* We listen on other addresses than before. */
void kad__reach_listening(kad__node *node, kad_time now);
void kad__reach_identified(kad__node *node, const kad__identify_event *event,
                           kad_time now);
void kad__reach_disconnected(kad__node *node, kad__id connection, kad_time now);
/* What is confirmed by observers may have changed. */
void kad__reach_claims(kad__node *node, kad_time now);
/* The gateway forwards these addresses, a list of wire/addresses.h, and no
 * others to ports of ours. */
void kad__node_set_mapped(kad__node *node, kad_bytes list, kad_time now);
/* Takes answers, and asks what is due; true when something happened. */
bool kad__reach_drive(kad__node *node, kad_time now);
kad_time kad__reach_deadline(const kad__node *node);

#endif
