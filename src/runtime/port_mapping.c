/* Two sides share a little: the ports that are wanted, and the addresses that
 * were granted, under a lock. The thread has no memory of the node's, whose
 * allocator may be for one thread alone. */
#include "runtime/port_mapping.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "kadmium/multiaddr.h"
#include "node/reach.h"
#include "protocols/own_addresses.h"
#include "runtime/gateway.h"
#include "runtime/signals.h"
#include "runtime/system.h"
#include "wire/addresses.h"

#define PORTS_MAX 8
#define ADDRESS_LEN 8 /* /ip4/../tcp/.. */
/* A gateway that fails so often in a row is looked for again. */
#define FAILURES_MAX 3

struct kad__port_mapping {
  kad__world *world;
  kad__port_mapping_config config;
  uv_async_t news;
  pthread_t thread;
  int stop[2]; /* a pipe: written to end the thread */
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool ending;
  uint16_t wanted[PORTS_MAX];
  size_t wanted_count;
  uint8_t granted[PORTS_MAX][ADDRESS_LEN];
  size_t granted_count;
  /* the thread's own */
  kad__gateway gateway;
  kad__mapped_port ports[PORTS_MAX];
  size_t port_count;
  uint32_t failures;
  kad_time next_search;
};

void kad__port_mapping_config_default(kad__port_mapping_config *config) {
  *config = (kad__port_mapping_config){.lifetime = 60 * KAD_SECOND,
                                       .renew = 20 * KAD_SECOND,
                                       .search = 5 * KAD_MINUTE};
}

bool kad__port_mapping_supported(void) {
#if defined(KADMIUM_NATPMP) || defined(KADMIUM_UPNP)
  return true;
#else
  return false;
#endif
}

/* ---- the thread ---------------------------------------------------------- */

static bool has(const uint16_t *ports, size_t count, uint16_t port) {
  for (size_t i = 0; i < count; i++) {
    if (ports[i] == port) {
      return true;
    }
  }
  return false;
}

static bool is_mapped(const kad__port_mapping *m, uint16_t port) {
  for (size_t i = 0; i < m->port_count; i++) {
    if (m->ports[i].port == port) {
      return true;
    }
  }
  return false;
}

/* Makes the thread's list that of the loop: what is not wanted any more is
 * unmapped. */
static void take_wishes(kad__port_mapping *m, const uint16_t *wanted,
                        size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < m->port_count; i++) {
    if (has(wanted, count, m->ports[i].port)) {
      m->ports[kept++] = m->ports[i];
    } else {
      kad__gateway_unmap(&m->gateway, &m->ports[i]);
    }
  }
  m->port_count = kept;
  for (size_t i = 0; i < count; i++) {
    if (!is_mapped(m, wanted[i])) {
      m->ports[m->port_count++] = (kad__mapped_port){.port = wanted[i]};
    }
  }
}

static void write_address(uint8_t out[ADDRESS_LEN], const uint8_t ip[4],
                          uint16_t port) {
  out[0] = KAD_MULTIADDR_IP4;
  memcpy(out + 1, ip, 4);
  out[5] = KAD_MULTIADDR_TCP;
  kad__store16(out + 6, port);
}

/* Tells the loop what is granted, when it is something new. */
static void publish(kad__port_mapping *m) {
  uint8_t granted[PORTS_MAX][ADDRESS_LEN] = {{0}};
  size_t count = 0;
  for (size_t i = 0; i < m->port_count; i++) {
    if (m->ports[i].external != 0) {
      write_address(granted[count++], m->gateway.ip, m->ports[i].external);
    }
  }
  pthread_mutex_lock(&m->lock);
  bool same = count == m->granted_count &&
              memcmp(granted, m->granted, sizeof(granted)) == 0;
  memcpy(m->granted, granted, sizeof(granted));
  m->granted_count = count;
  pthread_mutex_unlock(&m->lock);
  if (!same) {
    uv_async_send(&m->news);
  }
}

static void lose_gateway(kad__port_mapping *m) {
  kad__gateway_close(&m->gateway);
  m->failures = 0;
  for (size_t i = 0; i < m->port_count; i++) {
    m->ports[i].external = 0;
  }
}

static bool find_gateway(kad__port_mapping *m) {
  kad_time now = kad__system_now();
  if (m->gateway.kind != KAD__GATEWAY_NONE) {
    return true;
  }
  if (now < m->next_search) {
    return false;
  }
  m->next_search = now + m->config.search;
  return kad__gateway_find(&m->gateway, &m->config);
}

/* Maps everything, or renews it; one failure does not undo what still lasts. */
static void map_all(kad__port_mapping *m) {
  if (m->port_count == 0 || !find_gateway(m)) {
    publish(m);
    return;
  }
  bool works = kad__gateway_look(&m->gateway);
  for (size_t i = 0; i < m->port_count && works; i++) {
    works = kad__gateway_map(&m->gateway, &m->ports[i], m->config.lifetime);
  }
  m->failures = works ? 0 : m->failures + 1;
  if (m->failures == FAILURES_MAX) {
    lose_gateway(m);
    m->next_search = 0;
  }
  publish(m);
}

static void unmap_all(kad__port_mapping *m) {
  m->gateway.stop_fd = -1; /* it is readable now: this is what it is for */
  for (size_t i = 0; i < m->port_count; i++) {
    kad__gateway_unmap(&m->gateway, &m->ports[i]);
  }
  kad__gateway_close(&m->gateway);
}

static struct timespec after(kad_time delay) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  kad_time ns = (kad_time)at.tv_nsec + delay;
  at.tv_sec += (time_t)(ns / KAD_SECOND);
  at.tv_nsec = (long)(ns % KAD_SECOND);
  return at;
}

static bool same_ports(const kad__port_mapping *m, const uint16_t *wanted,
                       size_t count) {
  return m->wanted_count == count &&
         memcmp(m->wanted, wanted, count * sizeof(*wanted)) == 0;
}

/* Waits until it is time to renew, the wishes change, or it is over (false). */
static bool await(kad__port_mapping *m, uint16_t *wanted, size_t *count) {
  struct timespec until = after(m->config.renew);
  pthread_mutex_lock(&m->lock);
  int error = 0;
  while (!m->ending && error == 0 && same_ports(m, wanted, *count)) {
    error = pthread_cond_timedwait(&m->changed, &m->lock, &until);
  }
  bool goes_on = !m->ending;
  *count = m->wanted_count;
  memcpy(wanted, m->wanted, sizeof(m->wanted));
  pthread_mutex_unlock(&m->lock);
  return goes_on;
}

static void *run(void *user) {
  kad__port_mapping *m = user;
  uint16_t wanted[PORTS_MAX] = {0};
  size_t count = 0;
  while (await(m, wanted, &count)) {
    take_wishes(m, wanted, count);
    map_all(m);
  }
  unmap_all(m);
  return NULL;
}

/* ---- the loop ------------------------------------------------------------ */

static void on_news(uv_async_t *news) {
  kad__port_mapping *m = news->data;
  uint8_t list[PORTS_MAX * (ADDRESS_LEN + 2)];
  size_t len = 0;
  pthread_mutex_lock(&m->lock);
  for (size_t i = 0; i < m->granted_count; i++) {
    (void)kad__addresses_append(list, sizeof(list), &len,
                                kad__bytes(m->granted[i], ADDRESS_LEN));
  }
  pthread_mutex_unlock(&m->lock);
  kad__node_set_mapped(m->world->node, kad__bytes(list, len),
                       kad__system_now());
}

/* The port of an address that the gateway can forward to; 0: none. */
static uint16_t port_of(const kad__port_mapping *m, kad_bytes address) {
  kad_multiaddr_part ip;
  kad_multiaddr_part port;
  bool fits = (m->config.loopback ||
               kad__address_scope(address) != KAD__SCOPE_LOOPBACK) &&
              kad_multiaddr_next(&address, &ip) == 1 &&
              ip.protocol == KAD_MULTIADDR_IP4 &&
              kad_multiaddr_next(&address, &port) == 1 &&
              port.protocol == KAD_MULTIADDR_TCP && address.len == 0;
  return fits ? kad__load16(port.value.data) : 0;
}

void kad__port_mapping_turn(kad__port_mapping *m) {
  kad_bytes listening[KAD__OWN_LISTEN_MAX];
  uint16_t ports[PORTS_MAX] = {0};
  size_t found = 0;
  size_t count = kad__swarm_listen_addresses(kad__node_swarm(m->world->node),
                                             listening, KAD__OWN_LISTEN_MAX);
  for (size_t i = 0; i < count && found < PORTS_MAX; i++) {
    uint16_t port = port_of(m, listening[i]);
    if (port != 0 && !has(ports, found, port)) {
      ports[found++] = port;
    }
  }
  /* The loop alone writes them, so it may look without the lock. */
  if (same_ports(m, ports, found)) {
    return;
  }
  pthread_mutex_lock(&m->lock);
  memcpy(m->wanted, ports, sizeof(m->wanted));
  m->wanted_count = found;
  pthread_cond_signal(&m->changed);
  pthread_mutex_unlock(&m->lock);
}

static int init_lock(kad__port_mapping *m) {
  pthread_condattr_t monotonic;
  int error = pthread_condattr_init(&monotonic);
  if (error != 0) {
    return error;
  }
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  error = pthread_cond_init(&m->changed, &monotonic);
  pthread_condattr_destroy(&monotonic);
  if (error == 0 && (error = pthread_mutex_init(&m->lock, NULL)) != 0) {
    pthread_cond_destroy(&m->changed);
  }
  return error;
}

static void fini_shared(kad__port_mapping *m) {
  pthread_mutex_destroy(&m->lock);
  pthread_cond_destroy(&m->changed);
  close(m->stop[0]);
  close(m->stop[1]);
}

static void on_closed(uv_handle_t *handle) {
  kad__port_mapping *m = handle->data;
  kad_allocator allocator = m->world->allocator;
  kad__release(&allocator, m);
}

/* What has to be undone goes with the handle's end. */
static int start(kad__port_mapping *m) {
  if (pipe2(m->stop, O_CLOEXEC) < 0) {
    return KAD_E_WORLD;
  }
  if (init_lock(m) != 0) {
    close(m->stop[0]);
    close(m->stop[1]);
    return KAD_E_WORLD;
  }
  m->gateway.stop_fd = m->stop[0];
  kad__port_mapping_turn(m);
  if (kad__signals_thread(&m->thread, run, m) != 0) {
    fini_shared(m);
    return KAD_E_WORLD;
  }
  return 0;
}

int kad__port_mapping_new(kad__port_mapping **out, kad__world *world,
                          const kad__port_mapping_config *config) {
  if (!kad__port_mapping_supported()) {
    return KAD_E_UNSUPPORTED;
  }
  kad__port_mapping *m = kad__calloc(&world->allocator, 1, sizeof(*m));
  if (m == NULL) {
    return KAD_E_NO_MEMORY;
  }
  m->world = world;
  m->config = *config;
  if (uv_async_init(&world->loop, &m->news, on_news) != 0) {
    kad__release(&world->allocator, m);
    return KAD_E_WORLD;
  }
  m->news.data = m;
  /* Alone it keeps no loop going. */
  uv_unref((uv_handle_t *)&m->news);
  int error = start(m);
  if (error < 0) {
    uv_close((uv_handle_t *)&m->news, on_closed);
    return error;
  }
  *out = m;
  return 0;
}

void kad__port_mapping_free(kad__port_mapping *m) {
  if (m == NULL) {
    return;
  }
  pthread_mutex_lock(&m->lock);
  m->ending = true;
  pthread_cond_signal(&m->changed);
  pthread_mutex_unlock(&m->lock);
  (void)!write(m->stop[1], "", 1);
  pthread_join(m->thread, NULL);
  fini_shared(m);
  uv_close((uv_handle_t *)&m->news, on_closed);
}
