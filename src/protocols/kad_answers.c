/* Most requests arrive whole, with the end of their stream: these are answered
 * and gone before anything is remembered of them. Only a stream that lingers
 * (a part of a request, another request to come, answers not taken) gets an
 * entry, and only entries count against the limit of a peer, over all its
 * connections. A request that the owner wants to decide about lingers, too: it
 * stays in its stream, and is read again when the verdict is there. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "protocols/kad_internal.h"

/* Answers that the peer has not taken: the next request waits. */
#define UNSENT_MAX ((size_t)64 * 1024)
/* Entries that are kept for reuse. */
#define SPARE_MAX 64

/* A peer with streams that linger. */
typedef struct asker {
  kad__map_node node;
  kad__list link; /* of the spare ones */
  kad_peer_id peer;
  kad__list streams; /* the one that was served longest ago comes first */
  uint32_t count;
} asker;

typedef struct inbound {
  kad__list link;
  asker *from;
  kad__stream *stream;
  kad__frame_reader reader;
  kad__list review_link;
  uint64_t review; /* its token while it waits for a verdict; 0: it does not */
} inbound;

static uint32_t code_of(int error) {
  switch (error) {
    case KAD_E_NO_MEMORY:
    case KAD_E_LIMIT:
    case KAD_E_STORE_FULL:
      return KAD__STREAM_LIMIT;
    case KAD_E_UNSUPPORTED:
      return KAD__STREAM_SHUTDOWN;
    default:
      return KAD__STREAM_PROTOCOL_VIOLATION;
  }
}

/* ---- one request ------------------------------------------------------- */

/* Where the peer calls from; empty when the connection is gone already. */
static kad_bytes remote_address(const kad__kad *kad, kad__stream *stream) {
  kad__connection_info info;
  kad__id connection = kad__stream_connection(stream);
  return kad__swarm_connection(kad->swarm, connection, &info)
             ? info.remote_address
             : (kad_bytes){0};
}

static bool is_reviewed(const kad__kad *kad, const kad__message *request) {
  return kad->config.review && (request->type == KAD__PUT_VALUE ||
                                request->type == KAD__ADD_PROVIDER);
}

/* What happens to a request once it has been read. */
typedef enum pass { JUDGED, UNJUDGED } pass;

/* The request waits for the owner's verdict. */
#define HELD 2

static int hold(kad__kad *kad, const kad__stream *stream, kad_time now) {
  int error =
      kad__dht_check_request(kad->dht, &kad->request,
                             kad_peer_id_bytes(kad__stream_peer(stream)), now);
  if (error == 0 && kad->review_count == kad->config.max_reviews) {
    error = KAD_E_LIMIT;
  }
  kad->counters.refused += error < 0;
  return error < 0 ? error : HELD;
}

static int answer(kad__kad *kad, kad__stream *stream, kad_bytes bytes,
                  pass passed, kad_time now) {
  int result = kad__message_decode(&kad->request, bytes);
  if (result < 0) {
    kad->counters.malformed++;
    return result;
  }
  if (passed == UNJUDGED && is_reviewed(kad, &kad->request)) {
    return hold(kad, stream, now);
  }
  result = kad__dht_answer(kad->dht, &kad->reply, &kad->request,
                           kad_peer_id_bytes(kad__stream_peer(stream)),
                           remote_address(kad, stream), now);
  if (result < 0) {
    kad->counters.refused++;
    return result;
  }
  kad->counters.requests_in++;
  if (result == 0) {
    return 0;
  }
  kad__message *reply = &kad->reply;
  kad__id connection = kad__stream_connection(stream);
  kad__kad_fill_own(kad, reply->closer, reply->closer_count, connection);
  kad__kad_fill_own(kad, reply->providers, reply->provider_count, connection);
  bool shortened = false;
  size_t len = kad__kad_shorten(reply, kad->config.max_answer, &shortened);
  kad->counters.answers_shortened += shortened;
  return kad__kad_write(stream, reply, len);
}

/* Answers what can be answered now, the first request having `passed` the owner
 * or not. Returns KAD_E_CLOSED when the peer ended in good order, 0 when the
 * stream lingers, HELD when it waits for a verdict, or why it must be reset. */
static int serve(kad__kad *kad, kad__stream *stream, kad__frame_reader *reader,
                 pass passed, bool *served, kad_time now) {
  *served = false;
  while (kad__stream_unsent(stream) <= UNSENT_MAX) {
    kad_bytes bytes;
    int result = kad__frame_read(reader, &bytes, &kad->allocator, stream,
                                 kad->config.max_request);
    if (result <= 0) {
      kad->counters.too_large += result == KAD_E_MESSAGE_TOO_LARGE;
      kad->counters.malformed +=
          result == KAD_E_VARINT || result == KAD_E_TRUNCATED;
      return result;
    }
    result = answer(kad, stream, bytes, passed, now);
    if (result < 0 || result == HELD) {
      return result;
    }
    passed = UNJUDGED;
    kad__frame_done(reader, &kad->allocator, stream);
    *served = true;
  }
  return 0;
}

static void end_stream(kad__stream *stream, int error) {
  if (error == KAD_E_CLOSED) {
    kad__stream_release(stream);
  } else {
    kad__stream_reset(stream, code_of(error));
  }
}

/* ---- streams that linger ----------------------------------------------- */

static asker *find_asker(kad__kad *kad, const kad_peer_id *peer) {
  kad__map_node *node = kad__map_find(&kad->askers, kad_peer_id_bytes(peer));
  return node == NULL ? NULL : KAD__CONTAINER(node, asker, node);
}

static asker *take_spare_asker(kad__kad *kad) {
  kad__list *link = kad__list_take(&kad->spare_askers);
  if (link == NULL) {
    return kad__alloc(&kad->allocator, sizeof(asker));
  }
  kad->spare_asker_count--;
  return KAD__CONTAINER(link, asker, link);
}

static void give_back_asker(kad__kad *kad, asker *from) {
  if (kad->spare_asker_count == SPARE_MAX) {
    kad__release(&kad->allocator, from);
    return;
  }
  kad->spare_asker_count++;
  kad__list_append(&kad->spare_askers, &from->link);
}

static asker *add_asker(kad__kad *kad, const kad_peer_id *peer) {
  asker *from = take_spare_asker(kad);
  if (from == NULL) {
    return NULL;
  }
  *from = (asker){.peer = *peer};
  kad__list_init(&from->link);
  kad__list_init(&from->streams);
  int error = kad__map_add(&kad->askers, &kad->allocator, &from->node,
                           kad_peer_id_bytes(&from->peer));
  if (error < 0) {
    give_back_asker(kad, from);
    return NULL;
  }
  return from;
}

static void tidy_asker(kad__kad *kad, asker *from) {
  if (from->count == 0) {
    kad__map_remove(&kad->askers, &from->node);
    give_back_asker(kad, from);
  }
}

static inbound *take_spare_inbound(kad__kad *kad) {
  kad__list *link = kad__list_take(&kad->spare_inbound);
  if (link == NULL) {
    return kad__alloc(&kad->allocator, sizeof(inbound));
  }
  kad->spare_inbound_count--;
  return KAD__CONTAINER(link, inbound, link);
}

static void end_review(kad__kad *kad, inbound *in) {
  if (in->review != 0) {
    in->review = 0;
    kad->review_count--;
    kad__list_unlink(&in->review_link);
  }
}

/* Takes the entry out; its stream is the caller's to end. */
static void forget(kad__kad *kad, inbound *in) {
  end_review(kad, in);
  kad__frame_reader_fini(&in->reader, &kad->allocator);
  kad__list_unlink(&in->link);
  in->from->count--;
  kad->inbound_count--;
  if (kad->spare_inbound_count == SPARE_MAX) {
    kad__release(&kad->allocator, in);
    return;
  }
  kad->spare_inbound_count++;
  kad__list_append(&kad->spare_inbound, &in->link);
}

static void end_inbound(kad__kad *kad, inbound *in, int error) {
  asker *from = in->from;
  end_stream(in->stream, error);
  forget(kad, in);
  tidy_asker(kad, from);
}

static bool is_idle(const inbound *in) {
  return !kad__frame_begun(&in->reader, in->stream) &&
         kad__stream_unsent(in->stream) == 0;
}

/* Makes room for one more; false when every stream is at work. */
static bool make_room(kad__kad *kad, asker *from) {
  if (from->count < kad->config.max_inbound) {
    return true;
  }
  KAD__LIST_EACH(link, &from->streams) {
    inbound *in = KAD__CONTAINER(link, inbound, link);
    if (is_idle(in)) {
      kad->counters.streams_evicted++;
      kad__stream_reset(in->stream, KAD__STREAM_GARBAGE_COLLECTED);
      forget(kad, in);
      return true;
    }
  }
  kad->counters.streams_refused++;
  return false;
}

static int add_inbound(kad__kad *kad, asker *from, kad__stream *stream,
                       kad__frame_reader *reader, kad_time now) {
  if (!make_room(kad, from)) {
    return KAD_E_LIMIT;
  }
  int error = kad__stream_set_deadline(stream, now + kad->config.idle_timeout);
  if (error < 0) {
    return error;
  }
  inbound *in = take_spare_inbound(kad);
  if (in == NULL) {
    return KAD_E_NO_MEMORY;
  }
  *in = (inbound){.from = from, .stream = stream, .reader = *reader};
  kad__list_init(&in->review_link);
  kad__list_append(&from->streams, &in->link);
  from->count++;
  kad->inbound_count++;
  kad__stream_set_user(stream, in);
  return 0;
}

static int linger(kad__kad *kad, kad__stream *stream, kad__frame_reader *reader,
                  kad_time now) {
  const kad_peer_id *peer = kad__stream_peer(stream);
  asker *from = find_asker(kad, peer);
  if (from == NULL) {
    from = add_asker(kad, peer);
  }
  if (from == NULL) {
    return KAD_E_NO_MEMORY;
  }
  int error = add_inbound(kad, from, stream, reader, now);
  tidy_asker(kad, from);
  return error;
}

/* ---- events ------------------------------------------------------------ */

static void begin_review(kad__kad *kad, inbound *in) {
  in->review = ++kad->last_review;
  kad->review_count++;
  kad__list_append(&kad->unseen, &in->review_link);
}

static void accept(kad__kad *kad, kad__stream *stream, kad_time now) {
  kad__frame_reader reader = {0};
  bool served = false;
  int result = serve(kad, stream, &reader, UNJUDGED, &served, now);
  bool held = result == HELD;
  if (result >= 0) {
    result = linger(kad, stream, &reader, now);
  }
  if (result == 0 && held) {
    begin_review(kad, kad__stream_user(stream));
  }
  if (result < 0) {
    kad__frame_reader_fini(&reader, &kad->allocator);
    end_stream(stream, result);
  }
}

static void serve_more(kad__kad *kad, inbound *in, pass passed, kad_time now) {
  bool served = false;
  int result = serve(kad, in->stream, &in->reader, passed, &served, now);
  if (result == HELD) {
    begin_review(kad, in);
    result = 0;
  }
  if (result == 0 && served) {
    kad__list_unlink(&in->link);
    kad__list_append(&in->from->streams, &in->link);
    result =
        kad__stream_set_deadline(in->stream, now + kad->config.idle_timeout);
  }
  if (result < 0) {
    end_inbound(kad, in, result);
  }
}

void kad__kad_handle_inbound(kad__kad *kad, const kad__swarm_event *event,
                             kad_time now) {
  inbound *in = kad__stream_user(event->stream);
  switch (event->type) {
    case KAD__SWARM_STREAM_INBOUND:
      accept(kad, event->stream, now);
      break;
    case KAD__SWARM_STREAM_READABLE:
    case KAD__SWARM_STREAM_WRITABLE:
      if (in->review == 0) {
        serve_more(kad, in, UNJUDGED, now);
      }
      break;
    case KAD__SWARM_STREAM_DEAD:
      kad->counters.timeouts_in += event->error == KAD_E_TIMEOUT;
      end_inbound(kad, in, KAD_E_CLOSED);
      break;
    default:
      break;
  }
}

/* ---- the owner's verdicts ---------------------------------------------- */

/* The entry of the caller in its own announcement, which was found before. */
static kad_bytes announced(const kad__message *request, kad_bytes peer) {
  for (size_t i = 0; i < request->provider_count; i++) {
    if (kad__bytes_equal(request->providers[i].id, peer)) {
      return request->providers[i].addresses;
    }
  }
  return kad__bytes(NULL, 0);
}

bool kad__kad_poll_review(kad__kad *kad, kad__kad_review_request *out) {
  kad__list *link = kad__list_take(&kad->unseen);
  if (link == NULL) {
    return false;
  }
  inbound *in = KAD__CONTAINER(link, inbound, review_link);
  kad_bytes bytes = {0};
  kad__list_append(&kad->waiting, &in->review_link);
  /* It was read and decoded before, and nothing has been taken since. */
  (void)kad__frame_read(&in->reader, &bytes, &kad->allocator, in->stream,
                        kad->config.max_request);
  (void)kad__message_decode(&kad->request, bytes);
  const kad_peer_id *peer = kad__stream_peer(in->stream);
  *out = (kad__kad_review_request){
      .token = in->review,
      .peer = *peer,
      .type = kad->request.type,
      .key = kad->request.key,
      .record = kad->request.record,
      .addresses = announced(&kad->request, kad_peer_id_bytes(peer))};
  return true;
}

static inbound *find_review(const kad__list *list, uint64_t token) {
  for (const kad__list *link = list->next; link != list; link = link->next) {
    inbound *in = KAD__CONTAINER((uintptr_t)link, inbound, review_link);
    if (in->review == token) {
      return in;
    }
  }
  return NULL;
}

bool kad__kad_review(kad__kad *kad, uint64_t token, int verdict, kad_time now) {
  inbound *in = token == 0 ? NULL : find_review(&kad->waiting, token);
  if (in == NULL) {
    return false;
  }
  end_review(kad, in);
  if (verdict < 0) {
    kad->counters.refused++;
    end_inbound(kad, in, verdict);
  } else {
    serve_more(kad, in, JUDGED, now);
  }
  return true;
}

/* ---- the end ----------------------------------------------------------- */

static void free_asker(kad__kad *kad, asker *from) {
  KAD__LIST_EACH(link, &from->streams) {
    inbound *in = KAD__CONTAINER(link, inbound, link);
    kad__stream_reset(in->stream, KAD__STREAM_SHUTDOWN);
    forget(kad, in);
  }
  kad__release(&kad->allocator, from);
}

static void free_spare(kad__kad *kad) {
  for (kad__list *link; (link = kad__list_take(&kad->spare_inbound)) != NULL;) {
    kad__release(&kad->allocator, KAD__CONTAINER(link, inbound, link));
  }
  for (kad__list *link; (link = kad__list_take(&kad->spare_askers)) != NULL;) {
    kad__release(&kad->allocator, KAD__CONTAINER(link, asker, link));
  }
}

void kad__kad_free_inbound(kad__kad *kad) {
  uint32_t slot = 0;
  kad__map_node *node = kad__map_next(&kad->askers, &slot, NULL);
  while (node != NULL) {
    kad__map_node *next = kad__map_next(&kad->askers, &slot, node);
    free_asker(kad, KAD__CONTAINER(node, asker, node));
    node = next;
  }
  kad__map_fini(&kad->askers, &kad->allocator);
  free_spare(kad);
}
