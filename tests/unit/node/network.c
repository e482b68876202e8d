#include "network.h"

void network_open(network *n, uint64_t seed) {
  kad__simulator_config config;
  kad__simulator_config_default(&config);
  config.allocator = kad_allocator_default();
  config.seed = seed;
  assert_ok(kad__simulator_new(&n->sim, &config));
  kad__node_config_default(&n->config);
  n->config.protocol = kad__bytes_of(NETWORK_PROTOCOL);
}

void network_close(network *n) {
  kad__simulator_free(n->sim);
}

uint32_t network_add(network *n, uint32_t contact) {
  int number = kad__simulator_add(n->sim, &n->config, contact);
  assert_ok(number);
  return (uint32_t)number;
}

void network_grow(network *n, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint32_t added = network_add(n, i == 0 ? NOBODY : 0);
    (void)network_await(n, added, KAD_EVENT_READY, KAD_MINUTE);
  }
}

kad_event network_await(network *n, uint32_t node, kad_event_type type,
                        kad_time limit) {
  kad_time until = kad__simulator_now(n->sim) + limit;
  kad_event event = {0};
  uint32_t from = 0;
  do {
    while (kad__simulator_poll(n->sim, &from, &event)) {
      if (from == node && event.type == type) {
        return event;
      }
    }
  } while (kad__simulator_step(n->sim, until));
  fail_msg("node %u did not say event %d", node, (int)type);
  return event;
}

void network_pass(network *n, kad_time time) {
  kad_time until = kad__simulator_now(n->sim) + time;
  kad_event event;
  uint32_t from = 0;
  do {
    while (kad__simulator_poll(n->sim, &from, &event)) {
    }
  } while (kad__simulator_step(n->sim, until));
}

kad_request_id network_start(network *n, uint32_t node,
                             const kad_request *request) {
  kad_request_id id = 0;
  assert_ok(kad__simulator_start(n->sim, node, &id, request));
  assert_true(id != 0);
  return id;
}

kad__simulator_result network_finish(network *n, uint32_t node,
                                     kad_request_id id, kad_time limit) {
  kad__simulator_result result;
  kad_time until = kad__simulator_now(n->sim) + limit;
  assert_true(kad__simulator_finish(n->sim, node, id, until, &result));
  return result;
}

size_t network_count_ends(network *n, uint32_t node, kad_request_id id,
                          kad_time until, kad_event *last) {
  size_t ends = 0;
  uint32_t from = 0;
  kad_event event;
  do {
    while (kad__simulator_poll(n->sim, &from, &event)) {
      if (from == node && event.request == id && event.type == KAD_EVENT_END) {
        *last = event;
        ends++;
      }
    }
  } while (kad__simulator_step(n->sim, until));
  return ends;
}
