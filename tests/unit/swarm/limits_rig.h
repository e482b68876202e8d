/* A mesh in which node 0 has limits, for tests of what they do. */
#ifndef KAD_TESTS_SWARM_LIMITS_RIG_H
#define KAD_TESTS_SWARM_LIMITS_RIG_H

#include "mesh.h"
#include "swarm/swarm_internal.h"

extern mesh world;
/* Of node 0; without a limit unless a test says so before rig_start. */
extern kad__load in_all;
extern kad__load per_peer;
extern kad__load per_address;
extern kad__load per_group;
extern kad_time negotiate_timeout; /* of all; 0: as usual */

int rig_setup(void **state);
int rig_teardown(void **state);
/* Gives node 0 its limits: for mesh_init. */
void rig_limits(kad__swarm_config *config, int node);
/* So many nodes that take "/x". */
void rig_start(int nodes);
/* One more connection to node 0; returns its id with node `from`. */
kad__id rig_connect(int from);

#endif
