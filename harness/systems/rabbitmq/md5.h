/*
 * MD5 (RFC 1321), only because Erlang's distribution handshake proves the cookie with it.
 * For short inputs in one piece; nothing here is about security.
 */
#ifndef ASSAY_SYSTEMS_RABBITMQ_MD5_H
#define ASSAY_SYSTEMS_RABBITMQ_MD5_H

#include <stddef.h>
#include <stdint.h>

#define MD5_INPUT_MAX 247u

/* n ≤ MD5_INPUT_MAX. */
void md5(const void *bytes, size_t n, uint8_t digest[16]);

#endif
