/* Control messages as bytes and back (proto/shoal.proto through protobuf-c), with every bound
 * checked before memory is spent: unpacking runs in an arena of at most a few times the message. */
#ifndef PROTO_CONTROL_H
#define PROTO_CONTROL_H

#include "base/buf.h"
#include "base/err.h"
#include "proto/shoal.pb-c.h"

/* Counts changes of the arithmetic (kernels.h), too: members of a swarm round alike. */
#define CONTROL_VERSION     6
#define CONTROL_MAX_MESSAGE (1u << 20) /* of a control link */
#define CONTROL_MAX_BYTES   (4u << 20) /* in a field of bytes: the header of a shard is the longest */
#define CONTROL_MAX_LIST    64         /* elements of a repeated field */
#define CONTROL_MAX_BULK    (CONTROL_MAX_MESSAGE + CONTROL_MAX_BYTES) /* a message of a bulk link */

/* Appends the envelope's bytes; sets its version. */
int control_pack(Shoal__Envelope *e, struct buf *out, struct err *err);

/* One allocation, freed by control_free. NULL: no valid message, another version (the message says
 * both), a string that is no UTF-8 or over 256 bytes, a list that is too long, a body that is missing. */
Shoal__Envelope *control_unpack(const void *msg, size_t len, struct err *err);
void control_free(Shoal__Envelope *e);

/* "prepare", "ready", ... for logs. */
const char *control_name(const Shoal__Envelope *e);

#endif
