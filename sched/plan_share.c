/* Shares of one group: by speed, bounded by memory, cut in whole units. */
#include "sched/plan_int.h"

#define STEPS 60 /* of a bisection */

double
plan_fill(uint32_t n, const double *whole_s, const double *cap, double need)
{
	bool full[SWARM_PLAN_PEERS] = {false};
	double level = 0;

	for (bool again = true; again;) {
		double rest = need, speed = 0;

		for (uint32_t i = 0; i < n; i++) {
			rest -= full[i] ? cap[i] : 0;
			speed += full[i] ? 0 : 1 / whole_s[i];
		}
		if (rest <= 0)
			return level;
		if (speed <= 0)
			return INFINITY;
		level = rest / speed;
		again = false;
		for (uint32_t i = 0; i < n; i++)
			if (!full[i] && level / whole_s[i] > cap[i])
				again = full[i] = true;
	}
	return level;
}

int
plan_divide(double total, uint32_t n, const double *unit_s, const double *cap, uint32_t *out)
{
	double level = plan_fill(n, unit_s, cap, total), left = total;

	if (!isfinite(level))
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		double part = fmin(floor(fmin(level / unit_s[i], cap[i]) + 1e-9), left);

		out[i] = (uint32_t)part;
		left -= part;
	}
	for (; left > 0; left--) {
		uint32_t best = n;

		for (uint32_t i = 0; i < n; i++)
			if (out[i] + 1 <= cap[i] + 1e-9 &&
				(best == n ||
					(out[i] + 1) * unit_s[i] < (out[best] + 1) * unit_s[best]))
				best = i;
		if (best == n)
			return -1;
		out[best]++;
	}
	return 0;
}

/* --- one group --- */

struct sharing {
	const struct swarm_plan_input *in;
	const struct group *g;
	struct load load;
	double goal[SWARM_PLAN_PEERS][PHASES]; /* seconds of units */
	double whole[SWARM_PLAN_PEERS];        /* of a share of 1 */
	double token[SWARM_PLAN_PEERS];        /* of a share of 1, of a token's step only */
	double cap[SWARM_PLAN_PEERS], share[SWARM_PLAN_PEERS];
	double seconds; /* of a step: what disks have time for */
	bool bound;
};

static void
take_speeds(struct sharing *s)
{
	const struct group *g = s->g;
	struct step token = plan_token_step(s->in, g->n_stages);
	double unit[PHASES];

	for (uint32_t i = 0; i < g->n; i++) {
		plan_goal_seconds(s->in, g->who[i], g->n_stages, s->goal[i]);
		plan_unit_seconds(s->in, g->who[i], &token, unit);
		s->whole[i] = plan_whole_seconds(s->in, g->layers, g->head, s->goal[i]);
		s->token[i] = plan_whole_seconds(s->in, g->layers, g->head, unit);
	}
}

/* Shares when a step takes so long. Returns the seconds that it then takes; INFINITY: no room. */
static double
fill(struct sharing *s, double seconds)
{
	const struct group *g = s->g;
	double level, longest = 0;

	for (uint32_t i = 0; i < g->n; i++)
		s->cap[i] = plan_share_cap(s->in, &s->load, g->who[i], g->stream, seconds);
	level = plan_fill(g->n, s->whole, s->cap, 1);
	s->seconds = seconds;
	s->bound = false;
	for (uint32_t i = 0; i < g->n && isfinite(level); i++) {
		s->share[i] = fmin(level / s->whole[i], s->cap[i]);
		s->bound |= s->share[i] >= s->cap[i];
		longest = fmax(longest, s->share[i] * s->token[i]);
	}
	return isfinite(level) ? longest + g->other_s : INFINITY;
}

/* The shortest step whose disks keep up. */
static int
share_by_water(struct sharing *s)
{
	double low = 0, high = 1e-3, mid;

	if (isfinite(fill(s, 0)) && (!s->bound || !s->g->stream))
		return 0;
	if (!s->g->stream)
		return -1;
	while (fill(s, high) > high) {
		low = high;
		high *= 2;
		if (high > 1e6)
			return -1;
	}
	for (int i = 0; i < STEPS && high - low > 1e-6 * high; i++) {
		mid = (low + high) / 2;
		if (fill(s, mid) > mid)
			low = mid;
		else
			high = mid;
	}
	fill(s, high);
	return 0;
}

/* Units of a phase, and how large they are. */
static uint32_t
units_of(const struct sharing *s, int phase, uint32_t *unit)
{
	const struct model_shape *m = s->in->model->shape;
	uint32_t size = phase == ATTN ? m->kv_heads : phase == FFN ? m->ffn : m->vocab;

	*unit = phase == ATTN ? s->in->model->kv_unit : phase == FFN ? m->col_block : 1;
	return phase == HEAD && !s->g->head ? 0 : (size + *unit - 1) / *unit;
}

/* Bytes of memory that are left to a member, and what of its weights counts against them: where it
 * streams also the ring, and what its disk has time for is added. */
static double
capacity(const struct sharing *s, uint32_t i, double *factor)
{
	const struct load *l = &s->load;
	double room = plan_room(s->in, s->g->who[i]) - l->fixed;
	double disk = s->in->peers[s->g->who[i]].disk_bps;

	*factor = 1;
	if (!s->g->stream || disk <= 0 || s->share[i] * (l->weights + l->cache) <= room)
		return fmax(room, 0);
	*factor = 1 + l->ring / l->weights;
	return room + s->seconds * disk / l->used;
}

/* Cuts phase after phase in this order. Returns the sum over phases of the slowest member's
 * seconds, INFINITY when they do not fit. */
static double
cut(const struct sharing *s, const int order[PHASES], uint32_t parts[PHASES][SWARM_PLAN_PEERS])
{
	double left[SWARM_PLAN_PEERS], factor[SWARM_PLAN_PEERS], seconds[SWARM_PLAN_PEERS];
	double cap[SWARM_PLAN_PEERS], sum = 0, longest;
	uint32_t n = s->g->n, unit;

	for (uint32_t i = 0; i < n; i++)
		left[i] = capacity(s, i, &factor[i]);
	for (int k = 0; k < PHASES; k++) {
		int p = order[k];
		uint32_t units = units_of(s, p, &unit);
		double bytes = units > 0 ? s->load.part[p] / units : 0;
		double cache = p == ATTN ? s->load.cache / units : 0;

		for (uint32_t i = 0; i < n; i++) {
			seconds[i] = s->goal[i][p] * unit * (p == HEAD ? 1 : s->g->layers);
			cap[i] = floor(left[i] / (bytes * factor[i] + cache + 1e-9));
			parts[p][i] = 0;
		}
		if (units > 0 && plan_divide(units, n, seconds, cap, parts[p]) != 0)
			return INFINITY;
		longest = 0;
		for (uint32_t i = 0; i < n; i++) {
			left[i] -= parts[p][i] * (bytes * factor[i] + cache);
			longest = fmax(longest, parts[p][i] * seconds[i]);
		}
		sum += longest;
	}
	return sum;
}

/* A dimension's parts as ranges, in rank order; what is over goes with the last unit. */
static void
range(uint32_t *at, uint32_t parts, uint32_t unit, uint32_t size, uint32_t *first, uint32_t *length)
{
	uint32_t end = parts < (size - *at + unit - 1) / unit ? *at + parts * unit : size;

	*first = *at;
	*length = end - *at;
	*at = end;
}

static void
set_slices(const struct sharing *s, uint32_t parts[PHASES][SWARM_PLAN_PEERS],
	struct swarm_plan_member *m)
{
	const struct model_shape *shape = s->in->model->shape;
	uint32_t at[PHASES] = {0};

	for (uint32_t i = 0; i < s->g->n; i++) {
		struct slice *sl = &m[i].slice;

		*sl = (struct slice){.rank = i, .peers = s->g->n};
		m[i].peer = s->g->who[i];
		range(&at[ATTN], parts[ATTN][i], s->in->model->kv_unit, shape->kv_heads,
			&sl->kv_head0, &sl->kv_heads);
		range(&at[FFN], parts[FFN][i], shape->col_block, shape->ffn, &sl->ffn0, &sl->ffn);
		if (s->g->head)
			range(&at[HEAD], parts[HEAD][i], 1, shape->vocab, &sl->vocab0, &sl->vocab);
	}
}

/* The cache comes with heads: where memory binds it may be better to fill it with feed-forward
 * columns first. */
static int
cut_best(const struct sharing *s, struct swarm_plan_member *m)
{
	static const int orders[2][PHASES] = {{ATTN, FFN, HEAD}, {FFN, ATTN, HEAD}};
	uint32_t parts[2][PHASES][SWARM_PLAN_PEERS];
	double first = cut(s, orders[0], parts[0]);
	double second = s->bound || !isfinite(first) ? cut(s, orders[1], parts[1]) : INFINITY;

	if (!isfinite(first) && !isfinite(second))
		return -1;
	set_slices(s, second < first ? parts[1] : parts[0], m);
	return 0;
}

int
plan_shares(const struct swarm_plan_input *in, const struct group *g, struct swarm_plan_member *m)
{
	struct sharing s = {.in = in, .g = g, .load = plan_load(in, g->layers, g->head)};

	take_speeds(&s);
	if (share_by_water(&s) != 0 || cut_best(&s, m) != 0)
		return -1;
	for (uint32_t i = 0; i < g->n; i++)
		if (plan_hold(in, g->layers, g->stream, g->exact, &m[i]) != 0)
			return -1;
	return s.bound;
}
