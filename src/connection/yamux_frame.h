/* The 12-byte header of every yamux frame: version, type, flags, stream id,
 * length, big-endian (specification, "Framing"). Only Data has a body. */
#ifndef KAD_CONNECTION_YAMUX_FRAME_H
#define KAD_CONNECTION_YAMUX_FRAME_H

#include "base/bytes.h"

#define KAD__YAMUX_HEADER_LEN 12

typedef enum kad__yamux_type {
  KAD__YAMUX_DATA = 0,
  KAD__YAMUX_WINDOW_UPDATE = 1,
  KAD__YAMUX_PING = 2,
  KAD__YAMUX_GO_AWAY = 3
} kad__yamux_type;

#define KAD__YAMUX_SYN 0x1u
#define KAD__YAMUX_ACK 0x2u
#define KAD__YAMUX_FIN 0x4u
#define KAD__YAMUX_RST 0x8u

/* GoAway codes of the specification; libp2p adds connection error codes. */
#define KAD__YAMUX_NORMAL 0x0u
#define KAD__YAMUX_PROTOCOL_ERROR 0x1u
#define KAD__YAMUX_RATE_LIMITED 0x1002u

typedef struct kad__yamux_frame {
  uint8_t version;
  uint8_t type;
  uint16_t flags;
  uint32_t id;
  uint32_t length; /* of the body; else a credit, an opaque value or a code */
} kad__yamux_frame;

static inline kad__yamux_frame kad__yamux_frame_decode(
    const uint8_t in[KAD__YAMUX_HEADER_LEN]) {
  return (kad__yamux_frame){.version = in[0],
                            .type = in[1],
                            .flags = kad__load16(in + 2),
                            .id = kad__load32(in + 4),
                            .length = kad__load32(in + 8)};
}

static inline void kad__yamux_frame_encode(uint8_t out[KAD__YAMUX_HEADER_LEN],
                                           kad__yamux_type type, uint32_t flags,
                                           uint32_t id, uint32_t length) {
  out[0] = 0;
  out[1] = (uint8_t)type;
  kad__store16(out + 2, (uint16_t)flags);
  kad__store32(out + 4, id);
  kad__store32(out + 8, length);
}

#endif
