/* The loop. One round: libuv reads sockets, each event goes straight into the
 * swarm; then the node takes one turn over all of it, and everything that it
 * wants to say to one connection leaves in one write. */
#include "runtime/world.h"

#include "base/alloc.h"
#include "runtime/port_mapping.h"
#include "runtime/system.h"
#include "runtime/transport.h"

/* Records are measured in hours: an older reading of the wall clock will do. */
#define WALL_CLOCK_INTERVAL KAD_MINUTE
#define LOOK_INTERVAL KAD_MINUTE

int kad__world_error(int uv_error) {
  switch (uv_error) {
    case 0:
      return 0;
    case UV_ENOMEM:
    case UV_ENOBUFS:
      return KAD_E_NO_MEMORY;
    case UV_ECONNREFUSED:
      return KAD_E_REFUSED;
    case UV_ETIMEDOUT:
      return KAD_E_TIMEOUT;
    case UV_ENETUNREACH:
    case UV_EHOSTUNREACH:
    case UV_EADDRNOTAVAIL:
      return KAD_E_UNREACHABLE;
    case UV_EADDRINUSE:
      return KAD_E_ADDRESS_IN_USE;
    case UV_EACCES:
    case UV_EPERM:
      return KAD_E_PERMISSION;
    case UV_EMFILE:
    case UV_ENFILE:
    case UV_EAGAIN:
      return KAD_E_LIMIT;
    case UV_EOF:
    case UV_ECONNRESET:
    case UV_EPIPE:
    case UV_ECONNABORTED:
    case UV_ECANCELED:
      return KAD_E_CLOSED;
    default:
      return KAD_E_IO;
  }
}

static void resolve(kad__world *world, const kad__world_action *action) {
  kad__swarm *swarm = kad__node_swarm(world->node);
  if (world->dns == NULL) {
    int error = kad__dns_new(&world->dns, world);
    if (error < 0) {
      kad__swarm_resolve_end(swarm, action->id, error, kad__system_now());
      return;
    }
  }
  kad__dns_resolve(world->dns, action->id, action->query, action->name);
}

static void act(kad__world *world, const kad__world_action *action) {
  if (action->transport != 0) {
    kad__transport_act(world->transports, action);
    return;
  }
  switch (action->type) {
    case KAD__WORLD_LISTEN:
      kad__listener_open(world, action->id, action->address);
      return;
    case KAD__WORLD_UNLISTEN:
      kad__listener_close(world, action->id);
      return;
    case KAD__WORLD_DIAL:
      kad__socket_dial(world, action->id, action->address);
      return;
    case KAD__WORLD_CLOSE:
      kad__socket_close(world, action->id);
      return;
    case KAD__WORLD_PAUSE:
    case KAD__WORLD_RESUME:
      kad__socket_read(world, action->id, action->type == KAD__WORLD_RESUME);
      return;
    case KAD__WORLD_RESOLVE:
      resolve(world, action);
      return;
  }
}

static void tell_wall_clock(kad__world *world, kad_time now) {
  if (now - world->wall_at < WALL_CLOCK_INTERVAL) {
    return;
  }
  world->wall_at = now;
  kad__node_set_wall_clock(world->node, now, kad__system_unix_ns());
}

/* The turn is not taken here: a timer that is armed again for now would ring
 * again before the loop looked at its sockets. */
static void on_timer(uv_timer_t *timer) {
  kad__world *world = timer->data;
  world->due = true;
}

static void arm(kad__world *world) {
  kad_time deadline = kad__node_deadline(world->node);
  if (deadline == KAD_TIME_NEVER) {
    uv_timer_stop(&world->timer);
    return;
  }
  kad_time now = kad__system_now();
  /* What is due at once was done in this turn; what is still due now comes with
   * the next round, and never keeps the loop from its sockets. */
  kad_time wait = deadline > now ? deadline - now : 1;
  /* Rounded up: a timer that fires too early would fire for nothing. */
  uint64_t ms = (wait + KAD_MILLISECOND - 1) / KAD_MILLISECOND;
  uv_update_time(&world->loop);
  uv_timer_start(&world->timer, on_timer, ms, 0);
}

static void flush(kad__world *world, kad__id id) {
  if (world->transports == NULL ||
      !kad__transport_flush(world->transports, id)) {
    kad__socket_flush(world, id);
  }
}

/* Actions and output can each cause more of the other (a refused dial, a
 * finished write), so this goes on until the swarm wants nothing. */
static bool carry_out(kad__world *world) {
  kad__swarm *swarm = kad__node_swarm(world->node);
  bool busy = false;
  kad__id id;
  while ((id = kad__swarm_next_output(swarm)) != 0) {
    busy = true;
    flush(world, id);
  }
  kad__world_action action;
  while (kad__swarm_poll_action(swarm, &action)) {
    busy = true;
    act(world, &action);
  }
  return busy;
}

void kad__world_turn(kad__world *world) {
  world->due = false;
  tell_wall_clock(world, kad__system_now());
  do {
    kad__node_drive(world->node, kad__system_now());
  } while (carry_out(world));
  if (world->mapping != NULL) {
    kad__port_mapping_turn(world->mapping);
  }
  arm(world);
  if (world->turn != NULL) {
    world->turn(world->turn_user);
  }
}

static void on_prepare(uv_prepare_t *prepare) {
  kad__world *world = prepare->data;
  if (world->due) {
    kad__world_turn(world);
  }
}

static void on_check(uv_check_t *check) {
  kad__world_turn(check->data);
}

static void on_wake(uv_async_t *wake) {
  (void)wake; /* the turn after this round looks for the cause */
}

static int init_handles(kad__world *world) {
  int error = uv_timer_init(&world->loop, &world->timer);
  if (error == 0) {
    error = uv_prepare_init(&world->loop, &world->prepare);
  }
  if (error == 0) {
    error = uv_prepare_start(&world->prepare, on_prepare);
  }
  if (error == 0) {
    error = uv_check_init(&world->loop, &world->check);
  }
  if (error == 0) {
    error = uv_check_start(&world->check, on_check);
  }
  if (error == 0) {
    error = uv_async_init(&world->loop, &world->wake, on_wake);
  }
  return error == 0 ? 0 : KAD_E_WORLD;
}

static void close_handle(uv_handle_t *handle, void *user) {
  (void)user;
  if (!uv_is_closing(handle)) {
    uv_close(handle, NULL);
  }
}

/* A loop can be closed only when every handle has seen its end. */
static void close_loop(kad__world *world) {
  uv_walk(&world->loop, close_handle, NULL);
  while (uv_loop_close(&world->loop) == UV_EBUSY) {
    uv_run(&world->loop, UV_RUN_ONCE);
  }
}

int kad__world_new(kad__world **out, const kad_allocator *allocator,
                   kad__node *node) {
  static const uint64_t no_secret[2] = {0, 0}; /* ids are ours, not a peer's */
  kad__world *world = kad__alloc(allocator, sizeof(*world));
  if (world == NULL) {
    return KAD_E_NO_MEMORY;
  }
  memset(world, 0, offsetof(kad__world, read_buffer));
  world->allocator = *allocator;
  kad__map_init(&world->channels, no_secret);
  kad__map_init(&world->listeners, no_secret);
  if (uv_loop_init(&world->loop) != 0) {
    kad__release(allocator, world);
    return KAD_E_WORLD;
  }
  world->loop.data = world;
  world->timer.data = world;
  world->prepare.data = world;
  world->check.data = world;
  if (init_handles(world) < 0) {
    close_loop(world);
    kad__release(allocator, world);
    return KAD_E_WORLD;
  }
  world->node = node;
  world->wall_at = kad__system_now();
  world->look_every = LOOK_INTERVAL;
  *out = world;
  return 0;
}

void kad__world_free(kad__world *world) {
  if (world == NULL) {
    return;
  }
  kad_allocator allocator = world->allocator;
  uv_prepare_stop(&world->prepare);
  uv_check_stop(&world->check);
  if (world->dns != NULL) {
    kad__dns_free(world->dns);
  }
  kad__port_mapping_free(world->mapping);
  kad__listener_close_all(world);
  kad__transports_close_all(world->transports);
  kad__socket_close_all(world);
  close_loop(world);
  kad__map_fini(&world->channels, &allocator);
  kad__map_fini(&world->listeners, &allocator);
  kad__node_free(world->node);
  kad__release(&allocator, world);
}
