# Over the fakes of the unit tests: the fuzzer is the peer.
set(fakes ${PROJECT_SOURCE_DIR}/tests/unit/protocols)
kadmium_fuzz(identify_stream
  SOURCES fuzz_identify_stream.c ${fakes}/fake_swarm.c USES protocols)
kadmium_fuzz(autonat_stream
  SOURCES fuzz_autonat_stream.c ${fakes}/fake_swarm.c USES protocols)
kadmium_fuzz(kad_stream
  SOURCES fuzz_kad_stream.c ${fakes}/fake_swarm.c ${fakes}/fake_dht.c
  USES protocols)
