#include "own_network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool control(unsigned long request, struct ifreq *what) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  bool done = fd >= 0 && ioctl(fd, request, what) == 0;
  if (fd >= 0) {
    close(fd);
  }
  return done;
}

bool own_network_enter(void) {
  static bool entered;
  struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  if (entered) {
    return true;
  }
  entered = (unshare(CLONE_NEWNET) == 0 ||
             unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) &&
            control(SIOCSIFFLAGS, &lo);
  if (!entered) {
    printf("skipped: no network of one's own is to be had here\n");
  }
  return entered;
}

bool own_network_widen(void) {
  struct ifreq lo = {.ifr_name = "lo:1"};
  struct sockaddr_in a = {.sin_family = AF_INET};
  a.sin_addr.s_addr = inet_addr("10.9.0.1");
  memcpy(&lo.ifr_addr, &a, sizeof(a));
  if (!control(SIOCSIFADDR, &lo)) {
    return false;
  }
  a.sin_addr.s_addr = inet_addr("255.255.0.0");
  memcpy(&lo.ifr_netmask, &a, sizeof(a));
  return control(SIOCSIFNETMASK, &lo);
}

bool own_network_set(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool written = fd >= 0 && write(fd, text, strlen(text)) > 0;
  if (fd >= 0) {
    close(fd);
  }
  return written;
}
