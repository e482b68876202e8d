/* multistream-select with random names: two sides always agree on the first
 * name of the dialer's that the listener has, however the bytes are cut; and
 * random bytes never do more than fail. */
#include "connection/multistream.h"
#include "support.h"

#define NAMES_MAX 12
#define KINDS 20

typedef struct side {
  kad__multistream m;
  kad__protocol_names names;
  kad__buffer in;
  kad__buffer out;
  kad_bytes list[NAMES_MAX];
  char text[NAMES_MAX][200];
  int result;
} side;

/* One of KINDS names, of a length that depends on which. */
static void make_name(char out[200], uint64_t kind) {
  size_t len = (size_t)(1 + kind * kind / 2);
  memset(out, 'a' + (int)kind, len);
  out[0] = '/';
  out[len] = 0;
}

static void side_init(side *s, bool dialer, kad_random *random) {
  *s = (side){.names.count = kad_random_below(random, NAMES_MAX)};
  for (size_t i = 0; i < s->names.count; i++) {
    make_name(s->text[i], kad_random_below(random, KINDS));
    s->list[i] = kad__bytes_of(s->text[i]);
  }
  s->names.names = s->list;
  kad__multistream_init(&s->m, dialer);
}

static void side_fini(side *s) {
  kad__buffer_fini(&s->in, kad_allocator_default());
  kad__buffer_fini(&s->out, kad_allocator_default());
}

static void side_read(side *s) {
  kad_bytes in = kad__buffer_bytes(&s->in);
  s->result = kad__multistream_read(&s->m, &s->names, &in, &s->out,
                                    kad_allocator_default());
  kad__buffer_consume(&s->in, kad_allocator_default(),
                      kad__buffer_len(&s->in) - in.len);
  assert_true(s->result < 0 || kad__buffer_len(&s->in) < 1026);
}

/* Moves some bytes; false when there were none. */
static bool carry(side *from, side *to, kad_random *random) {
  size_t len = kad__buffer_len(&from->out);
  if (len == 0 || to->result < 0) {
    return false;
  }
  size_t n = 1 + kad_random_below(random, len);
  n = kad_random_below(random, 2) == 0 ? 1 : n;
  assert_ok(
      kad__buffer_append(&to->in, kad_allocator_default(),
                         kad__bytes(kad__buffer_bytes(&from->out).data, n)));
  kad__buffer_consume(&from->out, kad_allocator_default(), n);
  side_read(to);
  return true;
}

/* The name that a negotiation has to end with; dialer's count for none. */
static size_t agreed(const side *dialer, const side *listener) {
  for (size_t i = 0; i < dialer->names.count; i++) {
    for (size_t j = 0; j < listener->names.count; j++) {
      if (kad__bytes_equal(dialer->list[i], listener->list[j])) {
        return i;
      }
    }
  }
  return dialer->names.count;
}

static void negotiate(kad_random *random) {
  side dialer;
  side listener;
  side_init(&dialer, true, random);
  side_init(&listener, false, random);
  if (kad_random_below(random, 2) == 0) {
    side_read(&listener);
  }
  dialer.result = kad__multistream_start(&dialer.m, &dialer.names, &dialer.out,
                                         kad_allocator_default());
  bool moved = dialer.result == 0;
  while (moved) {
    bool there = carry(&dialer, &listener, random);
    bool back = carry(&listener, &dialer, random);
    moved = there || back;
  }
  size_t expected = agreed(&dialer, &listener);
  if (expected == dialer.names.count) {
    assert_error(KAD_E_NO_PROTOCOL, dialer.result);
    assert_int_equal(listener.result, 0);
  } else {
    assert_int_equal(dialer.result, 1);
    assert_int_equal(listener.result, 1);
    assert_int_equal(dialer.m.selected, expected);
    assert_true(kad__bytes_equal(listener.list[listener.m.selected],
                                 dialer.list[expected]));
  }
  side_fini(&dialer);
  side_fini(&listener);
}

static void test_agreement(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("multistream agreement"));
  for (size_t run = test_runs(3000); run > 0; run--) {
    negotiate(&random);
  }
}

/* A header, then noise that looks somewhat like messages. */
static void feed_noise(kad_random *random) {
  side s;
  side_init(&s, kad_random_below(random, 2) == 0, random);
  if (s.m.dialer && kad__multistream_start(&s.m, &s.names, &s.out,
                                           kad_allocator_default()) < 0) {
    side_fini(&s);
    return;
  }
  assert_ok(kad__buffer_append(&s.in, kad_allocator_default(),
                               kad__bytes_of("\x13/multistream/1.0.0\n")));
  side_read(&s);
  for (int i = 0; i < 60 && s.result == 0; i++) {
    uint8_t message[64];
    size_t len = kad_random_below(random, sizeof(message) - 1);
    kad_random_bytes(random, message, sizeof(message));
    if (kad_random_below(random, 8) != 0) {
      message[0] = (uint8_t)len;
      message[len] = '\n';
    }
    assert_ok(kad__buffer_append(&s.in, kad_allocator_default(),
                                 kad__bytes(message, len + 1)));
    side_read(&s);
  }
  assert_true(s.result == KAD_E_MULTISTREAM || s.result == KAD_E_LIMIT ||
              s.result == 0 || s.result == 1);
  assert_true(kad__buffer_len(&s.out) <= 20 + 33 * 1026);
  side_fini(&s);
}

static void test_noise(void **state) {
  (void)state;
  kad_random random;
  kad_random_init_u64(&random, test_seed("multistream noise"));
  for (size_t run = test_runs(3000); run > 0; run--) {
    feed_noise(&random);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_agreement),
      cmocka_unit_test(test_noise),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
