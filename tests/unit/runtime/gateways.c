#include "gateways.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NATPMP_PORT 5351
#define BUFFER 8192

static const uint8_t public_ip[4] = {192, 0, 2, 77};

static bool wait_for(gateway *g, int fd) {
  while (!atomic_load(&g->ending)) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, 20) > 0) {
      return true;
    }
  }
  return false;
}

static bool start(gateway *g, int type, uint16_t port, void *(*run)(void *)) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_port = htons(port),
                           .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t len = sizeof(at);
  memset(g, 0, sizeof(*g));
  g->fd = socket(AF_INET, type, 0);
  if (bind(g->fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
      getsockname(g->fd, (struct sockaddr *)&at, &len) != 0 ||
      (type == SOCK_STREAM && listen(g->fd, 8) != 0)) {
    close(g->fd);
    return false;
  }
  g->listens = ntohs(at.sin_port);
  return pthread_create(&g->thread, NULL, run, g) == 0;
}

void gateway_close(gateway *g) {
  atomic_store(&g->ending, true);
  pthread_join(g->thread, NULL);
  close(g->fd);
}

/* ---- NAT-PMP ------------------------------------------------------------- */

static uint32_t load(const uint8_t *p, int len) {
  uint32_t value = 0;
  for (int i = 0; i < len; i++) {
    value = value << 8 | p[i];
  }
  return value;
}

/* Grants the wish plus one: it need not be what was asked for. */
static size_t grant(gateway *g, const uint8_t *in, uint8_t *out) {
  uint32_t lifetime = load(in + 8, 4);
  uint32_t external = lifetime == 0 ? 0 : load(in + 4, 2) | 1;
  out[8] = in[4];
  out[9] = in[5];
  out[10] = (uint8_t)(external >> 8);
  out[11] = (uint8_t)external;
  memcpy(out + 12, in + 8, 4);
  if (lifetime == 0) {
    atomic_fetch_add(&g->removals, 1);
    return 16;
  }
  atomic_store(&g->port, load(in + 4, 2));
  atomic_store(&g->external, external);
  atomic_store(&g->lifetime, lifetime);
  atomic_fetch_add(&g->maps, 1);
  return 16;
}

static void *run_natpmp(void *user) {
  gateway *g = user;
  while (wait_for(g, g->fd)) {
    uint8_t in[64];
    uint8_t out[16] = {0};
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t len =
        recvfrom(g->fd, in, sizeof(in), 0, (struct sockaddr *)&from, &from_len);
    if (len < 2 || atomic_load(&g->silent)) {
      continue;
    }
    out[1] = (uint8_t)(in[1] | 0x80);
    size_t out_len = 12;
    if (in[1] == 0) {
      memcpy(out + 8, public_ip, 4);
    } else {
      /* The private port comes first in a request. */
      uint8_t request[12];
      memcpy(request, in, sizeof(request));
      out_len = grant(g, request, out);
    }
    (void)sendto(g->fd, out, out_len, 0, (struct sockaddr *)&from, from_len);
  }
  return NULL;
}

bool gateway_natpmp(gateway *g) {
  return start(g, SOCK_DGRAM, NATPMP_PORT, run_natpmp);
}

/* ---- UPnP ---------------------------------------------------------------- */

static const char description[] =
    "<?xml version=\"1.0\"?><root><specVersion><major>1</major></specVersion>"
    "<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1"
    "</deviceType><deviceList><device><deviceType>urn:schemas-upnp-org:device:"
    "WANDevice:1</deviceType><serviceList><service><serviceType>urn:schemas-"
    "upnp-org:service:WANCommonInterfaceConfig:1</serviceType><controlURL>/cif"
    "</controlURL><eventSubURL>/e</eventSubURL><SCPDURL>/c.xml</SCPDURL>"
    "</service></serviceList><deviceList><device><deviceType>urn:schemas-upnp-"
    "org:device:WANConnectionDevice:1</deviceType><serviceList><service>"
    "<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>"
    "<controlURL>/control</controlURL><eventSubURL>/e</eventSubURL><SCPDURL>"
    "/s.xml</SCPDURL></service></serviceList></device></deviceList></device>"
    "</deviceList></device></root>";

static unsigned number_in(const char *text, const char *element) {
  const char *at = strstr(text, element);
  return at == NULL ? 0 : (unsigned)atoi(at + strlen(element));
}

static void answer(int fd, const char *status, const char *body) {
  char out[BUFFER];
  int len = snprintf(out, sizeof(out),
                     "HTTP/1.1 %s\r\nContent-Type: text/xml\r\n"
                     "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                     status, strlen(body), body);
  (void)!send(fd, out, (size_t)len, MSG_NOSIGNAL);
}

static void answer_action(int fd, const char *action, const char *inside) {
  char body[1024];
  snprintf(body, sizeof(body),
           "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas."
           "xmlsoap.org/soap/envelope/\"><s:Body><u:%sResponse xmlns:u=\"urn:"
           "schemas-upnp-org:service:WANIPConnection:1\">%s</u:%sResponse>"
           "</s:Body></s:Envelope>",
           action, inside, action);
  answer(fd, "200 OK", body);
}

static void refuse(int fd, int code) {
  char body[1024];
  snprintf(body, sizeof(body),
           "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas."
           "xmlsoap.org/soap/envelope/\"><s:Body><s:Fault><faultcode>s:Client"
           "</faultcode><detail><UPnPError xmlns=\"urn:schemas-upnp-org:"
           "control-1-0\"><errorCode>%d</errorCode></UPnPError></detail>"
           "</s:Fault></s:Body></s:Envelope>",
           code);
  answer(fd, "500 Internal Server Error", body);
}

static void add_mapping(gateway *g, int fd, const char *request) {
  unsigned external = number_in(request, "<NewExternalPort>");
  unsigned inside = number_in(request, "<NewInternalPort>");
  unsigned lifetime = number_in(request, "<NewLeaseDuration>");
  if (atomic_load(&g->taken) && external == inside) {
    refuse(fd, 718);
    return;
  }
  if (atomic_load(&g->permanent) && lifetime != 0) {
    refuse(fd, 725);
    return;
  }
  atomic_store(&g->port, inside);
  atomic_store(&g->external, external);
  atomic_store(&g->lifetime, lifetime);
  atomic_fetch_add(&g->maps, 1);
  answer_action(fd, "AddPortMapping", "");
}

static void serve(gateway *g, int fd, const char *request) {
  if (strncmp(request, "GET ", 4) == 0) {
    answer(fd, "200 OK", description);
  } else if (strstr(request, "#GetExternalIPAddress\"") != NULL) {
    answer_action(fd, "GetExternalIPAddress",
                  "<NewExternalIPAddress>192.0.2.77</NewExternalIPAddress>");
  } else if (strstr(request, "#AddPortMapping\"") != NULL) {
    add_mapping(g, fd, request);
  } else if (strstr(request, "#DeletePortMapping\"") != NULL) {
    atomic_fetch_add(&g->removals, 1);
    answer_action(fd, "DeletePortMapping", "");
  } else {
    refuse(fd, 401);
  }
}

/* Headers, and a body as long as they say. */
static bool is_whole(const char *request) {
  const char *end = strstr(request, "\r\n\r\n");
  return end != NULL && strlen(end + 4) >= number_in(request, "Length: ");
}

static void *run_upnp(void *user) {
  gateway *g = user;
  while (wait_for(g, g->fd)) {
    char request[BUFFER] = "";
    size_t len = 0;
    int fd = accept(g->fd, NULL, NULL);
    while (len < sizeof(request) - 1 && !is_whole(request) && wait_for(g, fd)) {
      ssize_t got = recv(fd, request + len, sizeof(request) - 1 - len, 0);
      if (got <= 0) {
        break;
      }
      len += (size_t)got;
      request[len] = '\0';
    }
    if (!atomic_load(&g->silent)) {
      serve(g, fd, request);
    }
    close(fd);
  }
  return NULL;
}

bool gateway_upnp(gateway *g) {
  return start(g, SOCK_STREAM, 0, run_upnp);
}
