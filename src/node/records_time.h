/* Calendar times as records carry them: RFC 3339 text.
 *
 * Seconds and nanoseconds are kept apart, so that every year which the text can
 * name has its number and none overflows. */
#ifndef KAD_NODE_RECORDS_TIME_H
#define KAD_NODE_RECORDS_TIME_H

#include "kadmium/error.h"
#include "kadmium/types.h"

typedef struct kad__calendar_time {
  int64_t seconds; /* since 1970, UTC; negative before */
  uint32_t nanoseconds;
} kad__calendar_time;

/* Reads "2033-05-18T03:33:20.000000001Z" or a numeric offset: upper case, four
 * digits of year, no leap second. Digits past the ninth of the fraction are
 * passed over. KAD_E_RECORD when it is anything else. */
int kad__calendar_time_parse(kad__calendar_time *out, kad_bytes text);

/* Length of what kad__calendar_time_format writes. */
#define KAD__CALENDAR_TIME_LEN 30

/* Writes nanoseconds since 1970 in UTC with nine digits of fraction. */
void kad__calendar_time_format(uint8_t out[KAD__CALENDAR_TIME_LEN],
                               uint64_t unix_ns);

kad__calendar_time kad__calendar_time_of(uint64_t unix_ns);

/* Negative, 0 or positive, as memcmp. */
int kad__calendar_time_compare(const kad__calendar_time *a,
                               const kad__calendar_time *b);

#endif
