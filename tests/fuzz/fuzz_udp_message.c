/* What decodes obeys every bound, and is written back as the same bytes unless
 * a list was cut. */
#include "base/bytes.h"
#include "fuzz.h"
#include "gateway/udp_address.h"
#include "gateway/udp_message.h"

static void check_node(const kad__udp_node *node) {
  kad__udp_address address;
  kad__udp_address again;
  char text[KAD__UDP_TEXT_MAX];
  FUZZ_CHECK(kad__udp_utf8(node->address));
  if (kad__udp_address_parse(&address, node->address)) {
    size_t len = kad__udp_address_format(text, &address);
    FUZZ_CHECK(len < sizeof text);
    FUZZ_CHECK(kad__udp_address_parse(&again, kad__bytes(text, len)));
    FUZZ_CHECK(kad__bytes_equal(kad__udp_address_bytes(&address),
                                kad__udp_address_bytes(&again)));
    FUZZ_CHECK(kad__udp_address_load(&again, kad__udp_address_bytes(&address)));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static kad__udp_message m;
  static uint8_t out[KAD__UDP_DATAGRAM_MAX];
  if (kad__udp_message_decode(&m, kad__bytes(data, size)) != 0) {
    return 0;
  }
  FUZZ_CHECK(size <= KAD__UDP_DATAGRAM_MAX);
  FUZZ_CHECK(m.node_count <= KAD__UDP_NODES_MAX);
  if (m.type != KAD__UDP_KILL) {
    check_node(&m.request.sender);
  }
  for (size_t i = 0; i < m.node_count; i++) {
    check_node(&m.nodes[i]);
  }
  int len = kad__udp_message_encode(out, sizeof out, &m);
  FUZZ_CHECK(len > 0 && (size_t)len <= size);
  FUZZ_CHECK((size_t)len == kad__udp_message_len(&m));
  FUZZ_CHECK((size_t)len == size || m.node_count == KAD__UDP_NODES_MAX);
  if ((size_t)len == size) {
    FUZZ_CHECK(memcmp(out, data, size) == 0);
  }
  return 0;
}
