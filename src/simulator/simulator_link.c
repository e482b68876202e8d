/* Links: two ends, each the property of a host, and what is on its way between
 * them. What has arrived waits at its end until the host reads it, so that a
 * host may be slow, or may not want to read, and nothing changes its place. */
#include "simulator/simulator_internal.h"

#define IMMORTAL UINT64_MAX

/* ---- ends ---------------------------------------------------------------- */

static uint64_t draw_life(kad__simulator *s) {
  if (s->next_life != 0) {
    return s->next_life;
  }
  return kad__sim_chance(s, s->faults.mortal)
             ? kad_random_below(&s->random, s->faults.life + 1)
             : IMMORTAL;
}

static void end_init(kad__sim_end *end, kad__sim_host *host,
                     kad__sim_link *link) {
  end->host = host;
  end->link = link;
  kad__list_init(&end->ready);
  kad__list_init(&end->roomy);
  kad__list_init(&end->arrived);
}

kad__sim_link *kad__sim_link_new(kad__simulator *s, kad__sim_host *dialler,
                                 kad__sim_host *listener) {
  kad__sim_link *link = kad__calloc(&s->allocator, 1, sizeof(*link));
  if (link == NULL) {
    return NULL;
  }
  kad_time spread = s->config.latency_max - s->config.latency_min;
  link->references = 1;
  link->latency =
      s->config.latency_min + kad_random_below(&s->random, spread + 1);
  link->life = draw_life(s);
  end_init(&link->ends[0], dialler, link);
  end_init(&link->ends[1], listener, link);
  kad__list_append(&s->links, &link->in_all);
  return link;
}

void kad__sim_link_release(kad__simulator *s, kad__sim_link *link) {
  if (--link->references == 0) {
    kad__list_unlink(&link->in_all);
    kad__release(&s->allocator, link);
  }
}

int kad__sim_map(kad__simulator *s, kad__sim_end *end, kad__id connection) {
  end->connection = connection;
  int error = kad__map_add(&end->host->ends, &s->allocator, &end->node,
                           kad__bytes(&end->connection, sizeof(kad__id)));
  if (error < 0) {
    end->connection = 0;
    return error;
  }
  end->link->references++;
  return 0;
}

void kad__sim_drop_arrived(kad__simulator *s, kad__sim_end *end) {
  KAD__LIST_EACH(link, &end->arrived) {
    kad__sim_happening_free(s,
                            KAD__CONTAINER(link, kad__sim_happening, waiting));
  }
}

void kad__sim_unmap(kad__simulator *s, kad__sim_end *end) {
  if (end->connection == 0) {
    return;
  }
  kad__map_remove(&end->host->ends, &end->node);
  end->connection = 0;
  kad__list_unlink(&end->ready);
  kad__list_unlink(&end->roomy);
  kad__sim_drop_arrived(s, end);
  kad__sim_link_release(s, end->link);
}

kad__sim_end *kad__sim_find(kad__sim_host *h, kad__id connection) {
  kad__map_node *node =
      kad__map_find(&h->ends, kad__bytes(&connection, sizeof(connection)));
  return node == NULL ? NULL : KAD__CONTAINER(node, kad__sim_end, node);
}

/* ---- happenings ---------------------------------------------------------- */

kad__sim_happening *kad__sim_plan(kad__simulator *s, kad__sim_type type,
                                  kad__sim_link *link, int side,
                                  kad_bytes bytes, kad_time at) {
  kad__sim_happening *h = kad__alloc(&s->allocator, sizeof(*h) + bytes.len);
  if (h == NULL) {
    return NULL;
  }
  *h = (kad__sim_happening){
      .type = type, .link = link, .side = side, .len = bytes.len};
  kad__heap_node_init(&h->at);
  kad__list_init(&h->waiting);
  if (bytes.len > 0) {
    memcpy(h->bytes, bytes.data, bytes.len);
  }
  if (kad__heap_set(&s->future, &s->allocator, &h->at, at) < 0) {
    kad__release(&s->allocator, h);
    return NULL;
  }
  link->references++;
  return h;
}

void kad__sim_happening_free(kad__simulator *s, kad__sim_happening *h) {
  kad__list_unlink(&h->waiting);
  kad__sim_link_release(s, h->link);
  kad__release(&s->allocator, h);
}

/* When something sent now arrives at `end`: in order, and late when lost. */
static kad_time arrival(kad__simulator *s, kad__sim_end *end) {
  kad_time at = s->now + end->link->latency;
  while (s->config.loss_per_million > 0 &&
         kad_random_below(&s->random, 1000000) < s->config.loss_per_million) {
    s->counters.losses++;
    at += s->config.retransmit;
  }
  if (s->faults.jitter != 0) {
    at += kad_random_below(&s->random, s->faults.jitter + 1);
  }
  at = at > end->last_arrival ? at : end->last_arrival;
  end->last_arrival = at;
  return at;
}

static int side_of(const kad__sim_end *end) {
  return end == &end->link->ends[1];
}

void kad__sim_send(kad__simulator *s, kad__sim_end *end, kad__sim_type type,
                   kad_bytes bytes) {
  (void)kad__sim_plan(s, type, end->link, side_of(end), bytes, arrival(s, end));
}

/* ---- arriving ------------------------------------------------------------ */

/* What is under way is lost, and each end hears of it when it gets there. */
static void cut(kad__simulator *s, kad__sim_link *link) {
  link->dead = true;
  s->counters.cuts++;
  for (int side = 0; side < 2; side++) {
    kad_time at = s->now + kad_random_below(&s->random, link->latency + 1);
    kad__sim_happening *h =
        kad__sim_plan(s, KAD__SIM_END, link, side, kad__bytes(NULL, 0), at);
    if (h != NULL) {
      h->error = KAD_E_IO;
    }
  }
}

/* Takes the bytes that still arrive off the life of the link. */
static void wear(kad__simulator *s, kad__sim_happening *h) {
  kad__sim_link *link = h->link;
  if (link->life != IMMORTAL) {
    bool over = h->len > link->life;
    h->len = over ? (size_t)link->life : h->len;
    link->life -= h->len;
    if (over) {
      cut(s, link);
    }
  }
  s->counters.arrived += h->len;
}

bool kad__sim_parted(const kad__simulator *s, const kad__sim_link *link) {
  return s->partitioned && (link->ends[0].host->number < s->border) !=
                               (link->ends[1].host->number < s->border);
}

bool kad__sim_arrive(kad__simulator *s, kad__sim_happening *h) {
  kad__sim_link *link = h->link;
  kad__sim_end *end = &link->ends[h->side];
  bool cut_off = h->error == 0 && (link->dead || kad__sim_parted(s, link));
  if (end->host->node == NULL || end->deaf || cut_off) {
    return false;
  }
  if (end->connection == 0 && !end->coming) {
    if (h->type == KAD__SIM_CHUNK) { /* nobody knows of it here, any more */
      kad__sim_send(s, kad__sim_other(end), KAD__SIM_END, kad__bytes(NULL, 0));
    }
    return false;
  }
  if (h->type == KAD__SIM_CHUNK) {
    wear(s, h);
    if (h->len == 0) {
      return false;
    }
  }
  kad__list_append(&end->arrived, &h->waiting);
  kad__sim_mark_readable(s, end);
  return true;
}

void kad__sim_mark_readable(kad__simulator *s, kad__sim_end *end) {
  if (end->connection != 0 && !end->paused && end->link->held_until <= s->now &&
      !kad__list_empty(&end->arrived) && !kad__list_linked(&end->ready)) {
    kad__list_append(&end->host->readable, &end->ready);
  }
}

/* ---- trouble ------------------------------------------------------------- */

void kad__simulator_set_faults(kad__simulator *s,
                               const kad__simulator_faults *faults) {
  s->faults = *faults;
}

void kad__simulator_next_life(kad__simulator *s, uint64_t bytes) {
  s->next_life = bytes;
}

static bool is_whole(const kad__sim_link *link) {
  return !link->dead && link->ends[0].connection != 0 &&
         link->ends[1].connection != 0;
}

/* Any link that has both ends, or NULL. */
static kad__sim_link *any_link(kad__simulator *s) {
  kad__sim_link *chosen = NULL;
  uint64_t seen = 0;
  KAD__LIST_EACH(node, &s->links) {
    kad__sim_link *link = KAD__CONTAINER(node, kad__sim_link, in_all);
    if (is_whole(link) && kad_random_below(&s->random, ++seen) == 0) {
      chosen = link;
    }
  }
  return chosen;
}

static void deafen(kad__simulator *s, kad__sim_link *link) {
  uint64_t which = kad_random_below(&s->random, 3);
  link->ends[0].deaf |= which != 1;
  link->ends[1].deaf |= which != 0;
}

static void hold(kad__simulator *s, kad__sim_link *link, kad_time time) {
  link->held_until = s->now + 1 + kad_random_below(&s->random, time + 1);
  for (int side = 0; side < 2; side++) {
    kad__list_unlink(&link->ends[side].ready);
    (void)kad__sim_plan(s, KAD__SIM_WAKE, link, side, kad__bytes(NULL, 0),
                        link->held_until);
  }
}

bool kad__simulator_disturb(kad__simulator *s, kad__simulator_trouble trouble,
                            kad_time time) {
  kad__sim_link *link = any_link(s);
  if (link == NULL) {
    return false;
  }
  switch (trouble) {
    case KAD__SIMULATOR_CUT:
      cut(s, link);
      break;
    case KAD__SIMULATOR_DEAFEN:
      deafen(s, link);
      break;
    case KAD__SIMULATOR_HOLD:
      hold(s, link, time);
      break;
  }
  return true;
}
