/* A protocol of one's own between two programs, in a loop of one's own.
 *
 *     echo                    listens, prints its address, sends back what
 * comes echo ADDRESS TEXT       sends TEXT there and prints what comes back
 */
#include <kadmium/kadmium.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define PROTOCOL "/example/echo/1.0.0"

/* Waits for the next event. Your own descriptors would stand in `poll` too. */
static void next_event(kad_node *node, kad_event *event) {
  while (!kad_node_poll(node, event)) {
    struct pollfd fd = {.fd = kad_node_fd(node), .events = POLLIN};
    poll(&fd, 1, kad_node_timeout(node));
    kad_node_drive(node);
  }
}

/* ---- the side that answers ----------------------------------------------- */

/* Writes back what has arrived. When the peer does not read, no more fits, and
 * what is left waits for KAD_EVENT_STREAM_WRITABLE: so memory stays bounded. */
static void send_back(kad_stream *stream) {
  kad_bytes in;
  while ((in = kad_stream_peek(stream)).len > 0) {
    int taken = kad_stream_write(stream, in.data, in.len);
    if (taken < 0) {
      return;
    }
    kad_stream_consume(stream, (size_t)taken);
  }
  if (kad_stream_at_end(stream)) {
    kad_stream_close(stream);
  }
}

static void print_addresses(kad_bytes list) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  kad_bytes address;
  while (kad_addresses_next(&list, &address)) {
    if (kad_multiaddr_format(text, sizeof(text), address) > 0) {
      printf("%s\n", text);
    }
  }
  fflush(stdout);
}

static int serve(kad_node *node) {
  int error = kad_node_handle(node, PROTOCOL);
  while (error == 0) {
    kad_event event;
    next_event(node, &event);
    if (event.type == KAD_EVENT_LISTENING) {
      print_addresses(event.addresses);
    } else if (event.type == KAD_EVENT_LISTEN_FAILED) {
      error = event.error;
    } else if (event.type == KAD_EVENT_STREAM_READABLE ||
               event.type == KAD_EVENT_STREAM_WRITABLE) {
      send_back(event.stream);
    } else if (event.type == KAD_EVENT_STREAM_ENDED) {
      kad_stream_close(event.stream);
    }
  }
  return error;
}

/* ---- the side that asks -------------------------------------------------- */

/* Connects to an address; `*peer` is who answers there. */
static int dial(kad_node *node, kad_peer_id *peer, const char *address) {
  uint8_t binary[KAD_MULTIADDR_MAX];
  kad_request connect = KAD_REQUEST_INIT(KAD_CONNECT);
  kad_request_id id;
  int len = kad_multiaddr_parse(binary, sizeof(binary), address);
  connect.address = (kad_bytes){binary, len < 0 ? 0 : (size_t)len};
  int error = len < 0 ? len : kad_node_start(node, &id, &connect);
  while (error == 0) {
    kad_event event;
    next_event(node, &event);
    if (event.request != id) {
      continue;
    }
    if (event.type == KAD_EVENT_END) {
      return event.error;
    }
    *peer = event.peer;
  }
  return error;
}

/* Prints what arrives; 1 until the end of it. */
static int print_arrived(kad_stream *stream) {
  char text[4096];
  int len;
  while ((len = kad_stream_read(stream, text, sizeof(text))) > 0) {
    fwrite(text, 1, (size_t)len, stdout);
  }
  return len == KAD_E_AGAIN ? 1 : len;
}

static int ask(kad_node *node, const char *address, const char *text) {
  const char *protocols[] = {PROTOCOL};
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  options.protocols = protocols;
  options.protocol_count = 1;
  kad_peer_id peer;
  kad_stream *stream = NULL;
  int error = dial(node, &peer, address);
  if (error == 0) {
    error = kad_stream_open(node, &stream, &peer, &options);
  }
  if (error < 0) {
    return error;
  }
  /* Text from the command line fits into an empty stream. */
  kad_stream_write(stream, text, strlen(text));
  kad_stream_close_write(stream);
  int result = 1;
  while (result > 0) {
    kad_event event;
    next_event(node, &event);
    if (event.type == KAD_EVENT_STREAM_READABLE) {
      result = print_arrived(stream);
    } else if (event.type == KAD_EVENT_STREAM_ENDED) {
      result = event.error;
    }
  }
  kad_stream_close(stream);
  printf("\n");
  return result;
}

int main(int argc, char **argv) {
  static const char *const listen[] = {"/ip4/127.0.0.1/tcp/0"};
  if (argc != 1 && argc != 3) {
    fprintf(stderr, "usage: echo [ADDRESS TEXT]\n");
    return 2;
  }
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.listen = listen;
  options.listen_count = argc == 1 ? 1 : 0;
  options.protocol = "/example/kad/1.0.0"; /* a network of its own */
  kad_node *node = NULL;
  int error = kad_node_new(&node, &options);
  if (error == 0) {
    error = argc == 1 ? serve(node) : ask(node, argv[1], argv[2]);
  }
  kad_node_free(node);
  if (error < 0) {
    fprintf(stderr, "echo: %s\n", kad_strerror(error));
  }
  return error == 0 ? 0 : 1;
}
