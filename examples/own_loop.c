/* The same as lookup.c inside a loop of one's own: no thread, no callback.
 *
 *     own_loop BOOTSTRAP PEER [PROTOCOL]
 */
#include <kadmium/kadmium.h>
#include <poll.h>
#include <stdio.h>

static void print_addresses(kad_bytes list) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  kad_bytes address;
  while (kad_addresses_next(&list, &address)) {
    if (kad_multiaddr_format(text, sizeof(text), address) > 0) {
      printf("%s\n", text);
    }
  }
}

/* Waits for the end of the request; returns its error. */
static int run(kad_node *node, kad_request_id request) {
  for (;;) {
    kad_event event;
    while (kad_node_poll(node, &event)) {
      if (event.request != request) {
        continue;
      }
      if (event.type == KAD_EVENT_PEER) {
        print_addresses(event.addresses);
      }
      if (event.type == KAD_EVENT_END) {
        return event.error;
      }
    }
    /* Your own descriptors would stand beside this one. */
    struct pollfd fd = {.fd = kad_node_fd(node), .events = POLLIN};
    poll(&fd, 1, kad_node_timeout(node));
    kad_node_drive(node);
  }
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: own_loop BOOTSTRAP PEER [PROTOCOL]\n");
    return 2;
  }
  kad_request request = KAD_REQUEST_INIT(KAD_FIND_PEER);
  if (kad_peer_id_parse(&request.peer, argv[2]) < 0) {
    fprintf(stderr, "not a PeerId: %s\n", argv[2]);
    return 2;
  }
  const char *bootstrap[] = {argv[1]};
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.bootstrap = bootstrap;
  options.bootstrap_count = 1;
  options.protocol = argc > 3 ? argv[3] : NULL;
  kad_node *node = NULL;
  kad_request_id id = 0;
  int error = kad_node_new(&node, &options);
  if (error == 0) {
    error = kad_node_start(node, &id, &request);
  }
  if (error == 0) {
    error = run(node, id);
  }
  kad_node_free(node);
  if (error < 0) {
    fprintf(stderr, "own_loop: %s\n", kad_strerror(error));
  }
  return error == 0 ? 0 : 1;
}
