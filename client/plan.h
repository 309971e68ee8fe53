/* Inside of `shoal plan`: cmd_plan.c (options), plan_device.c (this device with so much memory),
 * plan_swarm.c and plan_show.c (a swarm that a file describes), plan_file.c (that file). */
#ifndef CLIENT_PLAN_H
#define CLIENT_PLAN_H

#include "client/client.h"
#include "model/generate.h"
#include "sched/plan.h"
#include "sched/step_time.h"

#define PLAN_ROWS STEP_FEW_ROWS /* of a prompt's step, with little memory */

struct plan_options {
	struct ctl *ctl;
	const char *path; /* of the model */
	struct local_options opt;
	/* of a swarm */
	const char *swarm; /* file; NULL: this device only */
	const char *with[SWARM_PLAN_PEERS], *without[SWARM_PLAN_PEERS];
	uint32_t n_with, n_without;
	const char *payload; /* "auto", "f32", "f16", "q8"; NULL: auto */
	uint32_t sessions, depth, prompt;
	unsigned kinds;   /* as swarm_plan_input.kinds */
	uint32_t members; /* likewise */
};

/* Opens the model: its shape and what would be in a shard of the whole. */
struct plan_model {
	struct gguf *gguf;
	struct model_shape shape;
	struct slice slice;
	struct shard_header header;
	struct memory_need need; /* of one process that has all of it, with steps of PLAN_ROWS; */
	uint64_t more;           /* and what STEP_ROWS take more */
	uint32_t context;
};
int plan_model_open(struct plan_model *m, const struct plan_options *o, struct err *err);
void plan_model_close(struct plan_model *m);

/* The two forms of the command. They return an exit code. */
int plan_device(const struct plan_options *o);
int plan_swarm(const struct plan_options *o);

/* --- the file (plan_file.c) --- */

struct swarm_file {
	struct swarm_plan_peer peers[SWARM_PLAN_PEERS]; /* overhead 0: not said */
	uint32_t n;
	struct swarm_plan_link links[SWARM_PLAN_PEERS * SWARM_PLAN_PEERS]; /* [n][n] */
};

/* Reads it; the format stands in shoal.1. -1 with what is wrong and where. */
int swarm_file_read(struct swarm_file *f, const char *path, struct err *err);
/* The device of that name; -1: there is none, and who is there. */
int swarm_file_find(const struct swarm_file *f, const char *name, struct err *err);

/* --- showing (plan_show.c) --- */

struct plan_shown {
	const struct plan_options *options;
	const struct plan_model *model;
	const struct swarm_plan_input *in;
	const struct swarm_plan_result *result;
};
void plan_print(const struct plan_shown *s);
void plan_print_json(const struct plan_shown *s);

#endif
