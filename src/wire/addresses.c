/* The list is protobuf already, so walking it is reading and appending to it is
 * writing one field. */
#include "wire/addresses.h"

#include "base/bytes.h"
#include "wire/protobuf.h"

#define ADDRESS_FIELD 2

bool kad__addresses_next(kad_bytes *rest, kad_bytes *address) {
  kad__pb_field field;
  while (kad__pb_next(rest, &field) == 1) {
    if (field.number == ADDRESS_FIELD && field.type == KAD__PB_BYTES) {
      *address = field.bytes;
      return true;
    }
  }
  *rest = kad__bytes(NULL, 0);
  return false;
}

size_t kad__addresses_count(kad_bytes list) {
  size_t count = 0;
  kad_bytes address;
  while (kad__addresses_next(&list, &address)) {
    count++;
  }
  return count;
}

bool kad__addresses_append(uint8_t *out, size_t cap, size_t *len,
                           kad_bytes address) {
  if (address.len > cap - *len ||
      kad__pb_bytes_len(ADDRESS_FIELD, address.len) > cap - *len) {
    return false;
  }
  kad__pb_writer writer;
  kad__pb_writer_init(&writer, out + *len, cap - *len);
  kad__pb_put_bytes(&writer, ADDRESS_FIELD, address);
  *len += (size_t)kad__pb_writer_finish(&writer);
  return true;
}

bool kad__addresses_have(kad_bytes list, kad_bytes address) {
  kad_bytes other;
  while (kad__addresses_next(&list, &other)) {
    if (kad__bytes_equal(other, address)) {
      return true;
    }
  }
  return false;
}
