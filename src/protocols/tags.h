/* What the protocols and the node agree on: which protocol owns a stream, and
 * the codes with which streams are reset.
 *
 * The node dispatches every stream event by kad__tag_owner(kad__stream_tag(
 * event.stream)) to the handle_event of its owner, and every other event of
 * the swarm to all of them, in the order identify, ping, kad. */
#ifndef KAD_PROTOCOLS_TAGS_H
#define KAD_PROTOCOLS_TAGS_H

#include <stdint.h>

enum {
  KAD__TAG_IDENTIFY = 1,
  KAD__TAG_IDENTIFY_PUSH = 2,
  KAD__TAG_PING = 3,
  KAD__TAG_KAD = 4,
  KAD__TAG_AUTONAT = 5,
  KAD__TAG_AUTONAT_BACK = 6,
  /* Tags from here to 255 are the node's own. */
  KAD__TAG_FREE = 16,
  /* Set on streams that we opened. */
  KAD__TAG_OURS = 0x100
};

static inline uint32_t kad__tag_owner(uint32_t tag) {
  return tag & 0xffu;
}

/* Error codes of libp2p for a stream reset (specification "error codes"). */
enum {
  KAD__STREAM_LIMIT = 0x1002,
  KAD__STREAM_RATE_LIMITED = 0x1003,
  KAD__STREAM_PROTOCOL_VIOLATION = 0x1004,
  KAD__STREAM_GARBAGE_COLLECTED = 0x1006,
  KAD__STREAM_SHUTDOWN = 0x1007
};

#endif
