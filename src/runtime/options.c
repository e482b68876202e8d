/* Callers of an older release pass a shorter struct: only what it has is read,
 * the rest keeps its default. */
#include "runtime/options.h"

#include <string.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "kadmium/multiaddr.h"
#include "runtime/system.h"

/* Strings that a list may have; a mistake beyond that. */
#define LIST_MAX 1000

/* One run of memory: the lists, then the bytes they point at. */
typedef struct builder {
  kad_bytes *next;
  uint8_t *at;
  uint8_t *end;
} builder;

static int add_addresses(builder *b, const kad_bytes **out, size_t *out_count,
                         const char *const *texts, size_t count) {
  *out = b->next;
  *out_count = count;
  for (size_t i = 0; i < count; i++) {
    int len = kad_multiaddr_parse(b->at, (size_t)(b->end - b->at), texts[i]);
    if (len < 0) {
      return KAD_E_MULTIADDR;
    }
    *b->next++ = kad__bytes(b->at, (size_t)len);
    b->at += len;
  }
  return 0;
}

/* A namespace is one component of a key's path. */
static bool namespace_fits(const char *name) {
  size_t len = strlen(name);
  return len > 0 && len <= 64 && strchr(name, '/') == NULL;
}

static int add_namespaces(builder *b, kad__node_config *config,
                          const char *const *names, size_t count) {
  config->namespaces = b->next;
  config->namespace_count = count;
  for (size_t i = 0; i < count; i++) {
    if (!namespace_fits(names[i])) {
      return KAD_E_INVALID_ARGUMENT;
    }
    size_t len = strlen(names[i]);
    memcpy(b->at, names[i], len);
    *b->next++ = kad__bytes(b->at, len);
    b->at += len;
  }
  return 0;
}

static int add_lists(builder *b, kad__node_config *config,
                     const kad_node_options *o) {
  int error = add_addresses(b, &config->listen, &config->listen_count,
                            o->listen, o->listen_count);
  if (error == 0) {
    error = add_addresses(b, &config->announce, &config->announce_count,
                          o->announce, o->announce_count);
  }
  if (error == 0) {
    error = add_addresses(b, &config->bootstrap, &config->bootstrap_count,
                          o->bootstrap, o->bootstrap_count);
  }
  if (error == 0) {
    error = add_namespaces(b, config, o->namespaces, o->namespace_count);
  }
  return error;
}

_Static_assert((int)KAD_SECURITY_NOISE == (int)KAD__SECURITY_NOISE &&
                   (int)KAD_SECURITY_TLS == (int)KAD__SECURITY_TLS &&
                   (int)KAD_SECURITY_COUNT == (int)KAD__SECURITY_PROTOCOLS,
               "the public names are the same numbers");

static void read_values(kad__node_config *config, const kad_node_options *o) {
  config->identity = o->identity;
  config->mode = o->mode;
  config->report_inbound = o->report_inbound;
  config->report_swarm = o->report_swarm;
  config->filter_records = o->filter_records;
  config->review_records = o->review_records;
  config->no_autonat = o->no_autonat;
  memcpy(config->security, o->security, sizeof(config->security));
  config->network_key = o->network_key;
  config->observers = o->observers;
  config->gater = o->gater;
  config->max_inbound_streams = o->max_inbound_streams;
  config->max_outbound_streams = o->max_outbound_streams;
  config->low_water = o->low_water;
  config->high_water = o->high_water;
  config->grace_period = o->grace_period;
  config->max_pending_inbound = o->max_pending_inbound;
  config->max_inbound_per_address = o->max_inbound_per_address;
  config->max_inbound_per_group = o->max_inbound_per_group;
  config->max_connections_per_peer = o->max_connections_per_peer;
  config->max_dials = o->max_dials;
  config->max_dials_per_peer = o->max_dials_per_peer;
  config->dht = o->dht;
  config->store = o->store;
  if (o->protocol != NULL) {
    config->protocol = kad__bytes_of(o->protocol);
  }
  if (o->agent != NULL) {
    config->agent = kad__bytes_of(o->agent);
  }
  if (o->idle_timeout != 0) {
    config->idle_timeout = o->idle_timeout;
  }
  if (o->max_connections != 0) {
    config->max_connections = o->max_connections;
  }
}

static void read_limits(kad__node_config *config, const kad_node_options *o) {
  config->max_in_all = (kad__load){.bytes = o->max_memory,
                                   .inbound = o->max_inbound_streams_in_all,
                                   .outbound = o->max_outbound_streams_in_all};
  config->max_per_peer =
      (kad__load){.bytes = o->max_memory_per_peer,
                  .inbound = o->max_inbound_streams_per_peer,
                  .outbound = o->max_outbound_streams_per_peer};
  config->max_per_address =
      (kad__load){.bytes = o->max_memory_per_address,
                  .inbound = o->max_inbound_streams_per_address};
  config->max_per_group =
      (kad__load){.bytes = o->max_memory_per_group,
                  .inbound = o->max_inbound_streams_per_group};
  config->pace_per_address =
      (kad__pace){o->inbound_burst_per_address, o->inbound_rate_per_address};
  config->pace_per_group =
      (kad__pace){o->inbound_burst_per_group, o->inbound_rate_per_group};
}

static int read_seed(kad__options *out, const kad_node_options *o) {
  out->config.seed = out->seed;
  if (o->seed != NULL) {
    memcpy(out->seed, o->seed, sizeof(out->seed));
    return 0;
  }
  return kad__system_entropy(out->seed, sizeof(out->seed));
}

static bool counts_fit(const kad_node_options *o) {
  return o->listen_count <= LIST_MAX && o->announce_count <= LIST_MAX &&
         o->bootstrap_count <= LIST_MAX && o->namespace_count <= LIST_MAX &&
         o->dht.validator_count <= LIST_MAX;
}

static bool security_fits(const kad_node_options *o) {
  uint8_t first = o->security[0];
  uint8_t second = o->security[1];
  return first <= KAD_SECURITY_TLS && second <= KAD_SECURITY_TLS &&
         (second == 0 || (first != 0 && first != second));
}

static bool memory_fits(size_t bytes) {
  return bytes == 0 || bytes >= KAD_MEMORY_MIN;
}

static bool limits_fit(const kad_node_options *o) {
  bool marks =
      o->low_water == 0 || o->high_water == 0 || o->low_water <= o->high_water;
  return marks && memory_fits(o->max_memory) &&
         memory_fits(o->max_memory_per_peer) &&
         memory_fits(o->max_memory_per_address) &&
         memory_fits(o->max_memory_per_group) &&
         o->max_dials <= KAD_DIALS_MAX &&
         o->max_dials_per_peer <= KAD_DIALS_MAX;
}

int kad__options_read(kad__options *out, const kad_node_options *options) {
  kad_node_options o = KAD_NODE_OPTIONS_INIT;
  size_t size = options->struct_size;
  memcpy(&o, options, size < sizeof(o) ? size : sizeof(o));
  if (!counts_fit(&o) || !security_fits(&o) || !limits_fit(&o)) {
    return KAD_E_INVALID_ARGUMENT;
  }
  *out =
      (kad__options){.allocator = o.allocator == NULL ? *kad_allocator_default()
                                                      : *o.allocator};
  kad__node_config_default(&out->config);
  out->config.allocator = &out->allocator;
  out->port_mapping = o.port_mapping;
  out->transports = o.transports;
  out->transport_count = o.transport_count;
  read_values(&out->config, &o);
  read_limits(&out->config, &o);
  size_t count =
      o.listen_count + o.announce_count + o.bootstrap_count + o.namespace_count;
  size_t lists = count * sizeof(kad_bytes);
  size_t total = lists + (count + 1) * KAD_MULTIADDR_MAX;
  out->memory = kad__alloc(&out->allocator, total);
  if (out->memory == NULL) {
    return KAD_E_NO_MEMORY;
  }
  builder b = {.next = out->memory,
               .at = (uint8_t *)out->memory + lists,
               .end = (uint8_t *)out->memory + total};
  int error = add_lists(&b, &out->config, &o);
  if (error == 0) {
    error = read_seed(out, &o);
  }
  if (error < 0) {
    kad__options_fini(out);
  }
  return error;
}

void kad__options_fini(kad__options *options) {
  explicit_bzero(options->seed, sizeof(options->seed));
  kad__release(&options->allocator, options->memory);
  options->memory = NULL;
}
