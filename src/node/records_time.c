/* Dates become days by counting years from March, so that the leap day is the
 * last of its year; 400 years are one era of 146,097 days. */
#include "node/records_time.h"

#include "base/bytes.h"

#define SECONDS_PER_DAY 86400
#define DAYS_PER_ERA 146097
#define NANOSECONDS 1000000000
/* From 0000-03-01 to 1970-01-01. */
#define EPOCH_DAYS 719468

typedef struct date {
  int year;
  int month; /* 1 to 12 */
  int day;
} date;

/* Takes exactly `count` digits. */
static int take_number(kad_bytes *in, size_t count, int low, int high,
                       int *out) {
  int value = 0;
  if (in->len < count) {
    return KAD_E_RECORD;
  }
  for (size_t i = 0; i < count; i++) {
    if (in->data[i] < '0' || in->data[i] > '9') {
      return KAD_E_RECORD;
    }
    value = value * 10 + (in->data[i] - '0');
  }
  if (value < low || value > high) {
    return KAD_E_RECORD;
  }
  *in = kad__bytes_skip(*in, count);
  *out = value;
  return 0;
}

static int take_char(kad_bytes *in, char c) {
  if (in->len == 0 || in->data[0] != (uint8_t)c) {
    return KAD_E_RECORD;
  }
  *in = kad__bytes_skip(*in, 1);
  return 0;
}

static bool is_leap(int year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int year, int month) {
  static const uint8_t days[] = {31, 28, 31, 30, 31, 30,
                                 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

static int64_t days_of_date(const date *d) {
  int64_t year = d->month <= 2 ? d->year - 1 : d->year;
  int64_t era = (year >= 0 ? year : year - 399) / 400;
  int64_t year_of_era = year - era * 400;
  int64_t month_from_march = (d->month + 9) % 12;
  int64_t day_of_year = (153 * month_from_march + 2) / 5 + d->day - 1;
  int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * DAYS_PER_ERA + day_of_era - EPOCH_DAYS;
}

/* For days from 1970 on. */
static date date_of_days(uint64_t days) {
  uint64_t shifted = days + EPOCH_DAYS;
  uint64_t era = shifted / DAYS_PER_ERA;
  uint64_t day_of_era = shifted % DAYS_PER_ERA;
  uint64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
                          day_of_era / 146096) /
                         365;
  uint64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  uint64_t month_from_march = (5 * day_of_year + 2) / 153;
  date d;
  d.day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
  d.month = (int)(month_from_march < 10 ? month_from_march + 3
                                        : month_from_march - 9);
  d.year = (int)(year_of_era + era * 400) + (d.month <= 2 ? 1 : 0);
  return d;
}

static int take_date(kad_bytes *in, int64_t *days) {
  date d = {0, 0, 0};
  if (take_number(in, 4, 0, 9999, &d.year) < 0 || take_char(in, '-') < 0 ||
      take_number(in, 2, 1, 12, &d.month) < 0 || take_char(in, '-') < 0) {
    return KAD_E_RECORD;
  }
  if (take_number(in, 2, 1, days_in_month(d.year, d.month), &d.day) < 0) {
    return KAD_E_RECORD;
  }
  *days = days_of_date(&d);
  return 0;
}

static int take_clock(kad_bytes *in, int *seconds) {
  int hour = 0;
  int minute = 0;
  int second = 0;
  if (take_number(in, 2, 0, 23, &hour) < 0 || take_char(in, ':') < 0 ||
      take_number(in, 2, 0, 59, &minute) < 0 || take_char(in, ':') < 0 ||
      take_number(in, 2, 0, 59, &second) < 0) {
    return KAD_E_RECORD;
  }
  *seconds = hour * 3600 + minute * 60 + second;
  return 0;
}

/* An optional fraction of a second. */
static int take_fraction(kad_bytes *in, uint32_t *nanoseconds) {
  uint32_t unit = NANOSECONDS;
  *nanoseconds = 0;
  if (take_char(in, '.') < 0) {
    return 0;
  }
  int digit = 0;
  if (take_number(in, 1, 0, 9, &digit) < 0) {
    return KAD_E_RECORD;
  }
  do {
    unit /= 10;
    *nanoseconds += (uint32_t)digit * unit;
  } while (take_number(in, 1, 0, 9, &digit) == 0);
  return 0;
}

/* "Z", or how far the text is ahead of UTC. */
static int take_zone(kad_bytes *in, int *seconds) {
  int hours = 0;
  int minutes = 0;
  *seconds = 0;
  if (take_char(in, 'Z') == 0) {
    return 0;
  }
  int sign = in->len != 0 && in->data[0] == '-' ? -1 : 1;
  if (take_char(in, sign < 0 ? '-' : '+') < 0 ||
      take_number(in, 2, 0, 23, &hours) < 0 || take_char(in, ':') < 0 ||
      take_number(in, 2, 0, 59, &minutes) < 0) {
    return KAD_E_RECORD;
  }
  *seconds = sign * (hours * 3600 + minutes * 60);
  return 0;
}

int kad__calendar_time_parse(kad__calendar_time *out, kad_bytes text) {
  int64_t days = 0;
  int seconds = 0;
  int ahead = 0;
  uint32_t nanoseconds = 0;
  if (take_date(&text, &days) < 0 || take_char(&text, 'T') < 0 ||
      take_clock(&text, &seconds) < 0 ||
      take_fraction(&text, &nanoseconds) < 0 || take_zone(&text, &ahead) < 0 ||
      text.len != 0) {
    return KAD_E_RECORD;
  }
  out->seconds = days * SECONDS_PER_DAY + seconds - ahead;
  out->nanoseconds = nanoseconds;
  return 0;
}

static uint8_t *put_number(uint8_t *out, uint64_t value, size_t digits,
                           char end) {
  for (size_t i = digits; i > 0; i--) {
    out[i - 1] = (uint8_t)('0' + value % 10);
    value /= 10;
  }
  out[digits] = (uint8_t)end;
  return out + digits + 1;
}

void kad__calendar_time_format(uint8_t out[KAD__CALENDAR_TIME_LEN],
                               uint64_t unix_ns) {
  uint64_t seconds = unix_ns / NANOSECONDS;
  date d = date_of_days(seconds / SECONDS_PER_DAY);
  uint64_t clock = seconds % SECONDS_PER_DAY;
  uint8_t *at = put_number(out, (uint64_t)d.year, 4, '-');
  at = put_number(at, (uint64_t)d.month, 2, '-');
  at = put_number(at, (uint64_t)d.day, 2, 'T');
  at = put_number(at, clock / 3600, 2, ':');
  at = put_number(at, clock / 60 % 60, 2, ':');
  at = put_number(at, clock % 60, 2, '.');
  put_number(at, unix_ns % NANOSECONDS, 9, 'Z');
}

kad__calendar_time kad__calendar_time_of(uint64_t unix_ns) {
  return (kad__calendar_time){
      .seconds = (int64_t)(unix_ns / NANOSECONDS),
      .nanoseconds = (uint32_t)(unix_ns % NANOSECONDS),
  };
}

int kad__calendar_time_compare(const kad__calendar_time *a,
                               const kad__calendar_time *b) {
  if (a->seconds != b->seconds) {
    return a->seconds < b->seconds ? -1 : 1;
  }
  if (a->nanoseconds != b->nanoseconds) {
    return a->nanoseconds < b->nanoseconds ? -1 : 1;
  }
  return 0;
}
