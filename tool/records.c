/* Records come from strangers: their text is shown without what could command
 * a terminal. */
#include "records.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "output.h"

#define IPNS_PREFIX "/ipns/"
#define PK_PREFIX "/pk/"
#define TIME_TEXT_MAX 32

uint64_t tool_unix_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * KAD_SECOND + (uint64_t)now.tv_nsec;
}

static bool read_name(kad_peer_id *out, kad_bytes key, const char *prefix) {
  size_t len = strlen(prefix);
  if (key.len < len || memcmp(key.data, prefix, len) != 0) {
    return false;
  }
  kad_bytes id = {key.data + len, key.len - len};
  return kad_peer_id_decode(out, id) == 0;
}

bool tool_record_readable(kad_bytes key) {
  kad_peer_id name;
  return read_name(&name, key, IPNS_PREFIX) || read_name(&name, key, PK_PREFIX);
}

static int read_public_key(tool_record *out, kad_bytes value) {
  kad_public_key *key = NULL;
  kad_peer_id named;
  int error = kad_public_key_decode(&key, kad_allocator_default(), value);
  if (error < 0) {
    return error;
  }
  out->key_type = kad_public_key_type(key);
  kad_public_key_peer_id(key, &named);
  kad_public_key_free(key);
  return kad_peer_id_equal(&named, &out->name) ? 0 : KAD_E_RECORD;
}

int tool_record_read(tool_record *out, kad_bytes key, kad_bytes value) {
  *out = (tool_record){.is_ipns = false};
  if (read_name(&out->name, key, PK_PREFIX)) {
    return read_public_key(out, value);
  }
  if (!read_name(&out->name, key, IPNS_PREFIX)) {
    return KAD_E_UNSUPPORTED;
  }
  out->is_ipns = true;
  return kad_ipns_check(&out->ipns, NULL, &out->name, value, tool_unix_ns());
}

static const char *key_type_name(kad_key_type type) {
  switch (type) {
    case KAD_KEY_RSA:
      return "rsa";
    case KAD_KEY_ED25519:
      return "ed25519";
    case KAD_KEY_SECP256K1:
      return "secp256k1";
    case KAD_KEY_ECDSA:
      return "ecdsa";
    default:
      return "unknown";
  }
}

static const char *name_text(char out[KAD_PEER_ID_TEXT_MAX],
                             const kad_peer_id *name) {
  if (kad_peer_id_format_cid(out, KAD_PEER_ID_TEXT_MAX, name) < 0) {
    out[0] = '\0';
  }
  return out;
}

static const char *time_text(char out[TIME_TEXT_MAX], uint64_t unix_ns) {
  time_t seconds = (time_t)(unix_ns / KAD_SECOND);
  struct tm tm;
  if (gmtime_r(&seconds, &tm) == NULL ||
      strftime(out, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
    out[0] = '\0';
  }
  return out;
}

static void print_text(kad_bytes text) {
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = text.data[i];
    if (c < ' ' || c == 0x7f || c == '\\') {
      printf("\\x%02x", (unsigned)c);
    } else {
      putchar(c);
    }
  }
  putchar('\n');
}

void tool_record_print(const tool_record *record) {
  char text[KAD_PEER_ID_TEXT_MAX];
  char until[TIME_TEXT_MAX];
  if (!record->is_ipns) {
    printf("peer         %s\n", tool_peer_text(text, &record->name));
    printf("key type     %s\n", key_type_name(record->key_type));
    return;
  }
  printf("name         /ipns/%s\n", name_text(text, &record->name));
  printf("value        ");
  print_text(record->ipns.value);
  printf("sequence     %llu\n", (unsigned long long)record->ipns.sequence);
  printf("valid until  %s\n", time_text(until, record->ipns.valid_until));
  printf("may be kept  %llu s\n",
         (unsigned long long)(record->ipns.ttl / KAD_SECOND));
}

/* JSON's integers end at 2^63 here; what is beyond them is text. */
static json_t *number_json(uint64_t number) {
  return number <= INT64_MAX ? json_integer((json_int_t)number)
                             : json_sprintf("%llu", (unsigned long long)number);
}

static json_t *text_json(kad_bytes text) {
  json_t *string = json_stringn((const char *)text.data, text.len);
  return string == NULL ? json_null() : string;
}

json_t *tool_record_json(const tool_record *record) {
  char text[KAD_PEER_ID_TEXT_MAX];
  char until[TIME_TEXT_MAX];
  if (!record->is_ipns) {
    return json_pack("{s:s, s:s, s:s}", "namespace", "pk", "id",
                     tool_peer_text(text, &record->name), "key_type",
                     key_type_name(record->key_type));
  }
  return json_pack("{s:s, s:s, s:o, s:o, s:s, s:o}", "namespace", "ipns",
                   "name", name_text(text, &record->name), "path",
                   text_json(record->ipns.value), "sequence",
                   number_json(record->ipns.sequence), "valid_until",
                   time_text(until, record->ipns.valid_until), "ttl_s",
                   number_json(record->ipns.ttl / KAD_SECOND));
}
