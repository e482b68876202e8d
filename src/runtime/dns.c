/* Names, through c-ares on the node's loop: its sockets are watched by libuv,
 * its time-outs by one timer that runs while something is asked. */
#include <ares.h>
#include <arpa/nameser.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/bytes.h"
#include "runtime/system.h"
#include "runtime/world.h"

/* Of one server and attempt; c-ares doubles it for the next. */
#define ATTEMPT_MS 2000
#define ATTEMPTS 3
#define TICK_MS 500
/* The longest name that DNS knows, in text. */
#define NAME_MAX_LEN 253

/* One socket of c-ares. */
typedef struct watch {
  uv_poll_t poll; /* first: a handle is its watch */
  struct watch *next;
  kad__world *world; /* outlives `dns` */
  kad__dns *dns;
  ares_socket_t socket;
} watch;

struct kad__dns {
  kad__world *world;
  ares_channel channel;
  uv_timer_t timer;
  watch *watches;
  size_t running; /* resolutions */
  bool closing;
};

typedef struct query {
  kad__dns *dns;
  kad__id id;
} query;

static kad__swarm *swarm_of(const kad__dns *dns) {
  return kad__node_swarm(dns->world->node);
}

/* ---- sockets and time ---------------------------------------------------- */

static void on_ready(uv_poll_t *poll, int status, int events) {
  watch *w = (watch *)poll;
  bool broken = status < 0;
  ares_process_fd(
      w->dns->channel,
      broken || (events & UV_READABLE) ? w->socket : ARES_SOCKET_BAD,
      broken || (events & UV_WRITABLE) ? w->socket : ARES_SOCKET_BAD);
}

static void on_watch_closed(uv_handle_t *handle) {
  watch *w = (watch *)handle;
  kad__release(&w->world->allocator, w);
}

static void unwatch(watch *w) {
  for (watch **at = &w->dns->watches; *at != NULL; at = &(*at)->next) {
    if (*at == w) {
      *at = w->next;
      break;
    }
  }
  uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

static watch *find_watch(kad__dns *dns, ares_socket_t socket) {
  watch *w = dns->watches;
  while (w != NULL && w->socket != socket) {
    w = w->next;
  }
  return w;
}

static watch *new_watch(kad__dns *dns, ares_socket_t socket) {
  watch *w = kad__calloc(&dns->world->allocator, 1, sizeof(*w));
  if (w == NULL) {
    return NULL;
  }
  if (uv_poll_init_socket(&dns->world->loop, &w->poll, socket) != 0) {
    kad__release(&dns->world->allocator, w);
    return NULL;
  }
  w->world = dns->world;
  w->dns = dns;
  w->socket = socket;
  w->next = dns->watches;
  dns->watches = w;
  return w;
}

/* A socket that cannot be watched times out, as a silent server does. */
static void on_socket_state(void *user, ares_socket_t socket, int readable,
                            int writable) {
  kad__dns *dns = user;
  watch *w = find_watch(dns, socket);
  if (!readable && !writable) {
    if (w != NULL) {
      unwatch(w);
    }
    return;
  }
  if (w == NULL) {
    w = new_watch(dns, socket);
  }
  if (w != NULL) {
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    uv_poll_start(&w->poll, events, on_ready);
  }
}

static void on_tick(uv_timer_t *timer) {
  kad__dns *dns = timer->data;
  ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* ---- answers ------------------------------------------------------------- */

static int error_of(int status) {
  switch (status) {
    case ARES_SUCCESS:
      return 0;
    case ARES_ENOMEM:
      return KAD_E_NO_MEMORY;
    case ARES_ETIMEOUT:
      return KAD_E_TIMEOUT;
    default:
      return KAD_E_RESOLVE;
  }
}

static void finish(query *q, int error) {
  kad__dns *dns = q->dns;
  kad__id id = q->id;
  kad__release(&dns->world->allocator, q);
  dns->running--;
  if (dns->closing) {
    return;
  }
  if (dns->running == 0) {
    uv_timer_stop(&dns->timer);
  }
  kad__swarm_resolve_end(swarm_of(dns), id, error, kad__system_now());
}

static void give(const query *q, const void *value, size_t len) {
  if (!q->dns->closing) {
    kad__swarm_resolved(swarm_of(q->dns), q->id, kad__bytes(value, len),
                        kad__system_now());
  }
}

static void on_addresses(void *user, int status, int timeouts,
                         struct ares_addrinfo *info) {
  query *q = user;
  (void)timeouts;
  struct ares_addrinfo_node *node = info == NULL ? NULL : info->nodes;
  for (; node != NULL; node = node->ai_next) {
    if (node->ai_family == AF_INET) {
      const struct sockaddr_in *ip4 = (const void *)node->ai_addr;
      give(q, &ip4->sin_addr, 4);
    } else if (node->ai_family == AF_INET6) {
      const struct sockaddr_in6 *ip6 = (const void *)node->ai_addr;
      give(q, &ip6->sin6_addr, 16);
    }
  }
  if (info != NULL) {
    ares_freeaddrinfo(info);
  }
  finish(q, error_of(status));
}

/* A TXT record is a chain of strings of up to 255 bytes that belong together.
 * The swarm gets each whole; one that is longer than any address is dropped. */
static void give_texts(const query *q, const struct ares_txt_ext *text) {
  uint8_t whole[2048];
  size_t len = 0;
  bool fits = true;
  for (; text != NULL; text = text->next) {
    if (text->record_start) {
      len = 0;
      fits = true;
    }
    fits = fits && text->length <= sizeof(whole) - len;
    if (fits) {
      memcpy(whole + len, text->txt, text->length);
      len += text->length;
    }
    bool last = text->next == NULL || text->next->record_start;
    if (last && fits) {
      give(q, whole, len);
    }
  }
}

static void on_text(void *user, int status, int timeouts, unsigned char *answer,
                    int len) {
  query *q = user;
  (void)timeouts;
  struct ares_txt_ext *texts = NULL;
  if (status == ARES_SUCCESS) {
    status = ares_parse_txt_reply_ext(answer, len, &texts);
  }
  give_texts(q, texts);
  if (texts != NULL) {
    ares_free_data(texts);
  }
  finish(q, error_of(status));
}

/* ---- questions ----------------------------------------------------------- */

static int family_of(kad__resolve_query kind) {
  switch (kind) {
    case KAD__RESOLVE_IP4:
      return AF_INET;
    case KAD__RESOLVE_IP6:
      return AF_INET6;
    default:
      return AF_UNSPEC;
  }
}

void kad__dns_resolve(kad__dns *dns, kad__id id, kad__resolve_query kind,
                      kad_bytes name) {
  char text[NAME_MAX_LEN + 1];
  query *q = kad__alloc(&dns->world->allocator, sizeof(*q));
  bool fits = name.len < sizeof(text) &&
              (name.len == 0 || memchr(name.data, '\0', name.len) == NULL);
  if (q == NULL || !fits) {
    kad__release(&dns->world->allocator, q);
    kad__swarm_resolve_end(swarm_of(dns), id,
                           fits ? KAD_E_NO_MEMORY : KAD_E_RESOLVE,
                           kad__system_now());
    return;
  }
  memcpy(text, name.data, name.len);
  text[name.len] = '\0';
  *q = (query){.dns = dns, .id = id};
  dns->running++;
  uv_timer_start(&dns->timer, on_tick, TICK_MS, TICK_MS);
  if (kind == KAD__RESOLVE_TXT) {
    ares_query(dns->channel, text, ns_c_in, ns_t_txt, on_text, q);
    return;
  }
  /* The swarm ranks addresses itself. */
  struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT,
                                      .ai_family = family_of(kind),
                                      .ai_socktype = SOCK_STREAM};
  ares_getaddrinfo(dns->channel, text, NULL, &hints, on_addresses, q);
}

/* ---- the resolver -------------------------------------------------------- */

/* c-ares counts its users without a lock, and nodes have threads of their own:
 * it is set up once, and stays. */
static int library_status;

static void init_library(void) {
  library_status = ares_library_init(ARES_LIB_INIT_ALL);
}

static bool library_ready(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  return pthread_once(&once, init_library) == 0 &&
         library_status == ARES_SUCCESS;
}

static int init_channel(kad__dns *dns) {
  struct ares_options options = {.timeout = ATTEMPT_MS,
                                 .tries = ATTEMPTS,
                                 .sock_state_cb = on_socket_state,
                                 .sock_state_cb_data = dns};
  int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
  if (!library_ready()) {
    return KAD_E_WORLD;
  }
  if (ares_init_options(&dns->channel, &options, mask) != ARES_SUCCESS) {
    return KAD_E_WORLD;
  }
  return 0;
}

static void on_timer_closed(uv_handle_t *handle) {
  kad__dns *dns = handle->data;
  kad__release(&dns->world->allocator, dns);
}

int kad__dns_new(kad__dns **out, kad__world *world) {
  kad__dns *dns = kad__calloc(&world->allocator, 1, sizeof(*dns));
  if (dns == NULL) {
    return KAD_E_NO_MEMORY;
  }
  dns->world = world;
  int error = init_channel(dns);
  if (error < 0) {
    kad__release(&world->allocator, dns);
    return error;
  }
  uv_timer_init(&world->loop, &dns->timer);
  dns->timer.data = dns;
  *out = dns;
  return 0;
}

void kad__dns_free(kad__dns *dns) {
  dns->closing = true;
  ares_destroy(dns->channel); /* ends every query and socket */
  uv_close((uv_handle_t *)&dns->timer, on_timer_closed);
}

int kad__dns_set_servers(kad__world *world, const char *servers) {
  int error = world->dns == NULL ? kad__dns_new(&world->dns, world) : 0;
  if (error < 0) {
    return error;
  }
  int status = ares_set_servers_ports_csv(world->dns->channel, servers);
  return status == ARES_SUCCESS ? 0 : KAD_E_INVALID_ARGUMENT;
}
