/* One DHT and a gateway that the test plays by hand. */
#ifndef KAD_TESTS_ONE_H
#define KAD_TESTS_ONE_H

#include "kademlia/dht.h"
#include "kademlia/memory_store.h"
#include "support.h"
#include "wire/addresses.h"

typedef struct one {
  test_allocator memory;
  kad_random random;
  kad__store *store;
  kad__dht_config config;
  kad__dht *dht;
  kad_time now;
  kad__message reply; /* to be filled by one_reply */
  kad__dht_event event;
} one;

/* Eight bytes, most significant first: peer `n`. Peer 0 is the DHT itself. */
kad_bytes one_id(unsigned n);
/* The list of one address of peer `n`, and that address. */
kad_bytes one_list(unsigned n);
kad_bytes one_address(unsigned n);
/* The point of the key space of an id: its eight bytes, then zeros. */
void one_hash(uint8_t out[32], kad_bytes in);

/* Makes the DHT of `o->config`, which one_setup has filled with defaults; a
 * server, with quick and simple timers. */
void one_setup(one *o);
void one_start(one *o);
/* Frees all and checks that nothing is left. */
void one_fini(one *o);

void one_add(one *o, unsigned peer);
void one_check(const one *o);
/* The next call to make; fails when there is none. */
kad__dht_call one_call(one *o);
void one_no_call(one *o);
/* The peer's number of a call. */
unsigned one_peer_of(const kad__dht_call *call);
/* Answers with `count` closer peers. */
void one_closer(one *o, const kad__dht_call *call, const unsigned *peers,
                size_t count);
/* Answers as the type demands, with nothing in it. */
void one_empty(one *o, const kad__dht_call *call);
void one_advance(one *o, kad_time by);
/* The next event of that type into `o->event`; others are passed over. False
 * when there is none. */
bool one_event(one *o, kad__dht_event_type type);
/* A request from `from`; what kad__dht_answer returns. */
int one_ask(one *o, unsigned from, const kad__message *request);
/* The same, by a carrier that knows where it came from. */
int one_ask_from(one *o, unsigned from, kad_bytes address,
                 const kad__message *request);
bool one_told(const one *o, unsigned peer);

/* The end of that query, which has to be the next; or none. */
kad__dht_event one_ended(one *o, kad__query_id id);
void one_still_running(one *o);
/* Answers with a record, or with `count` providers. */
void one_answer_record(one *o, const kad__dht_call *call, kad_bytes key,
                       const char *value);
void one_answer_providers(one *o, const kad__dht_call *call,
                          const unsigned *peers, size_t count);

#endif
