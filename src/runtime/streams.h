/* What streams of a node and of a service share. */
#ifndef KAD_RUNTIME_STREAMS_H
#define KAD_RUNTIME_STREAMS_H

#include "kadmium/stream.h"

/* What the caller's version of the struct has, the rest zero. */
kad_stream_options kad__stream_options_of(const kad_stream_options *in);

#endif
