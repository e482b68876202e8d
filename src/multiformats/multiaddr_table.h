/* What the two halves of multiaddr, bytes and text, know of each protocol. */
#ifndef KAD_MULTIFORMATS_MULTIADDR_TABLE_H
#define KAD_MULTIFORMATS_MULTIADDR_TABLE_H

#include "kadmium/multiaddr.h"

typedef enum kad__multiaddr_kind {
  KAD__MULTIADDR_NONE,
  KAD__MULTIADDR_IP4,
  KAD__MULTIADDR_IP6,
  KAD__MULTIADDR_PORT,
  KAD__MULTIADDR_NUMBER, /* 64 bits, big-endian */
  KAD__MULTIADDR_TEXT,
  KAD__MULTIADDR_PEER,
  KAD__MULTIADDR_HASH
} kad__multiaddr_kind;

typedef struct kad__multiaddr_info {
  kad_multiaddr_protocol protocol;
  kad__multiaddr_kind kind;
  const char *name;
} kad__multiaddr_info;

/* NULL when unknown. */
const kad__multiaddr_info *kad__multiaddr_by_code(uint64_t code);
const kad__multiaddr_info *kad__multiaddr_by_name(kad_bytes name);

/* The length that every value of the kind has, or -1 when it is written. */
int kad__multiaddr_fixed_len(kad__multiaddr_kind kind);

/* Whether these bytes may stand as a value of the kind. */
bool kad__multiaddr_value_ok(kad__multiaddr_kind kind, kad_bytes value);

#endif
