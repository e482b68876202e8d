/* What parses is valid, and its canonical text is a fixed point. */
#include "base/bytes.h"
#include "fuzz.h"
#include "kadmium/multiaddr.h"

static void check_canonical(kad_bytes address) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  char text_again[KAD_MULTIADDR_TEXT_MAX];
  uint8_t again[KAD_MULTIADDR_MAX];
  FUZZ_CHECK(kad_multiaddr_check(address) == 0);
  FUZZ_CHECK(kad_multiaddr_format(text, sizeof(text), address) > 0);
  int len = kad_multiaddr_parse(again, sizeof(again), text);
  FUZZ_CHECK(len > 0);
  kad_bytes other = kad__bytes(again, (size_t)len);
  FUZZ_CHECK(kad__bytes_equal(other, address));
  FUZZ_CHECK(kad_multiaddr_format(text_again, sizeof(text_again), other) > 0);
  FUZZ_CHECK(strcmp(text, text_again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  if (text == NULL) {
    return 0;
  }
  memcpy(text, data, size);
  text[size] = '\0';
  uint8_t address[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(address, sizeof(address), text);
  if (len >= 0) {
    check_canonical(kad__bytes(address, (size_t)len));
  }
  free(text);
  return 0;
}
