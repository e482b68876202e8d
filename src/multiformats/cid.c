/* Multihashes and CIDs: prefixes of varints in front of a digest. What is read
 * must fill its input, so that equal things have equal bytes. */
#include "base/bytes.h"
#include "kadmium/multiformats.h"
#include "multiformats/varint.h"

#define DIGEST_MAX 128
#define SHA2_256_LEN 32
/* The length of "Qm..." */
#define V0_TEXT_LEN 46

int kad_multihash_decode(kad_multihash *out, kad_bytes in) {
  uint64_t code = 0;
  uint64_t len = 0;
  if (!kad__varint_take(&in, &code) || !kad__varint_take(&in, &len) ||
      len > DIGEST_MAX || len != in.len) {
    return KAD_E_MULTIHASH;
  }
  *out = (kad_multihash){.code = code, .digest = in};
  return 0;
}

static bool is_version_0(kad_bytes in) {
  return in.len == 2 + SHA2_256_LEN && in.data[0] == KAD_MULTIHASH_SHA2_256 &&
         in.data[1] == SHA2_256_LEN;
}

int kad_cid_decode(kad_cid *out, kad_bytes in) {
  if (is_version_0(in)) {
    *out = (kad_cid){.codec = KAD_CODEC_DAG_PB, .multihash = in};
    return 0;
  }
  kad_cid cid = {0};
  kad_multihash hash;
  if (!kad__varint_take(&in, &cid.version) || cid.version != 1 ||
      !kad__varint_take(&in, &cid.codec) ||
      kad_multihash_decode(&hash, in) < 0) {
    return KAD_E_CID;
  }
  cid.multihash = in;
  *out = cid;
  return 0;
}

int kad_cid_parse(kad_cid *out, uint8_t storage[KAD_CID_MAX],
                  const char *text) {
  size_t text_len = strlen(text);
  bool bare = text_len == V0_TEXT_LEN && text[0] == 'Q' && text[1] == 'm';
  int len = bare ? kad_base_decode(storage, KAD_CID_MAX, KAD_BASE58BTC, text,
                                   text_len)
                 : kad_multibase_decode(storage, KAD_CID_MAX, text, text_len);
  if (len < 0) {
    return KAD_E_CID;
  }
  kad_cid cid;
  int result = kad_cid_decode(&cid, kad__bytes(storage, (size_t)len));
  /* Version 0 has one text, without multibase. */
  if (result < 0 || bare != (cid.version == 0)) {
    return KAD_E_CID;
  }
  *out = cid;
  return len;
}

int kad_cid_format(char *out, size_t cap, const kad_cid *cid, kad_base base) {
  if (cid->version == 0) {
    return is_version_0(cid->multihash)
               ? kad_base_encode(out, cap, KAD_BASE58BTC, cid->multihash)
               : KAD_E_CID;
  }
  uint8_t bytes[KAD_CID_MAX];
  size_t prefix_max = 2 * KAD__VARINT_MAX_LEN;
  if (cid->version != 1 || cid->codec >> 63 != 0 ||
      cid->multihash.len > sizeof(bytes) - prefix_max) {
    return KAD_E_CID;
  }
  size_t len = kad__varint_encode(bytes, cid->version);
  len += kad__varint_encode(bytes + len, cid->codec);
  memcpy(bytes + len, cid->multihash.data, cid->multihash.len);
  return kad_multibase_encode(out, cap, base,
                              kad__bytes(bytes, len + cid->multihash.len));
}
