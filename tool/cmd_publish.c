/* kadmium publish: point a name at a path.
 *
 * Peers keep the record with the highest sequence number, so the network is
 * asked for the latest one first. The node that asks and stores has an identity
 * of its own: the key may belong to a node that runs elsewhere. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "records.h"
#include "results.h"

typedef struct publication {
  tool_session session; /* first: results come with it */
  kad_key_pair *pair;
  kad_bytes key;
  bool found; /* an earlier record */
  uint64_t latest;
  uint8_t key_bytes[KAD_IPNS_KEY_MAX];
  uint8_t record[KAD_IPNS_RECORD_MAX];
} publication;

static void note_sequence(tool_session *session, const kad_event *event) {
  publication *p = (publication *)session;
  kad_ipns_record record;
  if (event->type != KAD_EVENT_VALUE ||
      kad_ipns_check(&record, NULL, kad_key_pair_peer_id(p->pair), event->value,
                     0) < 0) {
    return;
  }
  if (!p->found || record.sequence > p->latest) {
    p->latest = record.sequence;
  }
  p->found = true;
}

static void ignore(tool_session *session, const kad_event *event) {
  (void)session;
  (void)event;
}

/* The exit status; TOOL_OK when `*sequence` is known. */
static int next_sequence(publication *p, uint64_t *sequence) {
  const tool_options *options = p->session.options;
  kad_event end;
  *sequence = options->sequence;
  if (options->has_sequence) {
    return TOOL_OK;
  }
  kad_request request = KAD_REQUEST_INIT(KAD_GET);
  request.key = p->key;
  request.quorum.kind = KAD_QUORUM_ALL;
  if (!tool_session_run(&p->session, &request, note_sequence, &end)) {
    tool_note(&p->session.out, "interrupted");
    return TOOL_INTERRUPTED;
  }
  if (end.error < 0 && end.error != KAD_E_NOT_FOUND && !p->found) {
    return tool_session_end(&p->session, &end, "looking for the latest record");
  }
  if (p->found && p->latest == UINT64_MAX) {
    return tool_fail(&p->session.out, KAD_E_LIMIT, "the next sequence number",
                     "this name can never be changed again");
  }
  *sequence = p->found ? p->latest + 1 : 0;
  return TOOL_OK;
}

static int seal(publication *p, kad_bytes *out, uint64_t sequence) {
  const tool_options *options = p->session.options;
  const char *path = options->arguments[0];
  kad_ipns_options record = KAD_IPNS_OPTIONS_INIT;
  record.value = (kad_bytes){(const uint8_t *)path, strlen(path)};
  record.sequence = sequence;
  record.valid_until = tool_unix_ns() + options->lifetime;
  int len = kad_ipns_seal(p->record, sizeof(p->record), p->pair, &record);
  if (len < 0) {
    return tool_fail(&p->session.out, len, "cannot make the record", NULL);
  }
  *out = (kad_bytes){p->record, (size_t)len};
  return TOOL_OK;
}

static void show(const publication *p, kad_bytes value) {
  tool_record record;
  if (tool_record_read(&record, p->key, value) < 0) {
    return;
  }
  if (!p->session.out.json) {
    tool_record_print(&record);
    return;
  }
  tool_print_json(
      json_pack("{s:s, s:o, s:o, s:o}", "type", "record", "key",
                tool_hex_json(p->key), "value", tool_hex_json(value), "record",
                tool_record_json(&record)),
      NULL);
}

static int store(publication *p, kad_bytes value) {
  kad_event end;
  kad_request request = KAD_REQUEST_INIT(KAD_PUT);
  request.key = p->key;
  request.value = value;
  request.quorum = p->session.options->quorum;
  if (!tool_session_run(&p->session, &request, ignore, &end)) {
    tool_note(&p->session.out, "interrupted");
    return TOOL_INTERRUPTED;
  }
  if (end.error == 0) {
    show(p, value);
  }
  int status = tool_session_end(&p->session, &end, "publishing the record");
  if (status == TOOL_OK && !p->session.out.json) {
    printf("stored at    %u peer%s\n", end.statistics.stored,
           end.statistics.stored == 1 ? "" : "s");
  }
  return status;
}

static int run(publication *p) {
  uint64_t sequence = 0;
  kad_bytes value = {NULL, 0};
  int status = next_sequence(p, &sequence);
  if (status == TOOL_OK) {
    status = seal(p, &value, sequence);
  }
  return status == TOOL_OK ? store(p, value) : status;
}

static bool arguments_fit(const tool_options *options) {
  if (options->key_file == NULL) {
    fprintf(stderr,
            "kadmium publish: whose name? (--key FILE; see kadmium publish "
            "--help)\n");
    return false;
  }
  if (options->arguments[0][0] != '/') {
    fprintf(stderr,
            "kadmium publish: not a path: %s (expected /ipfs/CID or "
            "/ipns/NAME)\n",
            options->arguments[0]);
    return false;
  }
  return true;
}

int tool_publish(const tool_options *options) {
  static publication p;
  int status = TOOL_FAILED;
  tool_options joining = *options;
  tool_output out;
  if (!arguments_fit(options)) {
    return TOOL_USAGE;
  }
  tool_output_init(&out, options);
  if (!tool_load_identity(&p.pair, options, &out)) {
    return TOOL_FAILED;
  }
  p.key = (kad_bytes){
      p.key_bytes,
      (size_t)kad_ipns_key(p.key_bytes, kad_key_pair_peer_id(p.pair))};
  joining.key_file = NULL;
  if (tool_session_open(&p.session, &joining, &status)) {
    status = run(&p);
    tool_session_close(&p.session);
  }
  kad_key_pair_free(p.pair);
  return status;
}
