kadmium_fuzz(yamux SOURCES fuzz_yamux.c USES connection)
