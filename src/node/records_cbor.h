/* DAG-CBOR, as far as the data of an IPNS record needs it: items of a flat map
 * are read, everything else is passed over.
 *
 * Strict: minimal heads, definite lengths, no tag but 42 (a link), no simple
 * value but false, true, null and a float of 64 bits. Errors are KAD_E_RECORD
 * and leave the input unchanged. https://ipld.io/specs/codecs/dag-cbor/spec/ */
#ifndef KAD_NODE_RECORDS_CBOR_H
#define KAD_NODE_RECORDS_CBOR_H

#include "kadmium/error.h"
#include "kadmium/types.h"

typedef enum kad__cbor_type {
  KAD__CBOR_UNSIGNED = 0,
  KAD__CBOR_NEGATIVE = 1,
  KAD__CBOR_BYTES = 2,
  KAD__CBOR_TEXT = 3,
  KAD__CBOR_LIST = 4,
  KAD__CBOR_MAP = 5,
  KAD__CBOR_TAG = 6,
  KAD__CBOR_SIMPLE = 7
} kad__cbor_type;

/* Takes the head of an item of `type`; `*value` is its number, length or
 * count, which is not compared with what follows. */
int kad__cbor_take_head(kad_bytes *in, kad__cbor_type type, uint64_t *value);

/* Takes a whole string of `type` (bytes or text), borrowed. */
int kad__cbor_take_string(kad_bytes *in, kad__cbor_type type, kad_bytes *out);

/* Takes one item of any type with all that is in it. */
int kad__cbor_skip(kad_bytes *in);

/* Writes a head to `out` (at most 9 bytes); returns its length. */
size_t kad__cbor_put_head(uint8_t *out, kad__cbor_type type, uint64_t value);

#endif
