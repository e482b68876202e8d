/* As a user's program: a node of its own, a service beside it. */
#include <kadmium/kadmium.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  static const char *const listen[] = {"/ip4/127.0.0.1/tcp/0"};
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.protocol = "/test/kad/1.0.0";
  options.listen = listen;
  options.listen_count = 1;
  kad_node *node = NULL;
  if (kad_node_new(&node, &options) != 0) {
    return 1;
  }
  kad_event event;
  bool listening = false;
  while (kad_node_poll(node, &event)) {
    listening = listening || event.type == KAD_EVENT_LISTENING;
  }
  kad_node_free(node);
  kad_service *service = NULL;
  if (kad_service_start(&service, &options, NULL, NULL) != 0) {
    return 2;
  }
  kad_request get = KAD_REQUEST_INIT(KAD_GET);
  get.key.data = (const uint8_t *)"key";
  get.key.len = 3;
  int error = kad_service_call(service, &get, NULL, NULL);
  kad_service_stop(service);
  if (!listening || error != KAD_E_NO_PEERS) {
    printf("%d %s\n", listening, kad_strerror(error));
    return 3;
  }
  printf("kadmium %s works\n", kad_version());
  return 0;
}
