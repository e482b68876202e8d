/* System calls of the runtime and of libuv that fail when the test says so. A
 * program that links syscalls.c has these calls instead of libc's. */
#ifndef KAD_TESTS_RUNTIME_SYSCALLS_H
#define KAD_TESTS_RUNTIME_SYSCALLS_H

#include <stddef.h>

typedef enum syscall_kind {
  SYSCALL_ACCEPT,
  SYSCALL_CONNECT, /* of sockets that do not block: the test's own do */
  SYSCALL_SOCKET,  /* the same */
  SYSCALL_COUNT
} syscall_kind;

/* From now on every such call fails with this errno; 0: none does. */
void syscall_fail(syscall_kind kind, int error);
/* How often it was called since syscall_fail. */
size_t syscall_calls(syscall_kind kind);

#endif
