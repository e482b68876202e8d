/**
 * @file
 * Which records a network takes, by the namespace of their key.
 *
 * The first part of a key's path, "/pk/...", "/ipns/...", chooses the
 * validator. It is asked before a record is stored and when one is fetched; of
 * several valid records its selector chooses the best.
 */
#ifndef KADMIUM_VALIDATOR_H
#define KADMIUM_VALIDATOR_H

#include "kadmium/error.h"
#include "kadmium/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The rules of one namespace. The functions must be pure: the same arguments
 * give the same answer, and nothing is kept. They run on the thread that drives
 * the node and may not call into it. `unix_ns` is the wall clock in nanoseconds
 * since 1970, 0 when it is unknown.
 */
typedef struct kad_validator {
  kad_bytes name_space; /**< without slashes: "pk" */
  void *user;           /**< is handed to both functions */
  /** 0, or KAD_E_RECORD, KAD_E_SIGNATURE, KAD_E_RECORD_TOO_LARGE. NULL accepts
   * every value. */
  int (*validate)(void *user, kad_bytes key, kad_bytes value, uint64_t unix_ns);
  /** The index of the better of two valid values: 0 or 1; on a tie 0. NULL
   * prefers the newer one, 1. */
  int (*select)(void *user, kad_bytes key, kad_bytes old_value,
                kad_bytes new_value);
} kad_validator;

#ifdef __cplusplus
}
#endif

#endif
