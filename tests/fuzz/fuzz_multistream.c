/* Both roles of multistream-select. The first byte is role and segmentation,
 * the rest is what the peer says. */
#include "base/bytes.h"
#include "connection/multistream.h"
#include "fuzz.h"

#define ANSWERS_MAX \
  (20 +             \
   (KAD__MULTISTREAM_PROPOSALS_MAX + 1) * (KAD__MULTISTREAM_MESSAGE_MAX + 2))

typedef struct outcome {
  int result;
  size_t taken;
  kad__multistream m;
  kad__buffer out;
} outcome;

static outcome negotiate(bool dialer, kad_bytes in, size_t piece) {
  static const kad_bytes list[] = {{(const uint8_t *)"/tls/1.0.0", 10},
                                   {(const uint8_t *)"/noise", 6},
                                   {(const uint8_t *)"/ipfs/kad/1.0.0", 15}};
  const kad__protocol_names names = {.names = list, .count = KAD__COUNT(list)};
  const kad_allocator *allocator = kad_allocator_default();
  outcome o = {0};
  kad__multistream_init(&o.m, dialer);
  if (dialer) {
    FUZZ_CHECK(kad__multistream_start(&o.m, &names, &o.out, allocator) == 0);
  }
  size_t given = 0;
  do {
    size_t left = in.len - given;
    given += left < piece ? left : piece;
    kad_bytes rest = kad__bytes(in.data + o.taken, given - o.taken);
    o.result = kad__multistream_read(&o.m, &names, &rest, &o.out, allocator);
    o.taken = given - rest.len;
    FUZZ_CHECK(o.result != 0 || rest.len < KAD__MULTISTREAM_MESSAGE_MAX + 2);
  } while (o.result == 0 && given < in.len);
  FUZZ_CHECK(kad__buffer_len(&o.out) <= ANSWERS_MAX);
  FUZZ_CHECK((o.result == 1) == o.m.done);
  FUZZ_CHECK(o.result != 1 || o.m.selected < KAD__COUNT(list));
  return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) {
    return 0;
  }
  bool dialer = (data[0] & 1) != 0;
  kad_bytes in = kad__bytes(data + 1, size - 1);
  outcome whole = negotiate(dialer, in, in.len + 1);
  outcome cut = negotiate(dialer, in, 1 + (size_t)(data[0] >> 1));
  FUZZ_CHECK(whole.result == cut.result);
  FUZZ_CHECK(whole.taken == cut.taken);
  FUZZ_CHECK(whole.m.selected == cut.m.selected);
  FUZZ_CHECK(kad__bytes_equal(kad__buffer_bytes(&whole.out),
                              kad__buffer_bytes(&cut.out)));
  kad__buffer_fini(&whole.out, kad_allocator_default());
  kad__buffer_fini(&cut.out, kad_allocator_default());
  return 0;
}
