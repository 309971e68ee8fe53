/* One candidate: how its groups share their layers, and what that takes. */
#include "sched/overlap.h"
#include "sched/plan_int.h"

static bool
has_part(const struct slice *sl)
{
	return sl->kv_heads > 0 || sl->ffn > 0 || sl->vocab > 0;
}

/* Who would have nothing to do does not belong to a plan, unless it shall. */
static bool
none_idle(const struct eval *e, const struct swarm_plan_member *m, uint32_t n)
{
	for (uint32_t i = 0; i < n && !e->c->idle; i++)
		if (!has_part(&m[i].slice) && !e->in->peers[m[i].peer].wanted)
			return false;
	return true;
}

/* Shares of a stage; those that are given only have to fit. */
static int
share_stage(struct eval *e, const struct group *g, struct swarm_plan_member *m)
{
	int rc;

	if (!e->given) {
		rc = plan_shares(e->in, g, m);
		return rc >= 0 && none_idle(e, m, g->n) ? rc : -1;
	}
	for (uint32_t i = 0; i < g->n; i++)
		if (plan_hold(e->in, g->layers, g->stream, &m[i]) != 0)
			return -1;
	return 0;
}

static struct group
group_of(const struct eval *e, uint32_t stage, double step)
{
	const struct swarm_plan_stage *st = &e->out->stages[stage];
	uint32_t n = e->c->n_stages;
	struct group g = {.who = &e->who[st->first],
		.n = st->n,
		.layers = e->layers[stage],
		.n_stages = n,
		.head = stage + 1 == n,
		.stream = e->c->stream,
		.other_s = e->hops,
		.delays = &e->delays[st->first]};

	if (n > 1)
		g.other_s = step - plan_layer_seconds(e, stage) * g.layers;
	return g;
}

static void
set_layers(struct eval *e, const struct swarm_plan_stage *st)
{
	for (uint32_t i = 0; i < st->n; i++) {
		struct slice *sl = &e->out->members[st->first + i].slice;

		sl->layer0 = st->layer0;
		sl->layers = st->layers;
	}
}

static int
share_stages(struct eval *e, double step)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < e->c->n_stages; i++) {
		struct swarm_plan_stage *st = &e->out->stages[i];
		struct group g = group_of(e, i, step);
		int rc;

		if (g.layers == 0)
			return -1;
		st->layer0 = at;
		st->layers = g.layers;
		at += st->layers;
		plan_set_prompt(e, i, e->given);
		rc = share_stage(e, &g, &e->out->members[st->first]);
		set_layers(e, st);
		if (rc < 0)
			return -1;
		/* By other ways it makes no difference who has which part. */
		if (st->prompt_way == SWARM_ROWS)
			plan_set_prompt(e, i, true);
		e->bound |= rc > 0;
	}
	return 0;
}

/* --- what it takes --- */

struct stage_time {
	double compute; /* of the slowest members, as if messages took no time */
	double total;
};

/* One more member of a phase: the one who is done last counts. */
static void
phase_max(struct stage_time *t, double compute, double delay)
{
	t->compute = fmax(t->compute, compute);
	t->total = fmax(t->total, compute + delay);
}

enum kind_of_step { TOKEN, PROMPT };

/* A step of a stage with these members. Of a token: the logits' way is counted, and what each member
 * computes is kept. */
static struct stage_time
stage_step(const struct eval *e, uint32_t stage, struct swarm_plan_member *members,
	const struct step *step, enum kind_of_step kind)
{
	const struct swarm_plan_stage *st = &e->out->stages[stage];
	const struct delay *d = &e->delays[st->first];
	struct stage_time t[PHASES] = {{0, 0}};
	double unit[PHASES];

	for (uint32_t i = 0; i < st->n; i++) {
		struct swarm_plan_member *m = &members[i];
		double fixed = plan_fixed_seconds(e->in, m->peer, st->n) / 2, attn, ffn, head;
		double delay = kind == TOKEN ? d[i].token : d[i].prompt;
		double last = kind == TOKEN ? d[i].head + m->slice.vocab * d[i].head_row : 0;

		plan_unit_seconds(e->in, m->peer, step, unit);
		attn = st->layers * (fixed + m->slice.kv_heads * unit[ATTN]);
		ffn = st->layers * (fixed + m->slice.ffn * unit[FFN]);
		head = m->slice.vocab * unit[HEAD];
		phase_max(&t[ATTN], attn, st->layers * delay);
		phase_max(&t[FFN], ffn, st->layers * delay);
		if (m->slice.vocab > 0)
			phase_max(&t[HEAD], head, last);
		if (kind == TOKEN)
			m->compute_s = attn + ffn + head;
	}
	return (struct stage_time){t[ATTN].compute + t[FFN].compute + t[HEAD].compute,
		t[ATTN].total + t[FFN].total + t[HEAD].total};
}

/* Seconds of the slowest disk; `part`: of a token's streamed bytes. */
static double
disk_seconds(const struct eval *e, double part)
{
	double slowest = 0;

	for (uint32_t i = 0; i < e->c->n; i++) {
		const struct swarm_plan_member *m = &e->out->members[i];

		if (m->streamed > 0)
			slowest = fmax(slowest,
				(double)m->streamed * part / e->in->peers[m->peer].disk_bps);
	}
	return slowest;
}

static void
predict_token(struct eval *e)
{
	const struct swarm_plan_input *in = e->in;
	struct swarm_plan_alt *o = e->out;
	struct swarm_plan_cost *t = &o->token;
	struct step step = plan_token_step(in, o->n_stages);
	double slowest = 0, at_once = in->sessions < o->n_stages ? in->sessions : o->n_stages;

	t->network = e->hops;
	for (uint32_t i = 0; i < o->n_stages; i++) {
		struct stage_time st =
			stage_step(e, i, &o->members[o->stages[i].first], &step, TOKEN);

		t->compute += st.compute;
		t->network += st.total - st.compute;
		slowest = fmax(slowest, st.total);
	}
	t->disk = disk_seconds(e, 1);
	t->total = fmax(t->compute + t->network, t->disk);
	o->period = fmax(t->total, fmax(slowest, t->disk) * at_once);
	o->tokens_ps = in->sessions / o->period;
}

/* A chunk in a stage: its halves may take turns, if that takes less time (sched/overlap.h). */
static double
chunk_seconds(const struct swarm_plan_input *in, double compute, double sums)
{
	double whole = compute + sums;

	return in->overlap ? fmin(whole, overlap_predict(compute, sums, 0)) : whole;
}

/* Chunks go through the stages one behind the other. */
static void
predict_prompt(struct eval *e)
{
	const struct swarm_plan_input *in = e->in;
	struct swarm_plan_alt *o = e->out;
	struct swarm_plan_cost *t = &o->prompt, slowest = {0};
	struct step step = plan_prompt_step(in, o->n_stages);
	double used = plan_used(in, plan_token_step(in, o->n_stages).rows), sum = 0, behind;
	double chunks = ceil(in->prompt / step.rows), last = plan_logits_seconds(e, 1);

	t->disk = disk_seconds(e, plan_used(in, step.rows) / used);
	for (uint32_t i = 0; i < o->n_stages; i++) {
		struct stage_time st =
			stage_step(e, i, &o->members[o->stages[i].first], &step, PROMPT);
		double sums = st.total - st.compute, hop = plan_hop_seconds(e, i, step.rows);
		double total = hop + chunk_seconds(in, st.compute, sums), network = hop + sums;

		t->compute += st.compute;
		t->network += network;
		sum += total;
		if (total > slowest.total)
			slowest = (struct swarm_plan_cost){st.compute, network, 0, total};
	}
	behind = (chunks - 1) * fmax(slowest.total, t->disk);
	t->total = (fmax(sum + last, t->disk) + behind) / in->prompt;
	t->compute = (t->compute + (chunks - 1) * slowest.compute) / in->prompt;
	t->network = (t->network + last + (chunks - 1) * slowest.network) / in->prompt;
	t->disk = t->disk * chunks / in->prompt;
}

static void
set_compute(struct swarm_plan_cost *t, double compute)
{
	double more = fmax(t->compute - compute, 0);

	t->compute -= more;
	t->network += more;
}

/* What of the time is the network's: with slower links the hub computes more, so that the slowest
 * member's computing is not what remains without them. So shares are cut once more as if messages took
 * no time. */
static void
split(struct eval *e)
{
	static const struct delay none[SWARM_PLAN_PEERS];
	struct swarm_plan_member m[SWARM_PLAN_PEERS];
	struct step token = plan_token_step(e->in, e->c->n_stages),
		    prompt = plan_prompt_step(e->in, e->c->n_stages);
	double of_token = 0, of_prompt = 0, slowest = 0, chunks = ceil(e->in->prompt / prompt.rows);

	for (uint32_t i = 0; i < e->c->n_stages; i++) {
		struct group g = group_of(e, i, 0);
		double seconds;

		g.delays = none;
		if (plan_shares(e->in, &g, m) < 0)
			return;
		of_token += stage_step(e, i, m, &token, TOKEN).compute;
		seconds = stage_step(e, i, m, &prompt, PROMPT).compute;
		of_prompt += seconds;
		slowest = fmax(slowest, seconds);
	}
	of_prompt = (of_prompt + (chunks - 1) * slowest) / e->in->prompt;
	set_compute(&e->out->token, of_token);
	set_compute(&e->out->prompt, of_prompt);
}

static enum swarm_plan_kind
kind_of(const struct candidate *c)
{
	if (c->n == 1)
		return SWARM_ONE;
	if (c->n_stages == 1)
		return SWARM_TENSOR;
	return c->n_stages == c->n ? SWARM_PIPELINE : SWARM_GROUPS;
}

static void
describe(struct eval *e)
{
	struct swarm_plan_alt *o = e->out;
	const struct swarm_plan_member *first = &o->members[0];
	struct load all = plan_load(e->in, e->in->model->shape->layers, true);

	o->kind = kind_of(e->c);
	o->streams = false;
	for (uint32_t i = 0; i < o->n; i++) {
		o->streams |= o->members[i].streamed > 0;
		o->members[i].share = (double)o->members[i].weights / (all.weights + all.fixed);
	}
	o->today = first->peer == 0 && has_part(&first->slice);
	o->score = o->period / e->in->sessions + e->in->prompt_ratio * o->prompt.total;
}

/* Time, when layers are dealt. */
static int
predict(struct eval *e, double step)
{
	if (share_stages(e, step) != 0)
		return -1;
	e->out->token = e->out->prompt = (struct swarm_plan_cost){0};
	predict_token(e);
	predict_prompt(e);
	describe(e);
	return isfinite(e->out->score) ? 0 : -1;
}

static int
try_deal(struct eval *e, bool even)
{
	double step = 0;

	e->layers[0] = e->in->model->shape->layers;
	if (e->c->n_stages > 1 && plan_deal_stages(e, even, &step) != 0)
		return -1;
	e->step = step;
	return predict(e, step);
}

/* Deals for the least slowest stage, and puts back what the other deal came to where that is better. */
static int
deal_even(struct eval *e, int rc)
{
	const struct swarm_plan_alt other = *e->out;
	uint32_t layers[SWARM_PLAN_PEERS];
	double step = e->step;

	memcpy(layers, e->layers, sizeof layers);
	if (try_deal(e, true) == 0 && (rc != 0 || e->out->score <= other.score))
		return 0;
	*e->out = other;
	memcpy(e->layers, layers, sizeof layers);
	e->step = step;
	return rc;
}

int
plan_predict_layers(struct eval *e)
{
	return predict(e, e->step);
}

int
plan_predict_slices(struct eval *e)
{
	int rc;

	e->given = true;
	rc = predict(e, e->step);
	e->given = false;
	return rc == 0 && none_idle(e, e->out->members, e->c->n) ? 0 : -1;
}

int
plan_eval(const struct swarm_plan_input *in, const struct candidate *c, enum effort effort,
	struct swarm_plan_alt *out)
{
	struct eval e = {.in = in, .c = c, .out = out};
	int rc;

	out->n = c->n;
	out->n_stages = c->n_stages;
	if (plan_set_stages(&e) != 0)
		return -1;
	rc = try_deal(&e, false);
	/* The least sum of stages, or the least slowest one? */
	if (c->n_stages > 1 && (in->sessions > 1 || in->prompt_ratio > 0))
		rc = deal_even(&e, rc);
	if (rc == 0 && effort == REFINED)
		plan_refine(&e);
	if (rc == 0 && effort != QUICK)
		split(&e);
	return rc == 0 ? e.bound : -1;
}

static struct candidate
candidate_of(const struct swarm_plan_alt *a, bool stream)
{
	struct candidate c = {.n_stages = a->n_stages, .stream = stream};

	for (uint32_t i = 0; i < a->n_stages; i++) {
		c.stage_n[i] = a->stages[i].n;
		for (uint32_t k = 0; k < a->stages[i].n; k++, c.n++)
			c.who[c.n] = a->members[c.n].peer;
	}
	return c;
}

int
swarm_plan_predict(const struct swarm_plan_input *in, bool stream, struct swarm_plan_alt *out)
{
	struct candidate c = candidate_of(out, stream);

	return plan_eval(in, &c, REFINED, out) < 0 ? -1 : 0;
}

int
swarm_plan_predict_given(const struct swarm_plan_input *in, struct swarm_plan_alt *out)
{
	struct candidate c = candidate_of(out, true);
	struct eval e = {.in = in, .c = &c, .given = true, .out = out};

	out->n = c.n;
	return plan_set_stages(&e) == 0 ? predict(&e, 0) : -1;
}
