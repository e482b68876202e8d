/* A DHT that hands out the calls a test gives it and writes down what it is
 * told, one line of a log each. */
#ifndef KAD_TESTS_FAKE_DHT_H
#define KAD_TESTS_FAKE_DHT_H

#include "kademlia/dht.h"

#define FAKE_LOG 512

typedef enum fake_told {
  FAKE_REPLIED,
  FAKE_SENT,
  FAKE_FAILED,
  FAKE_CONFIRMED,
  FAKE_UNSUPPORTED,
  FAKE_DISCONNECTED,
  FAKE_UNREACHABLE,
  FAKE_KNOWN,
  FAKE_ANSWERED
} fake_told;

typedef struct fake_line {
  fake_told told;
  kad__call_id call;
  int error;
  uint8_t peer[KAD__DHT_ID_MAX];
  size_t peer_len;
  uint8_t address[64];
  size_t address_len;
  kad__message_type type;
  size_t closer_count;
} fake_line;

struct kad__dht {
  kad__dht_call calls[FAKE_LOG];
  size_t call_next;
  size_t call_count;
  kad__call_id cancels[16];
  size_t cancel_count;
  fake_line log[FAKE_LOG];
  size_t log_count;
  kad__dht_mode mode;

  /* How requests are answered. */
  int answer_result; /* 1: with `answer` */
  int check_result;  /* of kad__dht_check_request */
  kad__message answer;
};

kad__dht *fake_dht_new(void);
void fake_dht_free(kad__dht *dht);
/* Queues a call; what it points to must live until it is taken. */
kad__call_id fake_dht_call(kad__dht *dht, kad_bytes peer,
                           const kad__message *message, kad_time deadline);

#endif
