/* A connection is looked up by its peer: a short-lived node has one to it. */
#include "connections.h"

#include <math.h>
#include <stdio.h>

bool tool_target_read(tool_target *out, tool_options *own,
                      const tool_options *options) {
  *own = *options;
  *out = (tool_target){.text = options->arguments[0],
                       .request = KAD_REQUEST_INIT(KAD_CONNECT)};
  if (kad_peer_id_parse(&out->request.peer, out->text) == 0) {
    return true;
  }
  own->bootstrap.count = 0;
  int len = kad_multiaddr_parse(out->address, sizeof(out->address), out->text);
  out->request.address = (kad_bytes){out->address, len < 0 ? 0 : (size_t)len};
  if (len < 0) {
    fprintf(stderr,
            "kadmium %s: not an address: %s (expected something like "
            "/ip4/192.0.2.1/tcp/4001, or a PeerId)\n",
            options->command, out->text);
  }
  return len > 0;
}

/* Of one address alone the end says the same. */
static void show_failure(tool_session *session, const kad_event *event) {
  tool_target *target = session->user;
  char text[KAD_MULTIADDR_TEXT_MAX];
  kad_bytes list = event->addresses;
  kad_bytes address = {NULL, 0};
  if (session->out.json) {
    tool_print_json(tool_event_json(event), NULL);
    return;
  }
  if (event->count == 0 && target->failures == 0) {
    return;
  }
  target->failures++;
  (void)kad_addresses_next(&list, &address);
  tool_note(&session->out, "kadmium %s: %s: %s", session->out.command,
            tool_address_text(text, address), kad_strerror(event->error));
}

static void take_peer(tool_session *session, const kad_event *event) {
  tool_target *target = session->user;
  if (event->type == KAD_EVENT_DIAL_FAILED) {
    show_failure(session, event);
  }
  if (event->type == KAD_EVENT_PEER) {
    target->peer = event->peer;
  }
}

/* Who is named by an id alone must be found before. */
static bool find(tool_session *session, const tool_target *target,
                 kad_event *end) {
  kad_request request = KAD_REQUEST_INIT(KAD_FIND_PEER);
  *end = (kad_event){.type = KAD_EVENT_END};
  if (target->request.address.len != 0) {
    return true;
  }
  request.peer = target->request.peer;
  return tool_session_run(session, &request, take_peer, end);
}

bool tool_target_connect(tool_session *session, tool_target *target,
                         kad_event *end) {
  uint64_t cursor = 0;
  session->user = target;
  if (!find(session, target, end)) {
    return false;
  }
  if (end->error < 0) {
    return true;
  }
  if (!tool_session_run(session, &target->request, take_peer, end)) {
    return false;
  }
  if (end->error == 0 &&
      !kad_node_next_connection(session->node, &cursor, &target->peer,
                                &target->connection)) {
    end->error = KAD_E_CLOSED;
  }
  return true;
}

static json_t *address_json(kad_bytes address) {
  char text[KAD_MULTIADDR_TEXT_MAX];
  return address.len == 0 ? json_null()
                          : json_string(tool_address_text(text, address));
}

json_t *tool_connection_json(const kad_connection_info *c) {
  char id[KAD_PEER_ID_TEXT_MAX];
  return json_pack(
      "{s:s, s:o, s:o, s:b, s:s, s:s, s:s, s:b, s:s, s:I, s:f, s:o}", "id",
      tool_peer_text(id, &c->peer), "addr", address_json(c->remote_address),
      "local", address_json(c->local_address), "inbound", c->inbound,
      "transport", c->transport, "security", c->security, "multiplexer",
      c->multiplexer, "early_multiplexer", c->early_multiplexer, "key_type",
      tool_key_type_name(c->public_key), "streams", (json_int_t)c->streams,
      "age_s", round(tool_ms(c->age)) / 1e3, "rtt_ms",
      c->round_trip == 0 ? json_null() : json_real(tool_ms(c->round_trip)));
}

const char *tool_key_type_name(kad_bytes public_key) {
  static const char *const names[] = {"rsa", "ed25519", "secp256k1", "ecdsa"};
  kad_public_key *key = NULL;
  if (kad_public_key_decode(&key, kad_allocator_default(), public_key) < 0) {
    return "unknown";
  }
  size_t type = (size_t)kad_public_key_type(key);
  kad_public_key_free(key);
  return type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown";
}
