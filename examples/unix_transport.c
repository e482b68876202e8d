/* A transport of one's own: two programs talk over a Unix socket.
 *
 *     unix_transport PATH          listens on /unix/PATH, sends back what comes
 *     unix_transport PATH TEXT     sends TEXT there and prints what comes back
 *
 * The node knows nothing of sockets, and the transport nothing of libp2p: what
 * it carries is encrypted and multiplexed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <kadmium/kadmium.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PROTOCOL "/example/echo/1.0.0"
#define WIRES 64

/* ---- the transport ------------------------------------------------------- */

/* A socket: a channel or a listener of the node's. */
typedef struct wire {
  uint64_t id; /* the node's number; 0: free */
  int fd;
  bool listens;
  bool stopped; /* the node wants nothing more for now */
  bool full;    /* the socket took less than the node had */
  struct sockaddr_un at;
  uint8_t address[KAD_MULTIADDR_MAX];
  size_t address_len;
} wire;

static wire wires[WIRES];

static bool is_unix(void *user, kad_bytes address) {
  kad_multiaddr_part part;
  (void)user;
  return kad_multiaddr_next(&address, &part) == 1 && address.len == 0 &&
         part.protocol == KAD_MULTIADDR_UNIX &&
         part.value.len < sizeof(wires[0].at.sun_path);
}

static wire *new_wire(uint64_t id, int fd) {
  for (size_t i = 0; i < WIRES && fd >= 0; i++) {
    if (wires[i].id == 0) {
      wires[i] = (wire){.id = id, .fd = fd};
      return &wires[i];
    }
  }
  if (fd >= 0) {
    close(fd);
  }
  return NULL;
}

/* A socket for a path, to bind or to connect. */
static wire *open_wire(uint64_t id, kad_bytes address) {
  wire *w = new_wire(id, socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
  kad_multiaddr_part part;
  if (w != NULL) {
    kad_multiaddr_find(address, KAD_MULTIADDR_UNIX, &part, NULL);
    w->at.sun_family = AF_UNIX;
    memcpy(w->at.sun_path, part.value.data, part.value.len);
    memcpy(w->address, address.data, address.len);
    w->address_len = address.len;
  }
  return w;
}

static void close_wire(void *user, void *own) {
  wire *w = own;
  (void)user;
  close(w->fd);
  if (w->listens) {
    unlink(w->at.sun_path);
  }
  w->id = 0;
}

/* Both are done at once, so that there is nothing to report. */
static int start_listening(void *user, void **own, uint64_t id,
                           kad_bytes address) {
  wire *w = open_wire(id, address);
  if (w == NULL) {
    return KAD_E_LIMIT;
  }
  if (bind(w->fd, (struct sockaddr *)&w->at, sizeof(w->at)) < 0 ||
      listen(w->fd, 16) < 0) {
    int error = errno == EADDRINUSE ? KAD_E_ADDRESS_IN_USE : KAD_E_IO;
    close_wire(user, w);
    return error;
  }
  w->listens = true;
  *own = w;
  return KAD_TRANSPORT_DONE;
}

static int dial(void *user, void **own, uint64_t id, kad_bytes address) {
  wire *w = open_wire(id, address);
  if (w == NULL) {
    return KAD_E_LIMIT;
  }
  if (connect(w->fd, (struct sockaddr *)&w->at, sizeof(w->at)) < 0) {
    close_wire(user, w);
    return KAD_E_REFUSED;
  }
  *own = w;
  return KAD_TRANSPORT_DONE;
}

static int write_wire(void *user, void *own, kad_bytes bytes) {
  wire *w = own;
  (void)user;
  ssize_t n = send(w->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) {
    return KAD_E_CLOSED;
  }
  w->full = n < (ssize_t)bytes.len;
  return n < 0 ? 0 : (int)n;
}

static void read_wire(void *user, void *own, bool on) {
  (void)user;
  ((wire *)own)->stopped = !on;
}

static const kad_transport transport = {.name = "unix",
                                        .can_dial = is_unix,
                                        .can_listen = is_unix,
                                        .listen = start_listening,
                                        .unlisten = close_wire,
                                        .dial = dial,
                                        .write = write_wire,
                                        .read = read_wire,
                                        .close = close_wire};

/* ---- what the sockets have to say ---------------------------------------- */

/* Who connects has no name of its own; the listener's will do. */
static void accept_one(kad_node *node, const wire *listener) {
  kad_bytes address = {listener->address, listener->address_len};
  wire *w = new_wire(1 /* for now */,
                     accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK));
  if (w != NULL && kad_transport_accepted(node, &w->id, listener->id, w,
                                          address, address) < 0) {
    close_wire(NULL, w); /* there are too many */
  }
}

static void receive(kad_node *node, wire *w) {
  static uint8_t bytes[65536];
  ssize_t n = read(w->fd, bytes, sizeof(bytes));
  if (n > 0) {
    kad_transport_received(node, w->id, bytes, (size_t)n);
  } else if (n == 0 || errno != EAGAIN) {
    uint64_t id = w->id;
    close_wire(NULL, w);
    kad_transport_closed(node, id, n == 0 ? 0 : KAD_E_IO);
  }
}

/* A report may end any wire: each is looked at anew. */
static void report(kad_node *node, wire *w, short events) {
  uint64_t id = w->id;
  if ((events & POLLOUT) != 0) {
    w->full = false;
    kad_transport_writable(node, id);
  }
  if ((events & ~POLLOUT) == 0 || w->id != id || w->stopped) {
    return;
  }
  if (w->listens) {
    accept_one(node, w);
  } else {
    receive(node, w);
  }
}

/* ---- the program: as in echo.c, with more descriptors in the loop -------- */

static void next_event(kad_node *node, kad_event *event) {
  while (!kad_node_poll(node, event)) {
    struct pollfd fds[1 + WIRES];
    uint64_t ids[WIRES];
    for (int i = 0; i < WIRES; i++) {
      const wire *w = &wires[i];
      ids[i] = w->id;
      fds[i] = (struct pollfd){.fd = w->id == 0 ? -1 : w->fd};
      fds[i].events = (short)((w->stopped ? 0 : POLLIN) | /* back-pressure */
                              (w->full ? POLLOUT : 0));
    }
    fds[WIRES] = (struct pollfd){.fd = kad_node_fd(node), .events = POLLIN};
    poll(fds, 1 + WIRES, kad_node_timeout(node));
    for (int i = 0; i < WIRES; i++) {
      if (fds[i].revents != 0 && wires[i].id == ids[i]) {
        report(node, &wires[i], fds[i].revents);
      }
    }
    kad_node_drive(node);
  }
}

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

static int serve(kad_node *node) {
  int error = kad_node_handle(node, PROTOCOL);
  while (error == 0) {
    kad_event event;
    next_event(node, &event);
    if (event.type == KAD_EVENT_LISTENING) {
      printf("listening\n");
      fflush(stdout);
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

/* Connects to whoever listens on the address. */
static int call(kad_node *node, kad_peer_id *peer, kad_bytes address) {
  kad_request connect = KAD_REQUEST_INIT(KAD_CONNECT);
  kad_request_id id;
  connect.address = address;
  int error = kad_node_start(node, &id, &connect);
  while (error == 0) {
    kad_event event;
    next_event(node, &event);
    if (event.request == id && event.type == KAD_EVENT_END) {
      return event.error;
    }
    if (event.request == id) {
      *peer = event.peer;
    }
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

static int ask(kad_node *node, kad_bytes address, const char *text) {
  const char *protocols[] = {PROTOCOL};
  kad_stream_options options = KAD_STREAM_OPTIONS_INIT;
  options.protocols = protocols;
  options.protocol_count = 1;
  kad_peer_id peer;
  kad_stream *stream = NULL;
  int result = call(node, &peer, address);
  if (result == 0) {
    result = kad_stream_open(node, &stream, &peer, &options);
  }
  if (result < 0) {
    return result;
  }
  /* Text from the command line fits into an empty stream. */
  kad_stream_write(stream, text, strlen(text));
  kad_stream_close_write(stream);
  while ((result = print_arrived(stream)) > 0) {
    kad_event event;
    next_event(node, &event);
  }
  kad_stream_close(stream);
  printf("\n");
  return result;
}

int main(int argc, char **argv) {
  char text[KAD_MULTIADDR_TEXT_MAX] = "";
  uint8_t binary[KAD_MULTIADDR_MAX];
  if (argc == 2 || argc == 3) {
    snprintf(text, sizeof(text), "/unix%s", argv[1]);
  }
  int len = kad_multiaddr_parse(binary, sizeof(binary), text);
  if (len < 0) {
    fprintf(stderr, "usage: unix_transport PATH [TEXT], PATH from the root\n");
    return 2;
  }
  const char *listen_on[] = {text};
  kad_node_options options = KAD_NODE_OPTIONS_INIT;
  options.listen = listen_on;
  options.listen_count = argc == 2 ? 1 : 0;
  options.protocol = "/example/kad/1.0.0"; /* a network of its own */
  options.transports = &transport;
  options.transport_count = 1;
  kad_node *node = NULL;
  int error = kad_node_new(&node, &options);
  if (error == 0) {
    kad_bytes address = {binary, (size_t)len};
    error = argc == 2 ? serve(node) : ask(node, address, argv[2]);
  }
  kad_node_free(node);
  if (error < 0) {
    fprintf(stderr, "unix_transport: %s\n", kad_strerror(error));
  }
  return error == 0 ? 0 : 1;
}
