/* A small parser instead of getopt: options may stand anywhere, an option that
 * the command does not take is an error that says so, and the same table
 * writes the help. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_DEFAULT (30 * KAD_SECOND)
#define COUNT_MAX 1000000

typedef struct spec {
  const char *name;
  const char *value; /* what the help calls it; NULL: a flag */
  const char *help;
  unsigned group;
  bool (*read)(tool_options *o, const char *value);
} spec;

static bool append(tool_list *list, const char *value) {
  if (list->count == TOOL_LIST_MAX) {
    return false;
  }
  list->items[list->count++] = value;
  return true;
}

static bool read_key(tool_options *o, const char *value) {
  o->key_file = value;
  return value[0] != '\0';
}

static bool read_key_type(tool_options *o, const char *value) {
  static const char *const names[] = {"rsa", "ed25519", "secp256k1", "ecdsa"};
  for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    if (strcmp(value, names[i]) == 0) {
      o->key_type = (kad_key_type)i;
      return o->has_key_type = true;
    }
  }
  return false;
}

/* A file of that kind has 95 bytes at most. */
static bool read_network_key(tool_options *o, const char *value) {
  uint8_t text[256];
  FILE *file = fopen(value, "rbe");
  size_t len = file == NULL ? 0 : fread(text, 1, sizeof(text), file);
  bool whole = file != NULL && ferror(file) == 0;
  o->problem = whole ? "not a key of a private network, as kadmium swarm-key "
                       "makes them"
                     : strerror(errno);
  if (file != NULL) {
    fclose(file);
  }
  o->has_network_key =
      whole &&
      kad_network_key_parse(o->network_key, (kad_bytes){text, len}) == 0;
  explicit_bzero(text, sizeof(text));
  return o->has_network_key;
}

static bool read_security(tool_options *o, const char *value) {
  static const struct {
    const char *name;
    uint8_t list[KAD_SECURITY_COUNT];
  } choices[] = {
      {"noise", {KAD_SECURITY_NOISE}},
      {"tls", {KAD_SECURITY_TLS}},
      {"noise,tls", {KAD_SECURITY_NOISE, KAD_SECURITY_TLS}},
      {"tls,noise", {KAD_SECURITY_TLS, KAD_SECURITY_NOISE}},
  };
  for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
    if (strcmp(value, choices[i].name) == 0) {
      memcpy(o->security, choices[i].list, sizeof(o->security));
      return true;
    }
  }
  return false;
}

static bool read_state(tool_options *o, const char *value) {
  o->state_file = value;
  return value[0] != '\0';
}

#ifdef KADMIUM_STORE
static bool read_store(tool_options *o, const char *value) {
  o->store_file = value;
  return value[0] != '\0';
}
#endif

static bool address_fits(const char *text) {
  uint8_t binary[KAD_MULTIADDR_MAX];
  return kad_multiaddr_parse(binary, sizeof(binary), text) > 0;
}

static bool read_listen(tool_options *o, const char *value) {
  return address_fits(value) && append(&o->listen, value);
}

static bool read_announce(tool_options *o, const char *value) {
  return address_fits(value) && append(&o->announce, value);
}

static bool read_bootstrap(tool_options *o, const char *value) {
  return address_fits(value) && append(&o->bootstrap, value);
}

static bool read_namespace(tool_options *o, const char *value) {
  size_t len = strlen(value);
  return len > 0 && len <= 64 && strchr(value, '/') == NULL &&
         append(&o->namespaces, value);
}

static bool read_protocol(tool_options *o, const char *value) {
  o->protocol = value;
  return value[0] == '/' && value[1] != '\0' && strlen(value) < 256;
}

static bool read_mode(tool_options *o, const char *value) {
  static const struct {
    const char *name;
    kad_mode mode;
  } modes[] = {{"auto", KAD_MODE_AUTO},
               {"client", KAD_MODE_CLIENT},
               {"server", KAD_MODE_SERVER}};
  for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
    if (strcmp(value, modes[i].name) == 0) {
      o->mode = modes[i].mode;
      return true;
    }
  }
  return false;
}

static bool read_number(uint32_t *out, const char *value) {
  char *end = NULL;
  errno = 0;
  unsigned long number = strtoul(value, &end, 10);
  if (errno != 0 || end == value || *end != '\0' || value[0] == '-' ||
      number == 0 || number > COUNT_MAX) {
    return false;
  }
  *out = (uint32_t)number;
  return true;
}

static bool read_count(tool_options *o, const char *value) {
  return read_number(&o->count, value);
}

static bool read_nodes(tool_options *o, const char *value) {
  return read_number(&o->nodes, value) && o->nodes >= 2 && o->nodes <= 500;
}

bool tool_quorum_parse(kad_quorum *out, const char *text) {
  static const struct {
    const char *name;
    kad_quorum_kind kind;
  } kinds[] = {{"one", KAD_QUORUM_ONE},
               {"majority", KAD_QUORUM_MAJORITY},
               {"all", KAD_QUORUM_ALL}};
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
    if (strcmp(text, kinds[i].name) == 0) {
      *out = (kad_quorum){kinds[i].kind, 1};
      return true;
    }
  }
  out->kind = KAD_QUORUM_N;
  return read_number(&out->n, text);
}

static bool read_quorum(tool_options *o, const char *value) {
  o->has_quorum = true;
  return tool_quorum_parse(&o->quorum, value);
}

static bool read_to(tool_options *o, const char *value) {
  return o->to_count < TOOL_LIST_MAX &&
         kad_peer_id_parse(&o->to[o->to_count++], value) == 0;
}

/* A number with ms, s, m or h; seconds without. */
static bool read_time(kad_time *out, const char *value) {
  static const struct {
    const char *suffix;
    kad_time unit;
  } units[] = {{"", KAD_SECOND},
               {"ms", KAD_MILLISECOND},
               {"s", KAD_SECOND},
               {"m", KAD_MINUTE},
               {"h", KAD_HOUR}};
  char *end = NULL;
  errno = 0;
  double number = strtod(value, &end);
  if (errno != 0 || end == value || !(number > 0) || number > 1e6) {
    return false;
  }
  for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
    if (strcmp(end, units[i].suffix) == 0) {
      *out = (kad_time)(number * (double)units[i].unit);
      return *out > 0;
    }
  }
  return false;
}

static bool read_timeout(tool_options *o, const char *value) {
  return read_time(&o->timeout, value);
}

static bool read_lifetime(tool_options *o, const char *value) {
  return read_time(&o->lifetime, value);
}

static bool read_sequence(tool_options *o, const char *value) {
  char *end = NULL;
  errno = 0;
  o->sequence = strtoull(value, &end, 10);
  o->has_sequence = true;
  return errno == 0 && end != value && *end == '\0' && isdigit(value[0]);
}

static bool set_json(tool_options *o, const char *value) {
  (void)value;
  return o->json = true;
}

static bool set_decode(tool_options *o, const char *value) {
  (void)value;
  return o->decode = true;
}

static bool set_no_autonat(tool_options *o, const char *value) {
  (void)value;
  return o->no_autonat = true;
}

static bool set_map_port(tool_options *o, const char *value) {
  (void)value;
  return o->map_port = true;
}

static bool set_quiet(tool_options *o, const char *value) {
  (void)value;
  return o->quiet = true;
}

static bool set_verbose(tool_options *o, const char *value) {
  (void)value;
  return o->verbose = true;
}

static const spec specs[] = {
    {"--bootstrap", "ADDRESS", "a member to join through (repeatable)",
     TOOL_TAKES_NETWORK, read_bootstrap},
    {"--protocol", "NAME", "the DHT's protocol (/ipfs/kad/1.0.0)",
     TOOL_TAKES_NETWORK, read_protocol},
    {"--namespace", "NAME", "accept records of /NAME/ (repeatable)",
     TOOL_TAKES_NETWORK, read_namespace},
    {"--timeout", "TIME", "give up after this time, such as 500ms or 2m (30s)",
     TOOL_TAKES_NETWORK, read_timeout},
    {"--key", "FILE", "the identity; made when there is no such file",
     TOOL_TAKES_KEY, read_key},
    {"--type", "TYPE",
     "of a new identity: ed25519, secp256k1, ecdsa or rsa (ed25519)",
     TOOL_TAKES_KEY, read_key_type},
    {"--state", "FILE", "keep the routing table and own records over restarts",
     TOOL_TAKES_STATE, read_state},
#ifdef KADMIUM_STORE
    {"--store", "FILE", "keep records there instead of in memory",
     TOOL_TAKES_STATE, read_store},
#endif
    {"--security", "LIST",
     "noise or tls, or both in order of preference (either; dial with noise)",
     TOOL_TAKES_NETWORK, read_security},
    {"--swarm-key", "FILE", "the key of a private network (swarm.key)",
     TOOL_TAKES_NETWORK, read_network_key},
    {"--listen", "ADDRESS", "listen there (repeatable)", TOOL_TAKES_LISTEN,
     read_listen},
    {"--announce", "ADDRESS", "tell others this address, too (repeatable)",
     TOOL_TAKES_LISTEN, read_announce},
    {"--mode", "MODE", "auto, client or server (auto)", TOOL_TAKES_LISTEN,
     read_mode},
    {"--no-autonat", NULL, "neither ask others to dial us nor dial for them",
     TOOL_TAKES_LISTEN, set_no_autonat},
    {"--map-port", NULL, "ask the router to forward the ports (UPnP, NAT-PMP)",
     TOOL_TAKES_LISTEN, set_map_port},
    {"--count", "N", "how many", TOOL_TAKES_COUNT, read_count},
    {"--quorum", "Q", "one, majority, all or a number (one)", TOOL_TAKES_QUORUM,
     read_quorum},
    {"--to", "PEER", "store at this peer alone (repeatable)", TOOL_TAKES_TO,
     read_to},
    {"--decode", NULL, "show what is in a record of /ipns or /pk",
     TOOL_TAKES_DECODE, set_decode},
    {"--sequence", "N", "its number (one more than that of the latest record)",
     TOOL_TAKES_RECORD, read_sequence},
    {"--lifetime", "TIME", "how long it shall be valid (48h)",
     TOOL_TAKES_RECORD, read_lifetime},
    {"--nodes", "N", "how many nodes (25)", TOOL_TAKES_NODES, read_nodes},
    {"--json", NULL, "one JSON object a line", TOOL_TAKES_COMMON, set_json},
    {"--quiet", NULL, "no progress", TOOL_TAKES_COMMON, set_quiet},
    {"--verbose", NULL, "tell what happens on the way", TOOL_TAKES_COMMON,
     set_verbose},
};

#define SPEC_COUNT (sizeof(specs) / sizeof(specs[0]))

static int bad(const tool_command *command, const char *what,
               const char *argument) {
  fprintf(stderr, "kadmium %s: %s: %s (see kadmium %s --help)\n", command->name,
          what, argument, command->name);
  return TOOL_BAD;
}

/* Matches "--name" and "--name=value". */
static const spec *find_spec(const char *argument, const char **value) {
  size_t len = strcspn(argument, "=");
  for (size_t i = 0; i < SPEC_COUNT; i++) {
    if (strlen(specs[i].name) == len &&
        strncmp(argument, specs[i].name, len) == 0) {
      *value = argument[len] == '=' ? argument + len + 1 : NULL;
      return &specs[i];
    }
  }
  return NULL;
}

/* Reads the option at argv[*at], and its value behind it. */
static int read_option(tool_options *o, const tool_command *command, int argc,
                       char **argv, int *at) {
  const char *argument = argv[*at];
  const char *value = NULL;
  const spec *s = find_spec(argument, &value);
  if (s == NULL) {
    return bad(command, "no such option", argument);
  }
  if ((s->group & (command->takes | TOOL_TAKES_COMMON)) == 0) {
    return bad(command, "does not take this option", argument);
  }
  if (s->value == NULL && value != NULL) {
    return bad(command, "this option has no value", argument);
  }
  if (s->value != NULL && value == NULL) {
    if (*at + 1 >= argc) {
      return bad(command, "a value is missing after", argument);
    }
    value = argv[++*at];
  }
  if (!s->read(o, value)) {
    char what[192];
    snprintf(what, sizeof(what), "%s %s",
             o->problem == NULL ? "not a value for" : s->name,
             o->problem == NULL ? s->name : o->problem);
    return bad(command, what, value);
  }
  return TOOL_RUN;
}

static int read_argument(tool_options *o, const tool_command *command,
                         const char *argument) {
  if (o->argument_count == command->argument_count) {
    return bad(command, "one argument too many", argument);
  }
  o->arguments[o->argument_count++] = argument;
  return TOOL_RUN;
}

int tool_parse(tool_options *out, const tool_command *command, int argc,
               char **argv) {
  *out = (tool_options){.command = command->name,
                        .timeout = TIMEOUT_DEFAULT,
                        .lifetime = KAD_IPNS_LIFETIME,
                        .nodes = 25,
                        .quorum = {KAD_QUORUM_ONE, 1}};
  bool options_end = false;
  for (int i = 0; i < argc; i++) {
    const char *argument = argv[i];
    bool option = !options_end && argument[0] == '-' && argument[1] != '\0';
    if (option && strcmp(argument, "--") == 0) {
      options_end = true;
      continue;
    }
    if (option &&
        (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)) {
      return TOOL_HELP;
    }
    int result = option ? read_option(out, command, argc, argv, &i)
                        : read_argument(out, command, argument);
    if (result != TOOL_RUN) {
      return result;
    }
  }
  if (out->argument_count < command->argument_count) {
    return bad(command, "missing", command->arguments);
  }
  return TOOL_RUN;
}

void tool_help(const tool_command *command) {
  printf("usage: kadmium %s%s%s [options]\n\n%s\n\noptions:\n", command->name,
         command->arguments[0] == '\0' ? "" : " ", command->arguments,
         command->summary);
  for (size_t i = 0; i < SPEC_COUNT; i++) {
    const spec *s = &specs[i];
    if ((s->group & (command->takes | TOOL_TAKES_COMMON)) != 0) {
      int width = 22 - (int)strlen(s->name) - 1;
      printf("  %s %-*s %s\n", s->name, width, s->value == NULL ? "" : s->value,
             s->help);
    }
  }
}
