/* Does a kind of address lead anywhere? Of the last hundred dials of that kind
 * five must have got an answer; else it is a black hole, and one dial in a
 * hundred goes on trying. One answer then, and it has to prove itself anew. */
#ifndef KAD_SWARM_BLACK_HOLE_H
#define KAD_SWARM_BLACK_HOLE_H

#include "kadmium/types.h"

#define KAD__BLACK_HOLE_WINDOW 100
#define KAD__BLACK_HOLE_SUCCESSES 5

typedef enum kad__black_hole_state {
  KAD__BLACK_HOLE_PROBING, /* not known yet: all may be dialled */
  KAD__BLACK_HOLE_ALLOWED,
  KAD__BLACK_HOLE_BLOCKED
} kad__black_hole_state;

/* Zero is one that nothing is known of. */
typedef struct kad__black_hole {
  uint64_t results[2]; /* bit i: the i-th of the window had an answer */
  uint8_t count;
  uint8_t next;
  uint8_t successes;
  uint8_t state;
  uint32_t refused; /* since the last that was let through */
} kad__black_hole;

/* May another be dialled? */
bool kad__black_hole_allows(kad__black_hole *hole);
/* A dial is over: was there an answer of any kind? */
void kad__black_hole_note(kad__black_hole *hole, bool answered);

#endif
