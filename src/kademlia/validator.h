/* Which records are accepted, by the namespace of their key: "/pk/...",
 * "/ipns/...". A network's rules are a table of these. */
#ifndef KAD_KADEMLIA_VALIDATOR_H
#define KAD_KADEMLIA_VALIDATOR_H

#include "kadmium/validator.h"

typedef kad_validator kad__validator;

typedef struct kad__validators {
  const kad__validator *list;
  size_t count;
  bool accept_others; /* keys outside every namespace of the list */
} kad__validators;

/* 0 when the record may be kept; KAD_E_RECORD_REJECTED when no validator is
 * responsible; else what the validator says. NULL accepts everything. */
int kad__validate(const kad__validators *v, kad_bytes key, kad_bytes value,
                  uint64_t unix_ns);
/* 1 when `new_value` should replace `old_value`. Equal bytes: 0. */
int kad__select(const kad__validators *v, kad_bytes key, kad_bytes old_value,
                kad_bytes new_value);
/* True when a selector orders the values of `key`: then the better of two
 * differing values is known, and others may be told of it. */
bool kad__selectable(const kad__validators *v, kad_bytes key);

#endif
