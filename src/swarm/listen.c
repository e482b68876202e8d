/* Listeners: what was asked for, what the world bound, and who is told. */
#include "swarm/swarm_internal.h"

static int listener_new(kad__listener **out, kad__swarm *s, kad_bytes address) {
  kad__listener *l = kad__calloc(&s->allocator, 1, sizeof(*l));
  uint8_t *copy = kad__memdup(&s->allocator, address.data, address.len);
  int result = KAD_E_NO_MEMORY;
  if (l != NULL && copy != NULL) {
    result =
        kad__ids_add(&s->ids, &s->allocator, &l->id, KAD__OBJECT_LISTENER, l);
  }
  if (result < 0) {
    kad__release(&s->allocator, copy);
    kad__release(&s->allocator, l);
    return result;
  }
  l->swarm = s;
  kad__list_append(&s->listeners, &l->in_swarm);
  l->address = kad__bytes(copy, address.len);
  kad__source_init(&l->event, KAD__SOURCE_LISTENER);
  kad__source_init(&l->action, KAD__SOURCE_LISTENER_ACTION);
  *out = l;
  return 0;
}

void kad__listener_free(kad__listener *l) {
  kad__swarm *s = l->swarm;
  kad__list_unlink(&l->in_swarm);
  kad__source_cancel(&l->event);
  kad__source_cancel(&l->action);
  kad__ids_remove(&s->ids, l->id);
  kad__owned_release(&s->allocator, l->address);
  kad__release(&s->allocator, l->bound);
  kad__release(&s->allocator, l);
}

void kad__listener_reap(kad__listener *l) {
  if (l->ended && !l->event.lent && !l->action.lent &&
      !kad__list_linked(&l->event.link) && !kad__list_linked(&l->action.link)) {
    kad__listener_free(l);
  }
}

int kad__swarm_listen(kad__swarm *s, kad_bytes address) {
  if (s->shut) {
    return KAD_E_CLOSED;
  }
  kad__address_info info;
  kad__address_read(&info, address);
  if (info.kind == KAD__ADDRESS_BAD) {
    return KAD_E_MULTIADDR;
  }
  uint8_t transport = 0;
  if (info.peer.len != 0 ||
      !kad__transport_choose(&transport, s, &info, false)) {
    return KAD_E_UNSUPPORTED;
  }
  kad__listener *l = NULL;
  int result = listener_new(&l, s, address);
  if (result == 0) {
    l->transport = transport;
    kad__swarm_ask(s, &l->action, 1);
  }
  return result;
}

static void fail(kad__listener *l, int error) {
  l->ended = true;
  l->error = error;
  kad__swarm_tell(l->swarm, &l->event, 1);
}

void kad__swarm_listening(kad__swarm *s, kad__id listener, kad_bytes addresses,
                          kad_time now) {
  kad__swarm_set_now(s, now);
  kad__listener *l = kad__ids_find(&s->ids, listener, KAD__OBJECT_LISTENER);
  if (l == NULL || l->ended) {
    return;
  }
  uint8_t *copy =
      addresses.len == 0
          ? NULL
          : kad__memdup(&s->allocator, addresses.data, addresses.len);
  if (copy == NULL) {
    fail(l, addresses.len == 0 ? KAD_E_WORLD : KAD_E_NO_MEMORY);
    kad__swarm_ask(s, &l->action, 1);
    return;
  }
  kad__release(&s->allocator, l->bound);
  l->bound = copy;
  l->bound_len = addresses.len;
  l->told = 0;
  if (kad__addresses_count(addresses) != 0) {
    kad__swarm_tell(s, &l->event, 1);
  }
}

void kad__swarm_listen_failed(kad__swarm *s, kad__id listener, int error) {
  kad__listener *l = kad__ids_find(&s->ids, listener, KAD__OBJECT_LISTENER);
  if (l != NULL && !l->ended) {
    fail(l, error == 0 ? KAD_E_WORLD : error);
  }
}

static kad_bytes bound_of(const kad__listener *l) {
  return kad__bytes(l->bound, l->ended ? 0 : l->bound_len);
}

static bool is_named(const kad__listener *l, kad_bytes address) {
  return !l->ended && (kad__bytes_equal(l->address, address) ||
                       kad__addresses_have(bound_of(l), address));
}

void kad__listener_end(kad__listener *l) {
  if (!l->ended) {
    l->ended = true;
    kad__swarm_tell(l->swarm, &l->event, 1);
    kad__swarm_ask(l->swarm, &l->action, 1);
  }
}

bool kad__swarm_unlisten(kad__swarm *s, kad_bytes address) {
  KAD__LIST_EACH(node, &s->listeners) {
    kad__listener *l = KAD__CONTAINER(node, kad__listener, in_swarm);
    if (is_named(l, address)) {
      kad__listener_end(l);
      return true;
    }
  }
  return false;
}

/* Fills in the listener's next event; true when there are more. */
bool kad__listener_next(kad__listener *l, kad__swarm_event *out) {
  if (l->ended) {
    out->type = l->error == 0 || l->bound_len != 0 ? KAD__SWARM_LISTEN_CLOSED
                                                   : KAD__SWARM_LISTEN_FAILED;
    out->address = l->address;
    out->error = l->error;
    return false;
  }
  kad_bytes rest = kad__bytes(l->bound + l->told, l->bound_len - l->told);
  (void)kad__addresses_next(&rest, &out->address);
  out->type = KAD__SWARM_LISTENING;
  l->told = l->bound_len - rest.len;
  return kad__addresses_count(rest) != 0;
}

size_t kad__swarm_listen_addresses(const kad__swarm *s, kad_bytes *out,
                                   size_t cap) {
  size_t count = 0;
  KAD__LIST_EACH(node, &s->listeners) {
    kad_bytes rest = bound_of(KAD__CONTAINER(node, kad__listener, in_swarm));
    while (count < cap && kad__addresses_next(&rest, &out[count])) {
      count++;
    }
  }
  return count;
}

bool kad__swarm_next_listener(const kad__swarm *s, size_t *at, kad_bytes *asked,
                              kad_bytes *bound) {
  size_t i = 0;
  KAD__LIST_EACH(node, &s->listeners) {
    const kad__listener *l = KAD__CONTAINER(node, kad__listener, in_swarm);
    if (!l->ended && i++ == *at) {
      *asked = l->address;
      *bound = bound_of(l);
      ++*at;
      return true;
    }
  }
  return false;
}

bool kad__swarm_listens_on(const kad__swarm *s, kad_bytes transport) {
  KAD__LIST_EACH(node, &s->listeners) {
    const kad__listener *l = KAD__CONTAINER(node, kad__listener, in_swarm);
    if (kad__addresses_have(bound_of(l), transport)) {
      return true;
    }
  }
  return false;
}
