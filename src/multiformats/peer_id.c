/* A PeerId is bytes; that they name a key is the business of identity/. */
#include "kadmium/peer_id.h"

#include "base/bytes.h"
#include "kadmium/multiformats.h"

/* The longest key that is its own name, and the only digest of longer ones. */
#define IDENTITY_MAX 42
#define SHA2_256_LEN 32

static bool names_a_peer(const kad_multihash *hash) {
  switch (hash->code) {
    case KAD_MULTIHASH_IDENTITY:
      return hash->digest.len <= IDENTITY_MAX;
    case KAD_MULTIHASH_SHA2_256:
      return hash->digest.len == SHA2_256_LEN;
    default:
      return false;
  }
}

int kad_peer_id_decode(kad_peer_id *out, kad_bytes in) {
  kad_multihash hash;
  if (in.len > KAD_PEER_ID_MAX || kad_multihash_decode(&hash, in) < 0 ||
      !names_a_peer(&hash)) {
    return KAD_E_PEER_ID;
  }
  *out = (kad_peer_id){.len = (uint8_t)in.len};
  memcpy(out->bytes, in.data, in.len);
  return 0;
}

static int parse_base58(kad_peer_id *out, const char *text, size_t len) {
  uint8_t bytes[KAD_PEER_ID_MAX];
  int result = kad_base_decode(bytes, sizeof(bytes), KAD_BASE58BTC, text, len);
  if (result < 0) {
    return KAD_E_PEER_ID;
  }
  return kad_peer_id_decode(out, kad__bytes(bytes, (size_t)result));
}

static int parse_cid(kad_peer_id *out, const char *text) {
  uint8_t bytes[KAD_CID_MAX];
  kad_cid cid;
  if (kad_cid_parse(&cid, bytes, text) < 0 ||
      cid.codec != KAD_CODEC_LIBP2P_KEY) {
    return KAD_E_PEER_ID;
  }
  return kad_peer_id_decode(out, cid.multihash);
}

int kad_peer_id_parse(kad_peer_id *out, const char *text) {
  size_t len = strlen(text);
  if (len >= KAD_PEER_ID_TEXT_MAX) {
    return KAD_E_PEER_ID;
  }
  /* No multibase prefix is '1' or 'Q', so the two forms never meet. */
  bool bare = text[0] == '1' || (text[0] == 'Q' && text[1] == 'm');
  return bare ? parse_base58(out, text, len) : parse_cid(out, text);
}

int kad_peer_id_format(char *out, size_t cap, const kad_peer_id *id) {
  return kad_base_encode(out, cap, KAD_BASE58BTC, kad_peer_id_bytes(id));
}

int kad_peer_id_format_cid(char *out, size_t cap, const kad_peer_id *id) {
  kad_cid cid = {.version = 1,
                 .codec = KAD_CODEC_LIBP2P_KEY,
                 .multihash = kad_peer_id_bytes(id)};
  return kad_cid_format(out, cap, &cid, KAD_BASE36);
}

bool kad_peer_id_equal(const kad_peer_id *a, const kad_peer_id *b) {
  return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

int kad_peer_id_compare(const kad_peer_id *a, const kad_peer_id *b) {
  if (a->len != b->len) {
    return a->len < b->len ? -1 : 1;
  }
  return memcmp(a->bytes, b->bytes, a->len);
}

kad_bytes kad_peer_id_bytes(const kad_peer_id *id) {
  return kad__bytes(id->bytes, id->len);
}
