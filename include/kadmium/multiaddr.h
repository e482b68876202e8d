/**
 * @file
 * Multiaddrs: self-describing network addresses, as text and as bytes.
 *
 *     /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW...
 *
 * The library passes addresses around as their binary form in a kad_bytes; an
 * address that came out of kad_multiaddr_parse or that kad_multiaddr_check
 * accepted is valid everywhere. Specification:
 * https://github.com/multiformats/multiaddr
 */
#ifndef KADMIUM_MULTIADDR_H
#define KADMIUM_MULTIADDR_H

#include "kadmium/error.h"
#include "kadmium/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The longest binary address that is accepted, in bytes. */
#define KAD_MULTIADDR_MAX 512
/** The most components of an address that is accepted. */
#define KAD_MULTIADDR_PARTS_MAX 32
/** Room for the text of any accepted address, NUL included. */
#define KAD_MULTIADDR_TEXT_MAX 2048

/* clang-format off */
/** X(NAME, code, text, kind of value) */
#define KAD_MULTIADDR_MAP(X)                    \
  X(IP4,           4,   "ip4",           IP4)   \
  X(TCP,           6,   "tcp",           PORT)  \
  X(DCCP,          33,  "dccp",          PORT)  \
  X(IP6,           41,  "ip6",           IP6)   \
  X(IP6ZONE,       42,  "ip6zone",       TEXT)  \
  X(DNS,           53,  "dns",           TEXT)  \
  X(DNS4,          54,  "dns4",          TEXT)  \
  X(DNS6,          55,  "dns6",          TEXT)  \
  X(DNSADDR,       56,  "dnsaddr",       TEXT)  \
  X(SCTP,          132, "sctp",          PORT)  \
  X(UDP,           273, "udp",           PORT)  \
  X(WEBRTC_DIRECT, 280, "webrtc-direct", NONE)  \
  X(WEBRTC,        281, "webrtc",        NONE)  \
  X(P2P_CIRCUIT,   290, "p2p-circuit",   NONE)  \
  X(UDT,           301, "udt",           NONE)  \
  X(UTP,           302, "utp",           NONE)  \
  X(UNIX,          400, "unix",          PATH)  \
  X(P2P,           421, "p2p",           PEER)  \
  X(HTTPS,         443, "https",         NONE)  \
  X(ONION3,        445, "onion3",        ONION) \
  X(TLS,           448, "tls",           NONE)  \
  X(SNI,           449, "sni",           TEXT)  \
  X(NOISE,         454, "noise",         NONE)  \
  X(QUIC,          460, "quic",          NONE)  \
  X(QUIC_V1,       461, "quic-v1",       NONE)  \
  X(WEBTRANSPORT,  465, "webtransport",  NONE)  \
  X(CERTHASH,      466, "certhash",      HASH)  \
  X(WS,            477, "ws",            NONE)  \
  X(WSS,           478, "wss",           NONE)  \
  X(HTTP,          480, "http",          NONE)  \
  X(MEMORY,        777, "memory",        NUMBER)
/* clang-format on */

typedef enum kad_multiaddr_protocol {
#define KAD_MULTIADDR_ENUM(name, code, text, kind) KAD_MULTIADDR_##name = code,
  KAD_MULTIADDR_MAP(KAD_MULTIADDR_ENUM)
#undef KAD_MULTIADDR_ENUM
} kad_multiaddr_protocol;

/** One component of an address; `value` borrows and is without its length. */
typedef struct kad_multiaddr_part {
  kad_multiaddr_protocol protocol;
  kad_bytes value; /**< ip4: 4 bytes; ports: 2, big-endian; text: no NUL;
                      unix: the path with its first slash */
} kad_multiaddr_part;

/**
 * Reads the text of an address into `out`. A trailing slash is allowed, "ipfs"
 * is taken for "p2p". Returns the length of the binary form. What follows
 * "/unix" is a path to its end, but for a last /p2p/ID.
 *
 * KAD_E_MULTIADDR: malformed, an unknown protocol, no component at all, or
 * more than KAD_MULTIADDR_PARTS_MAX.
 * KAD_E_BUFFER_TOO_SMALL: longer than `cap` or KAD_MULTIADDR_MAX.
 */
KAD_API int kad_multiaddr_parse(uint8_t *out, size_t cap, const char *text);

/**
 * Writes the canonical text of a valid address and a NUL; returns the text's
 * length. KAD_E_MULTIADDR, KAD_E_BUFFER_TOO_SMALL.
 */
KAD_API int kad_multiaddr_format(char *out, size_t cap, kad_bytes address);

/**
 * 0 when `address` is a whole, non-empty chain of at most
 * KAD_MULTIADDR_PARTS_MAX known components in at most KAD_MULTIADDR_MAX bytes;
 * KAD_E_MULTIADDR otherwise.
 *
 * A peer id must be one (kad_peer_id_decode), a certhash a multihash, and text
 * must be 1 to 253 bytes of UTF-8 without '/' and control characters. A path is
 * such text with slashes, the first byte being one and the last not; nothing
 * but a last /p2p may follow it.
 */
KAD_API int kad_multiaddr_check(kad_bytes address);

/**
 * Takes the first component off `*rest`. Returns 1; 0 at the end;
 * KAD_E_MULTIADDR, with `*rest` unchanged, when malformed.
 */
KAD_API int kad_multiaddr_next(kad_bytes *rest, kad_multiaddr_part *out);

/**
 * Finds the last component of `protocol`; true when there is one. `prefix`
 * (may be NULL) receives the address up to that component. What follows a
 * malformed component is not looked at; without a find, nothing is written.
 */
KAD_API bool kad_multiaddr_find(kad_bytes address,
                                kad_multiaddr_protocol protocol,
                                kad_multiaddr_part *out, kad_bytes *prefix);

#ifdef __cplusplus
}
#endif

#endif
