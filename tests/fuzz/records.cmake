kadmium_fuzz(ipns_record SOURCES fuzz_ipns_record.c USES node)
kadmium_fuzz(pk_record SOURCES fuzz_pk_record.c USES node)
