/* Identify over a fake swarm, with one peer that has a real key. */
#ifndef KAD_TESTS_IDENTIFY_FIXTURE_H
#define KAD_TESTS_IDENTIFY_FIXTURE_H

#include "base/alloc.h"
#include "fake_swarm.h"
#include "kadmium/multiaddr.h"
#include "protocols/identify.h"
#include "support.h"
#include "wire/addresses.h"
#include "wire/identify.h"

typedef struct identify_fixture {
  kad__swarm *swarm;
  kad__identify *identify;
  kad__own_addresses *own;
  kad_key_pair *our_key;
  kad_key_pair *peer_key;
  kad_random random;
  test_allocator memory;
  kad_peer_id peer;
  kad__id connection;
  kad_time now;
  size_t streams; /* the next stream that is opened gets this index */
} identify_fixture;

/* Before and after each test. */
int identify_set_up(void **out);
int identify_tear_down(void **in);
#define IDENTIFY_TEST(name) \
  cmocka_unit_test_setup_teardown(name, identify_set_up, identify_tear_down)

/* Valid until the next call of the same slot. */
kad_bytes identify_address(const char *text, size_t slot);
kad_bytes identify_peer_public(const identify_fixture *f);
kad__identify_config identify_config_of(identify_fixture *f);

void identify_tell(identify_fixture *f, kad__swarm_event_type type,
                   kad__stream *stream, int error);
/* Connects and returns the stream of our request. */
kad__stream *identify_connect_from(identify_fixture *f, const char *remote,
                                   bool inbound);
kad__stream *identify_start(identify_fixture *f);
void identify_arrive_message(kad__stream *stream,
                             const kad__identify_message *m);
void identify_finish(identify_fixture *f, kad__stream *stream);
/* A usual message; the lists are the caller's. */
kad__identify_message *identify_usual(const identify_fixture *f);

kad__identify_event identify_expect_done(identify_fixture *f);
void identify_expect_nothing(identify_fixture *f);
void identify_expect_failed(identify_fixture *f, int error);
void identify_expect_addresses(identify_fixture *f, const char *const *texts,
                               size_t count);
bool identify_speaks(const identify_fixture *f, const char *protocol);

#endif
