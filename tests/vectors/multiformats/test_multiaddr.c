/* Addresses as go-multiaddr 0.16.1 reads and writes them. */
#include "kadmium/multiaddr.h"
#include "support.h"

typedef struct vector {
  const char *text;
  const char *bytes;
  const char *canonical; /* NULL: the text itself */
} vector;

static const vector vectors[] = {
    {.text = "/ip4/127.0.0.1/tcp/4001", .bytes = "047f000001060fa1"},
    {.text = "/ip4/255.255.255.255/udp/65535/quic-v1",
     .bytes = "04ffffffff9102ffffcd03"},
    {.text = "/ip4/0.0.0.0/tcp/0", .bytes = "0400000000060000"},
    {.text = "/ip6/::/tcp/0",
     .bytes = "2900000000000000000000000000000000060000"},
    {.text = "/ip6/::1/udp/4001/quic",
     .bytes = "290000000000000000000000000000000191020fa1cc03"},
    {.text = "/ip6/2001:db8::8:800:200c:417a/tcp/443/wss",
     .bytes = "2920010db80000000000080800200c417a0601bbde03"},
    {.text = "/ip6/2001:db8:0:0:1:0:0:1/tcp/1",
     .bytes = "2920010db8000000000001000000000001060001",
     .canonical = "/ip6/2001:db8::1:0:0:1/tcp/1"},
    {.text = "/ip6/1:0:0:2:0:0:0:3/tcp/1",
     .bytes = "2900010000000000020000000000000003060001",
     .canonical = "/ip6/1:0:0:2::3/tcp/1"},
    {.text = "/ip6/1:2:3:4:5:6:7:0/tcp/1",
     .bytes = "2900010002000300040005000600070000060001"},
    {.text = "/ip6/0:2:3:4:5:6:7:8/tcp/1",
     .bytes = "2900000002000300040005000600070008060001"},
    {.text = "/ip6/1:0:3:4:5:6:7:8/tcp/1",
     .bytes = "2900010000000300040005000600070008060001"},
    {.text = "/ip6/FE80::A/tcp/1",
     .bytes = "29fe80000000000000000000000000000a060001",
     .canonical = "/ip6/fe80::a/tcp/1"},
    {.text = "/ip6/::ffff:192.0.2.33/tcp/1",
     .bytes = "2900000000000000000000ffffc0000221060001"},
    {.text = "/ip6/64:ff9b::192.0.2.33/tcp/1",
     .bytes = "290064ff9b0000000000000000c0000221060001",
     .canonical = "/ip6/64:ff9b::c000:221/tcp/1"},
    {.text = "/ip6/1::/tcp/1",
     .bytes = "2900010000000000000000000000000000060001"},
    {.text = "/ip6zone/eth0/ip6/fe80::1/tcp/22",
     .bytes = "2a046574683029fe800000000000000000000000000001060016"},
    {.text = "/dns/example.org/tcp/443/tls/ws",
     .bytes = "350b6578616d706c652e6f72670601bbc003dd03"},
    {.text = "/dns4/example.org/tcp/443/tls/sni/example.com/ws",
     .bytes = "360b6578616d706c652e6f72670601bbc003c1030b6578616d706c652e63"
              "6f6ddd03"},
    {.text = "/dns6/example.org/tcp/80/ws",
     .bytes = "370b6578616d706c652e6f7267060050dd03"},
    {.text = "/dnsaddr/bootstrap.libp2p.io/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJy"
             "rVwtbZg5gBMjTezGAJN",
     .bytes = "3813626f6f7473747261702e6c69627032702e696fa50322122006b3608a"
              "a000274049eb28ad8e793a26ff6fab281a7d3bd77cd18eb745dfaabb"},
    {.text = "/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgU"
             "Gp92kxDBtefftEEaHSZS",
     .bytes = "04c0000207060fa1a503260024080112209e3b433cbd31c2b8a6ebbdca99"
              "8bd0f4c2141c9c9af5422e976051b1e63af14d"},
    {.text = "/ip4/192.0.2.7/tcp/4001/ipfs/12D3KooWLU2znyJMtDiHArqAGbZn8Cg"
             "UGp92kxDBtefftEEaHSZS",
     .bytes = "04c0000207060fa1a503260024080112209e3b433cbd31c2b8a6ebbdca99"
              "8bd0f4c2141c9c9af5422e976051b1e63af14d",
     .canonical = "/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgU"
                  "Gp92kxDBtefftEEaHSZS"},
    {.text = "/p2p/k51qzi5uqu5dk4kbd5bpmklj30q0q8n3091bncahugkx18e84p1od2r"
             "k25olsd",
     .bytes = "a503260024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9a"
              "f5422e976051b1e63af14d",
     .canonical = "/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS"},
    {.text = "/p2p/bafzaajaiaejcbhr3im6l2mocxctoxpoktgf5b5gccqojzgxviixjoy"
             "crwhtdv4kn/p2p-circuit",
     .bytes = "a503260024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9a"
              "f5422e976051b1e63af14da202",
     .canonical = "/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS/p2"
                  "p-circuit"},
    {.text = "/ip4/1.2.3.4/tcp/4001/p2p/QmQCU2EcMqAqQPR2i9bChDtGNJchTbq5Tb"
             "XJJ16u19uLTa/p2p-circuit/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8Cg"
             "UGp92kxDBtefftEEaHSZS",
     .bytes = "0401020304060fa1a5032212201b9ea49f92cf930bc24ac1183e78ed1358"
              "a1e29dc69031269c1fd7d53ff65fd1a202a503260024080112209e3b433c"
              "bd31c2b8a6ebbdca998bd0f4c2141c9c9af5422e976051b1e63af14d"},
    {.text = "/ip4/1.2.3.4/udp/4001/quic-v1/webtransport/certhash/uEiDlNsf"
             "4jXMfN03MtWiv9vVug4oZOC5IgDmxyorSWZ6C_g",
     .bytes = "040102030491020fa1cd03d103d203221220e536c7f88d731f374dccb568"
              "aff6f56e838a19382e488039b1ca8ad2599e82fe"},
    {.text = "/ip4/1.2.3.4/udp/4001/quic-v1/webtransport/certhash/b2uaraoc"
             "y6yrdblb4sfptaddgimjmmpy/certhash/zQmbWTwYGcmdyK9CYfNBcfs9nh"
             "Zs17a6FQ4Y8oea278xx41",
     .bytes = "040102030491020fa1cd03d103d20313d501103858f62230ac3c915f300c"
              "664312c63fd203221220c3ab8ff13720e8ad9047dd39466b3c8974e592c2"
              "fa383d4a3960714caef0c4f2",
     .canonical = "/ip4/1.2.3.4/udp/4001/quic-v1/webtransport/certhash/u1QEQOFj"
                  "2IjCsPJFfMAxmQxLGPw/certhash/uEiDDq4_xNyDorZBH3TlGazyJdOWSwv"
                  "o4PUo5YHFMrvDE8g"},
    {.text = "/ip4/1.2.3.4/udp/4001/webrtc-direct/certhash/uEiDlNsf4jXMfN0"
             "3MtWiv9vVug4oZOC5IgDmxyorSWZ6C_g",
     .bytes = "040102030491020fa19802d203221220e536c7f88d731f374dccb568aff6"
              "f56e838a19382e488039b1ca8ad2599e82fe"},
    {.text = "/ip4/1.2.3.4/tcp/4001/p2p-circuit/webrtc",
     .bytes = "0401020304060fa1a2029902"},
    {.text = "/ip4/1.2.3.4/tcp/443/https", .bytes = "04010203040601bbbb03"},
    {.text = "/ip4/1.2.3.4/tcp/443/tls/http",
     .bytes = "04010203040601bbc003e003"},
    {.text = "/ip4/1.2.3.4/tcp/4001/noise", .bytes = "0401020304060fa1c603"},
    {.text = "/memory/4", .bytes = "89060000000000000004"},
    {.text = "/memory/18446744073709551615", .bytes = "8906ffffffffffffffff"},
    {.text = "/ip4/1.2.3.4/sctp/1234", .bytes = "0401020304840104d2"},
    {.text = "/ip6/::1/dccp/4321",
     .bytes = "29000000000000000000000000000000012110e1"},
    {.text = "/ip4/1.2.3.4/utp/udp/1/udt",
     .bytes = "0401020304ae029102"
              "0001"
              "ad02"},
    {.text = "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpy"
             "yd:1234",
     .bytes = "bd03adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4"
              "cc139ed7e30304d2"},
    {.text = "/onion3/VWW6YBAL4BD7SZMGNCYRUUCPGFKQAHZDDI37KTCEO3AH7NGMCOPNPY"
             "YD:80/http",
     .bytes = "bd03adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4"
              "cc139ed7e3030050e003",
     .canonical = "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmc"
                  "opnpyyd:80/http"},
    {.text = "/unix/stdio", .bytes = "9003062f737464696f"},
    {.text = "/unix/a/b/c/d/",
     .bytes = "9003082f612f622f632f64",
     .canonical = "/unix/a/b/c/d"},
    {.text = "/ip4/1.2.3.4/tcp/80/unix/tcp//x",
     .bytes = "0401020304060050"
              "9003072f7463702f2f78"},
    {.text = "/unix/run/p2p/x", .bytes = "90030a2f72756e2f7032702f78"},
};

/* A path ends where a peer id ends the address; go-multiaddr, which would make
 * it part of the path, has no way to say who is there. */
static const vector of_peers[] = {
    {.text = "/unix/run/a/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEa"
             "HSZS",
     .bytes = "9003062f72756e2f61a503260024080112209e3b433cbd31c2b8a6ebbdca99"
              "8bd0f4c2141c9c9af5422e976051b1e63af14d"},
    {.text = "/unix/run/a/ipfs/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEE"
             "aHSZS/",
     .bytes = "9003062f72756e2f61a503260024080112209e3b433cbd31c2b8a6ebbdca99"
              "8bd0f4c2141c9c9af5422e976051b1e63af14d",
     .canonical = "/unix/run/a/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBteff"
                  "tEEaHSZS"},
};

static void parses(const vector *v) {
  uint8_t out[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(out, sizeof(out), v->text);
  assert_ok(len);
  assert_bytes_equal(kad__bytes(out, (size_t)len), test_hex(v->bytes));
}

static void formats(const vector *v) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  kad_bytes bytes = test_hex(v->bytes);
  assert_ok(kad_multiaddr_check(bytes));
  int len = kad_multiaddr_format(text, sizeof(text), bytes);
  assert_ok(len);
  assert_string_equal(text, v->canonical == NULL ? v->text : v->canonical);
  assert_int_equal(len, strlen(text));
}

static void go_addresses_parse_to_the_same_bytes(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(vectors); i++) {
    parses(&vectors[i]);
  }
}

static void go_addresses_format_to_the_same_text(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(vectors); i++) {
    formats(&vectors[i]);
  }
}

static void a_peer_id_ends_a_path(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(of_peers); i++) {
    parses(&of_peers[i]);
    formats(&of_peers[i]);
  }
}

/* What go-multiaddr's own tests refuse, of the protocols that are known here,
 * and what its fuzzers broke on. */
static const char *const refused[] = {
    "",
    "/",
    "//",
    "ip4/1.2.3.4",
    "/ip4",
    "/ip4/::1",
    "/ip4/fdpsofodsajfdoisa",
    "/ip4/1.2.3",
    "/ip4/1.2.3.4.5",
    "/ip4/256.2.3.4",
    "/ip4/01.2.3.4",
    "/ip6",
    "/ip6/",
    "/ip6/1.2.3.4",
    "/ip6/1::2::3",
    "/ip6/1:2:3:4:5:6:7",
    "/ip6/1:2:3:4:5:6:7:8:9",
    "/ip6/::1:2:3:4:5:6:7:8",
    "/ip6/1:2:3:4:5:6:7:",
    "/ip6/:1:2:3:4:5:6:7",
    "/ip6/12345::",
    "/ip6/g::",
    "/ip6/:::",
    "/ip6/1.2.3.4::",
    "/ip6/::1.2.3",
    "/ip6/1:2:3:4:5:6:7:1.2.3.4",
    "/ip6/fe80::1%eth0",
    "/ip6zone",
    "/ip6zone/",
    "/ip6zone//ip6/fe80::1",
    "/udp",
    "/tcp",
    "/udp/65536",
    "/tcp/65536",
    "/tcp/-1",
    "/tcp/+1",
    "/tcp/080",
    "/tcp/1x",
    "/tcp/99999999999999999999",
    "/quic/65536",
    "/ip4/127.0.0.1/udp/1234/quic-v1/webtransport/certhash",
    ("/ip4/127.0.0.1/udp/1234/quic-v1/webtransport/certhash/"
     "b2uaraocy6yrdblb4sfptaddgimjmmp"),
    "/ip4/127.0.0.1/ipfs",
    "/ip4/127.0.0.1/ipfs/tcp",
    "/ip4/127.0.0.1/p2p",
    "/ip4/127.0.0.1/p2p/tcp",
    "/p2p/QmxoHT6iViN5xAjoz1VZ553cL31U9F94ht3QvWR1FrEbZY",
    "/p2p/bafybeihfg3d7rdltd43u3tfvncx7n5loqofbsobojcadtmokrljfthuc7y",
    "/memory/92233720368547758081",
    "/memory/",
    "/dns4//tcp/1",
    "/unknown/x",
    "/ip4/1.2.3.4//tcp/1",
    "/ip4/1.2.3.4/tcp/1//",
    "/sctp",
    "/udp/1234/sctp",
    "/udp/1234/udt/1234",
    "/unix",
    "/unix/",
    "/unix//",
    "/unix/a//",
    "/unix/a\nb",
    "/ip4/1.2.3.4/tcp/80/unix",
    "/unix/p2p/12D3KooWLU2znyJMtDiHArqAGbZn8CgUGp92kxDBtefftEEaHSZS",
    "/onion3",
    "/onion3/9ww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:80",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd7:80",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:0",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:-1",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:65536",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd",
    "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyy@:666"};

/* What could not be written as text and read back. */
static const char *const refused_bytes[] = {
    "900300",   /* no path */
    "9003012f", /* nothing behind the slash */
    "900301"
    "61",           /* not from the root */
    "9003032f612f", /* a slash at the end */
    "9003032f6100", /* a NUL */
    "9003022f61"
    "060001", /* something behind it */
    "9003022f61"
    "9003022f61", /* another one */
    /* a path that ends in a peer id, and more behind a peer id */
    "90033b2f612f7032702f313244334b6f6f574c55327a6e794a4d7444694841727141476"
    "25a6e38436755477039326b784442746566667445456148535a53",
    "9003022f61a503260024080112209e3b433cbd31c2b8a6ebbdca998bd0f4c2141c9c9a"
    "f5422e976051b1e63af14d"
    "060001",
    "bd03adadec040be047f9658668b11a504f3155001f231a37f54c4476c07fb4cc139ed7"
    "e3030000", /* port 0 */
    "bd03adadec04"};

static void malformed_bytes_are_refused(void **state) {
  (void)state;
  for (size_t i = 0; i < KAD__COUNT(refused_bytes); i++) {
    int result = kad_multiaddr_check(test_hex(refused_bytes[i]));
    if (result != KAD_E_MULTIADDR) {
      fail_msg("%s: %d", refused_bytes[i], result);
    }
  }
}

static void malformed_text_is_refused(void **state) {
  (void)state;
  uint8_t out[KAD_MULTIADDR_MAX];
  for (size_t i = 0; i < KAD__COUNT(refused); i++) {
    int result = kad_multiaddr_parse(out, sizeof(out), refused[i]);
    if (result != KAD_E_MULTIADDR) {
      fail_msg("%s: %d", refused[i], result);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(go_addresses_parse_to_the_same_bytes),
      cmocka_unit_test(go_addresses_format_to_the_same_text),
      cmocka_unit_test(a_peer_id_ends_a_path),
      cmocka_unit_test(malformed_text_is_refused),
      cmocka_unit_test(malformed_bytes_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
