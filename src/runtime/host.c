/* Options in, a listening node out. */
#include "runtime/host.h"

#include <string.h>

#include "runtime/options.h"
#include "runtime/port_mapping.h"
#include "runtime/signals.h"
#include "runtime/system.h"

/* A new identity comes from the seed, so a fixed seed gives a fixed node; the
 * node itself goes on from another one than its key came from. */
static int make_identity(kad__host *host, kad__options *options) {
  if (options->config.identity != NULL) {
    return 0;
  }
  kad_random random;
  kad_random_init(&random, options->seed);
  int error =
      kad_key_pair_generate(&host->own_identity, &host->allocator, &random);
  kad_random_bytes(&random, options->seed, sizeof(options->seed));
  explicit_bzero(&random, sizeof(random));
  options->config.identity = host->own_identity;
  return error;
}

static int make_world(kad__host *host, const kad__options *options) {
  kad__node *node = NULL;
  int error = kad__node_new(&node, &options->config, kad__system_now(),
                            kad__system_unix_ns());
  if (error < 0) {
    return error;
  }
  error = kad__world_new(&host->world, &host->allocator, node);
  if (error < 0) {
    kad__node_free(node);
    return error;
  }
  host->node = node;
  kad__transports_attach(host->transports, host->world);
  if (options->port_mapping) {
    kad__port_mapping_config mapping;
    kad__port_mapping_config_default(&mapping);
    error = kad__port_mapping_new(&host->world->mapping, host->world, &mapping);
    if (error < 0) {
      return error;
    }
  }
  kad__world_turn(host->world); /* binds the listeners */
  return 0;
}

int kad__host_init(kad__host *host, const kad_node_options *options) {
  kad__options read;
  int error = kad__options_read(&read, options);
  if (error < 0) {
    return error;
  }
  *host = (kad__host){.allocator = read.allocator};
  error = kad__transports_new(&host->transports, &host->allocator,
                              read.transports, read.transport_count);
  read.config.transports = kad__transports_hooks(host->transports);
  if (error == 0) {
    error = make_identity(host, &read);
  }
  if (error == 0) {
    error = make_world(host, &read);
  }
  kad__options_fini(&read);
  if (error < 0) {
    kad__host_fini(host);
  }
  return error;
}

void kad__host_fini(kad__host *host) {
  kad__world_free(host->world);
  kad__transports_free(host->transports);
  kad_key_pair_free(host->own_identity);
}

void kad__host_turn(kad__host *host) {
  kad__signals signals;
  kad__signals_hold(&signals);
  kad__world_turn(host->world);
  kad__signals_release(&signals);
}
