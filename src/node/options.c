/* The public options over the defaults of the parts. */
#include "node/node_internal.h"

/* What all connections together may make us hold: per connection, on average.
 */
#define MEMORY_PER_CONNECTION ((size_t)256 * 1024)
/* Few connections may carry much. */
#define MEMORY_MIN ((size_t)64 << 20)
/* The same of streams. */
#define STREAMS_PER_CONNECTION 16
#define STREAMS_MIN 8192

static void set_count(uint32_t *value, uint32_t option) {
  *value = option == 0 ? *value : option;
}

static void set_size(size_t *value, uint32_t option) {
  *value = option == 0 ? *value : option;
}

static void set_load(kad__load *value, const kad__load *option) {
  value->bytes = option->bytes == 0 ? value->bytes : option->bytes;
  set_count(&value->inbound, option->inbound);
  set_count(&value->outbound, option->outbound);
}

static void set_pace(kad__pace *value, const kad__pace *option) {
  set_count(&value->burst, option->burst);
  set_count(&value->per_minute, option->per_minute);
}

static void set_time(kad_time *value, kad_time option) {
  *value = option == 0 ? *value : option;
}

void kad__node_dht_options(kad__dht_config *config, const kad_dht_options *o) {
  set_count(&config->bucket_size, o->bucket_size);
  set_count(&config->replication, o->replication);
  set_count(&config->parallelism, o->parallelism);
  set_count(&config->caching, o->caching);
  set_time(&config->query_timeout, o->query_timeout);
  set_time(&config->peer_timeout, o->peer_timeout);
  set_time(&config->pending_timeout, o->pending_timeout);
  set_time(&config->record_ttl, o->record_ttl);
  set_time(&config->provider_ttl, o->provider_ttl);
  set_time(&config->replication_interval, o->replication_interval);
  set_time(&config->publication_interval, o->publication_interval);
  set_time(&config->provider_publication_interval,
           o->provider_publication_interval);
  set_time(&config->bootstrap_interval, o->bootstrap_interval);
  set_time(&config->bootstrap_throttle, o->bootstrap_throttle);
  config->disjoint_paths = o->disjoint_paths;
  config->manual_inserts = o->manual_inserts;
  config->trust_peers = o->trust_peers;
  config->optimistic_provide = o->optimistic_provide;
  if (o->no_caching) {
    config->caching = 0;
  }
}

void kad__node_kad_options(kad__kad_config *config, const kad_dht_options *o) {
  set_size(&config->max_request, o->max_request);
  set_size(&config->max_reply, o->max_reply);
  set_time(&config->idle_timeout, o->stream_timeout);
}

/* Nobody gets more than half by default. */
static void halve(kad__load *value, const kad__load *all) {
  size_t half = all->bytes / 2;
  value->bytes = value->bytes < half ? value->bytes : half;
}

static void set_loads(kad__swarm_config *config, const kad__node_config *o) {
  size_t memory = o->max_connections * MEMORY_PER_CONNECTION;
  uint32_t streams = o->max_connections < UINT32_MAX / STREAMS_PER_CONNECTION
                         ? o->max_connections * STREAMS_PER_CONNECTION
                         : UINT32_MAX;
  streams = streams > STREAMS_MIN ? streams : STREAMS_MIN;
  config->max_in_all =
      (kad__load){memory > MEMORY_MIN ? memory : MEMORY_MIN, streams, streams};
  set_load(&config->max_in_all, &o->max_in_all);
  halve(&config->max_per_peer, &config->max_in_all);
  halve(&config->max_per_address, &config->max_in_all);
  halve(&config->max_per_group, &config->max_in_all);
  set_load(&config->max_per_peer, &o->max_per_peer);
  set_load(&config->max_per_address, &o->max_per_address);
  set_load(&config->max_per_group, &o->max_per_group);
  set_pace(&config->pace_per_address, &o->pace_per_address);
  set_pace(&config->pace_per_group, &o->pace_per_group);
}

void kad__node_swarm_options(kad__swarm_config *config,
                             const kad__node_config *o) {
  uint32_t all = o->max_connections;
  config->max_connections = all;
  config->low_water = all - all / 4;
  config->high_water = all - all / 5;
  set_count(&config->low_water, o->low_water);
  set_count(&config->high_water, o->high_water);
  set_time(&config->grace_period, o->grace_period);
  set_count(&config->max_pending_inbound, o->max_pending_inbound);
  set_count(&config->max_inbound_per_address, o->max_inbound_per_address);
  set_count(&config->max_inbound_per_group, o->max_inbound_per_group);
  set_count(&config->max_connections_per_peer, o->max_connections_per_peer);
  set_count(&config->max_dials, o->max_dials);
  set_count(&config->max_dials_per_peer, o->max_dials_per_peer);
  set_loads(config, o);
  set_count(&config->yamux.max_inbound_streams, o->max_inbound_streams);
  set_count(&config->yamux.max_outbound_streams, o->max_outbound_streams);
}
