/* What kad_multiaddr_check lets through has a text, and the text gives back
 * the same bytes. */
#include "base/bytes.h"
#include "fuzz.h"
#include "kadmium/multiaddr.h"

static void round_trip(kad_bytes address) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  uint8_t again[KAD_MULTIADDR_MAX];
  int text_len = kad_multiaddr_format(text, sizeof(text), address);
  FUZZ_CHECK(text_len > 0 && strlen(text) == (size_t)text_len);
  int len = kad_multiaddr_parse(again, sizeof(again), text);
  FUZZ_CHECK(len >= 0);
  FUZZ_CHECK(kad__bytes_equal(kad__bytes(again, (size_t)len), address));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  kad_bytes address = kad__bytes(data, size);
  kad_bytes rest = address;
  kad_multiaddr_part part;
  size_t parts = 0;
  int result = 0;
  bool path = false; /* the last part was one */
  bool behind = false;
  while ((result = kad_multiaddr_next(&rest, &part)) == 1) {
    parts++;
    behind |= path && (part.protocol != KAD_MULTIADDR_P2P || rest.len != 0);
    path = part.protocol == KAD_MULTIADDR_UNIX;
    kad_multiaddr_part found;
    kad_bytes prefix;
    FUZZ_CHECK(kad_multiaddr_find(address, part.protocol, &found, &prefix));
    FUZZ_CHECK(kad__bytes_start(address, prefix));
  }
  bool valid = result == 0 && parts > 0 && !behind &&
               parts <= KAD_MULTIADDR_PARTS_MAX && size <= KAD_MULTIADDR_MAX;
  FUZZ_CHECK(valid == (kad_multiaddr_check(address) == 0));
  if (valid && size < 4096) {
    round_trip(address);
  }
  return 0;
}
