/* Vectors of the multibase specification (tests/basic.csv and the two with
 * leading zeros), of RFC 4648, and names of peers and content as the IPFS and
 * libp2p specifications give them. */
#include "kadmium/multiformats.h"
#include "kadmium/peer_id.h"
#include "support.h"

typedef struct base_vector {
  const char *hex;
  const char *text; /* with the multibase prefix */
} base_vector;

static const base_vector base_vectors[] = {
    {"796573206d616e692021", "f796573206d616e692021"},
    {"796573206d616e692021", "bpfsxgidnmfxgsibb"},
    {"796573206d616e692021", "k2lcpzo5yikidynfl"},
    {"796573206d616e692021", "z7paNL19xttacUY"},
    {"796573206d616e692021", "ueWVzIG1hbmkgIQ"},
    {"00796573206d616e692021", "f00796573206d616e692021"},
    {"00796573206d616e692021", "bab4wk4zanvqw42jaee"},
    {"00796573206d616e692021", "k02lcpzo5yikidynfl"},
    {"00796573206d616e692021", "z17paNL19xttacUY"},
    {"00796573206d616e692021", "uAHllcyBtYW5pICE"},
    {"0000796573206d616e692021", "f0000796573206d616e692021"},
    {"0000796573206d616e692021", "baaahszltebwwc3tjeaqq"},
    {"0000796573206d616e692021", "k002lcpzo5yikidynfl"},
    {"0000796573206d616e692021", "z117paNL19xttacUY"},
    {"0000796573206d616e692021", "uAAB5ZXMgbWFuaSAh"},
    {"", "f"},
    {"", "b"},
    {"", "k"},
    {"", "z"},
    {"", "u"},
    {"66", "bmy"},
    {"666f", "bmzxq"},
    {"666f6f", "bmzxw6"},
    {"666f6f62", "bmzxw6yq"},
    {"666f6f6261", "bmzxw6ytb"},
    {"666f6f626172", "bmzxw6ytboi"},
    {"66", "uZg"},
    {"666f", "uZm8"},
    {"666f6f", "uZm9v"},
    {"fbefff", "u--__"},
    {"0000", "z11"},
    {"00", "k0"},
    {"ffffffffff", "zVtB5VXc"},
};

static void bases(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(base_vectors); i++) {
    const base_vector *v = &base_vectors[i];
    char text[64];
    uint8_t bytes[64];
    kad_bytes expected = test_hex(v->hex);
    int len = kad_multibase_encode(text, sizeof(text), (kad_base)v->text[0],
                                   expected);
    assert_int_equal(len, strlen(v->text));
    assert_string_equal(text, v->text);
    len = kad_multibase_decode(bytes, sizeof(bytes), v->text, strlen(v->text));
    assert_ok(len);
    assert_bytes_equal(kad__bytes(bytes, (size_t)len), expected);
  }
}

static void upper_case_is_taken(void **state) {
  (void)state;
  static const char *const texts[] = {
      "f796573206D616E692021", "F796573206D616E692021", "bPFSXGIDNMFXGSIBB",
      "BPFSXGIDNMFXGSIBB",     "K2LCPZO5YIKIDYNFL",     "k2lcPZO5YIKIDYNFL"};
  for (size_t i = 0; i < KAD__COUNT(texts); i++) {
    uint8_t bytes[64];
    int len =
        kad_multibase_decode(bytes, sizeof(bytes), texts[i], strlen(texts[i]));
    assert_ok(len);
    assert_bytes_equal(kad__bytes(bytes, (size_t)len),
                       kad__bytes_of("yes mani !"));
  }
}

typedef struct peer_vector {
  const char *hex;
  const char *base58;
  const char *cid36; /* NULL: not known from elsewhere */
  const char *other_cid;
} peer_vector;

static const peer_vector peer_vectors[] = {
    {"0024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9af5422e9760"
     "51b1e63af14d",
     "12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS",
     "k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2rk25olsd",
     "bafzaajaiaejcbhr3im6l2mocxctoxpoktgf5b5gccqojzgxviixjoycrwhtdv4kn"},
    {"12201b9ea49f92cf930bc24ac1183e78ed1358a1e29dc69031269c1fd7d53ff65fd1",
     "QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5TbXJJ16u19uLTa", NULL,
     "bafzbeia3t2sj7ewpsmf4eswbda7hr3itlcq6fhogsaysnha727kt75s72e"},
    {"0024080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e"
     "42d474fce27e",
     "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq", NULL,
     "bafzaajaiaejcahwr5d5ofrfbis4l5d6uwr57hu5tjodrypfm6yaq6dsc2r2pzyt6"},
};

static void peer_ids(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(peer_vectors); i++) {
    const peer_vector *v = &peer_vectors[i];
    char text[KAD_PEER_ID_TEXT_MAX];
    kad_peer_id id, parsed;
    assert_ok(kad_peer_id_decode(&id, test_hex(v->hex)));
    assert_bytes_equal(kad_peer_id_bytes(&id), test_hex(v->hex));
    assert_int_equal(kad_peer_id_format(text, sizeof(text), &id),
                     strlen(v->base58));
    assert_string_equal(text, v->base58);
    assert_ok(kad_peer_id_parse(&parsed, v->base58));
    assert_memory_equal(&parsed, &id, sizeof(id));
    assert_ok(kad_peer_id_parse(&parsed, v->other_cid));
    assert_memory_equal(&parsed, &id, sizeof(id));
    assert_ok(kad_peer_id_format_cid(text, sizeof(text), &id));
    assert_true(v->cid36 == NULL || strcmp(text, v->cid36) == 0);
    assert_ok(kad_peer_id_parse(&parsed, text));
    assert_true(kad_peer_id_equal(&parsed, &id));
  }
}

typedef struct cid_vector {
  const char *text;
  kad_base base;
  uint64_t version;
  uint64_t codec;
} cid_vector;

/* One content under many names: the DHT's key is the same. */
static const char content[] =
    "1220e536c7f88d731f374dccb568aff6f56e838a19382e488039b1ca8ad2599e82fe";

static const cid_vector cid_vectors[] = {
    {"QmdmQXB2mzChmMeKY47C43LxUdg1NDJ5MWcKMKxDu7RgQm", KAD_BASE32, 0,
     KAD_CODEC_DAG_PB},
    {"bafybeihfg3d7rdltd43u3tfvncx7n5loqofbsobojcadtmokrljfthuc7y", KAD_BASE32,
     1, KAD_CODEC_DAG_PB},
    {"bafkreihfg3d7rdltd43u3tfvncx7n5loqofbsobojcadtmokrljfthuc7y", KAD_BASE32,
     1, KAD_CODEC_RAW},
    {"k2jmtxx2rwvj7zczj13v2mstzhdd5wc33hfws415j34xcs2nrhd7nu2m", KAD_BASE36, 1,
     KAD_CODEC_DAG_PB},
    {"zdj7Wkretc6dTgJe4xFGo4ovRBX6qsT5kiDDq1r28LtiYzaah", KAD_BASE58BTC, 1,
     KAD_CODEC_DAG_PB},
    {"f01701220e536c7f88d731f374dccb568aff6f56e838a19382e488039b1ca8ad2599e82"
     "fe",
     KAD_BASE16, 1, KAD_CODEC_DAG_PB},
};

static void cids(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(cid_vectors); i++) {
    const cid_vector *v = &cid_vectors[i];
    uint8_t storage[KAD_CID_MAX];
    kad_cid cid, decoded;
    int len = kad_cid_parse(&cid, storage, v->text);
    assert_ok(len);
    assert_int_equal(cid.version, v->version);
    assert_int_equal(cid.codec, v->codec);
    assert_bytes_equal(cid.multihash, test_hex(content));
    assert_ok(kad_cid_decode(&decoded, kad__bytes(storage, (size_t)len)));
    assert_bytes_equal(decoded.multihash, cid.multihash);
    char text[128];
    assert_int_equal(kad_cid_format(text, sizeof(text), &cid, v->base),
                     strlen(v->text));
    assert_string_equal(text, v->text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bases),
      cmocka_unit_test(upper_case_is_taken),
      cmocka_unit_test(peer_ids),
      cmocka_unit_test(cids),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
