kadmium_fuzz(public_key SOURCES fuzz_public_key.c USES identity)
kadmium_fuzz(peer_record SOURCES fuzz_peer_record.c USES identity)
