#include "ledger.h"

#define VALUE_MAX 3000

typedef enum action { PUT, PROVIDE, REMOVE, WITHDRAW } action;

static action action_of(uint32_t n) {
  static const action actions[] = {PUT, PUT,     PROVIDE, PUT,
                                   PUT, PROVIDE, REMOVE,  WITHDRAW};
  return actions[n % KAD__COUNT(actions)];
}

static uint32_t key_of(uint32_t n) {
  return (n * UINT32_C(2654435761) >> 16) % LEDGER_KEYS;
}

static kad_bytes key_bytes(uint32_t key) {
  static char name[16];
  (void)snprintf(name, sizeof name, "key %u", (unsigned)key);
  return kad__bytes_of(name);
}

/* What operation `n` writes: of a length and of bytes that are its own. */
static kad_bytes content_of(uint32_t n) {
  static uint8_t bytes[VALUE_MAX];
  size_t len = 4 + (size_t)n * 7919 % (VALUE_MAX - 4);
  for (size_t i = 0; i < len; i++) {
    bytes[i] = (uint8_t)(n >> i % 4 * 8);
  }
  return kad__bytes(bytes, len);
}

int ledger_do(kad__store *s, uint32_t n) {
  kad__record r = {.key = key_bytes(key_of(n)),
                   .value = content_of(n),
                   .expires = PLACE_NOW + KAD_HOUR,
                   .source = n % 3 == 0 ? text("") : text("peer"),
                   .group = n % 5};
  kad__provider p = {.key = r.key,
                     .provider = text("provider"),
                     .addresses = kad__bytes(r.value.data, r.value.len % 300),
                     .expires = r.expires};
  switch (action_of(n)) {
    case PUT:
      return s->ops->put(s, &r, n % 3 == 0);
    case PROVIDE:
      return s->ops->add_provider(s, &p, false);
    case REMOVE:
      s->ops->remove(s, r.key);
      return 0;
    default:
      s->ops->remove_provider(s, r.key, p.provider);
      return 0;
  }
}

void ledger_note(ledger *l) {
  uint32_t n = ++l->done;
  switch (action_of(n)) {
    case PUT:
      l->values[key_of(n)] = n;
      break;
    case PROVIDE:
      l->providers[key_of(n)] = n;
      break;
    case REMOVE:
      l->values[key_of(n)] = 0;
      break;
    default:
      l->providers[key_of(n)] = 0;
  }
}

bool ledger_holds(const ledger *l, kad__store *s) {
  for (uint32_t key = 0; key < LEDGER_KEYS; key++) {
    kad__record r;
    kad__provider p;
    bool value = s->ops->get(s, &r, key_bytes(key));
    if (value != (l->values[key] != 0) ||
        (value && !kad__bytes_equal(r.value, content_of(l->values[key])))) {
      return false;
    }
    bool provider = s->ops->providers(s, &p, 1, key_bytes(key)) == 1;
    kad_bytes addresses = content_of(l->providers[key]);
    addresses.len %= 300;
    if (provider != (l->providers[key] != 0) ||
        (provider && !kad__bytes_equal(p.addresses, addresses))) {
      return false;
    }
  }
  return true;
}

void ledger_find(ledger *l, kad__store *s, uint32_t most) {
  while (!ledger_holds(l, s)) {
    if (l->done >= most) {
      fail_msg("not what any number of operations up to %u leaves",
               (unsigned)most);
    }
    ledger_note(l);
  }
}
