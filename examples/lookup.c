/* Joins a network, finds a peer, and prints where it is:
 *
 *     lookup BOOTSTRAP PEER [PROTOCOL]
 *     lookup /dnsaddr/bootstrap.libp2p.io 12D3KooW...
 */
#include <kadmium/kadmium.h>
#include <stdio.h>

/* Runs on the service's thread, for each event of our request. */
static void print_peer(void *user, const kad_event *event) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  kad_bytes list = event->addresses;
  kad_bytes address;
  (void)user;
  if (event->type != KAD_EVENT_PEER) {
    return;
  }
  while (kad_addresses_next(&list, &address)) {
    if (kad_multiaddr_format(text, sizeof(text), address) > 0) {
      printf("%s\n", text);
    }
  }
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: lookup BOOTSTRAP PEER [PROTOCOL]\n");
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
  kad_service *service = NULL;
  int error = kad_service_start(&service, &options, NULL, NULL);
  if (error == 0) {
    error = kad_service_call(service, &request, print_peer, NULL);
  }
  kad_service_stop(service);
  if (error < 0) {
    fprintf(stderr, "lookup: %s\n", kad_strerror(error));
  }
  return error == 0 ? 0 : 1;
}
