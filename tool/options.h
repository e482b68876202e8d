/* The command line: one table of options, and which command takes which. */
#ifndef KAD_TOOL_OPTIONS_H
#define KAD_TOOL_OPTIONS_H

#include <kadmium/kadmium.h>

/* Values of a repeatable option. */
#define TOOL_LIST_MAX 64

typedef struct tool_list {
  const char *items[TOOL_LIST_MAX];
  size_t count;
} tool_list;

/* Groups of options; a command names those that it takes. */
enum {
  TOOL_TAKES_COMMON = 1, /* every command: --json --quiet --verbose --help */
  TOOL_TAKES_NETWORK = 2,
  TOOL_TAKES_KEY = 4,
  TOOL_TAKES_LISTEN = 8,
  TOOL_TAKES_COUNT = 16,
  TOOL_TAKES_QUORUM = 32,
  TOOL_TAKES_NODES = 64,
  TOOL_TAKES_TO = 128,
  TOOL_TAKES_STATE = 4096,
  TOOL_TAKES_DECODE = 256,
  TOOL_TAKES_RECORD = 512
};

typedef struct tool_options {
  const char *command;
  const char *key_file;
  const char *state_file;
  const char *store_file;
  tool_list listen;
  tool_list announce;
  tool_list bootstrap;
  tool_list namespaces;
  const char *protocol;
  kad_mode mode;
  kad_time timeout;
  uint32_t count; /* 0: not given */
  uint32_t nodes;
  kad_quorum quorum;
  bool has_quorum;
  kad_peer_id to[TOOL_LIST_MAX];
  size_t to_count;
  bool no_autonat;
  bool map_port;
  uint8_t security[KAD_SECURITY_COUNT];
  uint8_t network_key[KAD_NETWORK_KEY_LEN];
  bool has_network_key;
  kad_key_type key_type;
  bool has_key_type;
  bool decode;
  uint64_t sequence;
  bool has_sequence;
  kad_time lifetime;
  bool json;
  bool quiet;
  bool verbose;
  const char *arguments[2];
  size_t argument_count;
  const char *problem; /* of a value that is not taken, if more is known */
} tool_options;

/* A subcommand. */
typedef struct tool_command {
  const char *name;
  const char *arguments; /* as in the usage line */
  const char *summary;
  unsigned takes;
  size_t argument_count;
  int (*run)(const tool_options *options); /* returns the exit status */
} tool_command;

/* Exit statuses; part of the command's interface. */
enum {
  TOOL_OK = 0,
  TOOL_FAILED = 1,
  TOOL_USAGE = 2,
  TOOL_NOT_FOUND = 3,
  TOOL_TIMED_OUT = 4,
  TOOL_NO_PEER = 5,
  TOOL_INVALID_RECORD = 6,
  TOOL_INTERRUPTED = 130
};

/* What tool_parse found besides a command to run. */
enum { TOOL_RUN, TOOL_HELP, TOOL_BAD };

/* Reads what follows the command's name. TOOL_BAD: one line has been written to
 * stderr. */
int tool_parse(tool_options *out, const tool_command *command, int argc,
               char **argv);

/* Reads one, majority, all or a number. */
bool tool_quorum_parse(kad_quorum *out, const char *text);

/* Prints what `command` does and takes. */
void tool_help(const tool_command *command);

#endif
