/* Life, and who gets which event: a request of ours and one of a peer are
 * streams of one protocol, told apart by who opened them. */
#include "protocols/autonat.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "protocols/autonat_internal.h"
#include "protocols/framing.h"

static const uint8_t request_bytes[] = KAD__AUTONAT_REQUEST_PROTOCOL;
static const uint8_t back_bytes[] = KAD__AUTONAT_BACK_PROTOCOL;
static const kad_bytes request_name = {request_bytes,
                                       sizeof(request_bytes) - 1};
static const kad_bytes back_name = {back_bytes, sizeof(back_bytes) - 1};

void kad__autonat_config_default(kad__autonat_config *config) {
  *config = (kad__autonat_config){.max_requests = 60,
                                  .max_requests_per_peer = 12,
                                  .max_data_requests = 12,
                                  .max_at_once = 10};
}

static int handle(kad__autonat *a) {
  int error =
      kad__swarm_handle(a->config.swarm, back_name, KAD__TAG_AUTONAT_BACK);
  if (error < 0 || !a->config.serve) {
    return error;
  }
  error = kad__swarm_handle(a->config.swarm, request_name, KAD__TAG_AUTONAT);
  if (error < 0) {
    kad__swarm_unhandle(a->config.swarm, back_name);
  }
  return error;
}

int kad__autonat_new(kad__autonat **out, const kad__autonat_config *config) {
  const kad_allocator *allocator = config->allocator;
  kad__autonat *a = kad__calloc(allocator, 1, sizeof(*a));
  if (a == NULL) {
    return KAD_E_NO_MEMORY;
  }
  a->config = *config;
  a->allocator = *allocator;
  kad__list_init(&a->visits);
  kad__list_init(&a->probes);
  kad__list_init(&a->ended);
  a->log.entries =
      kad__calloc(allocator, config->max_requests, sizeof(*a->log.entries));
  int error = a->log.entries == NULL ? KAD_E_NO_MEMORY : handle(a);
  if (error < 0) {
    kad__release(allocator, a->log.entries);
    kad__release(allocator, a);
    return error;
  }
  *out = a;
  return 0;
}

void kad__autonat_free(kad__autonat *a) {
  if (a == NULL) {
    return;
  }
  if (a->config.serve) {
    kad__swarm_unhandle(a->config.swarm, request_name);
  }
  kad__swarm_unhandle(a->config.swarm, back_name);
  kad__autonat_server_fini(a);
  kad__autonat_client_fini(a);
  kad_allocator allocator = a->allocator;
  kad__release(&allocator, a->log.entries);
  kad__release(&allocator, a);
}

int kad__autonat_serve(kad__autonat *a, bool on) {
  if (on == a->config.serve) {
    return 0;
  }
  if (on) {
    int error =
        kad__swarm_handle(a->config.swarm, request_name, KAD__TAG_AUTONAT);
    if (error < 0) {
      return error;
    }
  } else {
    kad__swarm_unhandle(a->config.swarm, request_name);
  }
  a->config.serve = on;
  return 0;
}

int kad__autonat_read(kad_bytes *out, const kad__stream *stream) {
  kad_bytes in = kad__stream_peek(stream);
  int taken =
      in.len == 0 ? 0 : kad__frame_split(out, in, KAD__AUTONAT_MESSAGE_MAX);
  if (taken == 0 && kad__stream_ended(stream)) {
    return KAD_E_TRUNCATED;
  }
  return taken;
}

void kad__autonat_handle_event(kad__autonat *a, const kad__swarm_event *event,
                               kad_time now) {
  if (event->type < KAD__SWARM_STREAM_INBOUND) {
    kad__autonat_server_dial(a, event, now);
    return;
  }
  uint32_t tag = kad__stream_tag(event->stream);
  bool ours = (tag & KAD__TAG_OURS) != 0;
  if (kad__tag_owner(tag) == KAD__TAG_AUTONAT) {
    (ours ? kad__autonat_client_stream : kad__autonat_server_stream)(a, event,
                                                                     now);
  } else {
    (ours ? kad__autonat_server_back : kad__autonat_client_back)(a, event, now);
  }
}

kad_time kad__autonat_deadline(const kad__autonat *a) {
  return kad__time_min(kad__autonat_server_deadline(a),
                       kad__autonat_client_deadline(a));
}

void kad__autonat_tick(kad__autonat *a, kad_time now) {
  kad__autonat_server_tick(a, now);
  kad__autonat_client_tick(a, now);
}

const kad__autonat_counters *kad__autonat_counters_get(const kad__autonat *a) {
  return &a->counters;
}
