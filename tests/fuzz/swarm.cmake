kadmium_fuzz(swarm SOURCES fuzz_swarm.c USES swarm)
