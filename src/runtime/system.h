/* The operating system's clocks and entropy. */
#ifndef KAD_RUNTIME_SYSTEM_H
#define KAD_RUNTIME_SYSTEM_H

#include "kadmium/error.h"
#include "kadmium/types.h"

/* Monotonic time. */
kad_time kad__system_now(void);
/* Wall clock, in nanoseconds since 1970; 0 when it is not set. */
uint64_t kad__system_unix_ns(void);
/* Fills `out` from the kernel; blocks until it is seeded. KAD_E_WORLD when
 * there is no entropy: never go on without. */
int kad__system_entropy(uint8_t *out, size_t len);

#endif
