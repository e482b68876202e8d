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
  KAD__MULTIADDR_PATH, /* text with slashes, the first included */
  KAD__MULTIADDR_PEER,
  KAD__MULTIADDR_HASH,
  KAD__MULTIADDR_ONION /* a key, a checksum and a version, then a port */
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

#define KAD__ONION_HOST_LEN 35
#define KAD__ONION_LEN (KAD__ONION_HOST_LEN + 2)

/* How much of a path's text is path: all but a last /p2p/ID. */
size_t kad__multiaddr_path_len(kad_bytes text);

/* Whether these bytes may stand as a value of the kind. */
bool kad__multiaddr_value_ok(kad__multiaddr_kind kind, kad_bytes value);

#endif
