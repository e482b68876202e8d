/* The error list as text. One X-macro makes the enum, the names and the texts,
 * so they cannot drift apart. */
#include "kadmium/error.h"

const char *kad_strerror(int error) {
  if (error >= 0) {
    return "success";
  }
  switch (error) {
#define KAD_ERROR_TEXT(name, number, text) \
  case number:                             \
    return text;
    KAD_ERROR_MAP(KAD_ERROR_TEXT)
#undef KAD_ERROR_TEXT
    default:
      return "unknown error";
  }
}

const char *kad_error_name(int error) {
  if (error >= 0) {
    return "OK";
  }
  switch (error) {
#define KAD_ERROR_NAME(name, number, text) \
  case number:                             \
    return #name;
    KAD_ERROR_MAP(KAD_ERROR_NAME)
#undef KAD_ERROR_NAME
    default:
      return "UNKNOWN";
  }
}
