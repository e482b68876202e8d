#include "loop.h"

#include <poll.h>
#include <time.h>

kad_time loop_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (kad_time)t.tv_sec * KAD_SECOND + (kad_time)t.tv_nsec;
}

kad_node_options loop_options(void) {
  static const char *const listen[] = {"/ip4/127.0.0.1/tcp/0"};
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.protocol = LOOP_PROTOCOL;
  options.listen = listen;
  options.listen_count = 1;
  return options;
}

kad_node *loop_add(loop *l, const kad_node_options *options) {
  kad_node *node = NULL;
  assert_true(l->count < LOOP_NODES);
  assert_ok(kad_node_new(&node, options));
  l->nodes[l->count++] = node;
  return node;
}

kad_node *loop_join(loop *l, kad_node *contact) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  const char *bootstrap[] = {text};
  kad_node_options options = loop_options();
  options.bootstrap = bootstrap;
  if (contact != NULL) {
    loop_address(contact, text);
    options.bootstrap_count = 1;
  }
  kad_node *node = loop_add(l, &options);
  (void)loop_await(l, node, KAD_EVENT_READY, 0);
  return node;
}

void loop_close(loop *l) {
  for (size_t i = 0; i < l->count; i++) {
    kad_node_free(l->nodes[i]);
  }
  l->count = 0;
}

void loop_turn(loop *l, int wait_ms) {
  struct pollfd fds[LOOP_NODES];
  if (l->also != NULL) {
    l->also(l->also_user);
    wait_ms = wait_ms < 1 ? wait_ms : 1;
  }
  for (size_t i = 0; i < l->count; i++) {
    int t = kad_node_timeout(l->nodes[i]);
    wait_ms = t >= 0 && t < wait_ms ? t : wait_ms;
    fds[i] = (struct pollfd){.fd = kad_node_fd(l->nodes[i]), .events = POLLIN};
  }
  (void)poll(fds, l->count, wait_ms);
  for (size_t i = 0; i < l->count; i++) {
    kad_node_drive(l->nodes[i]);
  }
}

/* As the caller of a real program would: events of the other nodes are taken
 * by whoever asks for them. */
kad_event loop_await(loop *l, kad_node *node, kad_event_type type,
                     kad_request_id request) {
  kad_time limit = loop_now() + LOOP_LIMIT;
  kad_event event = {0};
  while (loop_now() < limit) {
    while (kad_node_poll(node, &event)) {
      if (event.type == type && event.request == request) {
        return event;
      }
    }
    loop_turn(l, 1000);
  }
  fail_msg("no event %d of request %llu", (int)type,
           (unsigned long long)request);
  return event;
}

static kad_bytes keep(uint8_t **at, const uint8_t *end, kad_bytes bytes) {
  assert_true(bytes.len <= (size_t)(end - *at));
  if (bytes.len > 0) {
    memcpy(*at, bytes.data, bytes.len);
  }
  kad_bytes kept = kad__bytes(*at, bytes.len);
  *at += bytes.len;
  return kept;
}

static void take(loop_result *out, const kad_event *event) {
  uint8_t *at = out->bytes;
  const uint8_t *end = out->bytes + sizeof(out->bytes);
  out->results++;
  out->last = *event;
  out->last.key = keep(&at, end, event->key);
  out->last.value = keep(&at, end, event->value);
  out->last.addresses = keep(&at, end, event->addresses);
}

void loop_run(loop *l, kad_node *node, const kad_request *request,
              loop_result *out) {
  kad_request_id id = 0;
  kad_time limit = loop_now() + LOOP_LIMIT;
  memset(out, 0, sizeof(*out));
  out->end.error = kad_node_start(node, &id, request);
  out->end.type = KAD_EVENT_END;
  if (out->end.error < 0) {
    return;
  }
  while (loop_now() < limit) {
    kad_event event;
    while (kad_node_poll(node, &event)) {
      if (event.request == id && event.type == KAD_EVENT_END) {
        out->end = event;
        return;
      }
      if (event.request == id) {
        take(out, &event);
      }
    }
    loop_turn(l, 1000);
  }
  fail_msg("request %llu has no end", (unsigned long long)id);
}

const char *loop_address(kad_node *node, char out[KAD_MULTIADDR_TEXT_MAX]) {
  kad_bytes list = kad_node_addresses(node);
  kad_bytes address;
  assert_true(kad_addresses_next(&list, &address));
  assert_ok(kad_multiaddr_format(out, KAD_MULTIADDR_TEXT_MAX, address));
  return out;
}

uint16_t loop_port(kad_node *node) {
  kad_bytes list = kad_node_addresses(node);
  kad_bytes address;
  kad_multiaddr_part part;
  assert_true(kad_addresses_next(&list, &address));
  assert_true(kad_multiaddr_find(address, KAD_MULTIADDR_TCP, &part, NULL));
  return kad__load16(part.value.data);
}
