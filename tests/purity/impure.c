/* What the purity test must notice: a clock and a mutable global. */
#include <time.h>

static long last;
long impure(void);

long impure(void) {
  last += (long)time(NULL);
  return last;
}
