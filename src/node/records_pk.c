/* A "/pk/" record is right when it hashes to its own name; the hash is compared
 * first, so a wrong record costs one SHA-256 and no arithmetic on its key. */
#include "base/bytes.h"
#include "identity/digest.h"
#include "node/records.h"

#define PEER_ID_HEAD 2 /* code and length of the multihash */
#define CODE_SHA2_256 0x12

int kad__record_key_peer(kad_peer_id *out, const char *name_space,
                         kad_bytes key) {
  kad_bytes name = kad__bytes_of(name_space);
  if (key.len < name.len + 2 || key.data[0] != '/' ||
      !kad__bytes_start(kad__bytes_skip(key, 1), name) ||
      key.data[1 + name.len] != '/') {
    return KAD_E_RECORD;
  }
  kad_bytes id = kad__bytes_skip(key, name.len + 2);
  return kad_peer_id_decode(out, id) < 0 ? KAD_E_RECORD : 0;
}

bool kad__record_names_key(const kad_peer_id *id, kad_bytes public_key) {
  kad_bytes digest = kad__bytes_skip(kad_peer_id_bytes(id), PEER_ID_HEAD);
  if (id->bytes[0] != CODE_SHA2_256) {
    return kad__bytes_equal(digest, public_key);
  }
  uint8_t hash[32];
  kad__sha256(hash, public_key);
  return kad__bytes_equal(digest, kad__bytes(hash, sizeof(hash)));
}

static int validate(void *user, kad_bytes key, kad_bytes value,
                    uint64_t unix_ns) {
  kad_peer_id name;
  kad_peer_id proved;
  kad_public_key *public_key = NULL;
  (void)unix_ns;
  if (value.len > KAD_PUBLIC_KEY_MAX) {
    return KAD_E_RECORD_TOO_LARGE;
  }
  int result = kad__record_key_peer(&name, "pk", key);
  if (result < 0) {
    return result;
  }
  if (!kad__record_names_key(&name, value)) {
    return KAD_E_RECORD;
  }
  result = kad_public_key_decode(&public_key, user, value);
  if (result < 0) {
    return result == KAD_E_NO_MEMORY ? result : KAD_E_RECORD;
  }
  /* Bytes that hash to the name may still not be the canonical ones. */
  kad_public_key_peer_id(public_key, &proved);
  kad_public_key_free(public_key);
  return kad_peer_id_equal(&name, &proved) ? 0 : KAD_E_RECORD;
}

static int keep_old(void *user, kad_bytes key, kad_bytes old_value,
                    kad_bytes new_value) {
  (void)user;
  (void)key;
  (void)old_value;
  (void)new_value;
  return 0;
}

void kad__record_pk_validator(kad__validator *out,
                              const kad_allocator *allocator) {
  *out = (kad__validator){
      .name_space = kad__bytes_of("pk"),
      .user = (void *)(uintptr_t)allocator, /* read only */
      .validate = validate,
      .select = keep_old,
  };
}
