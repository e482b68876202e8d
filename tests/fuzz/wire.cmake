kadmium_fuzz(message SOURCES fuzz_message.c USES wire)
kadmium_fuzz(autonat SOURCES fuzz_autonat.c USES wire)
kadmium_fuzz(identify SOURCES fuzz_identify.c USES wire)
kadmium_fuzz(noise_payload SOURCES fuzz_noise_payload.c USES wire)
