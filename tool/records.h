/* What is in a record: names and IPNS records, for people and as JSON. */
#ifndef KAD_TOOL_RECORDS_H
#define KAD_TOOL_RECORDS_H

#include <jansson.h>
#include <kadmium/kadmium.h>

/* A record of /ipns or /pk, read and proved. */
typedef struct tool_record {
  bool is_ipns;
  kad_peer_id name;
  kad_ipns_record ipns;  /* of /ipns */
  kad_key_type key_type; /* of /pk */
} tool_record;

/* Whether a key is "/ipns/" or "/pk/" and a binary PeerId. */
bool tool_record_readable(kad_bytes key);

/* Reads a record, borrowing from `value`; an error of the library when it is
 * not what its key demands, or has expired. */
int tool_record_read(tool_record *out, kad_bytes key, kad_bytes value);

/* Prints one fact a line. */
void tool_record_print(const tool_record *record);

/* The same as an object. */
json_t *tool_record_json(const tool_record *record);

/* The wall clock, in nanoseconds since 1970. */
uint64_t tool_unix_ns(void);

#endif
