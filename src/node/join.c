/* Joining a network: dial the contacts that we were given, wait until one of
 * them turns out to speak our protocol, then look up ourselves. A node whose
 * contacts are all down tries again, more and more patiently; requests that
 * wait are told after the first round. It does so, too, when those that it
 * knows have all been silent for a while. */
#include "kadmium/multiaddr.h"
#include "node/node_internal.h"
#include "wire/addresses.h"

#define FIRST_PAUSE (2 * KAD_SECOND)
#define LONGEST_PAUSE KAD_MINUTE
/* Peers of the table are not asked for longer, when all that is asked fails,
 * without the contacts being tried again. */
#define PATIENCE_ALONE KAD_MINUTE
/* How long a contact may take from identify into the routing table. */
#define ADMISSION (10 * KAD_SECOND)

static void contact_failed(kad__node *node, kad__contact *contact, int error) {
  contact->state = KAD__CONTACT_FAILED;
  uint8_t list[KAD_MULTIADDR_MAX + 8];
  size_t len = 0;
  (void)kad__addresses_append(list, sizeof(list), &len, contact->address);
  kad_event event = {.type = KAD_EVENT_DIAL_FAILED,
                     .error = error,
                     .addresses = kad__bytes(list, len)};
  kad__node_emit(node, &event);
}

static void dial(kad__node *node, kad__contact *contact, kad_time now) {
  contact->state = KAD__CONTACT_DIALLING;
  contact->connection = 0;
  int error = kad__swarm_dial_address(node->swarm, &contact->dial,
                                      contact->address, now);
  if (error < 0) {
    contact_failed(node, contact, error);
  }
}

/* Dials every contact; what fails at once is an event. */
static void start_round(kad__node *node, kad_time now) {
  kad__join *join = &node->join;
  join->failed = false;
  join->next_round = KAD_TIME_NEVER;
  join->rounds++;
  for (size_t i = 0; i < join->count; i++) {
    dial(node, &join->contacts[i], now);
  }
}

static kad__contact *find_dial(kad__join *join, kad__id dial) {
  for (size_t i = 0; dial != 0 && i < join->count; i++) {
    kad__contact *contact = &join->contacts[i];
    if (contact->state == KAD__CONTACT_DIALLING && contact->dial == dial) {
      return contact;
    }
  }
  return NULL;
}

static kad__contact *find_connection(kad__join *join, kad__id connection) {
  for (size_t i = 0; i < join->count; i++) {
    kad__contact *contact = &join->contacts[i];
    if (contact->state == KAD__CONTACT_CONNECTED &&
        contact->connection == connection) {
      return contact;
    }
  }
  return NULL;
}

void kad__join_event(kad__node *node, const kad__swarm_event *event) {
  kad__contact *contact;
  switch (event->type) {
    case KAD__SWARM_CONNECTED:
      contact = find_dial(&node->join, event->dial);
      if (contact != NULL) {
        contact->state = KAD__CONTACT_CONNECTED;
        contact->connection = event->connection;
      }
      return;
    case KAD__SWARM_DIAL_FAILED:
      contact = find_dial(&node->join, event->dial);
      if (contact != NULL) {
        contact_failed(node, contact, event->error);
      }
      return;
    case KAD__SWARM_DISCONNECTED:
      contact = find_connection(&node->join, event->connection);
      if (contact != NULL) {
        contact_failed(node, contact, KAD_E_CLOSED);
      }
      return;
    default:
      return;
  }
}

void kad__join_identified(kad__node *node, const kad__identify_event *event,
                          kad_time now) {
  kad__contact *contact = find_connection(&node->join, event->connection);
  if (contact == NULL) {
    return;
  }
  if (event->type == KAD__IDENTIFY_FAILED) {
    contact_failed(node, contact, event->error);
  } else if (!kad__peerstore_speaks(kad__swarm_peerstore(node->swarm),
                                    &event->peer, node->protocol)) {
    contact_failed(node, contact, KAD_E_NO_PROTOCOL);
  } else {
    contact->state = KAD__CONTACT_DONE;
    contact->done_at = now;
  }
}

static bool contact_under_way(const kad__contact *contact, kad_time now) {
  return contact->state == KAD__CONTACT_DIALLING ||
         contact->state == KAD__CONTACT_CONNECTED ||
         (contact->state == KAD__CONTACT_DONE &&
          now - contact->done_at < ADMISSION);
}

static bool under_way(const kad__join *join, kad_time now) {
  for (size_t i = 0; i < join->count; i++) {
    if (contact_under_way(&join->contacts[i], now)) {
      return true;
    }
  }
  return false;
}

static void become_ready(kad__node *node) {
  if (node->join.ready) {
    return;
  }
  node->join.ready = true;
  kad_event event = {.type = KAD_EVENT_READY,
                     .count = (uint32_t)kad__dht_table_size(node->dht)};
  kad__node_emit(node, &event);
}

/* Somebody is in the table. Requests that wait go first: they find what they
 * need on their way, and a short-lived client need not know its neighbours. */
static void become_joined(kad__node *node, kad_time now) {
  kad__join *join = &node->join;
  join->joined = true;
  bool hurried = !kad__list_empty(&node->requests.waiting);
  kad__requests_joined(node, now);
  if (hurried || kad__dht_bootstrap(node->dht, &join->bootstrap, now) < 0) {
    become_ready(node);
  }
}

bool kad__join_query_ended(kad__node *node, kad__query_id query) {
  if (query == 0 || query != node->join.bootstrap) {
    return false;
  }
  node->join.bootstrap = 0;
  become_ready(node);
  return true;
}

static void plan_next_round(kad__join *join, kad_time now) {
  kad_time pause = FIRST_PAUSE;
  for (uint32_t i = 1; i < join->rounds && pause < LONGEST_PAUSE; i++) {
    pause *= 2;
  }
  join->next_round =
      kad__time_add(now, pause < LONGEST_PAUSE ? pause : LONGEST_PAUSE);
}

/* Somebody is in the table, and not all of them are gone. */
static kad_time member_until(const kad__node *node) {
  if (kad__dht_table_size(node->dht) == 0) {
    return 0;
  }
  return kad__time_add(kad__dht_alone_since(node->dht), PATIENCE_ALONE);
}

/* Those that are in the table: the first ever, or after a time alone. */
static void found_members(kad__node *node, kad_time now) {
  kad__join *join = &node->join;
  bool again = join->joined && join->rounds > 0;
  join->failed = false;
  join->rounds = 0;
  if (!join->joined) {
    become_joined(node, now);
  } else if (again && join->bootstrap == 0) {
    /* Without peers or memory: the next time. */
    (void)kad__dht_bootstrap(node->dht, &join->bootstrap, now);
  }
}

void kad__join_drive(kad__node *node, kad_time now) {
  kad__join *join = &node->join;
  if (!node->listeners_known || node->closing) {
    return; /* whom we dial shall hear where we listen */
  }
  if (member_until(node) > now) {
    found_members(node, now);
    return;
  }
  if (join->count == 0) {
    /* The first node of its network is healthy. */
    if (!join->joined) {
      join->joined = true;
      kad__requests_joined(node, now);
      become_ready(node);
    }
    return;
  }
  if (join->next_round <= now && !under_way(join, now)) {
    start_round(node, now);
  }
  /* All dials of a round can fail as they are made. */
  if (!join->failed && !under_way(join, now)) {
    join->failed = true;
    plan_next_round(join, now);
    kad__requests_refuse(node, KAD_E_NO_PEERS, now);
  }
}

kad_time kad__join_deadline(const kad__node *node) {
  const kad__join *join = &node->join;
  if (join->count == 0 || !node->listeners_known || node->closing) {
    return KAD_TIME_NEVER;
  }
  if (kad__dht_table_size(node->dht) > 0 && join->rounds == 0 &&
      !join->failed) {
    return member_until(node);
  }
  kad_time deadline = join->next_round;
  for (size_t i = 0; i < join->count && !join->failed; i++) {
    if (join->contacts[i].state == KAD__CONTACT_DONE) {
      deadline = kad__time_min(
          deadline, kad__time_add(join->contacts[i].done_at, ADMISSION));
    }
  }
  return deadline;
}
