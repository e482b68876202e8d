/* IP addresses as text, without the C library's functions, which differ in
 * what they let through. */
#ifndef KAD_MULTIFORMATS_IP_TEXT_H
#define KAD_MULTIFORMATS_IP_TEXT_H

#include "kadmium/types.h"

#define KAD__IP4_TEXT_MAX 16 /* "255.255.255.255" and NUL */
#define KAD__IP6_TEXT_MAX 46 /* as INET6_ADDRSTRLEN */

/* A decimal number without sign or leading zeros that is all of `text` and at
 * most `max`; false otherwise. */
bool kad__decimal_parse(uint64_t *out, kad_bytes text, uint64_t max);
/* Writes it and a NUL; returns the text's length, at most 20. */
size_t kad__decimal_format(char out[21], uint64_t value);

/* Dotted decimal, four parts, no leading zeros. */
bool kad__ip4_parse(uint8_t out[4], kad_bytes text);
size_t kad__ip4_format(char out[KAD__IP4_TEXT_MAX], const uint8_t in[4]);

/* Every form of RFC 4291, section 2.2; no zone, no brackets. */
bool kad__ip6_parse(uint8_t out[16], kad_bytes text);
/* The form of RFC 5952; IPv4-mapped addresses end in dotted decimal. */
size_t kad__ip6_format(char out[KAD__IP6_TEXT_MAX], const uint8_t in[16]);

#endif
