/**
 * @file
 * Everything of libkadmium. Each header stands on its own, too.
 */
#ifndef KADMIUM_KADMIUM_H
#define KADMIUM_KADMIUM_H

#include "kadmium/bandwidth.h"
#include "kadmium/connection_manager.h"
#include "kadmium/connections.h"
#include "kadmium/dht_options.h"
#include "kadmium/error.h"
#include "kadmium/gater.h"
#include "kadmium/ipns.h"
#include "kadmium/key.h"
#include "kadmium/multiaddr.h"
#include "kadmium/multiformats.h"
#include "kadmium/node.h"
#include "kadmium/peer_id.h"
#include "kadmium/peerstore.h"
#include "kadmium/random.h"
#include "kadmium/request.h"
#include "kadmium/routing.h"
#include "kadmium/service.h"
#include "kadmium/service_stream.h"
#include "kadmium/store.h"
#include "kadmium/stream.h"
#include "kadmium/transport.h"
#include "kadmium/types.h"
#include "kadmium/validator.h"
#include "kadmium/version.h"

#endif
