/* Where records live, under the names that the folders use: see
 * kadmium/store.h. memory_store.h is the default. */
#ifndef KAD_KADEMLIA_STORE_H
#define KAD_KADEMLIA_STORE_H

#include "kadmium/store.h"

typedef kad_record kad__record;
typedef kad_provider kad__provider;
typedef kad_store kad__store;
typedef kad_store_operations kad__store_class;

#endif
