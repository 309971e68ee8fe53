/* From whom a shard is fetched: the coordinator (home) and fellow members, each over a bulk link of its
 * own. sched/fetch.h says whom for what; here it is asked, and what comes is looked at. Main thread.
 *
 * happy path of a source: dialling -> (a fellow: asked what it holds ->) giving -> closed, when all is
 * there. A fellow that has nothing, gives wrong bytes or is too slow is not asked again for this shard;
 * one whose link broke is dialled again, SOURCE_DIALS times in all. */
#ifndef DAEMON_SERVE_SOURCE_H
#define DAEMON_SERVE_SOURCE_H

#include "daemon/serve_int.h"
#include "sched/fetch.h"

#define SOURCE_DIALS 3

/* Begins with a link to the coordinator, over which the header and the list of chunks come first. -1:
 * out of memory. */
int sources_start(struct follow *f);
/* f->writer is there: what it does not have is fetched. -1: out of memory. */
int sources_go(struct follow *f, struct err *err);
/* Dials who is missing, gives up who is too slow. Several times a second. May end f. */
void sources_tick(struct follow *f);
void sources_stop(struct follow *f);

/* What the coordinator's answers to fetch_header lead to (serve_fetch.c). -1: f cannot go on. */
int fetch_header_came(struct follow *f, const ProtobufCBinaryData *bytes, struct err *err);
int fetch_chunks_came(struct follow *f, const ProtobufCBinaryData *bytes, struct err *err);
/* A chunk is in the file: tells how far it is; ends the fetch when it was the last one. -1: the same. */
int fetch_chunk_came(struct follow *f, struct err *err);

#endif
