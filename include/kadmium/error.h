/**
 * @file
 * Every way in which a call can fail, as one list.
 *
 * Functions return 0 or a count on success and one of these negative numbers
 * otherwise. The numbers are part of the ABI: new ones are added at the end.
 */
#ifndef KADMIUM_ERROR_H
#define KADMIUM_ERROR_H

#include "kadmium/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
/** X(NAME, number, text): KAD_E_NAME is the number; the text says what happened. */
#define KAD_ERROR_MAP(X)                                                       \
  X(NO_MEMORY,            -1, "out of memory")                                 \
  X(INVALID_ARGUMENT,     -2, "invalid argument")                              \
  X(BUFFER_TOO_SMALL,     -3, "the buffer is too small")                       \
  X(LIMIT,                -4, "a resource limit is reached")                   \
  X(STATE,                -5, "not possible in this state")                    \
  X(NOT_FOUND,            -6, "not found")                                     \
  X(TIMEOUT,              -7, "timed out")                                     \
  X(CANCELLED,            -8, "cancelled")                                     \
  X(CLOSED,               -9, "closed")                                        \
  X(UNSUPPORTED,         -10, "not supported")                                 \
  X(IO,                  -11, "input or output failed")                        \
  X(TRUNCATED,           -12, "the input ends too early")                      \
  X(VARINT,              -13, "malformed variable-length integer")             \
  X(MULTIBASE,           -14, "malformed multibase text")                      \
  X(MULTIHASH,           -15, "malformed multihash")                           \
  X(CID,                 -16, "malformed CID")                                 \
  X(MULTIADDR,           -17, "malformed multiaddr")                           \
  X(PEER_ID,             -18, "malformed peer id")                             \
  X(PROTOBUF,            -19, "malformed protobuf")                            \
  X(MESSAGE,             -20, "a message breaks its protocol")                 \
  X(MESSAGE_TOO_LARGE,   -21, "a message is larger than allowed")              \
  X(KEY,                 -22, "malformed key")                                 \
  X(KEY_TYPE,            -23, "unknown or unusable key type")                  \
  X(KEY_SIZE,            -24, "key size not allowed")                          \
  X(SIGNATURE,           -25, "a signature does not verify")                   \
  X(CRYPTO,              -26, "a cryptographic operation failed")              \
  X(PEER_MISMATCH,       -27, "the peer proved another identity")              \
  X(SELF,                -28, "the peer is this node")                         \
  X(MULTISTREAM,         -29, "multistream-select negotiation is malformed")   \
  X(NO_PROTOCOL,         -30, "no protocol in common")                         \
  X(NOISE,               -31, "Noise handshake or frame is malformed")         \
  X(DECRYPT,             -32, "a frame does not decrypt")                      \
  X(YAMUX,               -33, "yamux session broke its protocol")              \
  X(STREAM_RESET,        -34, "stream was reset")                              \
  X(GO_AWAY,             -35, "the peer ended the session")                    \
  X(NO_ADDRESS,          -36, "no usable address")                             \
  X(DIAL,                -37, "all dials failed")                              \
  X(BACKOFF,             -38, "dial is backed off")                            \
  X(REFUSED,             -39, "connection refused")                            \
  X(UNREACHABLE,         -40, "network or host unreachable")                   \
  X(RESOLVE,             -41, "name does not resolve")                         \
  X(NO_PEERS,            -42, "no known peers")                                \
  X(QUORUM,              -43, "quorum not reached")                            \
  X(RECORD,              -44, "invalid record")                                \
  X(RECORD_REJECTED,     -45, "no validator accepts this key")                 \
  X(RECORD_OLD,          -46, "a better record is already known")              \
  X(RECORD_TOO_LARGE,    -47, "record is too large")                           \
  X(STORE_FULL,          -48, "store is full")                                 \
  X(KEY_FILE,            -49, "key file is not usable")                        \
  X(KEY_FILE_MODE,       -50, "key file is accessible by others")              \
  X(ADDRESS_IN_USE,      -51, "address already in use")                        \
  X(PERMISSION,          -52, "permission denied")                             \
  X(WORLD,               -53, "the operating system refused")                  \
  X(STORE_CORRUPT,       -54, "the file is no store, or it is damaged")        \
  X(STORE_VERSION,       -55, "the store was written by a newer version")      \
  X(RECORD_EXPIRED,      -56, "record has expired")                            \
  X(TLS,                 -57, "TLS handshake or record is malformed")          \
  X(CERTIFICATE,         -58, "certificate is malformed")                      \
  X(CERTIFICATE_TIME,    -59, "certificate is not valid now")                  \
  X(CERTIFICATE_SIGNATURE, -60, "certificate is not signed by itself")         \
  X(CERTIFICATE_EXTENSION, -61, "certificate has not the extensions it must")     \
  X(AGAIN,               -62, "nothing can be done now: later")                \
  X(GATED,               -63, "the gater refused it")                          \
  X(NETWORK_KEY,         -64, "the network key is not the peer's")            \
  X(BLACK_HOLE,          -65, "dials of this kind have long been in vain")
/* clang-format on */

typedef enum kad_error {
  KAD_OK = 0,
#define KAD_ERROR_ENUM(name, number, text) KAD_E_##name = number,
  KAD_ERROR_MAP(KAD_ERROR_ENUM)
#undef KAD_ERROR_ENUM
} kad_error;

/**
 * The text of an error: static, never NULL, never allocated.
 * Unknown numbers give "unknown error"; 0 and counts give "success".
 */
KAD_API const char *kad_strerror(int error);

/** The name of an error without its prefix ("NO_MEMORY"), as shown in JSON. */
KAD_API const char *kad_error_name(int error);

#ifdef __cplusplus
}
#endif

#endif
