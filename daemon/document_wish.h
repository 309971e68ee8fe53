/* What a request says about its documents: members of the body's object `shoal` with "mode":
 * "document". Pure.
 *
 *   "document": TEXT or [TEXT, ...]   what is read; stays where it is, in the body's JSON
 *   "rounds": NUMBER                  plans that may be carried out before there must be an answer
 *   "max_jobs": NUMBER                requests about parts, of all rounds together
 *   "part_bytes": NUMBER              of a part at most; else as long as the models like them */
#ifndef DAEMON_DOCUMENT_WISH_H
#define DAEMON_DOCUMENT_WISH_H

#include "daemon/api_parse.h"

#define DOCUMENTS_MAX       16
#define DOCUMENTS_BYTES     (4u << 20) /* of all together */
#define DOCUMENT_ROUNDS     2          /* unless said */
#define DOCUMENT_ROUNDS_MAX 5
#define DOCUMENT_JOBS       512 /* unless said; DOCUMENT_REQUESTS_MAX at most */
#define DOCUMENT_PART_MOST  65536

struct document_wish {
	json_t *texts[DOCUMENTS_MAX]; /* strings; borrowed */
	uint32_t n_texts;             /* 0: nothing of this was said */
	uint32_t rounds, max_jobs;    /* 0: not said */
	uint32_t part_bytes;          /* likewise */
};

/* 1: the member was one of these and is taken; 0: it is none; -1: e says what is wrong with it. */
int document_wish_take(struct document_wish *w, const char *name, json_t *v, struct api_error *e);
bool document_wish_said(const struct document_wish *w); /* any of it */

#endif
