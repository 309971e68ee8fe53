/* What a model would do on a swarm that a file describes: which devices take part, who holds what,
 * and what every other way would cost. */
#include "client/plan.h"
#include "model/plan_model.h"
#include "proto/frame.h"

#include <stdlib.h>
#include <string.h>

/* What one process takes beside weights and KV cache: itself, what libraries allocate, and buffers as
 * if it held the whole model. */
static uint64_t
overhead(const struct plan_model *m, const struct swarm_plan_model *numbers, uint32_t rows)
{
	double cache = (double)m->shape.layers * m->shape.kv_heads * numbers->cache_bytes;
	uint64_t bytes = memory_process() + (9u << 20), kv = (uint64_t)cache;

	bytes += rows > PLAN_ROWS ? m->more : 0;
	return bytes + (m->need.buffers > kv ? m->need.buffers - kv : 0);
}

/* As the daemon does: many, where all devices have memory for them. */
static uint32_t
rows_of_step(const struct plan_model *m, const struct swarm_file *f)
{
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < f->n; i++)
		least = f->peers[i].memory < least ? f->peers[i].memory : least;
	return step_time_most(least, m->more);
}

static int
take_payload(const struct plan_options *o, const struct shard_header *header,
	struct swarm_plan_input *in, struct err *err)
{
	const char *word = o->payload != NULL ? o->payload : "auto";
	bool wide = shard_is_wide(header), quantised = shard_is_quantised(header);
	uint32_t embd = in->model->shape->embd;
	struct sum_format sums, staged;

	if (sum_format_find(word, wide, quantised, 1, &sums) == 0 &&
		sum_format_find(word, wide, quantised, 2, &staged) == 0) {
		in->row_bytes = (double)frame_payload(sums.token, 1, embd);
		in->prompt_row_bytes = (double)frame_payload(sums.prompt, 1, embd);
		in->staged_row_bytes = (double)frame_payload(staged.token, 1, embd);
		return 0;
	}
	return err_set(err, "--payload: '%.20s' is not auto, f32, f16 or q8", word);
}

static int
take_names(const struct plan_options *o, struct swarm_file *f, struct err *err)
{
	int found;

	for (uint32_t i = 0; i < o->n_with; i++) {
		found = swarm_file_find(f, o->with[i], err);
		if (found < 0)
			return err_prefix(err, "--with: ");
		f->peers[found].wanted = true;
	}
	for (uint32_t i = 0; i < o->n_without; i++) {
		found = swarm_file_find(f, o->without[i], err);
		if (found < 0)
			return err_prefix(err, "--without: ");
		if (f->peers[found].wanted)
			return err_set(err, "%s is wanted with and without", f->peers[found].name);
		f->peers[found].usable = false;
		snprintf(f->peers[found].why, sizeof f->peers[found].why, "--without was given");
	}
	return 0;
}

/* The best of what the daemon can run now; where there is none, of all. */
static int
choose(struct swarm_plan_input *in, struct swarm_plan_result *r, struct err *err)
{
	in->today_only = true;
	if (swarm_plan_choose(in, r, err) == 0)
		return 0;
	in->today_only = false;
	return swarm_plan_choose(in, r, err);
}

static int
make_plan(const struct plan_options *o, struct plan_model *m, struct swarm_file *f,
	struct swarm_plan_result *r, struct err *err)
{
	struct swarm_plan_model numbers;
	struct swarm_plan_input in;

	if (plan_model_open(m, o, err) != 0 || swarm_file_read(f, o->swarm, err) != 0 ||
		take_names(o, f, err) != 0)
		return -1;
	plan_model_from_header(&m->header, o->opt.kv, o->sessions, m->context, &numbers);
	swarm_plan_input_init(&in, &numbers);
	in.peers = f->peers;
	in.n = f->n;
	in.links = f->links;
	in.sessions = o->sessions;
	in.depth = o->depth;
	in.batch = rows_of_step(m, f);
	in.prompt = o->prompt;
	in.kinds = o->kinds;
	in.members = o->members;
	in.ways = SWARM_ALL_WAYS;
	in.overlap = true;
	if (o->depth > m->context)
		return err_set(err, "--depth: %u positions are more than the %u of the context",
			o->depth, m->context);
	for (uint32_t i = 0; i < f->n; i++)
		if (f->peers[i].overhead == 0)
			f->peers[i].overhead = overhead(m, &numbers, in.batch);
	if (take_payload(o, &m->header, &in, err) != 0 || choose(&in, r, err) != 0)
		return -1;
	(o->ctl->json ? plan_print_json : plan_print)(&(struct plan_shown){o, m, &in, r});
	return 0;
}

int
plan_swarm(const struct plan_options *o)
{
	struct swarm_plan_result *r = calloc(1, sizeof *r);
	struct swarm_file *f = calloc(1, sizeof *f);
	struct plan_model m = {.gguf = NULL};
	struct err err = {""};
	int code = EXIT_DONE;

	if (r == NULL || f == NULL)
		code = ctl_fail(o->ctl, EXIT_FAILED, "out of memory");
	else if (make_plan(o, &m, f, r, &err) != 0)
		code = ctl_fail(o->ctl, ctl_file_exit(o->path), "%s", err.msg);
	plan_model_close(&m);
	free(f);
	free(r);
	return code;
}
