kadmium_fuzz(snapshot SOURCES fuzz_snapshot.c USES node MUTATIONS 200)
