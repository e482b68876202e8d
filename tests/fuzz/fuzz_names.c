/* Multihashes, CIDs and peer ids, as bytes and as text, and the bases that
 * they are written in. */
#include "base/bytes.h"
#include "fuzz.h"
#include "kadmium/multiformats.h"
#include "kadmium/peer_id.h"

static const kad_base bases[] = {KAD_BASE16, KAD_BASE32, KAD_BASE36,
                                 KAD_BASE58BTC, KAD_BASE64URL};

static void check_bases(kad_bytes in) {
  if (in.len > 600) {
    return;
  }
  for (size_t i = 0; i < KAD__COUNT(bases); i++) {
    char text[2048];
    uint8_t out[1024];
    int len = kad_multibase_encode(text, sizeof(text), bases[i], in);
    FUZZ_CHECK(len > 0);
    int again = kad_multibase_decode(out, sizeof(out), text, (size_t)len);
    FUZZ_CHECK(again >= 0);
    FUZZ_CHECK(kad__bytes_equal(kad__bytes(out, (size_t)again), in));
  }
}

static void check_peer_id(const kad_peer_id *id) {
  char text[KAD_PEER_ID_TEXT_MAX];
  kad_peer_id again;
  FUZZ_CHECK(kad_peer_id_format(text, sizeof(text), id) > 0);
  FUZZ_CHECK(kad_peer_id_parse(&again, text) == 0);
  FUZZ_CHECK(memcmp(&again, id, sizeof(again)) == 0);
  FUZZ_CHECK(kad_peer_id_format_cid(text, sizeof(text), id) > 0);
  FUZZ_CHECK(kad_peer_id_parse(&again, text) == 0);
  FUZZ_CHECK(kad_peer_id_equal(&again, id));
}

static void check_cid(const kad_cid *cid) {
  for (size_t i = 0; i < KAD__COUNT(bases); i++) {
    char text[512];
    uint8_t storage[KAD_CID_MAX];
    kad_cid again;
    FUZZ_CHECK(kad_cid_format(text, sizeof(text), cid, bases[i]) > 0);
    FUZZ_CHECK(kad_cid_parse(&again, storage, text) > 0);
    FUZZ_CHECK(again.version == cid->version && again.codec == cid->codec);
    FUZZ_CHECK(kad__bytes_equal(again.multihash, cid->multihash));
  }
}

static void check_text(const char *text) {
  kad_peer_id id;
  kad_cid cid;
  uint8_t storage[KAD_CID_MAX];
  if (kad_peer_id_parse(&id, text) == 0) {
    check_peer_id(&id);
  }
  if (kad_cid_parse(&cid, storage, text) >= 0) {
    check_cid(&cid);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  kad_bytes in = kad__bytes(data, size);
  kad_peer_id id;
  kad_cid cid;
  kad_multihash hash;
  check_bases(in);
  if (kad_peer_id_decode(&id, in) == 0) {
    FUZZ_CHECK(kad_multihash_decode(&hash, in) == 0);
    check_peer_id(&id);
  }
  if (kad_cid_decode(&cid, in) == 0) {
    check_cid(&cid);
  }
  char *text = malloc(size + 1);
  if (text != NULL) {
    memcpy(text, data, size);
    text[size] = '\0';
    check_text(text);
    free(text);
  }
  return 0;
}
