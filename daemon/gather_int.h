/* Inside of gathering: gather.c (rounds), gather_job.c (what takes long), gather_giver.c (links). */
#ifndef DAEMON_GATHER_INT_H
#define DAEMON_GATHER_INT_H

#include "daemon/chunk_question.h"
#include "daemon/gather.h"
#include "model/restore.h"
#include "model/shelf.h"

#define GATHER_GIVERS (FETCH_SOURCES - 1)
#define GATHER_SLICES ((GATHER_GIVERS + 1) * SHELF_MAX)
#define GATHER_WRONG  3 /* wrong chunks, after which nothing is asked of a giver any more */

enum gather_state {
	GATHER_PAUSING,
	GATHER_ASKING,
	GATHER_PREPARING,
	GATHER_FETCHING,
	GATHER_SEALING
};

struct giver {
	struct gather *gather;
	uint8_t key[32];
	char name[PEER_NAME];
	struct link *link; /* NULL: none */
	bool open, answered;
	unsigned wrong; /* chunks to which it gave something */
	uint32_t n_slices;
	struct slice slices[SHELF_MAX];
	uint32_t number;                  /* in sched/fetch; FETCH_NONE: it does not give */
	struct chunk_questions questions; /* for pieces */
};

struct piece {
	struct chunk chunk; /* the rectangle */
	uint32_t of;        /* the whole model's chunk that it is of */
	uint32_t giver;     /* who gave it: a giver's place; GATHER_GIVERS: this disk */
	bool here;
};

struct pieces {
	uint32_t n, room;
	struct piece *list;
};

struct gather_parts { /* of one job or one round: whoever has it may use it */
	struct skeleton *skeleton;
	struct restore *restore;
	uint8_t *own_bad; /* [chunks]: what this disk has of it is damaged */
	uint32_t *left;   /* [chunks]: pieces that are not here */
	struct pieces pieces;
};

struct gather_job;

struct gather {
	struct serve *serve;
	uint8_t model_id[SHARD_HASH];
	struct model_shape shape;
	enum gather_state state;
	uint64_t since; /* loop time of this state; when pausing: until when */
	struct gather_parts parts;
	struct gather_job *job;
	struct fetch *fetch;
	struct giver givers[GATHER_GIVERS];
	uint32_t rounds;
	uint64_t done, total, from_others; /* bytes */
	char lacks[256], trouble[512], name[SKELETON_NAME];
};

void gather_parts_free(struct gather_parts *p);

/* --- gather.c --- */
void gather_pause(struct gather *g, uint64_t ms);
void gather_prepared(struct gather *g, const struct err *err, const char *lacks, const char *name);
void gather_sealed(struct gather *g, int result, const char *path, const struct err *err);
/* A piece came. */
void gather_piece(struct gather *g, struct giver *v, uint32_t number, const Shoal__Data *d);
/* All who were asked have answered, perhaps; or nobody has anything more to give. */
void gather_look(struct gather *g);

/* --- gather_job.c --- */
int gather_job_prepare(struct gather *g);
int gather_job_seal(struct gather *g);
void gather_job_abandon(struct gather *g);

/* --- gather_giver.c --- */
void givers_dial(struct gather *g);
bool givers_have_answered(const struct gather *g);
void givers_join(struct gather *g);
void givers_ask(struct gather *g);
/* Whether one of them is being asked for something. */
bool givers_are_busy(const struct gather *g);
void givers_tick(struct gather *g);
void givers_close(struct gather *g, const char *why);
void giver_let_go(struct giver *v, const char *why);

#endif
