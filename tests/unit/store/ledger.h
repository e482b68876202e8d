/* An endless list of operations, each known by its number, and what a store has
 * after the first so many of them: so that whatever is found after a crash can
 * be said to be right or wrong. */
#ifndef KAD_TESTS_STORE_LEDGER_H
#define KAD_TESTS_STORE_LEDGER_H

#include "places.h"

#define LEDGER_KEYS 61

typedef struct ledger {
  uint32_t done;                   /* operations */
  uint32_t values[LEDGER_KEYS];    /* the operation that put it; 0: none */
  uint32_t providers[LEDGER_KEYS]; /* the same of one provider of each key */
} ledger;

/* Operation `n`, from 1: a value or a provider is put, or one is removed. */
int ledger_do(kad__store *s, uint32_t n);
/* Takes note of the next one. */
void ledger_note(ledger *l);
/* Whether the store has exactly what the ledger says. */
bool ledger_holds(const ledger *l, kad__store *s);
/* Fails the test unless the store has what some number of operations leaves, at
 * least `l->done` and at most `most`; takes note of those. */
void ledger_find(ledger *l, kad__store *s, uint32_t most);

#endif
