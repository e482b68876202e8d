/* Names in addresses. /dns, /dns4 and /dns6 become the addresses of the name;
 * /dnsaddr becomes what the TXT records of _dnsaddr.<name> say, which may be
 * names again. A dial bounds the look-ups, their depth and their results, so
 * records that lead in circles or grow without end only cost that much. */
#include "swarm/swarm_internal.h"

#define NAME_MAX 253
/* So long the first answer waits for others that may be better (RFC 8305,
 * section 3). */
#define ANSWER_DELAY (50 * KAD_MILLISECOND)
#define TXT_PREFIX "_dnsaddr."
#define ENTRY_PREFIX "dnsaddr="

static kad__resolve_query query_of(kad_multiaddr_protocol protocol) {
  switch (protocol) {
    case KAD_MULTIADDR_DNS4:
      return KAD__RESOLVE_IP4;
    case KAD_MULTIADDR_DNS6:
      return KAD__RESOLVE_IP6;
    case KAD_MULTIADDR_DNSADDR:
      return KAD__RESOLVE_TXT;
    default:
      return KAD__RESOLVE_IP;
  }
}

/* Only names that lead to what we can dial are worth a look-up. */
static int check(const kad__dial *d, const kad__address_info *info,
                 uint8_t depth) {
  bool txt = info->name.protocol == KAD_MULTIADDR_DNSADDR;
  kad_bytes name = info->name.value;
  uint8_t transport = 0;
  if (!txt && !kad__transport_resolvable(&transport, d->swarm, info)) {
    return KAD_E_NO_ADDRESS;
  }
  if (name.len == 0 || name.len > NAME_MAX ||
      memchr(name.data, 0, name.len) != NULL) {
    return KAD_E_RESOLVE;
  }
  return d->lookups >= KAD__DIAL_LOOKUPS_MAX ||
                 (txt && depth >= KAD__DIAL_DNS_DEPTH_MAX)
             ? KAD_E_LIMIT
             : 0;
}

static kad__resolution *resolution_new(kad__dial *d, kad_bytes address,
                                       const kad__address_info *info) {
  kad__swarm *s = d->swarm;
  bool txt = info->name.protocol == KAD_MULTIADDR_DNSADDR;
  kad_bytes prefix = kad__bytes(TXT_PREFIX, txt ? sizeof(TXT_PREFIX) - 1 : 0);
  kad_bytes name = info->name.value;
  kad__resolution *r = kad__calloc(
      &s->allocator, 1, sizeof(*r) + address.len + prefix.len + name.len);
  if (r == NULL) {
    return NULL;
  }
  r->swarm = s;
  r->query = query_of(info->name.protocol);
  r->address_len = (uint16_t)address.len;
  r->name_len = (uint16_t)(prefix.len + name.len);
  memcpy(r->bytes, address.data, address.len);
  memcpy(r->bytes + address.len, prefix.data, prefix.len);
  memcpy(r->bytes + address.len + prefix.len, name.data, name.len);
  kad__list_init(&r->in_dial);
  kad__source_init(&r->action, KAD__SOURCE_RESOLUTION_ACTION);
  return r;
}

int kad__dns_start(kad__dial *d, kad_bytes address,
                   const kad__address_info *info, uint8_t depth) {
  int result = check(d, info, depth);
  if (result < 0) {
    return result;
  }
  kad__swarm *s = d->swarm;
  kad__resolution *r = resolution_new(d, address, info);
  if (r == NULL) {
    return KAD_E_NO_MEMORY;
  }
  if (kad__ids_add(&s->ids, &s->allocator, &r->id, KAD__OBJECT_RESOLUTION, r) <
      0) {
    kad__release(&s->allocator, r);
    return KAD_E_NO_MEMORY;
  }
  if (kad__list_empty(&d->resolutions)) {
    d->resolve_by = kad__time_add(s->now, s->config.dial_timeout);
  }
  r->dial = d;
  r->depth = depth;
  d->lookups++;
  kad__list_append(&d->resolutions, &r->in_dial);
  kad__swarm_ask(s, &r->action, 1);
  return 0;
}

void kad__resolution_free(kad__resolution *r) {
  kad__list_unlink(&r->in_dial);
  kad__source_cancel(&r->action);
  kad__ids_remove(&r->swarm->ids, r->id);
  kad__release(&r->swarm->allocator, r);
}

void kad__resolution_reap(kad__resolution *r) {
  if (r->dial == NULL && !r->action.lent) {
    kad__resolution_free(r);
  }
}

/* The world may still look at the name that it was given last. */
static void give_up(kad__resolution *r) {
  r->dial = NULL;
  kad__list_unlink(&r->in_dial);
  kad__source_cancel(&r->action);
  kad__ids_remove(&r->swarm->ids, r->id);
  kad__resolution_reap(r);
}

void kad__dns_cancel(kad__dial *d) {
  KAD__LIST_EACH(node, &d->resolutions) {
    give_up(KAD__CONTAINER(node, kad__resolution, in_dial));
  }
}

void kad__dns_expire(kad__dial *d) {
  KAD__LIST_EACH(node, &d->resolutions) {
    const kad__resolution *r = KAD__CONTAINER(node, kad__resolution, in_dial);
    kad__dial_leave_out(d, kad__bytes(r->bytes, r->address_len), KAD_E_TIMEOUT);
  }
  kad__dns_cancel(d);
}

/* ---- answers ------------------------------------------------------------ */

static kad_bytes suffix_of(const kad__resolution *r) {
  kad_bytes rest = kad__bytes(r->bytes, r->address_len);
  kad_multiaddr_part part;
  (void)kad_multiaddr_next(&rest, &part);
  return rest;
}

static void add_ip(kad__resolution *r, kad_bytes ip) {
  bool wanted = (ip.len == 4 && (r->query & KAD__RESOLVE_IP4) != 0) ||
                (ip.len == 16 && (r->query & KAD__RESOLVE_IP6) != 0);
  kad_bytes suffix = suffix_of(r);
  uint8_t address[KAD_MULTIADDR_MAX];
  size_t len = 1 + ip.len + suffix.len;
  if (!wanted || len > sizeof(address)) {
    return;
  }
  address[0] = ip.len == 4 ? KAD_MULTIADDR_IP4 : KAD_MULTIADDR_IP6;
  memcpy(address + 1, ip.data, ip.len);
  memcpy(address + 1 + ip.len, suffix.data, suffix.len);
  (void)kad__dial_add(r->dial, kad__bytes(address, len),
                      (uint8_t)(r->depth + 1));
}

static bool ends_with(kad_bytes whole, kad_bytes end) {
  return whole.len >= end.len &&
         kad__bytes_equal(kad__bytes_skip(whole, whole.len - end.len), end);
}

static void add_txt(kad__resolution *r, kad_bytes entry) {
  kad_bytes prefix = kad__bytes(ENTRY_PREFIX, sizeof(ENTRY_PREFIX) - 1);
  char text[KAD_MULTIADDR_TEXT_MAX];
  if (!kad__bytes_start(entry, prefix)) {
    return;
  }
  entry = kad__bytes_skip(entry, prefix.len);
  if (entry.len == 0 || entry.len >= sizeof(text) ||
      memchr(entry.data, 0, entry.len) != NULL) {
    return;
  }
  memcpy(text, entry.data, entry.len);
  text[entry.len] = '\0';
  uint8_t address[KAD_MULTIADDR_MAX];
  int len = kad_multiaddr_parse(address, sizeof(address), text);
  if (len > 0 && ends_with(kad__bytes(address, (size_t)len), suffix_of(r))) {
    (void)kad__dial_add(r->dial, kad__bytes(address, (size_t)len),
                        (uint8_t)(r->depth + 1));
  }
}

/* The look-up goes on; what it has brought is dialled meanwhile. */
static void dial_soon(kad__dial *d) {
  kad__swarm *s = d->swarm;
  kad_time at = kad__time_add(s->now, ANSWER_DELAY);
  if (!kad__heap_has(&d->timer) || d->timer.at > at) {
    (void)kad__heap_set(&s->dial_timers, &s->allocator, &d->timer, at);
  }
}

void kad__swarm_resolved(kad__swarm *s, kad__id resolution, kad_bytes value,
                         kad_time now) {
  kad__swarm_set_now(s, now);
  kad__resolution *r =
      kad__ids_find(&s->ids, resolution, KAD__OBJECT_RESOLUTION);
  if (r == NULL) {
    return;
  }
  if (r->query == KAD__RESOLVE_TXT) {
    add_txt(r, value);
  } else {
    add_ip(r, value);
  }
  dial_soon(r->dial);
}

/* The answers of a look-up are ranked together, so with the last of them there
 * is nothing to wait for. */
void kad__swarm_resolve_end(kad__swarm *s, kad__id resolution, int error,
                            kad_time now) {
  kad__swarm_set_now(s, now);
  kad__resolution *r =
      kad__ids_find(&s->ids, resolution, KAD__OBJECT_RESOLUTION);
  if (r == NULL) {
    return;
  }
  kad__dial *d = r->dial;
  if (error < 0) {
    kad__dial_note(d, error);
    kad__dial_leave_out(d, kad__bytes(r->bytes, r->address_len), error);
  }
  give_up(r);
  kad__dial_progress(d);
}
