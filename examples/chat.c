/* Finds a peer through the DHT and talks to it, line by line.
 *
 *     chat                    the first of a network: prints how to join it
 *     chat CONTACT            joins through CONTACT, and waits to be called
 *     chat CONTACT PEER       joins, finds PEER wherever it is, and calls it
 *
 * Calls block: one thread reads the keyboard, another the peer.
 */
#include <kadmium/kadmium.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define PROTOCOL "/example/chat/1.0.0"

/* ---- a talk -------------------------------------------------------------- */

static void *print_peer(void *user) {
  char text[1024];
  int len;
  while ((len = kad_service_stream_read(user, text, sizeof(text))) > 0) {
    fwrite(text, 1, (size_t)len, stdout);
    fflush(stdout);
  }
  if (len < 0) {
    fprintf(stderr, "chat: %s\n", kad_strerror(len));
  }
  return NULL;
}

/* Ends when the keyboard is at its end and the peer is, too. */
static int talk(kad_service_stream *stream) {
  pthread_t reader;
  char line[1024];
  if (pthread_create(&reader, NULL, print_peer, stream) != 0) {
    return KAD_E_WORLD;
  }
  int error = 0;
  while (error >= 0 && fgets(line, sizeof(line), stdin) != NULL) {
    error = kad_service_stream_write(stream, line, strlen(line));
  }
  kad_service_stream_close_write(stream);
  pthread_join(reader, NULL);
  kad_service_stream_close(stream);
  return error < 0 ? error : 0;
}

/* ---- the network --------------------------------------------------------- */

static void on_life(void *user, const kad_event *event) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  kad_bytes list = event->addresses;
  kad_bytes address;
  (void)user;
  if (event->type == KAD_EVENT_LISTENING &&
      kad_addresses_next(&list, &address) &&
      kad_multiaddr_format(text, sizeof(text), address) > 0) {
    fprintf(stderr, "join with: chat %s\n", text);
  }
}

/* Looks the peer up, so that the node knows where it is, and opens a stream. */
static int call(kad_service *service, kad_service_stream **out,
                const char *name) {
  const char *protocols[] = {PROTOCOL};
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  kad_request find = KAD_REQUEST_INIT(KAD_FIND_PEER);
  int error = kad_peer_id_parse(&find.peer, name);
  if (error < 0) {
    return error;
  }
  error = kad_service_call(service, &find, NULL, NULL);
  if (error < 0) {
    return error;
  }
  options.protocols = protocols;
  options.protocol_count = 1;
  return kad_service_open(service, out, &find.peer, &options);
}

/* Once we have joined, others find us. */
static int wait_for_call(kad_service *service, kad_service_stream **out,
                         bool joins) {
  char name[KAD_PEER_ID_TEXT_MAX];
  kad_stream_info info;
  kad_request join = KAD_REQUEST_INIT(KAD_BOOTSTRAP);
  int error = kad_service_handle(service, PROTOCOL);
  if (error == 0 && joins) {
    error = kad_service_call(service, &join, NULL, NULL);
  }
  if (error < 0) {
    return error;
  }
  if (kad_peer_id_format(name, sizeof(name), kad_service_id(service)) > 0) {
    fprintf(stderr, "waiting for a call; our name: %s\n", name);
  }
  error = kad_service_accept(service, out, PROTOCOL, KAD_TIME_NEVER);
  if (error < 0) {
    return error;
  }
  kad_service_stream_get_info(*out, &info);
  if (kad_peer_id_format(name, sizeof(name), &info.peer) > 0) {
    fprintf(stderr, "called by %s\n", name);
  }
  return 0;
}

int main(int argc, char **argv) {
  static const char *const listen[] = {"/ip4/127.0.0.1/tcp/0"};
  if (argc > 3) {
    fprintf(stderr, "usage: chat [CONTACT [PEER]]\n");
    return 2;
  }
  const char *bootstrap[] = {argc > 1 ? argv[1] : NULL};
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.protocol = "/example/kad/1.0.0";
  options.listen = listen;
  options.listen_count = 1;
  options.bootstrap = bootstrap;
  options.bootstrap_count = argc > 1 ? 1 : 0;
  kad_service *service = NULL;
  kad_service_stream *stream = NULL;
  int error = kad_service_start(&service, &options, on_life, NULL);
  if (error == 0) {
    error = argc > 2 ? call(service, &stream, argv[2])
                     : wait_for_call(service, &stream, argc > 1);
  }
  if (error == 0) {
    error = talk(stream);
  }
  kad_service_stop(service);
  if (error < 0) {
    fprintf(stderr, "chat: %s\n", kad_strerror(error));
  }
  return error == 0 ? 0 : 1;
}
