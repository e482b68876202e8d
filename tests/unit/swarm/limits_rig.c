#include "limits_rig.h"

mesh world;
kad__load in_all;
kad__load per_peer;
kad__load per_address;
kad__load per_group;
kad_time negotiate_timeout;

void rig_limits(kad__swarm_config *config, int node) {
  if (negotiate_timeout != 0) {
    config->negotiate_timeout = negotiate_timeout;
  }
  if (node == 0) {
    config->max_in_all = in_all;
    config->max_per_peer = per_peer;
    config->max_per_address = per_address;
    config->max_per_group = per_group;
  }
}

int rig_setup(void **state) {
  (void)state;
  const kad__load none = {SIZE_MAX, UINT32_MAX, UINT32_MAX};
  in_all = per_peer = per_address = per_group = none;
  return 0;
}

int rig_teardown(void **state) {
  (void)state;
  mesh_fini(&world);
  return 0;
}

void rig_start(int nodes) {
  mesh_init(&world, nodes, rig_limits);
  for (int i = 0; i < nodes; i++) {
    assert_ok(kad__swarm_handle(world.nodes[i].swarm, kad__bytes_of("/x"), 1));
  }
}

kad__id rig_connect(int from) {
  kad__id id = 0;
  assert_ok(kad__swarm_dial_address(world.nodes[from].swarm, &id,
                                    mesh_address(world.nodes[0].listen),
                                    world.now));
  mesh_run(&world);
  return mesh_find(&world, from, KAD__SWARM_CONNECTED)->connection;
}
