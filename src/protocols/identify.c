/* An answer is written and the stream given back in one step, so inbound
 * requests hold nothing. What reads (a request of ours, a push of theirs)
 * leaves the messages in the stream until the peer has ended: they are bounded
 * well below a receive window, so they are parsed once, in place. */
#include "protocols/identify.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "protocols/identify_internal.h"

/* Pushes of ours at the same time. */
#define PUSHES_MAX 32
#define ANSWER_MAX (KAD__IDENTIFY_SEND_MAX + 2)

static const uint8_t ask_bytes[] = KAD__IDENTIFY_PROTOCOL;
static const kad_bytes ask_name = {ask_bytes, sizeof(ask_bytes) - 1};
static const uint8_t push_bytes[] = KAD__IDENTIFY_PUSH_PROTOCOL;
static const kad_bytes push_name = {push_bytes, sizeof(push_bytes) - 1};

static const char default_agent[] = "kadmium/" KADMIUM_VERSION;

void kad__identify_config_default(kad__identify_config *config) {
  *config = (kad__identify_config){
      .agent_version = kad__bytes(default_agent, sizeof(default_agent) - 1),
      .sequence = 1,
      .timeout = 5 * KAD_SECOND,
  };
}

static bool config_is_valid(const kad__identify_config *config) {
  return config->identity != NULL && config->own != NULL &&
         config->random != NULL &&
         config->agent_version.len <= KAD__IDENTIFY_AGENT_MAX;
}

static int handle_protocols(kad__swarm *swarm) {
  int error = kad__swarm_handle(swarm, ask_name, KAD__TAG_IDENTIFY);
  if (error < 0) {
    return error;
  }
  error = kad__swarm_handle(swarm, push_name, KAD__TAG_IDENTIFY_PUSH);
  if (error < 0) {
    kad__swarm_unhandle(swarm, ask_name);
  }
  return error;
}

static void copy_config(kad__identify *identify,
                        const kad__identify_config *config) {
  identify->config = *config;
  kad_bytes *agent = &identify->config.agent_version;
  if (agent->len != 0) {
    memcpy(identify->agent, agent->data, agent->len);
  }
  agent->data = identify->agent;
}

int kad__identify_new(kad__identify **out, const kad_allocator *allocator,
                      kad__swarm *swarm, const kad__identify_config *config) {
  if (!config_is_valid(config)) {
    return KAD_E_INVALID_ARGUMENT;
  }
  kad__identify *identify = kad__calloc(allocator, 1, sizeof(*identify));
  if (identify == NULL) {
    return KAD_E_NO_MEMORY;
  }
  identify->allocator = *allocator;
  identify->swarm = swarm;
  copy_config(identify, config);
  identify->secret[0] = kad_random_u64(config->random);
  identify->secret[1] = kad_random_u64(config->random);
  kad__push_limit_init(&identify->push_limit, allocator);
  kad__list_init(&identify->running);
  kad__list_init(&identify->ended);
  int error = handle_protocols(swarm);
  if (error < 0) {
    kad__release(allocator, identify);
    return error;
  }
  *out = identify;
  return 0;
}

static void free_tasks(kad__identify *identify, kad__list *list) {
  for (kad__list *link; (link = kad__list_take(list)) != NULL;) {
    kad__identify_task *task = KAD__CONTAINER(link, kad__identify_task, link);
    if (task->stream != NULL) {
      kad__stream_reset(task->stream, KAD__STREAM_SHUTDOWN);
    }
    kad__release(&identify->allocator, task);
  }
}

void kad__identify_free(kad__identify *identify) {
  if (identify == NULL) {
    return;
  }
  kad__swarm_unhandle(identify->swarm, ask_name);
  kad__swarm_unhandle(identify->swarm, push_name);
  free_tasks(identify, &identify->running);
  free_tasks(identify, &identify->ended);
  kad__release(&identify->allocator, identify->polled);
  kad__push_limit_fini(&identify->push_limit);
  for (size_t i = 0; i < KAD__SCOPES; i++) {
    kad__release(&identify->allocator, identify->cards[i]);
  }
  kad__release(&identify->allocator, identify->push_queue);
  kad_allocator allocator = identify->allocator;
  kad__release(&allocator, identify);
}

/* ---- tasks ------------------------------------------------------------- */

static kad__identify_task *add_task(kad__identify *identify,
                                    kad__identify_kind kind,
                                    kad__id connection) {
  kad__identify_task *task = kad__alloc(&identify->allocator, sizeof(*task));
  if (task == NULL) {
    return NULL;
  }
  memset(task, 0, offsetof(kad__identify_task, observed));
  task->kind = kind;
  task->snapshot = identify->snapshot;
  task->event.connection = connection;
  task->event.push = kind == KAD__IDENTIFY_PUSH_IN;
  kad__list_append(&identify->running, &task->link);
  return task;
}

static void drop_task(kad__identify *identify, kad__identify_task *task) {
  kad__list_unlink(&task->link);
  kad__release(&identify->allocator, task);
}

static void push_more(kad__identify *identify, kad_time now);
static int push_to(kad__identify *identify, kad__id connection, kad_time now);

/* The peer asked before our news and was not pushed to, since nobody knew yet
 * that it takes pushes. */
static void catch_up(kad__identify *identify, const kad__identify_task *task,
                     kad_time now) {
  if (task->kind == KAD__IDENTIFY_ASK && task->snapshot != identify->snapshot &&
      kad__peerstore_speaks(kad__swarm_peerstore(identify->swarm),
                            &task->event.peer, push_name)) {
    (void)push_to(identify, task->event.connection, now);
  }
}

/* The stream is gone already. */
static void end_task(kad__identify *identify, kad__identify_task *task,
                     int error, kad_time now) {
  task->stream = NULL;
  if (task->kind == KAD__IDENTIFY_PUSH_OUT) {
    drop_task(identify, task);
    identify->pushing--;
    push_more(identify, now);
    return;
  }
  if (task->kind == KAD__IDENTIFY_PUSH_IN && error < 0) {
    drop_task(identify, task);
    return;
  }
  identify->counters.failures += error < 0;
  task->event.type = error < 0 ? KAD__IDENTIFY_FAILED : KAD__IDENTIFY_DONE;
  task->event.error = error;
  kad__list_unlink(&task->link);
  kad__list_append(&identify->ended, &task->link);
  if (error == 0) {
    catch_up(identify, task, now);
  }
}

static void reset_task(kad__identify *identify, kad__identify_task *task,
                       uint32_t code, int error, kad_time now) {
  kad__stream_reset(task->stream, code);
  end_task(identify, task, error, now);
}

static int open_task(kad__identify *identify, kad__identify_task *task,
                     const kad_bytes *name, uint32_t tag, kad_time now) {
  kad__protocol_names names = {.names = name, .count = 1};
  int error = kad__stream_open_on(identify->swarm, &task->stream,
                                  task->event.connection, names,
                                  tag | KAD__TAG_OURS, task, now);
  if (error < 0) {
    return error;
  }
  task->event.peer = *kad__stream_peer(task->stream);
  error =
      kad__stream_set_deadline(task->stream, now + identify->config.timeout);
  if (error < 0) {
    kad__stream_reset(task->stream, 0);
    task->stream = NULL;
  }
  return error;
}

static void ask(kad__identify *identify, const kad__swarm_event *event,
                kad_time now) {
  kad__identify_task *task =
      add_task(identify, KAD__IDENTIFY_ASK, event->connection);
  if (task == NULL) {
    identify->counters.failures++;
    return;
  }
  task->event.peer = event->peer;
  task->started = now;
  identify->counters.requests++;
  int error = open_task(identify, task, &ask_name, KAD__TAG_IDENTIFY, now);
  if (error < 0) {
    end_task(identify, task, error, now);
  }
}

/* ---- answers and pushes of ours ---------------------------------------- */

static int write_message(kad__identify *identify, kad__stream *stream,
                         kad__id connection) {
  kad__connection_info info;
  if (!kad__swarm_connection(identify->swarm, connection, &info)) {
    return KAD_E_CLOSED;
  }
  uint8_t out[ANSWER_MAX];
  int len = kad__identify_compose(identify, out, sizeof(out), &info);
  if (len < 0) {
    return len;
  }
  int error = kad__stream_write(stream, kad__bytes(out, (size_t)len));
  if (error == 0) {
    kad__stream_close_write(stream);
  }
  return error;
}

static void answer(kad__identify *identify, const kad__swarm_event *event) {
  kad__stream *stream = event->stream;
  int error = write_message(identify, stream, kad__stream_connection(stream));
  if (error < 0) {
    kad__stream_reset(stream, KAD__STREAM_LIMIT);
    return;
  }
  identify->counters.answers++;
  kad__stream_release(stream);
}

static int push_to(kad__identify *identify, kad__id connection, kad_time now) {
  kad__identify_task *task =
      add_task(identify, KAD__IDENTIFY_PUSH_OUT, connection);
  if (task == NULL) {
    return KAD_E_NO_MEMORY;
  }
  int error =
      open_task(identify, task, &push_name, KAD__TAG_IDENTIFY_PUSH, now);
  if (error == 0) {
    error = write_message(identify, task->stream, connection);
  }
  if (error < 0) {
    if (task->stream != NULL) {
      kad__stream_reset(task->stream, 0);
    }
    drop_task(identify, task);
    return error;
  }
  identify->pushing++;
  identify->counters.pushes_out++;
  return 0;
}

static bool takes_pushes(const kad__identify *identify, kad__id connection) {
  kad__connection_info info;
  return kad__swarm_connection(identify->swarm, connection, &info) &&
         kad__peerstore_speaks(kad__swarm_peerstore(identify->swarm),
                               &info.peer, push_name);
}

static void push_more(kad__identify *identify, kad_time now) {
  while (identify->pushing < PUSHES_MAX &&
         identify->push_next < identify->push_count) {
    kad__id connection = identify->push_queue[identify->push_next++];
    if (takes_pushes(identify, connection)) {
      (void)push_to(identify, connection, now);
    }
  }
  if (identify->push_next == identify->push_count) {
    kad__release(&identify->allocator, identify->push_queue);
    identify->push_queue = NULL;
    identify->push_next = 0;
    identify->push_count = 0;
  }
}

void kad__identify_push_all(kad__identify *identify, kad_time now) {
  uint64_t snapshot = kad__identify_fingerprint(identify);
  if (snapshot == identify->snapshot) {
    return;
  }
  /* Also those who were to be told the news before: they get the latest. */
  size_t count = kad__swarm_connection_count(identify->swarm);
  kad__id *queue = NULL;
  if (count != 0) {
    queue = kad__resize_array(&identify->allocator, identify->push_queue, count,
                              sizeof(*queue));
    if (queue == NULL) {
      return; /* the snapshot is still the old one: the next call tries again */
    }
    identify->push_queue = queue;
  }
  identify->snapshot = snapshot;
  identify->push_next = 0;
  identify->push_count = 0;
  kad__id id = 0;
  while (identify->push_count < count &&
         (id = kad__swarm_connection_next(identify->swarm, id)) != 0) {
    queue[identify->push_count++] = id;
  }
  push_more(identify, now);
}

/* ---- reading ----------------------------------------------------------- */

/* Counts the whole messages. Returns 1 when the peer has ended after at least
 * one, 0 when more is to come, or an error. */
static int scan(kad__identify_task *task) {
  kad_bytes in = kad__stream_peek(task->stream);
  for (;;) {
    kad_bytes rest = kad__bytes_skip(in, task->scanned);
    kad_bytes message;
    int taken = rest.len == 0 ? 0
                              : kad__frame_split(&message, rest,
                                                 KAD__IDENTIFY_MESSAGE_MAX);
    if (taken < 0) {
      return taken;
    }
    if (taken == 0) {
      break;
    }
    if (task->messages == KAD__IDENTIFY_MESSAGES_MAX) {
      return KAD_E_MESSAGE_TOO_LARGE;
    }
    task->messages++;
    task->scanned += (size_t)taken;
  }
  if (!kad__stream_ended(task->stream)) {
    return 0;
  }
  return task->messages != 0 && task->scanned == in.len ? 1 : KAD_E_TRUNCATED;
}

static void read_task(kad__identify *identify, kad__identify_task *task,
                      kad_time now) {
  int result = scan(task);
  if (result == 0) {
    return;
  }
  identify->counters.malformed += result < 0;
  if (result > 0) {
    result = kad__identify_apply(identify, task, kad__stream_peek(task->stream),
                                 now);
  }
  if (result < 0) {
    reset_task(identify, task, KAD__STREAM_PROTOCOL_VIOLATION, result, now);
    return;
  }
  kad__stream_consume(task->stream, task->scanned);
  kad__stream_release(task->stream);
  end_task(identify, task, 0, now);
}

/* What is refused costs us no more than to say so. */
static bool may_push(kad__identify *identify, kad__id connection,
                     kad_time now) {
  kad__connection_info info;
  return kad__swarm_connection(identify->swarm, connection, &info) &&
         kad__push_limit_take(&identify->push_limit, info.remote_address, now);
}

static void accept_push(kad__identify *identify, const kad__swarm_event *event,
                        kad_time now) {
  kad__stream *stream = event->stream;
  kad__id connection = kad__stream_connection(stream);
  if (!may_push(identify, connection, now)) {
    identify->counters.pushes_limited++;
    kad__stream_reset(stream, KAD__STREAM_RATE_LIMITED);
    return;
  }
  kad__identify_task *task =
      add_task(identify, KAD__IDENTIFY_PUSH_IN, connection);
  if (task == NULL) {
    kad__stream_reset(stream, KAD__STREAM_LIMIT);
    return;
  }
  task->stream = stream;
  task->event.peer = *kad__stream_peer(stream);
  kad__stream_set_user(stream, task);
  identify->counters.pushes_in++;
  if (kad__stream_set_deadline(stream, now + identify->config.timeout) < 0) {
    reset_task(identify, task, KAD__STREAM_LIMIT, KAD_E_NO_MEMORY, now);
    return;
  }
  read_task(identify, task, now);
}

/* ---- events ------------------------------------------------------------ */

static void accept(kad__identify *identify, const kad__swarm_event *event,
                   kad_time now) {
  if (kad__tag_owner(kad__stream_tag(event->stream)) == KAD__TAG_IDENTIFY) {
    answer(identify, event);
  } else {
    accept_push(identify, event, now);
  }
}

static void handle_stream(kad__identify *identify,
                          const kad__swarm_event *event, kad_time now) {
  kad__identify_task *task = kad__stream_user(event->stream);
  bool reads = task->kind != KAD__IDENTIFY_PUSH_OUT;
  if (event->type == KAD__SWARM_STREAM_DEAD) {
    kad__stream_release(event->stream);
    end_task(identify, task, event->error < 0 ? event->error : KAD_E_CLOSED,
             now);
  } else if (event->type == KAD__SWARM_STREAM_READABLE && reads) {
    read_task(identify, task, now);
  } else if (event->type == KAD__SWARM_STREAM_OPENED && !reads) {
    kad__stream_release(event->stream);
    end_task(identify, task, 0, now);
  }
}

void kad__identify_handle_event(kad__identify *identify,
                                const kad__swarm_event *event, kad_time now) {
  switch (event->type) {
    case KAD__SWARM_CONNECTED:
      ask(identify, event, now);
      break;
    case KAD__SWARM_STREAM_INBOUND:
      accept(identify, event, now);
      break;
    case KAD__SWARM_STREAM_OPENED:
    case KAD__SWARM_STREAM_READABLE:
    case KAD__SWARM_STREAM_WRITABLE:
    case KAD__SWARM_STREAM_DEAD:
      handle_stream(identify, event, now);
      break;
    default:
      break;
  }
}

bool kad__identify_poll(kad__identify *identify, kad__identify_event *out) {
  kad__release(&identify->allocator, identify->polled);
  identify->polled = NULL;
  kad__list *link = kad__list_take(&identify->ended);
  if (link == NULL) {
    return false;
  }
  kad__identify_task *task = KAD__CONTAINER(link, kad__identify_task, link);
  identify->polled = task;
  *out = task->event;
  return true;
}

const kad__identify_counters *kad__identify_counters_get(
    const kad__identify *identify) {
  return &identify->counters;
}
