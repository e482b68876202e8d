/* A namespace is what stands between the first two slashes of a key; the list
 * is short, so it is searched from the front. */
#include "kademlia/validator.h"

#include "base/bytes.h"

static const kad__validator *responsible(const kad__validators *v,
                                         kad_bytes key) {
  if (key.len < 2 || key.data[0] != '/') {
    return NULL;
  }
  kad_bytes rest = kad__bytes_skip(key, 1);
  const uint8_t *slash = memchr(rest.data, '/', rest.len);
  if (slash == NULL) {
    return NULL;
  }
  kad_bytes name = kad__bytes(rest.data, (size_t)(slash - rest.data));
  for (size_t i = 0; i < v->count; i++) {
    if (kad__bytes_equal(v->list[i].name_space, name)) {
      return &v->list[i];
    }
  }
  return NULL;
}

int kad__validate(const kad__validators *v, kad_bytes key, kad_bytes value,
                  uint64_t unix_ns) {
  if (v == NULL) {
    return 0;
  }
  const kad__validator *validator = responsible(v, key);
  if (validator == NULL) {
    return v->accept_others ? 0 : KAD_E_RECORD_REJECTED;
  }
  if (validator->validate == NULL) {
    return 0;
  }
  return validator->validate(validator->user, key, value, unix_ns);
}

int kad__select(const kad__validators *v, kad_bytes key, kad_bytes old_value,
                kad_bytes new_value) {
  if (kad__bytes_equal(old_value, new_value)) {
    return 0;
  }
  const kad__validator *validator = v == NULL ? NULL : responsible(v, key);
  if (validator == NULL || validator->select == NULL) {
    return 1;
  }
  return validator->select(validator->user, key, old_value, new_value);
}

bool kad__selectable(const kad__validators *v, kad_bytes key) {
  const kad__validator *validator = v == NULL ? NULL : responsible(v, key);
  return validator != NULL && validator->select != NULL;
}
