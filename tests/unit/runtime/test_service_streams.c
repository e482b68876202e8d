/* Streams between services, used from threads that block. Runs under the thread
 * sanitizer too. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "kadmium/kadmium.h"
#include "support.h"

#define PROTOCOL "/test/kad/1.0.0"
#define ECHO "/test/echo/1"
#define LIMIT (20 * KAD_SECOND)

typedef struct host {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  bool listening;
  char address[KAD_MULTIADDR_TEXT_MAX];
  kad_service *service;
} host;

static host hosts[2];

static void on_life(void *user, const kad_event *event) {
  host *h = user;
  kad_bytes list = event->addresses;
  kad_bytes address;
  if (event->type != KAD_EVENT_LISTENING) {
    return;
  }
  pthread_mutex_lock(&h->mutex);
  h->listening =
      kad_addresses_next(&list, &address) &&
      kad_multiaddr_format(h->address, sizeof(h->address), address) > 0;
  pthread_cond_broadcast(&h->changed);
  pthread_mutex_unlock(&h->mutex);
}

static void start(host *h) {
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.protocol = PROTOCOL;
  options.listen = &(const char *const){"/ip4/127.0.0.1/tcp/0"};
  options.listen_count = 1;
  memset(h, 0, sizeof(*h));
  pthread_mutex_init(&h->mutex, NULL);
  pthread_cond_init(&h->changed, NULL);
  assert_ok(kad_service_start(&h->service, &options, on_life, h));
  pthread_mutex_lock(&h->mutex);
  while (!h->listening) {
    pthread_cond_wait(&h->changed, &h->mutex);
  }
  pthread_mutex_unlock(&h->mutex);
}

static void stop(host *h) {
  kad_service_stop(h->service);
  h->service = NULL;
  pthread_cond_destroy(&h->changed);
  pthread_mutex_destroy(&h->mutex);
}

/* Host 1 is connected to host 0, which takes ECHO. */
static int setup(void **state) {
  (void)state;
  start(&hosts[0]);
  start(&hosts[1]);
  kad_request connect = KAD_REQUEST_INIT(KAD_CONNECT);
  uint8_t binary[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(binary, sizeof(binary), hosts[0].address);
  assert_true(len > 0);
  connect.address = kad__bytes(binary, (size_t)len);
  assert_ok(kad_service_call(hosts[1].service, &connect, NULL, NULL));
  assert_ok(kad_service_handle(hosts[0].service, ECHO));
  return 0;
}

static int teardown(void **state) {
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    if (hosts[i].service != NULL) {
      stop(&hosts[i]);
    }
  }
  return 0;
}

static int open_to(kad_service_stream **out, const kad_peer_id *peer,
                   const char *protocol) {
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  options.protocols = &protocol;
  options.protocol_count = 1;
  return kad_service_open(hosts[1].service, out, peer, &options);
}

static int try_open(kad_service_stream **out, const char *protocol) {
  return open_to(out, kad_service_id(hosts[0].service), protocol);
}

static kad_service_stream *open_echo(void) {
  kad_service_stream *stream = NULL;
  assert_ok(try_open(&stream, ECHO));
  return stream;
}

static kad_service_stream *accept_echo(void) {
  kad_service_stream *stream = NULL;
  assert_ok(kad_service_accept(hosts[0].service, &stream, ECHO, LIMIT));
  return stream;
}

typedef struct thread {
  pthread_t id;
  kad_service_stream *stream;
  size_t len;
  int result;
  atomic_bool begun;
} thread;

static void run(thread *t, void *(*function)(void *)) {
  assert_int_equal(pthread_create(&t->id, NULL, function, t), 0);
}

static void join(thread *t) {
  assert_int_equal(pthread_join(t->id, NULL), 0);
}

/* ---- bytes --------------------------------------------------------------- */

static uint8_t pattern(size_t i) {
  return (uint8_t)(i * 7 + i / 253);
}

/* Sends back what comes, up to the end, and then its own. */
static void *echo(void *user) {
  thread *t = user;
  uint8_t chunk[30000];
  int len;
  while ((len = kad_service_stream_read(t->stream, chunk, sizeof(chunk))) > 0) {
    t->result = kad_service_stream_write(t->stream, chunk, (size_t)len);
    if (t->result != len) {
      break;
    }
    t->len += (size_t)len;
  }
  kad_service_stream_close(t->stream);
  t->result = len;
  return NULL;
}

static void *send_all(void *user) {
  thread *t = user;
  uint8_t chunk[50000];
  for (size_t done = 0; done < t->len;) {
    size_t len = t->len - done < sizeof(chunk) ? t->len - done : sizeof(chunk);
    for (size_t i = 0; i < len; i++) {
      chunk[i] = pattern(done + i);
    }
    t->result = kad_service_stream_write(t->stream, chunk, len);
    if (t->result != (int)len) {
      return NULL;
    }
    done += len;
  }
  kad_service_stream_close_write(t->stream);
  return NULL;
}

static void exchange(size_t len) {
  thread sender = {.stream = open_echo(), .len = len};
  thread echoer = {.stream = accept_echo()};
  uint8_t chunk[20000];
  size_t done = 0;
  int result;
  run(&echoer, echo);
  run(&sender, send_all);
  while ((result = kad_service_stream_read(sender.stream, chunk,
                                           sizeof(chunk))) > 0) {
    for (int i = 0; i < result; i++) {
      if (chunk[i] != pattern(done + (size_t)i)) {
        fail_msg("byte %zu is wrong", done + (size_t)i);
      }
    }
    done += (size_t)result;
  }
  assert_int_equal(result, 0);
  assert_int_equal(done, len);
  join(&sender);
  join(&echoer);
  assert_int_equal(echoer.len, len);
  assert_int_equal(echoer.result, 0);
  kad_stream_info info;
  kad_service_stream_get_info(sender.stream, &info);
  assert_int_equal(info.bytes_read, len);
  assert_int_equal(info.bytes_written, len);
  assert_bytes_equal(info.protocol, kad__bytes_of(ECHO));
  assert_true(kad_peer_id_equal(&info.peer, kad_service_id(hosts[0].service)));
  kad_service_stream_close(sender.stream);
}

static void test_echo(void **state) {
  (void)state;
  exchange(0);
  exchange(1);
  exchange(5 << 20);
}

enum { TALKERS = 16, TALKS = 20 };

static void *talk(void *user) {
  thread *t = user;
  for (int i = 0; i < TALKS && t->result == 0; i++) {
    uint8_t answer[4];
    kad_service_stream *stream = NULL;
    t->result = try_open(&stream, ECHO);
    if (t->result < 0) {
      break;
    }
    bool good = kad_service_stream_write(stream, "abcd", 4) == 4;
    kad_service_stream_close_write(stream);
    size_t len = 0;
    int n = 1;
    while (good && n > 0 && len < 4) {
      n = kad_service_stream_read(stream, answer + len, 4 - len);
      len += n > 0 ? (size_t)n : 0;
    }
    t->result = len == 4 && memcmp(answer, "abcd", 4) == 0 ? 0 : -1000;
    kad_service_stream_close(stream);
  }
  return NULL;
}

static void *serve(void *user) {
  thread *t = user;
  thread one = {0};
  while ((t->result = kad_service_accept(hosts[0].service, &one.stream, NULL,
                                         KAD_TIME_NEVER)) == 0) {
    (void)echo(&one);
  }
  return NULL;
}

/* Many at once, served by a few; the servers end with their service. */
static void test_many(void **state) {
  (void)state;
  thread servers[4] = {0};
  thread talkers[TALKERS] = {0};
  for (size_t i = 0; i < 4; i++) {
    run(&servers[i], serve);
  }
  for (size_t i = 0; i < TALKERS; i++) {
    run(&talkers[i], talk);
  }
  for (size_t i = 0; i < TALKERS; i++) {
    join(&talkers[i]);
    assert_int_equal(talkers[i].result, 0);
  }
  stop(&hosts[0]);
  for (size_t i = 0; i < 4; i++) {
    join(&servers[i]);
    assert_error(KAD_E_CANCELLED, servers[i].result);
  }
}

/* ---- ends ---------------------------------------------------------------- */

static void test_open_fails(void **state) {
  (void)state;
  kad_service_stream *stream = NULL;
  assert_error(KAD_E_NO_PROTOCOL, try_open(&stream, "/test/unknown"));
  assert_error(KAD_E_INVALID_ARGUMENT, try_open(&stream, "unknown"));
  assert_error(KAD_E_TIMEOUT,
               kad_service_accept(hosts[0].service, &stream, NULL, 0));
  assert_null(stream);
  kad_service_stream *mine = open_echo();
  assert_error(KAD_E_TIMEOUT,
               kad_service_accept(hosts[0].service, &stream, "/test/other",
                                  10 * KAD_MILLISECOND));
  assert_ok(kad_service_accept(hosts[0].service, &stream, ECHO, LIMIT));
  kad_service_stream_close(mine);
  kad_service_stream_close(stream);
  assert_ok(kad_service_unhandle(hosts[0].service, ECHO));
  assert_error(KAD_E_NO_PROTOCOL, try_open(&stream, ECHO));
}

static void test_reset(void **state) {
  (void)state;
  uint8_t byte;
  kad_stream_info info;
  kad_service_stream *mine = open_echo();
  kad_service_stream *theirs = accept_echo();
  kad_service_stream_reset(mine, 0x2001);
  assert_error(KAD_E_STREAM_RESET, kad_service_stream_read(theirs, &byte, 1));
  assert_error(KAD_E_STREAM_RESET, kad_service_stream_write(theirs, "x", 1));
  kad_service_stream_get_info(theirs, &info);
  assert_int_equal(info.code, 0x2001);
  kad_service_stream_close(theirs);
}

static void test_closed_sides(void **state) {
  (void)state;
  uint8_t byte;
  kad_service_stream *mine = open_echo();
  kad_service_stream *theirs = accept_echo();
  kad_service_stream_close_read(mine);
  assert_error(KAD_E_STATE, kad_service_stream_read(mine, &byte, 1));
  kad_service_stream_close_write(theirs);
  assert_error(KAD_E_STATE, kad_service_stream_write(theirs, "x", 1));
  assert_int_equal(kad_service_stream_write(mine, "x", 1), 1);
  assert_int_equal(kad_service_stream_read(theirs, &byte, 1), 1);
  kad_service_stream_close(mine);
  assert_int_equal(kad_service_stream_read(theirs, &byte, 1), 0);
  kad_service_stream_close(theirs);
}

/* What nobody accepts is bounded, and refused with a code; the refusal may come
 * together with the agreement. */
static void test_backlog(void **state) {
  (void)state;
  static kad_service_stream *mine[KAD_SERVICE_BACKLOG];
  for (size_t i = 0; i < KAD_SERVICE_BACKLOG; i++) {
    mine[i] = open_echo();
  }
  kad_service_stream *more = NULL;
  int error = try_open(&more, ECHO);
  if (error == 0) {
    uint8_t byte;
    kad_stream_info info;
    error = kad_service_stream_read(more, &byte, 1);
    kad_service_stream_get_info(more, &info);
    assert_int_equal(info.code, KAD_STREAM_CODE_LIMIT);
    kad_service_stream_close(more);
  }
  assert_error(KAD_E_STREAM_RESET, error);
  kad_service_stream_close(accept_echo());
  kad_service_stream_close(open_echo());
  for (size_t i = 0; i < KAD_SERVICE_BACKLOG; i++) {
    kad_service_stream_close(mine[i]);
  }
}

/* ---- waiting ------------------------------------------------------------- */

static void *read_one(void *user) {
  thread *t = user;
  uint8_t byte;
  atomic_store(&t->begun, true);
  t->result = kad_service_stream_read(t->stream, &byte, 1);
  return NULL;
}

static void *write_much(void *user) {
  thread *t = user;
  static const uint8_t zeros[1 << 20];
  atomic_store(&t->begun, true);
  t->result = 1;
  while (t->result > 0) {
    t->result = kad_service_stream_write(t->stream, zeros, sizeof(zeros));
    t->len += t->result > 0 ? (size_t)t->result : 0;
  }
  return NULL;
}

static void await_begun(thread *t) {
  const struct timespec pause = {.tv_nsec = 5000000};
  do {
    nanosleep(&pause, NULL); /* it may be about to wait: both are right */
  } while (!atomic_load(&t->begun));
}

static void test_deadlines(void **state) {
  (void)state;
  uint8_t byte;
  kad_service_stream *mine = open_echo();
  kad_service_stream *theirs = accept_echo();
  kad_service_stream_set_deadline(mine, KAD_STREAM_READ, 20 * KAD_MILLISECOND);
  assert_error(KAD_E_TIMEOUT, kad_service_stream_read(mine, &byte, 1));
  /* A deadline that is set while others wait is theirs. */
  thread reader = {.stream = theirs};
  thread writer = {.stream = theirs};
  run(&reader, read_one);
  run(&writer, write_much);
  await_begun(&reader);
  await_begun(&writer);
  kad_service_stream_set_deadline(theirs, KAD_STREAM_READ | KAD_STREAM_WRITE,
                                  30 * KAD_MILLISECOND);
  join(&reader);
  join(&writer);
  assert_error(KAD_E_TIMEOUT, reader.result);
  assert_error(KAD_E_TIMEOUT, writer.result);
  assert_in_range(writer.len, 1 << 18, 4 << 20);
  /* The stream goes on. */
  kad_service_stream_set_deadline(mine, KAD_STREAM_READ, KAD_TIME_NEVER);
  size_t read = 0;
  uint8_t chunk[65536];
  while (read < writer.len) {
    int len = kad_service_stream_read(mine, chunk, sizeof(chunk));
    assert_true(len > 0);
    read += (size_t)len;
  }
  assert_int_equal(kad_service_stream_write(mine, "x", 1), 1);
  kad_service_stream_set_deadline(theirs, KAD_STREAM_READ, KAD_TIME_NEVER);
  assert_int_equal(kad_service_stream_read(theirs, &byte, 1), 1);
  kad_service_stream_close(mine);
  kad_service_stream_close(theirs);
}

/* Whoever waits is woken, and may close his stream afterwards. */
static void test_stop(void **state) {
  (void)state;
  kad_service_stream *mine = open_echo();
  kad_service_stream *theirs = accept_echo();
  kad_service_stream *unaccepted = open_echo();
  thread reader = {.stream = theirs};
  thread writer = {.stream = theirs};
  run(&reader, read_one);
  run(&writer, write_much);
  await_begun(&reader);
  await_begun(&writer);
  stop(&hosts[0]);
  join(&reader);
  join(&writer);
  assert_error(KAD_E_CANCELLED, reader.result);
  assert_error(KAD_E_CANCELLED, writer.result);
  kad_service_stream_close(theirs);
  uint8_t chunk[65536];
  int result;
  while ((result = kad_service_stream_read(mine, chunk, sizeof(chunk))) > 0) {
  }
  assert_true(result < 0);
  assert_true(kad_service_stream_read(unaccepted, chunk, 1) < 0);
  kad_service_stream_close(unaccepted);
  kad_service_stream_close(mine);
}

/* Opens and drops until that fails. */
static void *open_on_and_on(void *user) {
  thread *t = user;
  kad_service_stream *stream = NULL;
  kad_peer_id peer = *kad_service_id(hosts[0].service);
  while ((t->result = open_to(&stream, &peer, ECHO)) == 0) {
    t->begun = true;
    kad_service_stream_close(stream);
  }
  return NULL;
}

/* Those who come while the service stops are nobody's. */
static void test_stop_under_way(void **state) {
  for (int round = 0; round < 20; round++) {
    thread openers[3] = {0};
    for (size_t i = 0; i < KAD__COUNT(openers); i++) {
      run(&openers[i], open_on_and_on);
    }
    for (size_t i = 0; i < KAD__COUNT(openers); i++) {
      await_begun(&openers[i]);
    }
    stop(&hosts[0]);
    for (size_t i = 0; i < KAD__COUNT(openers); i++) {
      join(&openers[i]);
      assert_true(openers[i].result < 0);
    }
    (void)teardown(state);
    (void)setup(state);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(test_echo),      TEST(test_many),         TEST(test_open_fails),
      TEST(test_reset),     TEST(test_closed_sides), TEST(test_backlog),
      TEST(test_deadlines), TEST(test_stop),         TEST(test_stop_under_way),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
