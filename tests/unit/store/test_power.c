/* S-02: the power goes at any moment, with writes lost, torn and out of order.
 * What is left is a store that has exactly what some first operations leave,
 * and not fewer of them than had been acknowledged when the disk last said that
 * the log was safe. */
#include "ledger.h"
#include "lossy_disk.h"

#define OPERATIONS 700
/* Operations after which the store is closed and opened again. */
#define REOPEN_EVERY 260

typedef struct world {
  place place;
  place after; /* the loss under inspection */
  kad_random random;
  kad__store *s;
  uint32_t done;    /* acknowledged */
  uint32_t safe;    /* of them, when the log was last synchronised */
  size_t syncs;     /* of the log, up to the last acknowledgement */
  size_t moments;   /* until the power goes */
  bool lost;        /* it has */
  uint32_t at_done; /* then */
  uint32_t at_safe;
  size_t losses;
  size_t refused;
  size_t missing; /* operations acknowledged and not found */
} world;

static void draw_moment(world *w) {
  w->moments = (size_t)kad_random_below(&w->random, w->losses % 4 ? 300 : 30);
}

static void on_moment(void *user) {
  world *w = (world *)user;
  if (w->lost || w->moments-- > 0) {
    return;
  }
  w->lost = true;
  w->at_done = w->done;
  w->at_safe = lossy_disk_syncs("-wal") != w->syncs ? w->done : w->safe;
  place_init(&w->after);
  lossy_disk_lose(&w->place, &w->after, &w->random);
}

/* What cannot be read is set aside, and was never promised to be kept. */
static void check_refused(world *w, int error) {
  kad__store *s;
  assert_error(KAD_E_STORE_CORRUPT, error);
  assert_int_equal(w->at_safe, 0);
  assert_ok(
      kad__sqlite_store_set_aside(kad_allocator_default(), w->after.path));
  s = place_open(&w->after);
  s->ops->free(s);
  w->refused++;
}

static void check_opened(world *w, kad__store *s) {
  ledger l = {0};
  kad__sqlite_store_status status;
  while (l.done < w->at_safe) {
    ledger_note(&l);
  }
  ledger_find(&l, s, w->at_done + 1);
  w->missing += l.done < w->at_done ? w->at_done - l.done : 0;
  kad__sqlite_store_status_get(s, &status);
  assert_int_equal(status.damaged, 0);
  /* It goes on from there. */
  uint32_t more = l.done + 20;
  while (l.done < more) {
    assert_ok(ledger_do(s, l.done + 1));
    ledger_note(&l);
  }
  assert_true(ledger_holds(&l, s));
  s->ops->free(s);
}

static void check_loss(world *w) {
  kad__store *s = NULL;
  if (!w->lost) {
    return;
  }
  lossy_disk_use(false);
  int error = place_open_at(&s, &w->after, PLACE_NOW, PLACE_UNIX);
  if (error != 0) {
    check_refused(w, error);
  } else {
    check_opened(w, s);
  }
  lossy_disk_use(true);
  place_fini(&w->after);
  w->losses++;
  w->lost = false;
  draw_moment(w);
}

static void acknowledge(world *w) {
  size_t syncs = lossy_disk_syncs("-wal");
  /* The log may have been synchronised before this one was in it. */
  w->safe = syncs != w->syncs ? w->done : w->safe;
  w->syncs = syncs;
  w->done++;
}

static void test_power_is_lost(void **state) {
  uint64_t seed = test_seed("power");
  size_t losses = 0;
  size_t refused = 0;
  size_t missing = 0;
  (void)state;
  for (size_t run = 0; run < test_runs(3); run++) {
    world w = {0};
    place_init(&w.place);
    kad_random_init_u64(&w.random, seed + run);
    draw_moment(&w);
    lossy_disk_watch(on_moment, &w);
    w.s = place_open(&w.place);
    check_loss(&w);
    while (w.done < OPERATIONS) {
      assert_ok(ledger_do(w.s, w.done + 1));
      acknowledge(&w);
      check_loss(&w);
      if (w.done % REOPEN_EVERY == 0) {
        w.s->ops->free(w.s);
        check_loss(&w);
        w.s = place_open(&w.place);
        check_loss(&w);
      }
    }
    assert_true(w.safe > OPERATIONS / 2);
    w.s->ops->free(w.s);
    check_loss(&w);
    losses += w.losses;
    refused += w.refused;
    missing += w.missing;
    lossy_disk_reset();
    place_fini(&w.place);
  }
  print_message(
      "%zu losses of power: %zu files refused, %zu operations of "
      "the last moments gone\n",
      losses, refused, missing);
  assert_true(losses > 10 && missing > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_power_is_lost)};
  lossy_disk_install();
  return cmocka_run_group_tests(tests, NULL, NULL);
}
