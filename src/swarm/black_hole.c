/* A ring of bits and the number of those that are set. */
#include "swarm/black_hole.h"

bool kad__black_hole_allows(kad__black_hole *hole) {
  if (hole->state != KAD__BLACK_HOLE_BLOCKED) {
    return true;
  }
  hole->refused++;
  if (hole->refused < KAD__BLACK_HOLE_WINDOW) {
    return false;
  }
  hole->refused = 0;
  return true;
}

static void put(kad__black_hole *hole, bool answered) {
  uint64_t *word = &hole->results[hole->next / 64];
  uint64_t bit = UINT64_C(1) << hole->next % 64;
  bool full = hole->count == KAD__BLACK_HOLE_WINDOW;
  bool gone = full && (*word & bit) != 0;
  hole->count = (uint8_t)(hole->count + !full);
  hole->successes = (uint8_t)(hole->successes - gone + answered);
  *word = answered ? *word | bit : *word & ~bit;
  hole->next = (uint8_t)((hole->next + 1) % KAD__BLACK_HOLE_WINDOW);
}

void kad__black_hole_note(kad__black_hole *hole, bool answered) {
  if (hole->state == KAD__BLACK_HOLE_BLOCKED && answered) {
    *hole = (kad__black_hole){.state = KAD__BLACK_HOLE_PROBING};
    return;
  }
  put(hole, answered);
  if (hole->count < KAD__BLACK_HOLE_WINDOW) {
    return;
  }
  hole->state = hole->successes >= KAD__BLACK_HOLE_SUCCESSES
                    ? KAD__BLACK_HOLE_ALLOWED
                    : KAD__BLACK_HOLE_BLOCKED;
}
