kadmium_fuzz(multistream SOURCES fuzz_multistream.c USES connection)
kadmium_fuzz(noise SOURCES fuzz_noise.c USES connection)
kadmium_fuzz(connection SOURCES fuzz_connection.c USES connection)
kadmium_fuzz(certificate SOURCES fuzz_certificate.c USES connection)
