kadmium_fuzz(udp_message SOURCES fuzz_udp_message.c USES gateway)
kadmium_fuzz(udp SOURCES fuzz_udp.c USES gateway)
