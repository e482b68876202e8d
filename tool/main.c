/* kadmium: one table of commands, one file for each. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "output.h"

static const tool_command commands[] = {
    {"node", "", "Run a node until it is interrupted.",
     TOOL_TAKES_NETWORK | TOOL_TAKES_KEY | TOOL_TAKES_LISTEN | TOOL_TAKES_STATE,
     0, tool_node},
    {"id", "", "Show the PeerId of an identity.", TOOL_TAKES_KEY, 0, tool_id},
    {"ping", "ADDRESS", "Measure the round trip to a peer.",
     TOOL_TAKES_NETWORK | TOOL_TAKES_COUNT, 1, tool_ping},
    {"connect", "ADDRESS", "Connect to a peer and show how.",
     TOOL_TAKES_NETWORK | TOOL_TAKES_KEY, 1, tool_connect},
    {"identify", "ADDRESS", "Show what a peer says of itself.",
     TOOL_TAKES_NETWORK | TOOL_TAKES_KEY, 1, tool_identify},
    {"peers", "", "Join and show the peers that we are connected to.",
     TOOL_TAKES_NETWORK | TOOL_TAKES_KEY, 0, tool_peers},
    {"find-peer", "PEER", "Find the addresses of a peer.", TOOL_TAKES_NETWORK,
     1, tool_find_peer},
    {"closest", "KEY", "Find the peers closest to a key.",
     TOOL_TAKES_NETWORK | TOOL_TAKES_COUNT, 1, tool_closest},
    {"put", "KEY VALUE|-", "Store a record at the peers closest to its key.",
     TOOL_TAKES_NETWORK | TOOL_TAKES_QUORUM | TOOL_TAKES_TO, 2, tool_put},
    {"get", "KEY", "Fetch a record.",
     TOOL_TAKES_NETWORK | TOOL_TAKES_QUORUM | TOOL_TAKES_DECODE, 1, tool_get},
    {"publish", "PATH", "Point the IPNS name of an identity at a path.",
     TOOL_TAKES_NETWORK | TOOL_TAKES_KEY | TOOL_TAKES_QUORUM |
         TOOL_TAKES_RECORD,
     1, tool_publish},
    {"provide", "KEY",
     "Announce an identity as a provider; see also `node`, which serves.",
     TOOL_TAKES_NETWORK | TOOL_TAKES_KEY | TOOL_TAKES_LISTEN, 1, tool_provide},
    {"find-providers", "KEY", "Find who provides a key.",
     TOOL_TAKES_NETWORK | TOOL_TAKES_COUNT, 1, tool_find_providers},
    {"trace", "LOOKUP KEY",
     "Show the way of find-peer, closest, get or find-providers.",
     TOOL_TAKES_NETWORK | TOOL_TAKES_COUNT | TOOL_TAKES_QUORUM, 2, tool_trace},
    {"swarm-key", "", "Make the key of a private network.", 0, 0,
     tool_swarm_key},
    {"demo", "", "Show a DHT at work: many nodes over TCP on this machine.",
     TOOL_TAKES_NODES, 0, tool_demo},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out) {
  fprintf(out,
          "usage: kadmium COMMAND [options]\n\n"
          "A node of a libp2p Kademlia DHT, and what one can ask it.\n\n");
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    fprintf(out, "  %-15s %-12s %s\n", commands[i].name, commands[i].arguments,
            commands[i].summary);
  }
  fprintf(out,
          "\nKEY of put and get: text, or 0x and hexadecimal, or /pk/ID, "
          "/ipns/ID.\n"
          "KEY of provide and find-providers: a CID, or 0x and hexadecimal.\n"
          "KEY of closest: a PeerId, a CID, or 0x and hexadecimal.\n"
          "kadmium COMMAND --help tells more; kadmium --version the version.\n"
          "exit status: 0 done, 1 failed, 2 usage, 3 not found, 4 timed out,\n"
          "             5 no peer reachable, 6 invalid record or signature\n");
}

static const tool_command *find_command(const char *name) {
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    if (strcmp(name, commands[i].name) == 0) {
      return &commands[i];
    }
  }
  return NULL;
}

static bool is(const char *argument, const char *name) {
  return strcmp(argument, name) == 0;
}

static int run(const tool_command *command, int argc, char **argv) {
  tool_options options;
  switch (tool_parse(&options, command, argc, argv)) {
    case TOOL_HELP:
      tool_help(command);
      return TOOL_OK;
    case TOOL_RUN:
      return command->run(&options);
    default:
      return TOOL_USAGE;
  }
}

/* A descriptor that is missing would be given to the next socket, and what is
 * printed would go there. */
static void open_missing_descriptors(void) {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) {
    close(fd);
  }
}

static int run_command_line(int argc, char **argv) {
  if (argc < 2) {
    usage(stderr);
    return TOOL_USAGE;
  }
  if (is(argv[1], "--help") || is(argv[1], "-h") || is(argv[1], "help")) {
    usage(stdout);
    return TOOL_OK;
  }
  if (is(argv[1], "--version") || is(argv[1], "version")) {
    printf("kadmium %s\n", kad_version());
    return TOOL_OK;
  }
  const tool_command *command = find_command(argv[1]);
  if (command == NULL) {
    fprintf(stderr, "kadmium: no such command: %s (see kadmium --help)\n",
            argv[1]);
    return TOOL_USAGE;
  }
  return run(command, argc - 2, argv + 2);
}

int main(int argc, char **argv) {
  open_missing_descriptors();
  signal(SIGPIPE, SIG_IGN);
  int status = run_command_line(argc, argv);
  if (tool_stdout_broken()) {
    fprintf(stderr, "kadmium: cannot write to standard output\n");
    return status == TOOL_OK ? TOOL_FAILED : status;
  }
  return status;
}
