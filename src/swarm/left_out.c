/* Why a dial failed, address by address: those that were tried, then those that
 * were left out before. These stand in one run of bytes, since most dials leave
 * some out and hardly any is asked about them: the error, the length, the
 * address. */
#include "swarm/swarm_internal.h"

#define LEFT_OUT_MAX 16
#define HEAD_LEN 6

static void put_head(uint8_t out[HEAD_LEN], int error, size_t len) {
  int32_t number = error;
  memcpy(out, &number, sizeof(number));
  kad__store16(out + sizeof(number), (uint16_t)len);
}

/* Without memory there is one address less to tell of. */
void kad__dial_leave_out(kad__dial *d, kad_bytes address, int error) {
  uint8_t *tail = NULL;
  if (address.len == 0 || d->left_out_count == LEFT_OUT_MAX ||
      kad__buffer_reserve(&d->left_out, &d->swarm->allocator, &tail,
                          HEAD_LEN + address.len) < 0) {
    return;
  }
  put_head(tail, error, address.len);
  memcpy(tail + HEAD_LEN, address.data, address.len);
  kad__buffer_commit(&d->left_out, HEAD_LEN + address.len);
  d->left_out_count++;
}

/* `*at`: how much of the run was read. */
static bool next_left_out(const kad__dial *d, size_t *at, kad_bytes *address,
                          int *error) {
  kad_bytes rest = kad__bytes_skip(kad__buffer_bytes(&d->left_out), *at);
  int32_t number = 0;
  if (rest.len == 0) {
    return false;
  }
  memcpy(&number, rest.data, sizeof(number));
  size_t len = kad__load16(rest.data + sizeof(number));
  *error = number;
  *address = kad__bytes(rest.data + HEAD_LEN, len);
  *at += HEAD_LEN + len;
  return true;
}

bool kad__dial_failure_next(const kad__dial *dial, size_t *cursor,
                            kad_bytes *address, int *error) {
  while (*cursor < dial->count) {
    const kad__candidate *c = &dial->candidates[(*cursor)++];
    if (c->error != 0) {
      *address = kad__bytes(c->address, c->transport_len);
      *error = c->error;
      return true;
    }
  }
  size_t at = *cursor - dial->count;
  bool more = next_left_out(dial, &at, address, error);
  *cursor = dial->count + at;
  return more;
}
