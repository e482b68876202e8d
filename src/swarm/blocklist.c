/* Two sorted arrays: a search by halves for a peer, and one for each length of
 * prefix that occurs for an address. Lists change rarely, so that insertion may
 * move what is behind. */
#include "kadmium/gater.h"
#include "swarm/swarm_internal.h"

/* IPv4 stands in ::ffff:0:0/96, as IPv6 has it. */
#define IP_LEN 16
#define IP4_BITS 96
#define BITS_MAX 128
/* "subnet ", an IPv6 address, "/128", a newline; or "peer ", an id. */
#define LINE_MAX_LEN (KAD_PEER_ID_TEXT_MAX + 16)

static const uint8_t mapped[IP4_BITS / 8] = {[10] = 0xff, [11] = 0xff};

typedef struct subnet {
  uint8_t bits;
  uint8_t ip[IP_LEN]; /* zero behind the prefix */
} subnet;

struct kad_blocklist {
  kad_allocator allocator;
  kad_peer_id *peers;
  size_t peer_count;
  subnet *subnets; /* by length, then address */
  size_t subnet_count;
  size_t with_bits[BITS_MAX + 1]; /* how many there are of each length */
};

int kad_blocklist_new(kad_blocklist **out, const kad_allocator *allocator) {
  if (allocator == NULL) {
    allocator = kad_allocator_default();
  }
  kad_blocklist *list = kad__calloc(allocator, 1, sizeof(*list));
  if (list == NULL) {
    return KAD_E_NO_MEMORY;
  }
  list->allocator = *allocator;
  *out = list;
  return 0;
}

void kad_blocklist_free(kad_blocklist *list) {
  if (list == NULL) {
    return;
  }
  kad_allocator allocator = list->allocator;
  kad__release(&allocator, list->peers);
  kad__release(&allocator, list->subnets);
  kad__release(&allocator, list);
}

size_t kad_blocklist_count(const kad_blocklist *list) {
  return list->peer_count + list->subnet_count;
}

/* ---- peers --------------------------------------------------------------- */

/* Where the peer is, or belongs. */
static size_t peer_place(const kad_blocklist *list, const kad_peer_id *peer) {
  size_t low = 0;
  size_t high = list->peer_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (kad_peer_id_compare(&list->peers[middle], peer) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static bool peer_at(const kad_blocklist *list, size_t at,
                    const kad_peer_id *peer) {
  return at < list->peer_count && kad_peer_id_equal(&list->peers[at], peer);
}

bool kad_blocklist_has_peer(const kad_blocklist *list,
                            const kad_peer_id *peer) {
  return peer_at(list, peer_place(list, peer), peer);
}

int kad_blocklist_add_peer(kad_blocklist *list, const kad_peer_id *peer) {
  size_t at = peer_place(list, peer);
  if (peer_at(list, at, peer)) {
    return 0;
  }
  kad_peer_id *peers = kad__resize_array(
      &list->allocator, list->peers, list->peer_count + 1, sizeof(peers[0]));
  if (peers == NULL) {
    return KAD_E_NO_MEMORY;
  }
  memmove(&peers[at + 1], &peers[at],
          (list->peer_count - at) * sizeof(peers[0]));
  peers[at] = *peer;
  list->peers = peers;
  list->peer_count++;
  return 0;
}

bool kad_blocklist_remove_peer(kad_blocklist *list, const kad_peer_id *peer) {
  size_t at = peer_place(list, peer);
  if (!peer_at(list, at, peer)) {
    return false;
  }
  size_t behind = --list->peer_count - at;
  memmove(&list->peers[at], &list->peers[at + 1],
          behind * sizeof(list->peers[0]));
  return true;
}

/* ---- subnets ------------------------------------------------------------- */

static void cut_to(subnet *s, uint8_t bits) {
  s->bits = bits;
  for (size_t i = 0; i < IP_LEN; i++) {
    size_t kept = bits > 8 * i ? bits - 8 * i : 0;
    if (kept < 8) {
      s->ip[i] &= (uint8_t)(0xff00u >> kept);
    }
  }
}

/* A whole address; false when `ip` is none. */
static bool of_ip(subnet *out, kad_bytes ip) {
  if (ip.len != 4 && ip.len != IP_LEN) {
    return false;
  }
  memcpy(out->ip, mapped, sizeof(mapped));
  memcpy(out->ip + (IP_LEN - ip.len), ip.data, ip.len);
  out->bits = BITS_MAX;
  return true;
}

/* The digits of a prefix length; -1: malformed. */
static int read_bits(const char *text, size_t len, int max) {
  int bits = 0;
  if (len == 0 || len > 3) {
    return -1;
  }
  for (size_t i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9') {
      return -1;
    }
    bits = 10 * bits + (text[i] - '0');
  }
  return bits <= max ? bits : -1;
}

/* An address as a multiaddr has it, which brings the parser. */
static bool read_ip(subnet *out, const char *text, size_t len, bool six) {
  char address[64];
  uint8_t binary[KAD_MULTIADDR_MAX];
  kad_multiaddr_part part;
  size_t prefix = 5;
  if (len == 0 || len > sizeof(address) - prefix - 1 ||
      memchr(text, '/', len) != NULL) {
    return false;
  }
  memcpy(address, six ? "/ip6/" : "/ip4/", prefix);
  memcpy(address + prefix, text, len);
  address[prefix + len] = '\0';
  int binary_len = kad_multiaddr_parse(binary, sizeof(binary), address);
  if (binary_len < 0) {
    return false;
  }
  kad_bytes rest = kad__bytes(binary, (size_t)binary_len);
  return kad_multiaddr_next(&rest, &part) == 1 && rest.len == 0 &&
         of_ip(out, part.value);
}

static bool read_subnet(subnet *out, const char *text, size_t len) {
  const char *slash = memchr(text, '/', len);
  size_t ip_len = slash == NULL ? len : (size_t)(slash - text);
  bool six = memchr(text, ':', ip_len) != NULL;
  int all = six ? BITS_MAX : BITS_MAX - IP4_BITS;
  int bits = slash == NULL ? all : read_bits(slash + 1, len - ip_len - 1, all);
  if (bits < 0 || !read_ip(out, text, ip_len, six)) {
    return false;
  }
  cut_to(out, (uint8_t)(six ? bits : bits + IP4_BITS));
  return true;
}

static int compare_subnets(const subnet *a, const subnet *b) {
  if (a->bits != b->bits) {
    return a->bits < b->bits ? -1 : 1;
  }
  return memcmp(a->ip, b->ip, IP_LEN);
}

static size_t subnet_place(const kad_blocklist *list, const subnet *s) {
  size_t low = 0;
  size_t high = list->subnet_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (compare_subnets(&list->subnets[middle], s) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static bool subnet_at(const kad_blocklist *list, size_t at, const subnet *s) {
  return at < list->subnet_count && compare_subnets(&list->subnets[at], s) == 0;
}

static int add_subnet(kad_blocklist *list, const subnet *s) {
  size_t at = subnet_place(list, s);
  if (subnet_at(list, at, s)) {
    return 0;
  }
  subnet *subnets =
      kad__resize_array(&list->allocator, list->subnets, list->subnet_count + 1,
                        sizeof(subnets[0]));
  if (subnets == NULL) {
    return KAD_E_NO_MEMORY;
  }
  memmove(&subnets[at + 1], &subnets[at],
          (list->subnet_count - at) * sizeof(subnets[0]));
  subnets[at] = *s;
  list->subnets = subnets;
  list->subnet_count++;
  list->with_bits[s->bits]++;
  return 0;
}

int kad_blocklist_add_subnet(kad_blocklist *list, const char *text) {
  subnet s;
  return read_subnet(&s, text, strlen(text)) ? add_subnet(list, &s)
                                             : KAD_E_INVALID_ARGUMENT;
}

bool kad_blocklist_remove_subnet(kad_blocklist *list, const char *text) {
  subnet s;
  if (!read_subnet(&s, text, strlen(text))) {
    return false;
  }
  size_t at = subnet_place(list, &s);
  if (!subnet_at(list, at, &s)) {
    return false;
  }
  list->with_bits[s.bits]--;
  size_t behind = --list->subnet_count - at;
  memmove(&list->subnets[at], &list->subnets[at + 1],
          behind * sizeof(list->subnets[0]));
  return true;
}

static bool has_ip(const kad_blocklist *list, const subnet *whole) {
  for (int bits = 0; bits <= BITS_MAX; bits++) {
    if (list->with_bits[bits] == 0) {
      continue;
    }
    subnet s = *whole;
    cut_to(&s, (uint8_t)bits);
    if (subnet_at(list, subnet_place(list, &s), &s)) {
      return true;
    }
  }
  return false;
}

bool kad_blocklist_has_address(const kad_blocklist *list, kad_bytes address) {
  kad_multiaddr_part part;
  subnet s;
  while (kad_multiaddr_next(&address, &part) == 1) {
    bool ip = part.protocol == KAD_MULTIADDR_IP4 ||
              part.protocol == KAD_MULTIADDR_IP6;
    if (ip && of_ip(&s, part.value)) {
      return has_ip(list, &s);
    }
  }
  return false;
}

/* ---- as a gater ---------------------------------------------------------- */

static bool dial_peer(void *user, const kad_peer_id *peer) {
  return !kad_blocklist_has_peer(user, peer);
}

static bool dial_address(void *user, const kad_peer_id *peer,
                         kad_bytes address) {
  (void)peer;
  return !kad_blocklist_has_address(user, address);
}

static bool accept_channel(void *user, kad_bytes local, kad_bytes remote) {
  (void)local;
  return !kad_blocklist_has_address(user, remote);
}

static bool secured(void *user, bool inbound, const kad_peer_id *peer,
                    kad_bytes remote) {
  (void)inbound;
  (void)remote;
  return !kad_blocklist_has_peer(user, peer);
}

kad_gater kad_blocklist_gater(kad_blocklist *list) {
  return (kad_gater){.user = list,
                     .dial_peer = dial_peer,
                     .dial_address = dial_address,
                     .accept = accept_channel,
                     .secured = secured};
}

/* ---- as text ------------------------------------------------------------- */

static size_t put_text(char *out, const char *text) {
  size_t len = strlen(text);
  memcpy(out, text, len);
  return len;
}

static size_t put_number(char *out, unsigned n) {
  size_t len = 0;
  for (unsigned unit = n >= 100  ? 100
                       : n >= 10 ? 10
                                 : 1;
       unit > 0; unit /= 10) {
    out[len++] = (char)('0' + n / unit % 10);
  }
  return len;
}

static size_t peer_line(char out[LINE_MAX_LEN], const kad_peer_id *peer) {
  char text[KAD_PEER_ID_TEXT_MAX];
  if (kad_peer_id_format(text, sizeof(text), peer) < 0) {
    return 0;
  }
  size_t len = put_text(out, "peer ");
  len += put_text(out + len, text);
  out[len++] = '\n';
  return len;
}

static size_t subnet_line(char out[LINE_MAX_LEN], const subnet *s) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  uint8_t binary[1 + IP_LEN];
  bool four = s->bits >= IP4_BITS && memcmp(s->ip, mapped, sizeof(mapped)) == 0;
  size_t ip_len = four ? 4 : IP_LEN;
  binary[0] = four ? KAD_MULTIADDR_IP4 : KAD_MULTIADDR_IP6;
  memcpy(binary + 1, s->ip + (IP_LEN - ip_len), ip_len);
  if (kad_multiaddr_format(text, sizeof(text), kad__bytes(binary, 1 + ip_len)) <
      0) {
    return 0;
  }
  size_t len = put_text(out, "subnet ");
  len += put_text(out + len, text + sizeof("/ip4/") - 1);
  out[len++] = '/';
  len += put_number(out + len, four ? s->bits - IP4_BITS : s->bits);
  out[len++] = '\n';
  return len;
}

/* Line `i` of all. */
static size_t line_of(char out[LINE_MAX_LEN], const kad_blocklist *list,
                      size_t i) {
  return i < list->peer_count
             ? peer_line(out, &list->peers[i])
             : subnet_line(out, &list->subnets[i - list->peer_count]);
}

size_t kad_blocklist_save(const kad_blocklist *list, char *out, size_t cap) {
  char line[LINE_MAX_LEN];
  size_t total = 0;
  for (size_t i = 0; i < kad_blocklist_count(list); i++) {
    total += line_of(line, list, i);
  }
  if (total > cap) {
    return total;
  }
  for (size_t i = 0, at = 0; i < kad_blocklist_count(list); i++) {
    size_t len = line_of(line, list, i);
    memcpy(out + at, line, len);
    at += len;
  }
  return total;
}

static bool starts_with(const char *line, size_t len, const char *word) {
  return len >= strlen(word) && memcmp(line, word, strlen(word)) == 0;
}

static int load_peer(kad_blocklist *list, const char *text, size_t len) {
  char name[KAD_PEER_ID_TEXT_MAX];
  kad_peer_id peer;
  if (len >= sizeof(name)) {
    return KAD_E_INVALID_ARGUMENT;
  }
  memcpy(name, text, len);
  name[len] = '\0';
  return kad_peer_id_parse(&peer, name) < 0
             ? KAD_E_INVALID_ARGUMENT
             : kad_blocklist_add_peer(list, &peer);
}

static int load_line(kad_blocklist *list, const char *line, size_t len) {
  static const char peer[] = "peer ";
  static const char net[] = "subnet ";
  subnet s;
  len -= len > 0 && line[len - 1] == '\r';
  if (len == 0 || line[0] == '#') {
    return 0;
  }
  if (starts_with(line, len, peer)) {
    return load_peer(list, line + sizeof(peer) - 1, len - sizeof(peer) + 1);
  }
  if (starts_with(line, len, net) &&
      read_subnet(&s, line + sizeof(net) - 1, len - sizeof(net) + 1)) {
    return add_subnet(list, &s);
  }
  return KAD_E_INVALID_ARGUMENT;
}

int kad_blocklist_load(kad_blocklist *list, const char *text, size_t len) {
  int error = 0;
  while (len > 0 && error == 0) {
    const char *end = memchr(text, '\n', len);
    size_t line = end == NULL ? len : (size_t)(end - text);
    error = load_line(list, text, line);
    line += end != NULL;
    text += line;
    len -= line;
  }
  return error;
}
