kadmium_fuzz(dht SOURCES fuzz_dht.c USES kademlia)
