/* The pure side of the public functions in kadmium/routing.h. */
#ifndef KAD_NODE_ROUTING_H
#define KAD_NODE_ROUTING_H

#include "kadmium/routing.h"
#include "node/node.h"

bool kad__node_next_bucket(const kad__node *node, uint32_t *cursor,
                           kad_bucket *out);
bool kad__node_bucket_of(const kad__node *node, kad_bytes key, kad_bucket *out);
bool kad__node_next_entry(const kad__node *node, uint32_t bucket,
                          uint32_t *cursor, kad_table_entry *out);
size_t kad__node_closest_local(kad__node *node, kad_table_entry *out,
                               size_t cap, kad_bytes key,
                               const kad_peer_id *source, kad_time now);
kad_routing_update kad__node_add_address(kad__node *node,
                                         const kad_peer_id *peer,
                                         kad_bytes address, kad_time now);
bool kad__node_remove_address(kad__node *node, const kad_peer_id *peer,
                              kad_bytes address);
bool kad__node_remove_peer(kad__node *node, const kad_peer_id *peer);
void kad__node_set_mode(kad__node *node, kad_mode mode, kad_time now);
/* reach.c */
int kad__node_confirm_address(kad__node *node, kad_bytes address, kad_time now);
bool kad__node_expire_address(kad__node *node, kad_bytes address, kad_time now);
kad_bytes kad__node_protocol(const kad__node *node);

bool kad__node_request(const kad__node *node, kad_request_id request,
                       kad_request_info *out, kad_time now);
bool kad__node_next_request(const kad__node *node, uint64_t *cursor,
                            kad_request_info *out, kad_time now);
bool kad__node_finish(kad__node *node, kad_request_id request, kad_time now);
bool kad__node_next_upkeep(const kad__node *node, uint64_t *cursor,
                           kad_request_info *out, kad_time now);
bool kad__node_finish_upkeep(kad__node *node, uint64_t cursor, kad_time now);

void kad__node_remove_record(kad__node *node, kad_bytes key);
int kad__node_store_record(kad__node *node, const kad_stored_record *record,
                           const kad_peer_id *source, kad_time now);
int kad__node_store_provider(kad__node *node, kad_bytes key,
                             const kad_peer_id *provider, kad_bytes addresses,
                             kad_time now);
bool kad__node_review(kad__node *node, uint64_t token, int verdict,
                      kad_time now);
bool kad__node_next_record(kad__node *node, kad_bytes after,
                           kad_stored_record *out, kad_time now);
bool kad__node_next_provided(kad__node *node, kad_bytes after, kad_bytes *key);

#endif
