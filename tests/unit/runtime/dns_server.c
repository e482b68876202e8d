#include "dns_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER 12
#define UDP_MAX 512

bool dns_reply_add(dns_reply *reply, int type, const void *data, size_t len) {
  if (len + HEADER > sizeof(reply->bytes) - reply->len) {
    return false;
  }
  uint8_t *at = reply->bytes + reply->len;
  kad__store16(at, 0xc000 | HEADER); /* the name of the question */
  kad__store16(at + 2, (uint16_t)type);
  kad__store16(at + 4, 1);
  kad__store32(at + 6, 60);
  kad__store16(at + 10, (uint16_t)len);
  memcpy(at + 12, data, len);
  reply->len += 12 + len;
  reply->answers++;
  return true;
}

bool dns_reply_text(dns_reply *reply, const void *text, size_t len) {
  static uint8_t data[65535]; /* one server at a time */
  size_t used = 0;
  const uint8_t *from = text;
  do {
    size_t part = len < 255 ? len : 255;
    if (used + 1 + part > sizeof(data)) {
      return false;
    }
    data[used++] = (uint8_t)part;
    memcpy(data + used, from, part);
    used += part;
    from += part;
    len -= part;
  } while (len > 0);
  return dns_reply_add(reply, DNS_TXT, data, used);
}

/* The question's name as text; returns where its type stands, 0 on nonsense. */
static size_t read_name(char out[256], const uint8_t *query, size_t len) {
  size_t at = HEADER;
  size_t used = 0;
  while (at < len && query[at] != 0) {
    size_t part = query[at++];
    if (part > 63 || at + part >= len || used + part + 1 >= 256) {
      return 0;
    }
    memcpy(out + used, query + at, part);
    used += part;
    out[used++] = '.';
    at += part;
  }
  out[used == 0 ? 0 : used - 1] = '\0';
  return at + 5 <= len ? at + 1 : 0;
}

/* Answers `query` into `reply`; false: not at all. */
static bool answer_query(dns_server *s, dns_reply *reply, const uint8_t *query,
                         size_t len) {
  char name[256];
  size_t type_at = len < HEADER ? 0 : read_name(name, query, len);
  if (type_at == 0) {
    return false;
  }
  reply->len = type_at + 4;
  reply->answers = 0;
  reply->code = 0;
  reply->silent = false;
  reply->garbage = false;
  memcpy(reply->bytes, query, reply->len);
  s->queries++;
  s->answer(s->user, name, kad__load16(query + type_at), reply);
  if (reply->garbage) {
    return true;
  }
  reply->bytes[2] = 0x84;
  reply->bytes[3] = 0x80 | reply->code;
  kad__store16(reply->bytes + 4, 1);
  kad__store16(reply->bytes + 6, reply->answers);
  kad__store32(reply->bytes + 8, 0);
  return !reply->silent;
}

static void serve_udp(dns_server *s, dns_reply *reply) {
  uint8_t query[UDP_MAX];
  struct sockaddr_in from;
  socklen_t from_len = sizeof(from);
  ssize_t n = recvfrom(s->udp, query, sizeof(query), 0,
                       (struct sockaddr *)&from, &from_len);
  if (n <= 0 || !answer_query(s, reply, query, (size_t)n)) {
    return;
  }
  size_t len = reply->len;
  if (len > UDP_MAX && !reply->garbage) {
    reply->bytes[2] |= 2; /* truncated: come again over TCP */
    kad__store16(reply->bytes + 6, 0);
    len = (size_t)n;
  }
  (void)sendto(s->udp, reply->bytes, len, 0, (struct sockaddr *)&from,
               from_len);
}

static bool read_all(int fd, uint8_t *out, size_t len) {
  while (len > 0) {
    ssize_t n = recv(fd, out, len, 0);
    if (n <= 0) {
      return false;
    }
    out += n;
    len -= (size_t)n;
  }
  return true;
}

/* One query on one connection, as c-ares makes them; blocks while it is read.
 */
static void serve_tcp(dns_server *s, dns_reply *reply) {
  uint8_t query[2 + UDP_MAX];
  int fd = accept(s->tcp, NULL, NULL);
  if (fd >= 0 && read_all(fd, query, 2) && kad__load16(query) <= UDP_MAX &&
      read_all(fd, query + 2, kad__load16(query)) &&
      answer_query(s, reply, query + 2, kad__load16(query))) {
    uint8_t head[2];
    kad__store16(head, (uint16_t)reply->len);
    (void)send(fd, head, 2, MSG_NOSIGNAL);
    (void)send(fd, reply->bytes, reply->len, MSG_NOSIGNAL);
  }
  close(fd);
}

static void *serve(void *user) {
  dns_server *s = user;
  dns_reply *reply = malloc(sizeof(*reply));
  struct pollfd fds[3] = {{.fd = s->stop[0], .events = POLLIN},
                          {.fd = s->udp, .events = POLLIN},
                          {.fd = s->tcp, .events = POLLIN}};
  while (poll(fds, 3, -1) > 0 && fds[0].revents == 0) {
    if (fds[1].revents != 0) {
      serve_udp(s, reply);
    }
    if (fds[2].revents != 0) {
      serve_tcp(s, reply);
    }
  }
  free(reply);
  return NULL;
}

/* UDP and TCP on the same port. */
static bool bind_both(dns_server *s) {
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(a);
  s->udp = socket(AF_INET, SOCK_DGRAM, 0);
  s->tcp = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(s->udp, (struct sockaddr *)&a, sizeof(a)), 0);
  assert_int_equal(getsockname(s->udp, (struct sockaddr *)&a, &len), 0);
  snprintf(s->address, sizeof(s->address), "127.0.0.1:%u", ntohs(a.sin_port));
  if (bind(s->tcp, (struct sockaddr *)&a, sizeof(a)) == 0 &&
      listen(s->tcp, 16) == 0) {
    return true;
  }
  close(s->udp);
  close(s->tcp);
  return false;
}

void dns_server_start(dns_server *s, dns_answer answer, void *user) {
  *s = (dns_server){.answer = answer, .user = user};
  while (!bind_both(s)) {
  }
  assert_int_equal(pipe(s->stop), 0);
  assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

void dns_server_stop(dns_server *s) {
  assert_int_equal(write(s->stop[1], "", 1), 1);
  pthread_join(s->thread, NULL);
  close(s->stop[0]);
  close(s->stop[1]);
  close(s->udp);
  close(s->tcp);
}
