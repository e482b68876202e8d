/**
 * @file
 * The version of the library.
 */
#ifndef KADMIUM_VERSION_H
#define KADMIUM_VERSION_H

#include "kadmium/types.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The version of these headers, following https://semver.org. */
#define KADMIUM_VERSION "0.1.0"

/** The version of the library that runs, which may be newer. Static. */
KAD_API const char *kad_version(void);

#ifdef __cplusplus
}
#endif

#endif
