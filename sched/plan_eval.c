/* One candidate: which layers its stages get, how its groups share them, and what that takes. */
#include "sched/plan_int.h"

#define STEPS 40 /* of a bisection */
#define HUBS  8

struct eval {
	const struct swarm_plan_input *in;
	const struct candidate *c;
	bool exact, bound;
	uint32_t who[SWARM_PLAN_PEERS]; /* hubs first */
	uint32_t first[SWARM_PLAN_PEERS], layers[SWARM_PLAN_PEERS];
	double hops;                            /* seconds of a token's step between stages */
	struct delays delays[SWARM_PLAN_PEERS]; /* of stages */
	struct swarm_plan_alt *out;
};

/* --- who is the hub --- */

static void
swap(uint32_t *a, uint32_t *b)
{
	uint32_t t = *a;

	*a = *b;
	*b = t;
}

static void
sort_up(uint32_t *v, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		for (uint32_t k = i; k > 0 && v[k] < v[k - 1]; k--)
			swap(&v[k], &v[k - 1]);
}

/* Seconds of a layer with who[0] as hub, when nothing streams. */
static double
layer_with_hub(const struct eval *e, const uint32_t *who, uint32_t n, double bytes)
{
	double whole[SWARM_PLAN_PEERS], cap[SWARM_PLAN_PEERS], off[SWARM_PLAN_PEERS];
	struct step token = plan_token_step(e->in, e->c->n_stages);
	struct load l = plan_load(e->in, e->in->model->shape->layers, true);
	double unit[PHASES], longest = 0, caps = 0, part = (double)n / e->c->n;

	plan_delays(e->in, SWARM_STAR, who, n, bytes, off);
	for (uint32_t i = 0; i < n; i++) {
		plan_unit_seconds(e->in, who[i], &token, unit);
		whole[i] = plan_whole_seconds(e->in, 1, false, unit);
		cap[i] = plan_share_cap(e->in, &l, who[i], false, 0) / part;
		caps += cap[i];
		off[i] = 2 * off[i] + e->in->peers[who[i]].layer_s;
		longest = fmax(longest, off[i]);
	}
	if (!isfinite(longest))
		return INFINITY;
	return fmax(longest, plan_fill(n, off, whole, cap, fmin(1, caps * 0.999)));
}

/* Puts the hub in front: the coordinator where it is a member, unless any may be. Of large groups
 * the first HUBS members are looked at, which are the fastest in the orders of the search. */
static void
choose_hub(const struct eval *e, uint32_t *who, uint32_t n, double bytes)
{
	uint32_t best = 0, hubs = n < HUBS ? n : HUBS;
	double least = INFINITY;

	for (uint32_t i = 0; i < n && !e->c->free_hub; i++)
		if (who[i] == 0) {
			swap(&who[0], &who[i]);
			sort_up(who + 1, n - 1);
			return;
		}
	for (uint32_t i = 0; i < hubs; i++) {
		double cost;

		swap(&who[0], &who[i]);
		cost = layer_with_hub(e, who, n, bytes);
		swap(&who[0], &who[i]);
		if (cost < least) {
			least = cost;
			best = i;
		}
	}
	swap(&who[0], &who[best]);
	sort_up(who + 1, n - 1);
}

/* --- messages --- */

static double
row_message(const struct swarm_plan_input *in, double rows)
{
	return 32 + rows * (12 + 4.0 * in->model->shape->embd);
}

/* From the coordinator to the first stage, from each to the next; without the logits. Where the
 * sender is the hub this is the way that sums take to members, which each reduction counts: only what
 * the embedded rows are longer is added. */
static double
hop_seconds(const struct eval *e, uint32_t stage, double rows)
{
	const uint32_t *who = &e->who[e->first[stage]];
	uint32_t from = stage == 0 ? 0 : e->who[e->first[stage - 1]], n = e->c->stage_n[stage];
	double row = row_message(e->in, rows), sum = rows * e->in->row_bytes, empty, longer;

	if (who[0] != from)
		return plan_spread(e->in, from, who, n, row);
	longer = row > sum ? row - sum : 0;
	empty = plan_spread(e->in, from, who, n, 0);
	return plan_spread(e->in, from, who, n, longer) - empty;
}

/* What the logits take after the last member has them, bytes counted, of so many rows. */
static double
logits_seconds(const struct eval *e, double rows)
{
	const struct swarm_plan_input *in = e->in;
	const struct swarm_plan_stage *st = &e->out->stages[e->c->n_stages - 1];
	double bytes[SWARM_PLAN_PEERS];

	for (uint32_t i = 0; i < st->n; i++)
		bytes[i] = rows *
			   (in->candidates_bytes +
				   in->logit_bytes * e->out->members[st->first + i].slice.vocab);
	return plan_gather(in, 0, &e->who[st->first], st->n, bytes);
}

/* The last sum's way to a member, and its logits' way to the coordinator. */
static void
set_head_delays(struct eval *e, uint32_t stage, struct delays *d)
{
	const struct swarm_plan_input *in = e->in;
	const uint32_t *who = &e->who[e->first[stage]];
	uint32_t n = e->c->stage_n[stage];
	double rows = plan_token_step(in, e->c->n_stages).logits, port = 0, others = 0;

	for (uint32_t i = 0; i < n; i++) {
		others += who[i] != 0;
		if (who[i] != 0)
			port = fmax(port, plan_link(in, 0, who[i])->bps);
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct swarm_plan_link *l = plan_link(in, 0, who[i]);
		double slow = fmin(l->bps, port / others);

		d->head[i] = i == 0 ? 0 : d->token[i] / 2;
		d->head_row[i] = 0;
		if (who[i] == 0)
			continue;
		d->head[i] +=
			plan_wait(l, (uint32_t)others) / 2 + rows * in->candidates_bytes / slow;
		d->head_row[i] = rows * in->logit_bytes / slow;
	}
}

/* Takes members and ways over into out; the seconds of messages that depend on no share. */
static int
set_stages(struct eval *e)
{
	const struct swarm_plan_input *in = e->in;
	double token = plan_token_step(in, e->c->n_stages).rows;
	double prompt = plan_prompt_step(in).rows, bytes = in->row_bytes, sum = 0;
	uint32_t at = 0;

	memcpy(e->who, e->c->who, e->c->n * sizeof *e->who);
	for (uint32_t i = 0; i < e->c->n_stages; i++) {
		struct swarm_plan_stage *st = &e->out->stages[i];
		uint32_t *who = &e->who[at];

		*st = (struct swarm_plan_stage){.first = at, .n = e->c->stage_n[i]};
		e->first[i] = at;
		choose_hub(e, who, st->n, token * bytes);
		plan_reduction(in, who, st->n, token * bytes, &st->token_way);
		plan_reduction(in, who, st->n, prompt * bytes, &st->prompt_way);
		plan_delays(in, st->token_way, who, st->n, token * bytes, e->delays[i].token);
		plan_delays(in, st->prompt_way, who, st->n, prompt * bytes, e->delays[i].prompt);
		if (i + 1 == e->c->n_stages)
			set_head_delays(e, i, &e->delays[i]);
		e->hops += hop_seconds(e, i, token);
		for (uint32_t k = 0; k < st->n; k++)
			sum += e->delays[i].token[k];
		at += st->n;
	}
	return isfinite(e->hops + sum) ? 0 : -1;
}

/* --- layers of stages --- */

/* One to each, the others to the fastest first. */
static int
deal_in_order(uint32_t layers, uint32_t n, const double *seconds, const double *caps, uint32_t *out)
{
	bool done[SWARM_PLAN_PEERS] = {false};
	double left = layers - (double)n, more;

	for (uint32_t i = 0; i < n; i++) {
		out[i] = 1;
		if (caps[i] < 1)
			return -1;
	}
	for (uint32_t k = 0; k < n && left > 0; k++) {
		uint32_t best = n;

		for (uint32_t i = 0; i < n; i++)
			if (!done[i] && (best == n || seconds[i] < seconds[best]))
				best = i;
		done[best] = true;
		more = fmin(left, floor(caps[best]) - 1);
		out[best] += (uint32_t)more;
		left -= more;
	}
	return left == 0 ? 0 : -1;
}

int
plan_deal_layers(uint32_t layers, uint32_t n, const double *seconds, const double *caps, bool even,
	uint32_t *out)
{
	static const double none[SWARM_PLAN_PEERS];

	return even ? plan_divide(layers, n, none, seconds, caps, out)
		    : deal_in_order(layers, n, seconds, caps, out);
}

/* Seconds of one layer on a stage without memory's bounds, its reductions included. */
static double
layer_seconds(const struct eval *e, uint32_t stage)
{
	const struct swarm_plan_input *in = e->in;
	double whole[SWARM_PLAN_PEERS], cap[SWARM_PLAN_PEERS], off[SWARM_PLAN_PEERS], longest = 0;
	struct step token = plan_token_step(in, e->c->n_stages);
	uint32_t n = e->c->stage_n[stage];
	double unit[PHASES];

	for (uint32_t i = 0; i < n; i++) {
		uint32_t peer = e->who[e->first[stage] + i];

		plan_unit_seconds(in, peer, &token, unit);
		whole[i] = plan_whole_seconds(in, 1, false, unit);
		cap[i] = 1;
		off[i] = 2 * e->delays[stage].token[i] + in->peers[peer].layer_s;
		longest = fmax(longest, off[i]);
	}
	return fmax(longest, plan_fill(n, off, whole, cap, 1));
}

/* Layers that a stage's members can hold when their disks have so many seconds. */
static double
layer_cap(const struct eval *e, uint32_t stage, double seconds)
{
	const struct swarm_plan_input *in = e->in;
	uint32_t layers = in->model->shape->layers, n = e->c->stage_n[stage];
	bool head = stage + 1 == e->c->n_stages;
	double low = 0, high = layers;

	/* Of a group's memory some stays unused at the ends of units. */
	while (high - low >= 1) {
		double mid = floor((low + high + 1) / 2), sum = 0;
		struct load l = plan_load(in, (uint32_t)mid, head);

		for (uint32_t i = 0; i < n; i++)
			sum += plan_share_cap(
				in, &l, e->who[e->first[stage] + i], e->c->stream, seconds);
		if (sum >= (n > 1 ? 1.02 : 1))
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}

static double
deal(struct eval *e, const double *seconds, double disk_s, bool even)
{
	double caps[SWARM_PLAN_PEERS] = {0}, sum = e->hops;
	uint32_t n = e->c->n_stages;

	for (uint32_t i = 0; i < n; i++)
		caps[i] = layer_cap(e, i, disk_s);
	if (plan_deal_layers(e->in->model->shape->layers, n, seconds, caps, even, e->layers) != 0)
		return INFINITY;
	for (uint32_t i = 0; i < n; i++)
		sum += e->layers[i] * seconds[i];
	return sum;
}

/* Deals the layers; with streaming for the shortest step in which disks can read what they must. */
static int
deal_layers(struct eval *e, bool even, double *step)
{
	double seconds[SWARM_PLAN_PEERS], low = 0, high = 1e-3, mid;

	for (uint32_t i = 0; i < e->c->n_stages; i++)
		seconds[i] = layer_seconds(e, i);
	*step = deal(e, seconds, 0, even);
	if (!e->c->stream)
		return isfinite(*step) ? 0 : -1;
	while (deal(e, seconds, high, even) > high) {
		low = high;
		high *= 2;
		if (high > 1e6)
			return -1;
	}
	for (int i = 0; i < STEPS && high - low > 1e-3 * high; i++) {
		mid = (low + high) / 2;
		if (deal(e, seconds, mid, even) > mid)
			low = mid;
		else
			high = mid;
	}
	*step = deal(e, seconds, high, even);
	return 0;
}

static int
share_stages(struct eval *e, double step)
{
	uint32_t at = 0, n = e->c->n_stages;

	for (uint32_t i = 0; i < n; i++) {
		struct swarm_plan_stage *st = &e->out->stages[i];
		struct group g = {.who = &e->who[st->first],
			.n = st->n,
			.layers = e->layers[i],
			.n_stages = n,
			.head = i + 1 == n,
			.stream = e->c->stream,
			.exact = e->exact,
			.delays = &e->delays[i]};
		int rc;

		if (e->layers[i] == 0)
			return -1;
		st->layer0 = at;
		st->layers = e->layers[i];
		at += st->layers;
		g.other_s = n == 1 ? e->hops : step - layer_seconds(e, i) * st->layers;
		rc = plan_shares(e->in, &g, &e->out->members[st->first]);
		if (rc < 0)
			return -1;
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

/* A stage's step with such delays of reductions. logits: those of the token's step are counted, with
 * what each member computes. */
static struct stage_time
stage_step(const struct eval *e, uint32_t stage, const struct step *step, const double *delay,
	bool logits)
{
	const struct swarm_plan_stage *st = &e->out->stages[stage];
	const struct delays *d = &e->delays[stage];
	struct stage_time t[PHASES] = {{0, 0}};
	double unit[PHASES];

	for (uint32_t i = 0; i < st->n; i++) {
		struct swarm_plan_member *m = &e->out->members[st->first + i];
		double fixed = e->in->peers[m->peer].layer_s / 2, attn, ffn, head;

		plan_unit_seconds(e->in, m->peer, step, unit);
		attn = st->layers * (fixed + m->slice.kv_heads * unit[ATTN]);
		ffn = st->layers * (fixed + m->slice.ffn * unit[FFN]);
		head = m->slice.vocab * unit[HEAD];
		phase_max(&t[ATTN], attn, st->layers * delay[i]);
		phase_max(&t[FFN], ffn, st->layers * delay[i]);
		if (m->slice.vocab > 0)
			phase_max(&t[HEAD], head,
				logits ? d->head[i] + m->slice.vocab * d->head_row[i] : 0);
		if (logits)
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
		struct stage_time st = stage_step(e, i, &step, e->delays[i].token, true);

		t->compute += st.compute;
		t->network += st.total - st.compute;
		slowest = fmax(slowest, st.total);
	}
	t->disk = disk_seconds(e, 1);
	t->total = fmax(t->compute + t->network, t->disk);
	o->period = fmax(t->total, fmax(slowest, t->disk) * at_once);
	o->tokens_ps = in->sessions / o->period;
}

/* Chunks go through the stages one behind the other. */
static void
predict_prompt(struct eval *e)
{
	const struct swarm_plan_input *in = e->in;
	struct swarm_plan_alt *o = e->out;
	struct swarm_plan_cost *t = &o->prompt, slowest = {0};
	struct step step = plan_prompt_step(in);
	double used = plan_used(in, plan_token_step(in, o->n_stages).rows), sum = 0, behind;
	double chunks = ceil(in->prompt / step.rows), last = logits_seconds(e, 1);

	t->disk = disk_seconds(e, plan_used(in, step.rows) / used);
	for (uint32_t i = 0; i < o->n_stages; i++) {
		struct stage_time st = stage_step(e, i, &step, e->delays[i].prompt, false);
		double network = st.total - st.compute + hop_seconds(e, i, step.rows);
		double total = in->overlap ? fmax(st.compute, network) : st.compute + network;

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

static enum swarm_plan_kind
kind_of(const struct candidate *c)
{
	if (c->n == 1)
		return SWARM_ONE;
	if (c->n_stages == 1)
		return SWARM_TENSOR;
	return c->n_stages == c->n ? SWARM_PIPELINE : SWARM_GROUPS;
}

static bool
has_part(const struct slice *sl)
{
	return sl->kv_heads > 0 || sl->ffn > 0 || sl->vocab > 0;
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
	o->today = o->n_stages == 1 && first->peer == 0 && has_part(&first->slice);
	o->score = o->period / e->in->sessions + e->in->prompt_ratio * o->prompt.total;
}

static int
try_deal(struct eval *e, bool even)
{
	double step = 0;

	e->layers[0] = e->in->model->shape->layers;
	if (e->c->n_stages > 1 && deal_layers(e, even, &step) != 0)
		return -1;
	if (share_stages(e, step) != 0)
		return -1;
	e->out->token = e->out->prompt = (struct swarm_plan_cost){0};
	predict_token(e);
	predict_prompt(e);
	describe(e);
	return isfinite(e->out->score) ? 0 : -1;
}

int
plan_eval(const struct swarm_plan_input *in, const struct candidate *c, bool exact,
	struct swarm_plan_alt *out)
{
	struct eval e = {.in = in, .c = c, .exact = exact, .out = out};
	double score;
	int rc;

	out->n = c->n;
	out->n_stages = c->n_stages;
	if (set_stages(&e) != 0)
		return -1;
	rc = try_deal(&e, false);
	if (c->n_stages > 1 && (in->sessions > 1 || in->prompt_ratio > 0)) {
		/* The least sum of stages, or the least slowest one? */
		score = rc == 0 ? out->score : INFINITY;
		rc = try_deal(&e, true);
		if (isfinite(score) && (rc != 0 || out->score > score))
			rc = try_deal(&e, false);
	}
	return rc == 0 ? e.bound : -1;
}

int
swarm_plan_predict(const struct swarm_plan_input *in, bool stream, struct swarm_plan_alt *out)
{
	struct candidate c = {.n_stages = out->n_stages, .stream = stream};

	for (uint32_t i = 0; i < out->n_stages; i++) {
		c.stage_n[i] = out->stages[i].n;
		for (uint32_t k = 0; k < out->stages[i].n; k++, c.n++)
			c.who[c.n] = out->members[c.n].peer;
	}
	return plan_eval(in, &c, true, out) < 0 ? -1 : 0;
}
