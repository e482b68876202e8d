#include "fake_dht.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

kad__dht *fake_dht_new(void) {
  kad__dht *dht = calloc(1, sizeof(*dht));
  if (dht == NULL) {
    abort();
  }
  return dht;
}

void fake_dht_free(kad__dht *dht) {
  free(dht);
}

kad__call_id fake_dht_call(kad__dht *dht, kad_bytes peer,
                           const kad__message *message, kad_time deadline) {
  if (dht->call_count == FAKE_LOG) {
    abort();
  }
  kad__dht_call *call = &dht->calls[dht->call_count++];
  *call = (kad__dht_call){.id = dht->call_count,
                          .query = 1,
                          .peer = peer,
                          .deadline = deadline,
                          .expects_reply = message->type != KAD__ADD_PROVIDER,
                          .message = message};
  return call->id;
}

static fake_line *add_line(kad__dht *dht, fake_told told) {
  if (dht->log_count == FAKE_LOG) {
    dht->log_count--; /* the last line is written over */
  }
  fake_line *line = &dht->log[dht->log_count++];
  *line = (fake_line){.told = told};
  return line;
}

static fake_line *add_peer_line(kad__dht *dht, fake_told told, kad_bytes peer) {
  fake_line *line = add_line(dht, told);
  if (peer.len > sizeof(line->peer)) {
    abort();
  }
  memcpy(line->peer, peer.data, peer.len);
  line->peer_len = peer.len;
  return line;
}

/* ---- kademlia/dht.h ---------------------------------------------------- */

void kad__dht_set_mode(kad__dht *dht, kad__dht_mode mode) {
  dht->mode = mode;
}

int kad__dht_peer_confirmed(kad__dht *dht, kad_bytes peer, kad_bytes address,
                            kad_time now) {
  (void)now;
  fake_line *line = add_peer_line(dht, FAKE_CONFIRMED, peer);
  if (address.len > sizeof(line->address)) {
    abort();
  }
  if (address.len != 0) {
    memcpy(line->address, address.data, address.len);
  }
  line->address_len = address.len;
  return 0;
}

void kad__dht_peer_unsupported(kad__dht *dht, kad_bytes peer, kad_time now) {
  (void)now;
  (void)add_peer_line(dht, FAKE_UNSUPPORTED, peer);
}

void kad__dht_peer_disconnected(kad__dht *dht, kad_bytes peer, kad_time now) {
  (void)now;
  (void)add_peer_line(dht, FAKE_DISCONNECTED, peer);
}

void kad__dht_peer_unreachable(kad__dht *dht, kad_bytes peer, kad_time now) {
  (void)now;
  (void)add_peer_line(dht, FAKE_UNREACHABLE, peer);
}

void kad__dht_peer_known(kad__dht *dht, kad_bytes peer, kad_bytes addresses) {
  fake_line *line = add_peer_line(dht, FAKE_KNOWN, peer);
  if (addresses.len > sizeof(line->address)) {
    abort();
  }
  if (addresses.len != 0) {
    memcpy(line->address, addresses.data, addresses.len);
  }
  line->address_len = addresses.len;
}

bool kad__dht_poll_call(kad__dht *dht, kad__dht_call *out) {
  if (dht->call_next == dht->call_count) {
    return false;
  }
  *out = dht->calls[dht->call_next++];
  return true;
}

kad__call_id kad__dht_poll_cancel(kad__dht *dht) {
  return dht->cancel_count == 0 ? 0 : dht->cancels[--dht->cancel_count];
}

int kad__dht_replied(kad__dht *dht, kad__call_id call,
                     const kad__message *reply, kad_time now) {
  (void)now;
  fake_line *line = add_line(dht, FAKE_REPLIED);
  line->call = call;
  line->type = reply->type;
  line->closer_count = reply->closer_count;
  return 0;
}

void kad__dht_sent(kad__dht *dht, kad__call_id call, kad_time now) {
  (void)now;
  add_line(dht, FAKE_SENT)->call = call;
}

void kad__dht_failed(kad__dht *dht, kad__call_id call, int error,
                     kad_time now) {
  (void)now;
  fake_line *line = add_line(dht, FAKE_FAILED);
  line->call = call;
  line->error = error;
}

int kad__dht_answer(kad__dht *dht, kad__message *reply,
                    const kad__message *request, kad_bytes from,
                    kad_bytes address, kad_time now) {
  (void)now;
  fake_line *line = add_peer_line(dht, FAKE_ANSWERED, from);
  if (address.len > sizeof(line->address)) {
    abort();
  }
  if (address.len != 0) {
    memcpy(line->address, address.data, address.len);
  }
  line->address_len = address.len;
  line->type = request->type;
  if (dht->answer_result == 1) {
    *reply = dht->answer;
  }
  return dht->answer_result;
}

int kad__dht_check_request(const kad__dht *dht, const kad__message *request,
                           kad_bytes from, kad_time now) {
  (void)request;
  (void)from;
  (void)now;
  return dht->check_result;
}
