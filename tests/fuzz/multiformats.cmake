kadmium_fuzz(multiaddr_bytes SOURCES fuzz_multiaddr_bytes.c USES multiformats)
kadmium_fuzz(multiaddr_text SOURCES fuzz_multiaddr_text.c USES multiformats)
kadmium_fuzz(names SOURCES fuzz_names.c USES multiformats)
