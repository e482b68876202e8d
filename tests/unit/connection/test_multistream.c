/* multistream-select, both roles, and what hostile peers send (M-03 to M-12 of
 * the bad-input list). */
#include "connection/multistream.h"
#include "support.h"

#define HEADER "\x13/multistream/1.0.0\n"
#define NOISE "\x07/noise\n"
#define TLS "\x0b/tls/1.0.0\n"
#define NA "\x03na\n"
#define LS "\x03ls\n"

/* A literal with its NULs and without the last. */
#define LITERAL(text) kad__bytes(text, sizeof(text) - 1)

typedef struct side {
  test_allocator memory;
  kad__multistream m;
  kad__protocol_names names;
  kad__buffer out;
  kad_bytes list[40];
} side;

static void side_init(side *s, bool dialer, const char *const *names,
                      size_t count) {
  *s = (side){.names = {.names = s->list, .count = count}};
  for (size_t i = 0; i < count; i++) {
    s->list[i] = kad__bytes_of(names[i]);
  }
  test_allocator_init(&s->memory);
  kad__multistream_init(&s->m, dialer);
}

static void side_fini(side *s) {
  kad__buffer_fini(&s->out, &s->memory.allocator);
  assert_int_equal(s->memory.live, 0);
}

static int side_start(side *s) {
  return kad__multistream_start(&s->m, &s->names, &s->out,
                                &s->memory.allocator);
}

static int side_read(side *s, kad_bytes *in) {
  return kad__multistream_read(&s->m, &s->names, in, &s->out,
                               &s->memory.allocator);
}

static int side_feed(side *s, kad_bytes in) {
  return side_read(s, &in);
}

static void take_output(side *s, kad_bytes expected) {
  assert_bytes_equal(kad__buffer_bytes(&s->out), expected);
  kad__buffer_fini(&s->out, &s->memory.allocator);
}

static const char *const noise_only[] = {"/noise"};
static const char *const both[] = {"/tls/1.0.0", "/noise"};

static void test_listener_accepts(void **state) {
  (void)state;
  side s;
  side_init(&s, false, noise_only, 1);
  kad_bytes in = LITERAL(HEADER NOISE "rest");
  assert_int_equal(1, side_read(&s, &in));
  assert_bytes_equal(in, LITERAL("rest"));
  assert_int_equal(s.m.selected, 0);
  take_output(&s, LITERAL(HEADER NOISE));
  /* Decided is decided: nothing more is taken. */
  assert_int_equal(1, side_read(&s, &in));
  assert_int_equal(in.len, 4);
  side_fini(&s);
}

static void test_listener_speaks_first(void **state) {
  (void)state;
  side s;
  side_init(&s, false, noise_only, 1);
  assert_int_equal(0, side_feed(&s, (kad_bytes){0}));
  take_output(&s, LITERAL(HEADER));
  assert_int_equal(1, side_feed(&s, LITERAL(HEADER NOISE)));
  take_output(&s, LITERAL(NOISE));
  side_fini(&s);
}

static void test_listener_refuses_and_goes_on(void **state) {
  (void)state;
  side s;
  side_init(&s, false, both, 2);
  assert_int_equal(0, side_feed(&s, LITERAL(HEADER "\x05/foo\n")));
  take_output(&s, LITERAL(HEADER NA));
  assert_int_equal(1, side_feed(&s, LITERAL(NOISE)));
  assert_int_equal(s.m.selected, 1);
  take_output(&s, LITERAL(NOISE));
  side_fini(&s);
}

static void test_listener_lists(void **state) {
  (void)state;
  side s;
  side_init(&s, false, both, 2);
  assert_int_equal(0, side_feed(&s, LITERAL(HEADER LS)));
  take_output(&s, LITERAL(HEADER "\x15" TLS NOISE "\n"));
  assert_int_equal(1, side_feed(&s, LITERAL(NOISE)));
  side_fini(&s);
}

/* More names than a message holds: whole entries, and a message that our own
 * reader takes. */
static void test_list_is_bounded(void **state) {
  (void)state;
  char name[101];
  memset(name, 'x', 100);
  name[0] = '/';
  name[100] = 0;
  const char *names[20];
  for (size_t i = 0; i < 20; i++) {
    names[i] = name;
  }
  side s;
  side_init(&s, false, names, 20);
  assert_int_equal(0, side_feed(&s, LITERAL(HEADER LS)));
  kad_bytes list = kad__bytes_skip(kad__buffer_bytes(&s.out), 20);
  size_t entry = 1 + 100 + 1;
  size_t body = 10 * entry + 1;
  assert_int_equal(list.len, 2 + body);
  assert_int_equal(list.data[0], 0x80 | (body & 0x7f));
  assert_int_equal(list.data[1], body >> 7);
  assert_int_equal(list.data[2], 101);
  assert_int_equal(list.data[list.len - 1], '\n');
  assert_int_equal(list.data[list.len - 2], '\n');
  side_fini(&s);
}

static void test_list_of_nothing(void **state) {
  (void)state;
  side s;
  side_init(&s, false, NULL, 0);
  assert_int_equal(0, side_feed(&s, LITERAL(HEADER LS)));
  take_output(&s, LITERAL(HEADER "\x01\n"));
  side_fini(&s);
}

static void test_dialer_first_choice(void **state) {
  (void)state;
  side s;
  side_init(&s, true, both, 2);
  assert_ok(side_start(&s));
  take_output(&s, LITERAL(HEADER TLS));
  kad_bytes in = LITERAL(HEADER TLS "\x16\x03");
  assert_int_equal(1, side_read(&s, &in));
  assert_int_equal(in.len, 2);
  assert_int_equal(s.m.selected, 0);
  take_output(&s, (kad_bytes){0});
  side_fini(&s);
}

static void test_dialer_second_choice(void **state) {
  (void)state;
  side s;
  side_init(&s, true, both, 2);
  assert_ok(side_start(&s));
  take_output(&s, LITERAL(HEADER TLS));
  assert_int_equal(0, side_feed(&s, LITERAL(HEADER NA)));
  take_output(&s, LITERAL(NOISE));
  assert_int_equal(1, side_feed(&s, LITERAL(NOISE)));
  assert_int_equal(s.m.selected, 1);
  side_fini(&s);
}

static void test_dialer_runs_out(void **state) {
  (void)state;
  side s;
  side_init(&s, true, noise_only, 1);
  assert_ok(side_start(&s));
  assert_error(KAD_E_NO_PROTOCOL, side_feed(&s, LITERAL(HEADER NA)));
  side_fini(&s);
  side_init(&s, true, NULL, 0);
  assert_error(KAD_E_NO_PROTOCOL, side_start(&s));
  side_fini(&s);
}

/* An answer that was not asked for, `ls` or a list included. */
static void test_dialer_wrong_answer(void **state) {
  (void)state;
  static const char *const answers[] = {HEADER TLS, HEADER LS, HEADER HEADER,
                                        HEADER "\x01\n"};
  for (size_t i = 0; i < KAD__COUNT(answers); i++) {
    side s;
    side_init(&s, true, noise_only, 1);
    assert_ok(side_start(&s));
    assert_error(KAD_E_MULTISTREAM, side_feed(&s, kad__bytes_of(answers[i])));
    side_fini(&s);
  }
}

static void test_names_that_cannot_be_proposed(void **state) {
  (void)state;
  char name[KAD__MULTISTREAM_MESSAGE_MAX + 1];
  memset(name, 'a', sizeof(name));
  name[sizeof(name) - 1] = 0;
  const char *names[] = {name};
  side s;
  side_init(&s, true, names, 1);
  assert_error(KAD_E_INVALID_ARGUMENT, side_start(&s));
  name[KAD__MULTISTREAM_MESSAGE_MAX - 1] = 0;
  side_init(&s, true, names, 1);
  assert_ok(side_start(&s));
  assert_int_equal(kad__buffer_len(&s.out), 20 + 2 + 1024);
  side_fini(&s);
  names[0] = "";
  side_init(&s, true, names, 1);
  assert_error(KAD_E_INVALID_ARGUMENT, side_start(&s));
  side_fini(&s);
}

/* A name of two length bytes goes over and comes back. */
static void test_longest_name(void **state) {
  (void)state;
  char name[KAD__MULTISTREAM_MESSAGE_MAX];
  memset(name, 'a', sizeof(name));
  name[sizeof(name) - 1] = 0;
  const char *names[] = {name};
  side dialer;
  side listener;
  side_init(&dialer, true, names, 1);
  side_init(&listener, false, names, 1);
  assert_ok(side_start(&dialer));
  assert_int_equal(1, side_feed(&listener, kad__buffer_bytes(&dialer.out)));
  assert_int_equal(1, side_feed(&dialer, kad__buffer_bytes(&listener.out)));
  side_fini(&dialer);
  side_fini(&listener);
}

static void test_malformed(void **state) {
  (void)state;
  static const kad_bytes bad[] = {
      /* lengths: 1025; 64 MiB; 2^64-1; eleven bytes; not minimal; zero */
      {(const uint8_t *)"\x81\x08", 2},
      {(const uint8_t *)"\x80\x80\x80\x20", 4},
      {(const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
      {(const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11},
      {(const uint8_t *)"\x87\x00/noise\n", 9},
      {(const uint8_t *)"\x00", 1},
      /* no newline */
      {(const uint8_t *)"\x05/fooo", 6},
      {(const uint8_t *)"\x01/", 2},
  };
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    side s;
    side_init(&s, false, noise_only, 1);
    assert_int_equal(0, side_feed(&s, LITERAL(HEADER)));
    size_t calls = s.memory.calls;
    assert_error(KAD_E_MULTISTREAM, side_feed(&s, bad[i]));
    assert_int_equal(s.memory.calls, calls);
    side_fini(&s);
  }
}

/* What is no multistream at all is turned away at its first wrong byte. */
static void test_other_protocols(void **state) {
  (void)state;
  static const kad_bytes bad[] = {
      {(const uint8_t *)"G", 1},
      {(const uint8_t *)"GET / HTTP/1.1\r\n\r\n", 18},
      {(const uint8_t *)"SSH-2.0-OpenSSH_9.2\r\n", 21},
      {(const uint8_t *)"\x16\x03\x01\x02\x00\x01", 6},
      {(const uint8_t *)"\x13/multistream/1.0.1", 19},
      {(const uint8_t *)"\x13/multistream/1.0.0\r", 20},
      {(const uint8_t *)NOISE, 8},
      {(const uint8_t *)"\x93\x00/multistream/1.0.0\n", 21},
  };
  for (size_t i = 0; i < KAD__COUNT(bad); i++) {
    side s;
    side_init(&s, false, noise_only, 1);
    assert_error(KAD_E_MULTISTREAM, side_feed(&s, bad[i]));
    side_fini(&s);
    side_init(&s, true, noise_only, 1);
    assert_ok(side_start(&s));
    assert_error(KAD_E_MULTISTREAM, side_feed(&s, bad[i]));
    side_fini(&s);
  }
}

/* Odd but well-formed names are refused, not errors. */
static void test_odd_names(void **state) {
  (void)state;
  static const kad_bytes odd[] = {
      {(const uint8_t *)"\x01\n", 2},
      {(const uint8_t *)"\x08/noise\0\n", 9},
      {(const uint8_t *)"\x08/noise\n\n", 9},
      {(const uint8_t *)"\x06noise\n", 7},
  };
  for (size_t i = 0; i < KAD__COUNT(odd); i++) {
    side s;
    side_init(&s, false, noise_only, 1);
    assert_int_equal(0, side_feed(&s, LITERAL(HEADER)));
    take_output(&s, LITERAL(HEADER));
    assert_int_equal(0, side_feed(&s, odd[i]));
    take_output(&s, LITERAL(NA));
    side_fini(&s);
  }
}

static void flood(kad_bytes message) {
  side s;
  side_init(&s, false, noise_only, 1);
  assert_int_equal(0, side_feed(&s, LITERAL(HEADER)));
  for (int i = 0; i < KAD__MULTISTREAM_PROPOSALS_MAX; i++) {
    assert_int_equal(0, side_feed(&s, message));
  }
  size_t held = s.memory.live_bytes;
  assert_true(held <= 2048);
  assert_error(KAD_E_LIMIT, side_feed(&s, message));
  assert_error(KAD_E_LIMIT, side_feed(&s, message));
  assert_int_equal(s.memory.live_bytes, held);
  side_fini(&s);
}

static void test_too_many_proposals(void **state) {
  (void)state;
  flood(LITERAL("\x05/foo\n"));
  flood(LITERAL(LS));
}

static void test_dialer_makes_no_more(void **state) {
  (void)state;
  const char *names[40];
  for (size_t i = 0; i < 40; i++) {
    names[i] = "/x";
  }
  side s;
  side_init(&s, true, names, 40);
  assert_ok(side_start(&s));
  assert_int_equal(0, side_feed(&s, LITERAL(HEADER)));
  for (int i = 1; i < KAD__MULTISTREAM_PROPOSALS_MAX; i++) {
    assert_int_equal(0, side_feed(&s, LITERAL(NA)));
  }
  assert_error(KAD_E_LIMIT, side_feed(&s, LITERAL(NA)));
  side_fini(&s);
}

/* Each call that fails for want of memory can be made again, and the result is
 * the same as if it had not failed. */
static void test_memory(void **state) {
  (void)state;
  for (size_t fail_at = 1; fail_at < 6; fail_at++) {
    side s;
    side_init(&s, false, both, 2);
    s.memory.fail_at = fail_at;
    kad_bytes in = LITERAL(HEADER LS "\x05/foo\n" NOISE);
    int result = side_read(&s, &in);
    if (result < 0) {
      assert_error(KAD_E_NO_MEMORY, result);
      result = side_read(&s, &in);
    }
    assert_int_equal(1, result);
    take_output(&s, LITERAL(HEADER "\x15" TLS NOISE "\n" NA NOISE));
    side_fini(&s);
  }
  side s;
  side_init(&s, true, both, 2);
  s.memory.fail_at = 1;
  assert_error(KAD_E_NO_MEMORY, side_start(&s));
  assert_ok(side_start(&s));
  take_output(&s, LITERAL(HEADER TLS));
  side_fini(&s);
}

static void test_need(void **state) {
  (void)state;
  kad__multistream m;
  kad__multistream_init(&m, false);
  assert_int_equal(20, kad__multistream_need(&m, (kad_bytes){0}));
  assert_int_equal(20, kad__multistream_need(&m, LITERAL("\x13/mul")));
  m.header_seen = true;
  assert_int_equal(1, kad__multistream_need(&m, (kad_bytes){0}));
  assert_int_equal(8, kad__multistream_need(&m, LITERAL("\x07/n")));
  assert_int_equal(2, kad__multistream_need(&m, LITERAL("\x80")));
  assert_int_equal(1026, kad__multistream_need(&m, LITERAL("\x80\x08/")));
  assert_error(KAD_E_MULTISTREAM,
               kad__multistream_need(&m, LITERAL("\x81\x08")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_listener_accepts),
      cmocka_unit_test(test_listener_speaks_first),
      cmocka_unit_test(test_listener_refuses_and_goes_on),
      cmocka_unit_test(test_listener_lists),
      cmocka_unit_test(test_list_is_bounded),
      cmocka_unit_test(test_list_of_nothing),
      cmocka_unit_test(test_dialer_first_choice),
      cmocka_unit_test(test_dialer_second_choice),
      cmocka_unit_test(test_dialer_runs_out),
      cmocka_unit_test(test_dialer_wrong_answer),
      cmocka_unit_test(test_names_that_cannot_be_proposed),
      cmocka_unit_test(test_longest_name),
      cmocka_unit_test(test_malformed),
      cmocka_unit_test(test_other_protocols),
      cmocka_unit_test(test_odd_names),
      cmocka_unit_test(test_too_many_proposals),
      cmocka_unit_test(test_dialer_makes_no_more),
      cmocka_unit_test(test_memory),
      cmocka_unit_test(test_need),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
