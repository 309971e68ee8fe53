/* How long a device computes: c = max(bytes / read_bps, rows x multiply-adds / macs_ps). */
#include "sched/plan_int.h"
#include "sched/step_time.h"

double
plan_used(const struct swarm_plan_input *in, double rows)
{
	const struct model_shape *s = in->model->shape;

	if (s->experts == 0)
		return 1;
	return 1 - pow(1 - (double)s->experts_used / s->experts, rows);
}

struct step
plan_token_step(const struct swarm_plan_input *in, uint32_t n_stages)
{
	uint32_t at_once = in->sessions < n_stages ? in->sessions : n_stages;
	double rows = (in->sessions + at_once - 1) / at_once;

	return (struct step){.rows = rows, .logits = rows, .caches = rows};
}

struct step
plan_prompt_step(const struct swarm_plan_input *in, uint32_t n_stages)
{
	uint32_t most = n_stages > 1 && in->batch > STEP_PIPE_ROWS ? STEP_PIPE_ROWS : in->batch;
	uint32_t rows = in->prompt < most ? in->prompt : most;
	uint32_t chunks = (in->prompt + rows - 1) / rows;

	return (struct step){.rows = rows, .logits = 1.0 / chunks, .caches = 1};
}

double
plan_fixed_seconds(const struct swarm_plan_input *in, uint32_t peer, uint32_t n)
{
	const struct swarm_plan_peer *p = &in->peers[peer];

	return p->layer_s + (n > 1 ? p->sums_s : 0);
}

void
plan_unit_seconds(
	const struct swarm_plan_input *in, uint32_t peer, const struct step *st, double out[PHASES])
{
	const struct swarm_plan_model *m = in->model;
	const struct model_shape *s = m->shape;
	const struct swarm_plan_peer *p = &in->peers[peer];
	double group = (double)s->heads / s->kv_heads, embd = s->embd;
	double cached = (double)in->depth * m->cache_row_bytes * st->caches;
	double seen = 2.0 * in->depth * group * s->head_dim; /* products with keys and values */
	double experts = s->experts > 0 ? s->experts_used : 1;
	double once = st->logits < 1 ? st->logits : 1;

	out[ATTN] = fmax((m->kv_head_bytes + cached) / p->read_bps,
		st->rows * (embd * s->head_dim * (2 * group + 2) + seen) / p->macs_ps);
	out[FFN] = fmax(m->ffn_col_bytes * plan_used(in, st->rows) / p->read_bps,
		st->rows * 3 * embd * experts / p->macs_ps);
	out[HEAD] = fmax(once * m->vocab_row_bytes / p->read_bps, st->logits * embd / p->macs_ps);
}

double
plan_goal(const struct swarm_plan_input *in, uint32_t n_stages, double token_s, double prompt_s)
{
	return token_s / plan_token_step(in, n_stages).rows +
	       in->prompt_ratio * prompt_s / plan_prompt_step(in, n_stages).rows;
}

void
plan_goal_seconds(
	const struct swarm_plan_input *in, uint32_t peer, uint32_t n_stages, double out[PHASES])
{
	struct step token = plan_token_step(in, n_stages), prompt = plan_prompt_step(in, n_stages);
	double more[PHASES];

	plan_unit_seconds(in, peer, &token, out);
	plan_unit_seconds(in, peer, &prompt, more);
	for (int p = 0; p < PHASES; p++)
		out[p] = plan_goal(in, n_stages, out[p], more[p]);
}

double
plan_whole_seconds(
	const struct swarm_plan_input *in, uint32_t layers, bool head, const double unit[PHASES])
{
	const struct model_shape *s = in->model->shape;

	return layers * (s->kv_heads * unit[ATTN] + s->ffn * unit[FFN]) +
	       (head ? s->vocab * unit[HEAD] : 0);
}
