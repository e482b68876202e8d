/* A node on its own thread, and callers on others. Runs under the thread
 * sanitizer too. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "kadmium/kadmium.h"
#include "support.h"

#define PROTOCOL "/test/kad/1.0.0"
#define LIMIT_SECONDS 20

/* What callbacks leave for the test's thread. */
typedef struct inbox {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  size_t ends;
  size_t cancelled;
  size_t results;
  int last_error;
  bool listening;
  bool ready;
  char address[KAD_MULTIADDR_TEXT_MAX];
  kad_service *service; /* for callbacks that submit */
  size_t to_submit;
} inbox;

static void inbox_init(inbox *b) {
  memset(b, 0, sizeof(*b));
  pthread_mutex_init(&b->mutex, NULL);
  pthread_cond_init(&b->changed, NULL);
}

static void inbox_fini(inbox *b) {
  pthread_cond_destroy(&b->changed);
  pthread_mutex_destroy(&b->mutex);
}

static struct timespec limit(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  t.tv_sec += LIMIT_SECONDS;
  return t;
}

/* Waits until `*what` has reached `count`. */
static void await_count(inbox *b, const size_t *what, size_t count) {
  struct timespec until = limit();
  int error = 0;
  pthread_mutex_lock(&b->mutex);
  while (*what < count && error == 0) {
    error = pthread_cond_timedwait(&b->changed, &b->mutex, &until);
  }
  size_t reached = *what;
  pthread_mutex_unlock(&b->mutex);
  if (reached != count) {
    fail_msg("%zu of %zu", reached, count);
  }
}

static void await_flag(inbox *b, const bool *what) {
  struct timespec until = limit();
  int error = 0;
  pthread_mutex_lock(&b->mutex);
  while (!*what && error == 0) {
    error = pthread_cond_timedwait(&b->changed, &b->mutex, &until);
  }
  bool reached = *what;
  pthread_mutex_unlock(&b->mutex);
  assert_true(reached);
}

static void on_event(void *user, const kad_event *event) {
  inbox *b = user;
  pthread_mutex_lock(&b->mutex);
  if (event->type == KAD_EVENT_END) {
    b->ends++;
    b->cancelled += event->error == KAD_E_CANCELLED;
    b->last_error = event->error;
  } else if (event->request != 0) {
    b->results++;
  }
  pthread_cond_broadcast(&b->changed);
  pthread_mutex_unlock(&b->mutex);
}

static void on_life(void *user, const kad_event *event) {
  inbox *b = user;
  kad_bytes list = event->addresses;
  kad_bytes address;
  pthread_mutex_lock(&b->mutex);
  if (event->type == KAD_EVENT_LISTENING) {
    b->listening =
        kad_addresses_next(&list, &address) &&
        kad_multiaddr_format(b->address, sizeof(b->address), address) > 0;
  }
  b->ready = b->ready || event->type == KAD_EVENT_READY;
  pthread_cond_broadcast(&b->changed);
  pthread_mutex_unlock(&b->mutex);
}

/* A service on loopback; joined through `contact` unless that is NULL. */
static kad_service *start(inbox *life, const char *contact) {
  static const char *const listen[] = {"/ip4/127.0.0.1/tcp/0"};
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  const char *bootstrap[] = {contact};
  options.protocol = PROTOCOL;
  options.listen = listen;
  options.listen_count = 1;
  options.bootstrap = bootstrap;
  options.bootstrap_count = contact == NULL ? 0 : 1;
  kad_service *service = NULL;
  inbox_init(life);
  assert_ok(kad_service_start(&service, &options, on_life, life));
  await_flag(life, &life->listening);
  return service;
}

static void stop(kad_service *service, inbox *life) {
  kad_service_stop(service);
  inbox_fini(life);
}

/* A pair of services that know each other. */
typedef struct pair {
  inbox life[2];
  kad_service *services[2];
} pair;

static void open_pair(pair *p) {
  p->services[0] = start(&p->life[0], NULL);
  p->services[1] = start(&p->life[1], p->life[0].address);
  await_flag(&p->life[1], &p->life[1].ready);
}

static void close_pair(pair *p) {
  stop(p->services[1], &p->life[1]);
  stop(p->services[0], &p->life[0]);
}

/* A service whose requests wait for ever: its contact accepts connections, and
 * that is all it does. */
typedef struct stuck {
  int listener;
  inbox life;
  kad_service *service;
} stuck;

static void open_stuck(stuck *s) {
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(a);
  char text[64];
  s->listener = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(s->listener, (struct sockaddr *)&a, sizeof(a)), 0);
  assert_int_equal(listen(s->listener, 16), 0);
  assert_int_equal(getsockname(s->listener, (struct sockaddr *)&a, &len), 0);
  snprintf(text, sizeof(text), "/ip4/127.0.0.1/tcp/%u", ntohs(a.sin_port));
  s->service = start(&s->life, text);
}

static void close_stuck(stuck *s) {
  stop(s->service, &s->life);
  close(s->listener);
}

static kad_request get_request(const char *key) {
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key = kad__bytes_of(key);
  return get;
}

/* ---- calls --------------------------------------------------------------- */

static void test_call(void **state) {
  (void)state;
  pair p;
  inbox b;
  open_pair(&p);
  inbox_init(&b);
  kad_request put = KAD_REQUEST_INIT(KAD_PUT);
  put.key = kad__bytes_of("key");
  put.value = kad__bytes_of("value");
  assert_ok(kad_service_call(p.services[0], &put, on_event, &b));
  assert_int_equal(b.ends, 1);
  kad_request get = get_request("key");
  assert_ok(kad_service_call(p.services[1], &get, on_event, &b));
  assert_int_equal(b.ends, 2);
  assert_true(b.results >= 1);
  kad_request missing = get_request("missing");
  assert_error(KAD_E_NOT_FOUND,
               kad_service_call(p.services[1], &missing, NULL, NULL));
  inbox_fini(&b);
  close_pair(&p);
}

/* What the node refuses at once is an END too. */
static void test_refused(void **state) {
  (void)state;
  inbox life;
  inbox b;
  kad_service *service = start(&life, NULL);
  inbox_init(&b);
  kad_request empty = KAD_REQUEST_INIT(KAD_GET);
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad_service_call(service, &empty, on_event, &b));
  kad_request_id id = 0;
  (void)kad_service_submit(service, &id, &empty, on_event, &b);
  await_count(&b, &b.ends, 2);
  assert_error(KAD_E_INVALID_ARGUMENT, b.last_error);
  inbox_fini(&b);
  stop(service, &life);
}

static void test_timeout(void **state) {
  (void)state;
  stuck s;
  open_stuck(&s);
  kad_request get = get_request("key");
  get.timeout = 100 * KAD_MILLISECOND;
  assert_error(KAD_E_TIMEOUT, kad_service_call(s.service, &get, NULL, NULL));
  close_stuck(&s);
}

static void test_cancel(void **state) {
  (void)state;
  stuck s;
  inbox b;
  open_stuck(&s);
  inbox_init(&b);
  kad_request get = get_request("key");
  kad_request_id ids[10];
  for (int i = 0; i < 10; i++) {
    assert_ok(kad_service_submit(s.service, &ids[i], &get, on_event, &b));
    assert_true(i == 0 || ids[i] > ids[i - 1]);
  }
  for (int i = 0; i < 10; i += 2) {
    kad_service_cancel(s.service, ids[i]);
    kad_service_cancel(s.service, ids[i]); /* once more: nothing */
  }
  kad_service_cancel(s.service, 12345);
  await_count(&b, &b.ends, 5);
  assert_int_equal(b.cancelled, 5);
  close_stuck(&s);
  assert_int_equal(b.ends, 10);
  assert_int_equal(b.cancelled, 10);
  inbox_fini(&b);
}

/* Each request that runs has its END before stopping returns. */
static void test_stop_while_running(void **state) {
  (void)state;
  stuck s;
  inbox b;
  open_stuck(&s);
  inbox_init(&b);
  kad_request get = get_request("key");
  for (int i = 0; i < 500; i++) {
    assert_ok(kad_service_submit(s.service, NULL, &get, on_event, &b));
  }
  close_stuck(&s);
  assert_int_equal(b.ends, 500);
  assert_int_equal(b.cancelled, 500);
  inbox_fini(&b);
}

static void test_stop_at_once(void **state) {
  (void)state;
  kad_service_stop(NULL);
  for (int i = 0; i < 20; i++) {
    kad_service *service = NULL;
    kad_node_options options = KAD_NODE_OPTIONS_INIT;
    assert_ok(kad_service_start(&service, &options, NULL, NULL));
    assert_int_not_equal(kad_service_id(service)->len, 0);
    kad_service_stop(service);
  }
}

static void test_start_fails(void **state) {
  (void)state;
  kad_service *service = NULL;
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.protocol = "no slash";
  assert_error(KAD_E_INVALID_ARGUMENT,
               kad_service_start(&service, &options, NULL, NULL));
  assert_null(service);
}

/* Fails the n-th allocation, on whatever thread that is. */
typedef struct shared_memory {
  atomic_size_t calls;
  atomic_size_t live;
  size_t fail_at;
} shared_memory;

static void *shared_alloc(void *user, size_t size) {
  shared_memory *m = user;
  if (atomic_fetch_add(&m->calls, 1) + 1 == m->fail_at) {
    return NULL;
  }
  void *block = malloc(size);
  atomic_fetch_add(&m->live, block != NULL);
  return block;
}

static void *shared_resize(void *user, void *memory, size_t size) {
  shared_memory *m = user;
  if (atomic_fetch_add(&m->calls, 1) + 1 == m->fail_at) {
    return NULL;
  }
  void *block = realloc(memory, size);
  atomic_fetch_add(&m->live, memory == NULL && block != NULL);
  return block;
}

static void shared_release(void *user, void *memory) {
  shared_memory *m = user;
  atomic_fetch_sub(&m->live, memory != NULL);
  free(memory);
}

/* One life of a service: what fails is reported or does without. True when the
 * failure was reached. */
static bool live_without(size_t fail_at) {
  shared_memory m = {.fail_at = fail_at};
  kad_allocator allocator = {.alloc = shared_alloc,
                             .resize = shared_resize,
                             .release = shared_release,
                             .user = &m};
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.allocator = &allocator;
  kad_service *service = NULL;
  inbox b;
  inbox_init(&b);
  int error = kad_service_start(&service, &options, NULL, NULL);
  if (error == 0) {
    kad_request get = get_request("key");
    kad_request_id id = 0;
    error = kad_service_submit(service, &id, &get, on_event, &b);
    kad_service_cancel(service, id);
    size_t ends = error == 0 ? 1 : 0;
    error = kad_service_call(service, &get, NULL, NULL);
    assert_true(error == KAD_E_NO_PEERS || error == KAD_E_NO_MEMORY);
    kad_service_stop(service);
    assert_int_equal(b.ends, ends);
  } else {
    assert_error(KAD_E_NO_MEMORY, error);
  }
  inbox_fini(&b);
  if (m.live != 0) {
    fail_msg("allocation %zu: %zu blocks leak", fail_at, (size_t)m.live);
  }
  return m.calls >= fail_at;
}

static void test_without_memory(void **state) {
  (void)state;
  size_t fail_at = 1;
  while (live_without(fail_at)) {
    fail_at++;
  }
  assert_true(fail_at > 30);
}

/* ---- callbacks ----------------------------------------------------------- */

static void submit_another(void *user, const kad_event *event) {
  inbox *b = user;
  if (event->type == KAD_EVENT_END) {
    pthread_mutex_lock(&b->mutex);
    bool more = b->to_submit > 0;
    b->to_submit -= more;
    pthread_mutex_unlock(&b->mutex);
    if (more) {
      kad_request get = get_request("key");
      (void)kad_service_submit(b->service, NULL, &get, submit_another, b);
    }
  }
  on_event(user, event);
}

static void test_callbacks_submit(void **state) {
  (void)state;
  pair p;
  inbox b;
  open_pair(&p);
  inbox_init(&b);
  b.service = p.services[1];
  b.to_submit = 99;
  kad_request get = get_request("key");
  assert_ok(kad_service_submit(b.service, NULL, &get, submit_another, &b));
  await_count(&b, &b.ends, 100);
  inbox_fini(&b);
  close_pair(&p);
}

/* Also while the service stops: those end as well. */
static void test_callbacks_submit_at_the_end(void **state) {
  (void)state;
  stuck s;
  inbox b;
  open_stuck(&s);
  inbox_init(&b);
  b.service = s.service;
  b.to_submit = 50;
  kad_request get = get_request("key");
  for (int i = 0; i < 10; i++) {
    assert_ok(kad_service_submit(s.service, NULL, &get, submit_another, &b));
  }
  close_stuck(&s);
  assert_int_equal(b.ends, 60);
  assert_int_equal(b.cancelled, 60);
  inbox_fini(&b);
}

/* ---- threads ------------------------------------------------------------- */

#define THREADS 8
#define CALLS 25

typedef struct caller {
  kad_service *service;
  inbox *inbox;
  int number;
  int errors;
} caller;

static void *call_often(void *user) {
  caller *c = user;
  for (int i = 0; i < CALLS; i++) {
    char key[32];
    snprintf(key, sizeof(key), "key %d", (c->number + i) % 4);
    kad_request put = KAD_REQUEST_INIT(KAD_PUT);
    put.key = kad__bytes_of(key);
    put.value = kad__bytes_of("value");
    c->errors += kad_service_call(c->service, &put, NULL, NULL) < 0;
    kad_request get = get_request(key);
    kad_request_id id = 0;
    c->errors +=
        kad_service_submit(c->service, &id, &get, on_event, c->inbox) < 0;
    if (i % 5 == 0) {
      kad_service_cancel(c->service, id);
    }
    kad_node_status status;
    kad_service_get_status(c->service, &status);
  }
  return NULL;
}

static void test_many_threads(void **state) {
  (void)state;
  pair p;
  inbox b;
  open_pair(&p);
  inbox_init(&b);
  pthread_t threads[THREADS];
  caller callers[THREADS];
  for (int i = 0; i < THREADS; i++) {
    callers[i] =
        (caller){.service = p.services[i % 2], .inbox = &b, .number = i};
    assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]),
                     0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(callers[i].errors, 0);
  }
  await_count(&b, &b.ends, THREADS * CALLS);
  inbox_fini(&b);
  close_pair(&p);
}

static void test_status(void **state) {
  (void)state;
  pair p;
  open_pair(&p);
  /* A call runs behind whatever made the service ready. */
  kad_request get = get_request("missing");
  (void)kad_service_call(p.services[1], &get, NULL, NULL);
  kad_node_status status;
  kad_service_get_status(p.services[1], &status);
  assert_true(status.ready);
  assert_true(status.server);
  assert_int_equal(status.table_size, 1);
  assert_true(status.connections >= 1);
  close_pair(&p);
}

/* ---- visits -------------------------------------------------------------- */

typedef struct visitor {
  size_t peers;
  kad_request_info info;
  size_t requests;
  bool was_server;
  bool is_server;
} visitor;

static void look_around(void *user, kad_node *node) {
  visitor *v = user;
  uint32_t bucket_cursor = 0;
  uint64_t cursor = 0;
  kad_bucket bucket;
  kad_node_status status;
  while (kad_node_next_bucket(node, &bucket_cursor, &bucket)) {
    v->peers += bucket.entries;
  }
  while (kad_node_next_request(node, &cursor, &v->info)) {
    v->requests++;
  }
  kad_node_get_status(node, &status);
  v->was_server = status.server;
  kad_node_set_mode(node, KAD_MODE_CLIENT);
  kad_node_get_status(node, &status);
  v->is_server = status.server;
}

/* What the node has of its own is in reach, and what is changed there takes
 * effect. */
static void test_visit(void **state) {
  (void)state;
  pair p;
  visitor v = {.peers = 0};
  open_pair(&p);
  assert_ok(kad_service_visit(p.services[1], look_around, &v));
  assert_int_equal(v.peers, 1);
  assert_int_equal(v.requests, 0);
  assert_true(v.was_server);
  assert_false(v.is_server);
  assert_ok(kad_service_visit(p.services[1], look_around, &v));
  assert_false(v.was_server);
  close_pair(&p);
}

static void finish_it(void *user, kad_node *node) {
  assert_true(kad_node_finish(node, *(const kad_request_id *)user));
}

/* A request has one number, for its caller and for a visitor. Its END comes
 * when the visitor has left. */
static void test_visit_to_a_request(void **state) {
  (void)state;
  stuck s;
  inbox b;
  visitor v = {.peers = 0};
  open_stuck(&s);
  inbox_init(&b);
  kad_request get = get_request("key");
  kad_request_id ids[2];
  assert_ok(kad_service_submit(s.service, &ids[0], &get, on_event, &b));
  assert_ok(kad_service_submit(s.service, &ids[1], &get, on_event, &b));
  assert_ok(kad_service_visit(s.service, look_around, &v));
  assert_int_equal(v.requests, 2);
  assert_true(v.info.id == ids[1]);
  assert_true(v.info.waiting);
  assert_ok(kad_service_visit(s.service, finish_it, &ids[0]));
  await_count(&b, &b.ends, 1);
  assert_error(KAD_E_NOT_FOUND, b.last_error);
  kad_service_cancel(s.service, ids[1]);
  await_count(&b, &b.ends, 2);
  assert_int_equal(b.cancelled, 1);
  inbox_fini(&b);
  close_stuck(&s);
}

/* Several threads visit and call at once. */
static void *visit_often(void *user) {
  kad_service *service = user;
  for (int i = 0; i < 50; i++) {
    visitor v = {.peers = 0};
    kad_request get = get_request("missing");
    if (kad_service_visit(service, look_around, &v) != 0 ||
        kad_service_call(service, &get, NULL, NULL) >= 0) {
      return user;
    }
  }
  return NULL;
}

static void test_visits_of_many(void **state) {
  (void)state;
  inbox life;
  pthread_t threads[4];
  kad_service *service = start(&life, NULL);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, visit_often, service),
                     0);
  }
  for (size_t i = 0; i < 4; i++) {
    void *failed = NULL;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  stop(service, &life);
}

/* The thread of the service takes no signals of the program. */
static void test_signals(void **state) {
  (void)state;
  inbox life;
  sigset_t set;
  sigset_t old;
  kad_service *service = start(&life, NULL);
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &set, &old);
  /* Blocked here: had the other thread not blocked it, it would end us. */
  kill(getpid(), SIGUSR1);
  kad_request get = get_request("missing");
  (void)kad_service_call(service, &get, NULL, NULL);
  int number = 0;
  assert_int_equal(sigwait(&set, &number), 0);
  assert_int_equal(number, SIGUSR1);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  stop(service, &life);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_call),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_timeout),
      cmocka_unit_test(test_cancel),
      cmocka_unit_test(test_stop_while_running),
      cmocka_unit_test(test_stop_at_once),
      cmocka_unit_test(test_start_fails),
      cmocka_unit_test(test_without_memory),
      cmocka_unit_test(test_callbacks_submit),
      cmocka_unit_test(test_callbacks_submit_at_the_end),
      cmocka_unit_test(test_many_threads),
      cmocka_unit_test(test_status),
      cmocka_unit_test(test_visit),
      cmocka_unit_test(test_visit_to_a_request),
      cmocka_unit_test(test_visits_of_many),
      cmocka_unit_test(test_signals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
