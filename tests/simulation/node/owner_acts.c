#include "kadmium/multiaddr.h"
#include "node/connections.h"
#include "node/peers.h"
#include "node/routing.h"
#include "node/snapshot.h"
#include "node/streams.h"
#include "owner.h"
#include "wire/addresses.h"

#define KEYS 3
#define VALUE_MAX 6000
#define WRITE_MAX 60000
#define PORT 4001
#define NO_PORT 4999

static const char *const known_a[] = {"/storm/a"};
static const char *const b_or_a[] = {"/storm/b", "/storm/a"};
static const char *const nobody[] = {"/storm/nobody"};
static const char *const nobody_or_a[] = {"/storm/nobody", "/storm/a"};

static uint64_t below(owner *o, uint64_t bound) {
  return gale_below(o->world, bound);
}

static bool chance(owner *o, uint64_t n) {
  return gale_chance(o->world, n);
}

static kad_time now(const owner *o) {
  return gale_now(o->world);
}

static int any_peer(owner *o) {
  return (int)below(o, (uint64_t)o->world->nodes);
}

/* Rather one to whom he is connected. */
static int any_friend(owner *o) {
  int peer = any_peer(o);
  for (int i = 0; i < 3 && !o->connected[peer]; i++) {
    peer = any_peer(o);
  }
  return peer;
}

static void touch(owner *o) {
  kad__simulator_touch(o->world->sim, o->number);
}

/* ---- streams ------------------------------------------------------------- */

/* One of the connections to that peer, or any. */
static kad__id connection_to(owner *o, int peer) {
  kad_connection_info info;
  uint64_t cursor = 0;
  return kad__node_next_connection(owner_node(o), &cursor,
                                   gale_peer(o->world, peer), &info, now(o))
             ? info.id
             : 0;
}

static void choose_options(owner *o, kad_stream_options *options, int peer) {
  static const struct {
    const char *const *names;
    size_t count;
  } choices[] = {{known_a, 1}, {known_a, 1},     {known_a, 1},
                 {b_or_a, 2},  {nobody_or_a, 2}, {nobody, 1}};
  size_t choice = below(o, KAD__COUNT(choices));
  *options = (kad_stream_options)KAD_STREAM_OPTIONS_INIT;
  options->protocols = choices[choice].names;
  options->protocol_count = choices[choice].count;
  options->no_dial = chance(o, 4);
  if (chance(o, 4)) {
    options->timeout = 1 + below(o, 3 * KAD_SECOND);
  }
  if (chance(o, 8)) {
    options->connection = connection_to(o, peer);
  }
}

static void set_deadline(owner *o, talk *t) {
  kad_time at =
      chance(o, 3) ? KAD_TIME_NEVER : now(o) + below(o, 3 * KAD_SECOND);
  t->timed = true;
  (void)kad__node_stream_deadline(t->stream, 1 + (unsigned)below(o, 3), at);
  touch(o);
}

void owner_open(owner *o, int peer) {
  talk *t = owner_free_talk(o);
  kad_stream_options options;
  if (t == NULL) {
    return;
  }
  choose_options(o, &options, peer);
  options.user = t;
  kad_stream *stream = NULL;
  int error = kad__node_stream_open(
      owner_node(o), &stream, gale_peer(o->world, peer), &options, now(o));
  touch(o);
  if (error < 0) {
    STORM_CHECK(o, stream == NULL && error != KAD_E_INVALID_ARGUMENT);
    STORM_CHECK(o, error != KAD_E_NO_MEMORY || o->starved);
    STORM_CHECK(o, (error == KAD_E_SELF) == (peer == (int)o->number));
    return;
  }
  gale_all.streams++;
  *t = (talk){.stream = stream, .peer = peer, .speech = gale_speech(o->world)};
}

/* Returns whether more may be written at once. */
static bool write_some(owner *o, talk *t, size_t len) {
  static uint8_t bytes[WRITE_MAX];
  speech *ours = &o->world->speeches[t->speech];
  if (t->speech == 0) {
    return false;
  }
  for (size_t i = 0; i < len; i++) {
    bytes[i] = gale_byte(t->speech, ours->written + i);
  }
  int result = kad_stream_write(t->stream, bytes, len);
  touch(o);
  t->waits = result == KAD_E_AGAIN || (result >= 0 && (size_t)result < len);
  if (result >= 0) {
    STORM_CHECK(o, !t->ours_over && !t->dead && (size_t)result <= len);
    ours->written += (uint64_t)result;
    return (size_t)result == len;
  }
  STORM_CHECK(o, result != KAD_E_STATE || t->ours_over);
  STORM_CHECK(o, result != KAD_E_NO_MEMORY || o->starved);
  STORM_CHECK(o, result != KAD_E_AGAIN || !t->dead);
  return false;
}

/* As much as there is room for. */
static void flood(owner *o, talk *t) {
  for (int i = 0; i < 10 && write_some(o, t, WRITE_MAX); i++) {
  }
}

void owner_use_stream(owner *o) {
  talk *t = owner_any_talk(o);
  if (t == NULL) {
    return;
  }
  switch (below(o, 40)) {
    case 0:
    case 1:
      owner_end(o, t, chance(o, 2));
      return;
    case 2:
      kad_stream_close_write(t->stream);
      t->ours_over = true;
      o->world->speeches[t->speech].over = true;
      break;
    case 3:
      if (chance(o, 3)) {
        kad_stream_close_read(t->stream);
        t->deaf = true;
      }
      break;
    case 4:
      set_deadline(o, t);
      return;
    case 5:
    case 6:
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
      (void)owner_read(o, t, 1 + below(o, o->loud ? 200000 : 5000));
      break;
    case 13:
    case 14:
    case 15:
      if (o->loud) {
        flood(o, t);
        return;
      }
      /* fallthrough */
    default:
      (void)write_some(o, t, 1 + below(o, chance(o, 4) ? 2000 : 100));
      return;
  }
  touch(o);
}

/* ---- requests ------------------------------------------------------------ */

static kad_bytes any_key(owner *o, bool multihash) {
  static uint8_t key[16];
  uint8_t number = (uint8_t)below(o, KEYS);
  if (multihash) {
    memcpy(key, "\x12\x04key", 5);
    key[5] = number;
    return kad__bytes(key, 6);
  }
  snprintf((char *)key, sizeof(key), "/app/%d", number);
  return kad__bytes_of((const char *)key);
}

static kad_bytes any_value(owner *o) {
  static uint8_t value[VALUE_MAX];
  size_t len = 1 + below(o, chance(o, 4) ? sizeof(value) : 100);
  memset(value, 'v', len);
  return kad__bytes(value, len);
}

static void start(owner *o, kad_request *q) {
  kad_request_id id = 0;
  if (o->last_request + 1 >= OWNER_REQUESTS) {
    return;
  }
  int error = kad__simulator_start(o->world->sim, o->number, &id, q);
  if (error < 0) {
    STORM_CHECK(o, error != KAD_E_NO_MEMORY || o->starved);
    return;
  }
  STORM_CHECK(o, id > o->last_request && id < OWNER_REQUESTS);
  o->last_request = id;
  o->requests[id].running = true;
  gale_all.requests++;
}

static kad_time any_timeout(owner *o) {
  return chance(o, 2) ? 0 : 1 + below(o, 20 * KAD_SECOND);
}

static void ask(owner *o) {
  static const kad_operation operations[] = {KAD_FIND_PEER,
                                             KAD_CLOSEST,
                                             KAD_GET,
                                             KAD_PUT,
                                             KAD_PUT_TO,
                                             KAD_PROVIDE,
                                             KAD_STOP_PROVIDING,
                                             KAD_FIND_PROVIDERS,
                                             KAD_BOOTSTRAP,
                                             KAD_CONNECT,
                                             KAD_PING};
  kad_operation operation = operations[below(o, KAD__COUNT(operations))];
  bool multihash = operation == KAD_PROVIDE ||
                   operation == KAD_STOP_PROVIDING ||
                   operation == KAD_FIND_PROVIDERS;
  kad_request q = KAD_REQUEST_INIT(operation);
  q.key = any_key(o, multihash);
  q.value = any_value(o);
  q.peer = *gale_peer(o->world, any_peer(o));
  q.count = (uint32_t)below(o, 4);
  q.quorum.kind = (kad_quorum_kind)below(o, 4);
  q.quorum.n = 1 + (uint32_t)below(o, 5);
  q.timeout = any_timeout(o);
  q.trace = chance(o, 3);
  q.collect = chance(o, 3);
  q.report_peers = chance(o, 3);
  start(o, &q);
}

/* The address of a node, or of nobody, or a name. */
static kad_bytes any_address(owner *o, int peer) {
  static const char *const names[] = {"/dns4/n%d/tcp/4001", "/dns/n%d/tcp/4001",
                                      "/dns6/n%d/tcp/4001", "/dnsaddr/n%d",
                                      "/dns4/nobody%d/tcp/4001"};
  static uint8_t address[KAD_MULTIADDR_MAX];
  char text[64];
  int len;
  if (chance(o, 3)) {
    snprintf(text, sizeof(text), names[below(o, KAD__COUNT(names))], peer);
    len = kad_multiaddr_parse(address, sizeof(address), text);
    assert_ok(len);
  } else {
    uint16_t port = chance(o, 4) ? NO_PORT : PORT;
    kad_bytes plain = gale_address(o->world, peer, port);
    memcpy(address, plain.data, plain.len);
    len = (int)plain.len;
  }
  if (chance(o, 4)) { /* and whom to expect there, or somebody else */
    const kad_peer_id *id =
        gale_peer(o->world, chance(o, 2) ? peer : any_peer(o));
    static const uint8_t p2p[] = {0xa5, 0x03};
    memcpy(address + len, p2p, 2);
    address[len + 2] = id->len;
    memcpy(address + len + 3, id->bytes, id->len);
    len += 3 + id->len;
  }
  return kad__bytes(address, (size_t)len);
}

static void connect(owner *o, kad_operation operation, kad_time timeout,
                    kad_bytes address) {
  kad_request q = KAD_REQUEST_INIT(operation);
  q.address = address;
  q.timeout = timeout;
  start(o, &q);
}

void owner_connect(owner *o, int peer) {
  connect(o, KAD_CONNECT, 0, gale_address(o->world, peer, PORT));
}

static void reach(owner *o, int peer) {
  connect(o, chance(o, 4) ? KAD_PING : KAD_CONNECT, any_timeout(o),
          any_address(o, peer));
}

static void give_up(owner *o) {
  kad_request_id id = 1 + below(o, o->last_request + 1);
  if (chance(o, 2)) {
    (void)kad__node_cancel(owner_node(o), id, now(o));
  } else {
    (void)kad__node_finish(owner_node(o), id, now(o));
  }
  touch(o);
}

/* ---- connections and peers ----------------------------------------------- */

static void hang_up(owner *o) {
  int peer = any_peer(o);
  kad__node *node = owner_node(o);
  switch (below(o, 4)) {
    case 0:
      (void)kad__node_close_connection(node, connection_to(o, peer), 77,
                                       now(o));
      break;
    case 1:
      (void)kad__swarm_trim(node->swarm, chance(o, 2), now(o));
      break;
    default:
      (void)kad__node_disconnect(node, gale_peer(o->world, peer), 78, now(o));
      break;
  }
  touch(o);
}

static void learn(owner *o) {
  uint8_t list[128];
  size_t len = 0;
  int peer = any_peer(o);
  kad__node *node = owner_node(o);
  const kad_peer_id *id = gale_peer(o->world, peer);
  kad_bytes address = any_address(o, peer);
  switch (below(o, 7)) {
    case 0:
      (void)kad__node_forget_peer(node, id);
      break;
    case 1:
      kad__swarm_protect(node->swarm, id, chance(o, 2));
      break;
    case 2:
      (void)kad__node_add_address(node, id, address, now(o));
      break;
    case 3:
      (void)kad__node_remove_peer(node, id);
      break;
    case 4:
      (void)kad__values_tag(kad__swarm_values(node->swarm), id, "mine",
                            (int)below(o, 100));
      break;
    default:
      assert_true(kad__addresses_append(list, sizeof(list), &len, address));
      (void)kad__node_add_peer_addresses(node, id, kad__bytes(list, len),
                                         KAD_HOUR, now(o));
      break;
  }
  touch(o);
}

static void look_at_use(owner *o, uint32_t connections) {
  kad__node *node = owner_node(o);
  kad_usage all;
  kad_usage theirs;
  kad_usage sum = {0};
  kad__node_usage(node, &all);
  for (int i = 0; i < o->world->nodes; i++) {
    if (kad__node_peer_usage(node, &theirs, gale_peer(o->world, i))) {
      sum.connections.used += theirs.connections.used;
      sum.inbound_streams.used += theirs.inbound_streams.used;
      sum.outbound_streams.used += theirs.outbound_streams.used;
    }
  }
  STORM_CHECK(o, all.connections.used >= connections);
  STORM_CHECK(o, sum.connections.used <= all.connections.used);
  STORM_CHECK(o, sum.inbound_streams.used <= all.inbound_streams.used);
  STORM_CHECK(o, sum.outbound_streams.used <= all.outbound_streams.used);
  for (int i = 0; i < OWNER_TALKS; i++) {
    const talk *t = &o->talks[i];
    kad_stream_info info;
    if (t->stream != NULL) {
      kad__node_stream_info(t->stream, &info, now(o));
      STORM_CHECK(
          o, info.bytes_written ==
                 (t->speech == 0 ? 0 : o->world->speeches[t->speech].written));
      STORM_CHECK(o, !t->dead || info.error < 0);
      STORM_CHECK(o, info.bytes_read >= t->read);
    }
  }
}

/* Asks about everything that there is: it agrees with itself. */
static void look(owner *o) {
  kad__node *node = owner_node(o);
  kad_node_status status;
  kad_connection_info line;
  kad_request_info request;
  kad_peer_info peer;
  kad_peer_id id;
  uint64_t cursor = 0;
  uint32_t count = 0;
  kad__node_status(node, &status);
  while (kad__node_next_connection(node, &cursor, NULL, &line, now(o))) {
    STORM_CHECK(o, kad__node_connectedness(node, &line.peer) == KAD_CONNECTED);
    count++;
  }
  STORM_CHECK(o, count == status.connections);
  look_at_use(o, count);
  count = 0;
  cursor = 0;
  while (kad__node_next_request(node, &cursor, &request, now(o))) {
    count++;
  }
  STORM_CHECK(o, count == status.requests);
  count = 0;
  cursor = 0;
  while (kad__node_next_known_peer(node, &cursor, &id)) {
    int error = kad__node_peer_info(node, &peer, &id, now(o));
    STORM_CHECK(o, error == 0 || o->starved);
    count++;
  }
  STORM_CHECK(o, count == kad__node_known_peers(node));
}

/* ---- what the node is ---------------------------------------------------- */

static void change(owner *o) {
  kad__node *node = owner_node(o);
  kad_bytes b = kad__bytes_of("/storm/b");
  kad_bytes other =
      gale_address(o->world, (int)o->number, (uint16_t)(4100 + below(o, 3)));
  switch (below(o, 9)) {
    case 0:
      (void)kad__node_handle(node, b, NULL, NULL, now(o));
      break;
    case 1:
      kad__node_unhandle(node, b, now(o));
      break;
    case 2:
      kad__node_set_mode(node, (kad_mode)below(o, 3), now(o));
      break;
    case 3:
    case 4:
      (void)kad__swarm_listen(node->swarm, other);
      break;
    case 5:
      (void)kad__swarm_unlisten(node->swarm, other);
      break;
    case 6:
      kad__node_remove_record(node, any_key(o, false));
      break;
    case 7:
      (void)kad__node_store_provider(node, any_key(o, true),
                                     gale_peer(o->world, any_peer(o)),
                                     (kad_bytes){0}, now(o));
      break;
    default: /* the clock is put right, or wrong */
      kad__node_set_wall_clock(
          node, now(o),
          (1767225600 + below(o, chance(o, 2) ? 100 : 100000000)) * KAD_SECOND);
      break;
  }
  touch(o);
}

static void remember(owner *o) {
  int len = kad__node_snapshot(owner_node(o), o->snapshot, sizeof(o->snapshot),
                               NULL, now(o));
  STORM_CHECK(o, len > 0 || len == KAD_E_BUFFER_TOO_SMALL);
  o->snapshot_len = len > 0 ? (size_t)len : 0;
}

/* What he, or another, remembers is new to a node that lives already. */
static void recall(owner *o) {
  const owner *other = &o->world->owners[any_peer(o)];
  int error = kad__node_restore(
      owner_node(o), kad__bytes(other->snapshot, other->snapshot_len), now(o));
  STORM_CHECK(o, error == 0 || other->snapshot_len == 0 || o->starved);
  touch(o);
}

void owner_act(owner *o) {
  int peer = any_peer(o);
  switch (below(o, 40)) {
    case 0:
      hang_up(o);
      break;
    case 1:
      change(o);
      break;
    case 2:
      learn(o);
      break;
    case 3:
      if (chance(o, 3)) {
        recall(o);
      } else {
        remember(o);
      }
      break;
    case 4:
      give_up(o);
      break;
    case 5:
      look(o);
      break;
    case 6:
    case 7:
    case 19:
      reach(o, peer);
      break;
    case 8:
    case 9:
    case 10:
    case 11:
    case 12:
      ask(o);
      break;
    case 13:
    case 14:
    case 15:
    case 16:
    case 17:
    case 18:
      owner_open(o, any_friend(o));
      break;
    default:
      for (int i = 0; i < 6; i++) {
        owner_use_stream(o);
      }
      break;
  }
}
