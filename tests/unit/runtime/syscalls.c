/* What a program defines, and lets others see, comes before the definitions of
 * every shared library, so libuv calls these, too. <sys/socket.h> is left out:
 * there the addresses are of a type that no definition can have. */
#include "syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SEEN __attribute__((visibility("default")))

SEEN int accept4(int fd, void *address, unsigned *len, int flags);
SEEN int connect(int fd, const void *address, unsigned len);
SEEN int socket(int family, int type, int protocol);

static int errors[SYSCALL_COUNT];
static size_t calls[SYSCALL_COUNT];

void syscall_fail(syscall_kind kind, int error) {
  errors[kind] = error;
  calls[kind] = 0;
}

size_t syscall_calls(syscall_kind kind) {
  return calls[kind];
}

static int fails(syscall_kind kind) {
  calls[kind]++;
  if (errors[kind] != 0) {
    errno = errors[kind];
  }
  return errors[kind] != 0;
}

int accept4(int fd, void *address, unsigned *len, int flags) {
  return fails(SYSCALL_ACCEPT)
             ? -1
             : (int)syscall(SYS_accept4, fd, address, len, flags);
}

int connect(int fd, const void *address, unsigned len) {
  int flags = fcntl(fd, F_GETFL);
  if ((flags & O_NONBLOCK) != 0 && fails(SYSCALL_CONNECT)) {
    return -1;
  }
  return (int)syscall(SYS_connect, fd, address, len);
}

int socket(int family, int type, int protocol) {
  if ((type & O_NONBLOCK) != 0 && fails(SYSCALL_SOCKET)) {
    return -1;
  }
  return (int)syscall(SYS_socket, family, type, protocol);
}
