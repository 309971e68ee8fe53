/* What the files of uploads share: serve_upload.c (who asks for what) and serve_turn.c (what is read and
 * given next). */
#ifndef DAEMON_SERVE_UPLOAD_INT_H
#define DAEMON_SERVE_UPLOAD_INT_H

#include "daemon/serve_int.h"
#include "daemon/serve_upload.h"
#include "model/shelf.h"
#include "sched/upload.h"

#define UPLOAD_ASKS 96 /* of a link that wait for their turn; more is an asker gone wild */

struct ask {
	bool held;     /* which shards are here; else a chunk */
	bool of_model; /* it is of the model that this device serves: out of its file */
	bool skeleton; /* a piece of that model's skeleton, from `offset` on */
	uint64_t offset;
	uint8_t model_id[SHARD_HASH];
	uint32_t number;
	struct chunk chunk;
};

struct upload_link {
	struct uploads *uploads;
	struct upload_link *next;
	struct link *link;
	struct swarm_peer *peer;      /* a member of ours; NULL: a fellow, */
	uint8_t key[32];              /* of this key */
	struct ask asks[UPLOAD_ASKS]; /* a circle */
	uint32_t first, n;
};

struct uploads {
	struct serve *serve;
	struct upload_link *links; /* whose turn it is first */
	struct upload_job *job;    /* NULL: none */
	struct shelf *shelf;       /* NULL: none is open, or the job has it */
	uint8_t shelf_id[SHARD_HASH];
	uint64_t used; /* loop time of the last question */
	uv_timer_t timer;
	bool closed;
	struct upload_pace pace;
	uint64_t bytes, chunks;
};

/* Does what comes next: there is another question, or one less. */
void uploads_look(struct uploads *u);
/* Bytes that answer a question; len 0: they are not here. */
int upload_send(struct link *l, uint32_t number, const uint8_t *bytes, size_t len);
/* The link is gone: what is being read for it is not sent. */
void upload_gone(struct uploads *u, const struct upload_link *l);

#endif
