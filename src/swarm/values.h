/* What peers are worth: their tags, which may decay, and who protects them. */
#ifndef KAD_SWARM_VALUES_H
#define KAD_SWARM_VALUES_H

#include "base/map.h"
#include "kadmium/connection_manager.h"

#define KAD__DECAYING_TAGS_MAX 32

typedef struct kad__tag {
  char name[KAD_TAG_MAX + 1];
  int value;
  uint8_t kind; /* of the decaying ones, plus one; 0: it does not decay */
  bool bumped;  /* since its kind decayed last */
} kad__tag;

typedef struct kad__decaying {
  kad_decaying_tag kind; /* its name is `name` */
  char name[KAD_TAG_MAX + 1];
  kad_time next;
} kad__decaying;

typedef struct kad__values {
  const kad_allocator *allocator;
  kad__map peers;
  kad__decaying decaying[KAD__DECAYING_TAGS_MAX];
  uint8_t decaying_count;
} kad__values;

void kad__values_init(kad__values *values, const kad_allocator *allocator,
                      const uint64_t secret[2]);
void kad__values_fini(kad__values *values);

/* As the public functions of kadmium/connection_manager.h. */
int kad__values_tag(kad__values *values, const kad_peer_id *peer,
                    const char *tag, int value);
int kad__values_adjust(kad__values *values, const kad_peer_id *peer,
                       const char *tag, int by);
bool kad__values_untag(kad__values *values, const kad_peer_id *peer,
                       const char *tag);
int64_t kad__values_of(const kad__values *values, const kad_peer_id *peer);
int kad__values_protect(kad__values *values, const kad_peer_id *peer,
                        const char *tag);
bool kad__values_unprotect(kad__values *values, const kad_peer_id *peer,
                           const char *tag);
bool kad__values_protected(const kad__values *values, const kad_peer_id *peer,
                           const char *tag);
int kad__values_add_kind(kad__values *values, const kad_decaying_tag *kind,
                         kad_time now);
int kad__values_bump(kad__values *values, const kad_peer_id *peer,
                     const char *tag, int by);

kad_time kad__values_deadline(const kad__values *values);
void kad__values_tick(kad__values *values, kad_time now);

#endif
