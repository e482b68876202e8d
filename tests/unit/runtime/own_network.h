/* A network of the test's own: a namespace with nothing but loopback. */
#ifndef KAD_TESTS_RUNTIME_OWN_NETWORK_H
#define KAD_TESTS_RUNTIME_OWN_NETWORK_H

#include <stdbool.h>

/* Moves the program, which must have one thread, into such a network; again and
 * again it stays in the first. False, having said so, where that is not
 * allowed. */
bool own_network_enter(void);
/* Every address of 10.9.0.0/16 is this machine's from now on. */
bool own_network_widen(void);
/* Writes a setting in /proc/sys. */
bool own_network_set(const char *path, const char *text);

#endif
