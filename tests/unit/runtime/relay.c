#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/* Turns without news after which what is held goes on. */
#define QUIET 3

static struct sockaddr_in loopback(uint16_t port) {
  return (struct sockaddr_in){.sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void prepare(int fd) {
  int on = 1;
  assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
  assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)),
                   0);
}

static void reset(int *fd) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  if (*fd >= 0) {
    assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)),
                     0);
    close(*fd);
    *fd = -1;
  }
}

static void reset_flow(relay_flow *f) {
  reset(&f->fds[0]);
  reset(&f->fds[1]);
}

static bool is_open(const relay_flow *f) {
  return f->fds[0] >= 0;
}

/* ---- one flow ------------------------------------------------------------ */

static void take_flow(relay *r, int fd) {
  struct sockaddr_in to = loopback(r->target);
  relay_flow *f = r->flows;
  while (f < r->flows + RELAY_FLOWS && is_open(f)) {
    f++;
  }
  assert_true(f < r->flows + RELAY_FLOWS);
  *f = (relay_flow){.fds = {fd, socket(AF_INET, SOCK_STREAM, 0)}};
  if (connect(f->fds[1], (struct sockaddr *)&to, sizeof(to)) != 0) {
    reset_flow(f);
    return;
  }
  prepare(f->fds[0]);
  prepare(f->fds[1]);
  r->accepted++;
}

/* False when the side has reset the flow. */
static bool read_side(relay_flow *f, int side) {
  relay_pipe *p = &f->pipes[side];
  size_t room = sizeof(p->bytes) - p->len;
  if (p->ended || room == 0) {
    return true;
  }
  ssize_t n = recv(f->fds[side], p->bytes + p->len, room, 0);
  p->quiet = n > 0 ? 0 : p->quiet + 1;
  p->ended = n == 0;
  p->len += n > 0 ? (size_t)n : 0;
  return n >= 0 || errno == EAGAIN;
}

static size_t due(const relay_plan *plan, const relay_pipe *p) {
  if (p->len < plan->hold && p->quiet < QUIET && !p->ended) {
    return 0;
  }
  return plan->piece != 0 && p->len > plan->piece ? plan->piece : p->len;
}

/* Forwards what is due of one side; false when the flow ends here. */
static bool write_side(const relay_plan *plan, relay_flow *f, int side) {
  relay_pipe *p = &f->pipes[side];
  bool counts = side == (int)plan->from;
  size_t len = due(plan, p);
  if (counts && plan->reset_at - p->forwarded < len) {
    len = plan->reset_at - p->forwarded;
  }
  if (counts && plan->damaged_at - p->forwarded < len) {
    p->bytes[plan->damaged_at - p->forwarded] ^= 0x10;
  }
  ssize_t n =
      len == 0 ? 0 : send(f->fds[1 - side], p->bytes, len, MSG_NOSIGNAL);
  if (n > 0) {
    p->len -= (size_t)n;
    p->forwarded += (size_t)n;
    memmove(p->bytes, p->bytes + n, p->len);
  }
  if (counts && p->forwarded == plan->reset_at && p->len > 0) {
    return false;
  }
  if (p->ended && p->len == 0) {
    shutdown(f->fds[1 - side], SHUT_WR);
  }
  return n >= 0 || errno == EAGAIN;
}

static void work(const relay_plan *plan, relay_flow *f) {
  for (int side = 0; side < 2; side++) {
    if (!read_side(f, side) || !write_side(plan, f, side)) {
      reset_flow(f);
      return;
    }
  }
  if (f->pipes[0].ended && f->pipes[1].ended) {
    reset_flow(f);
  }
}

/* ---- all of them --------------------------------------------------------- */

static void turn(void *user) {
  relay *r = user;
  int fd;
  while ((fd = accept(r->listener, NULL, NULL)) >= 0) {
    take_flow(r, fd);
  }
  for (size_t i = 0; i < RELAY_FLOWS; i++) {
    if (is_open(&r->flows[i])) {
      work(&r->plan, &r->flows[i]);
    }
  }
}

void relay_open(relay *r, loop *l, uint16_t target) {
  struct sockaddr_in at = loopback(0);
  socklen_t len = sizeof(at);
  memset(r, 0, sizeof(*r));
  r->target = target;
  r->plan = RELAY_PLAIN;
  for (size_t i = 0; i < RELAY_FLOWS; i++) {
    r->flows[i].fds[0] = r->flows[i].fds[1] = -1;
  }
  r->listener = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(r->listener, (struct sockaddr *)&at, len), 0);
  assert_int_equal(listen(r->listener, RELAY_FLOWS), 0);
  assert_int_equal(getsockname(r->listener, (struct sockaddr *)&at, &len), 0);
  assert_int_equal(fcntl(r->listener, F_SETFL, O_NONBLOCK), 0);
  r->port = ntohs(at.sin_port);
  l->also = turn;
  l->also_user = r;
}

void relay_close(relay *r, loop *l) {
  relay_reset(r);
  for (size_t i = 0; i < r->forgotten_count; i++) {
    reset(&r->forgotten[i]);
  }
  close(r->listener);
  l->also = NULL;
}

void relay_count_anew(relay *r) {
  for (size_t i = 0; i < RELAY_FLOWS; i++) {
    r->flows[i].pipes[0].forwarded = r->flows[i].pipes[1].forwarded = 0;
  }
}

size_t relay_forwarded(const relay *r, relay_side from) {
  size_t all = 0;
  for (size_t i = 0; i < RELAY_FLOWS; i++) {
    all += is_open(&r->flows[i]) ? r->flows[i].pipes[from].forwarded : 0;
  }
  return all;
}

void relay_reset(relay *r) {
  for (size_t i = 0; i < RELAY_FLOWS; i++) {
    reset_flow(&r->flows[i]);
  }
}

void relay_forget(relay *r) {
  for (size_t i = 0; i < RELAY_FLOWS; i++) {
    relay_flow *f = &r->flows[i];
    if (is_open(f)) {
      assert_true(r->forgotten_count < KAD__COUNT(r->forgotten));
      r->forgotten[r->forgotten_count++] = f->fds[1];
      f->fds[1] = -1;
      reset_flow(f);
    }
  }
}
