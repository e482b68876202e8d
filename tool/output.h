/* What the command prints: results on stdout, as text for people or one JSON
 * object a line; progress and trouble on stderr. */
#ifndef KAD_TOOL_OUTPUT_H
#define KAD_TOOL_OUTPUT_H

#include <jansson.h>
#include <kadmium/kadmium.h>

#include "options.h"

typedef struct tool_output {
  const char *command;
  bool json;
  bool quiet;
  bool verbose;
  bool live;      /* stderr is a terminal: one line that is written over */
  bool live_line; /* such a line stands there now */
} tool_output;

void tool_output_init(tool_output *out, const tool_options *options);

/* One JSON object on a line of stdout, at once; takes the reference. A tag
 * (may be NULL) becomes its "tag". */
void tool_print_json(json_t *object, const json_t *tag);

/* True once something could not be written to stdout: nobody takes what we say,
 * or the disk is full. */
bool tool_stdout_broken(void);

/* The JSON object of an event of the library; NULL when it is not shown. */
json_t *tool_event_json(const kad_event *event);

/* Bytes as "0x" and hexadecimal digits. */
json_t *tool_hex_json(kad_bytes bytes);

/* Progress, shown while it is current and only on a terminal. */
void tool_progress(tool_output *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Removes the progress line. */
void tool_progress_end(tool_output *out);

/* A line on stderr, unless --quiet. */
void tool_note(tool_output *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says what failed and what to do about it, on stderr, and with --json as an
 * error object on stdout. Returns the exit status that belongs to `error`. */
int tool_fail(tool_output *out, int error, const char *what,
              const char *advice);

/* The exit status that belongs to an error of the library. */
int tool_exit_status(int error);

/* "ok" or the error's name in lower case, static for as long as `out`. */
const char *tool_result_name(char out[32], int error);
/* Why a look-up ended, in one word. */
const char *tool_ending_name(kad_lookup_ending ending);

/* The text of an address in `out`. */
const char *tool_address_text(char out[KAD_MULTIADDR_TEXT_MAX],
                              kad_bytes address);
/* The text of an id in `out`. */
const char *tool_peer_text(char out[KAD_PEER_ID_TEXT_MAX],
                           const kad_peer_id *peer);

/* Text that a peer chose, for a terminal: `out` gets at most `cap` - 1
 * characters of it, and what could steer the terminal becomes '?'. */
const char *tool_peer_chosen(char *out, size_t cap, kad_bytes text);

static inline double tool_ms(kad_time t) {
  return (double)t / 1e6;
}

#endif
