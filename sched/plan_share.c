/* Shares of one group: by speed, bounded by memory, cut in whole units. */
#include "sched/plan_int.h"

#define STEPS 60 /* of a bisection */

struct level {
	double done, rate; /* units at that time, and of them a second then */
};

static struct level
level_at(double time, uint32_t n, const double *off, const double *unit_s, const double *cap)
{
	struct level l = {0, 0};

	for (uint32_t i = 0; i < n; i++) {
		double part = (time - off[i]) / unit_s[i];

		if (part <= 0)
			continue;
		l.done += fmin(part, cap[i]);
		l.rate += part < cap[i] ? 1 / unit_s[i] : 0;
	}
	return l;
}

/* Newton's method on a rising line with bends, kept between bounds. */
double
plan_fill(uint32_t n, const double *off, const double *unit_s, const double *cap, double need)
{
	double low = INFINITY, high = INFINITY, all = 0, rate = 0, time = 0;

	for (uint32_t i = 0; i < n; i++) {
		low = fmin(low, off[i]);
		time = fmax(time, off[i]);
		rate += 1 / unit_s[i];
		all += cap[i];
	}
	if (all < need)
		return INFINITY;
	time += need / rate;
	for (int i = 0; i < STEPS; i++) {
		struct level l = level_at(time, n, off, unit_s, cap);

		if (fabs(l.done - need) <= 1e-12 * need)
			break;
		if (l.done < need)
			low = time;
		else
			high = time;
		time = l.rate > 0 ? time + (need - l.done) / l.rate : INFINITY;
		if (!(time > low && time < high))
			time = isfinite(high) ? (low + high) / 2 : 2 * low + 1e-9;
	}
	return time;
}

int
plan_divide(double total, uint32_t n, const double *off, const double *unit_s, const double *cap,
	uint32_t *out)
{
	double level = plan_fill(n, off, unit_s, cap, total), left = total;

	if (!isfinite(level))
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		double part = fmax((level - off[i]) / unit_s[i], 0);

		part = fmin(floor(fmin(part, cap[i]) + 1e-9), left);
		out[i] = (uint32_t)part;
		left -= part;
	}
	for (; left > 0; left--) {
		uint32_t best = n;
		double first = INFINITY, done;

		for (uint32_t i = 0; i < n; i++) {
			done = off[i] + (out[i] + 1) * unit_s[i];
			if (out[i] + 1 <= cap[i] + 1e-9 && done < first) {
				best = i;
				first = done;
			}
		}
		if (best == n)
			return -1;
		out[best]++;
	}
	return 0;
}

/* --- one group --- */

uint32_t
plan_unit(const struct swarm_plan_input *in, enum phase phase)
{
	return phase == ATTN ? in->model->kv_unit : phase == FFN ? in->model->shape->col_block : 1;
}

struct sharing {
	const struct swarm_plan_input *in;
	const struct group *g;
	struct load load;
	double goal[SWARM_PLAN_PEERS][PHASES];  /* seconds of units */
	double delay[SWARM_PLAN_PEERS][PHASES]; /* and before the first one, of a layer */
	double whole[SWARM_PLAN_PEERS];         /* of a share of 1 */
	double late[SWARM_PLAN_PEERS];          /* delays of the whole */
	double token[SWARM_PLAN_PEERS];         /* of a share of 1, of a token's step only */
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
		double fixed = plan_fixed_seconds(s->in, g->who[i], g->n) / 2;
		double late = plan_goal(s->in, g->n_stages, g->delays[i].token + fixed,
			g->delays[i].prompt + fixed);

		plan_goal_seconds(s->in, g->who[i], g->n_stages, s->goal[i]);
		plan_unit_seconds(s->in, g->who[i], &token, unit);
		s->goal[i][HEAD] += plan_goal(s->in, g->n_stages, g->delays[i].head_row, 0);
		s->delay[i][ATTN] = s->delay[i][FFN] = late;
		s->delay[i][HEAD] = plan_goal(s->in, g->n_stages, g->delays[i].head, 0);
		s->late[i] = 2 * g->layers * late + (g->head ? s->delay[i][HEAD] : 0);
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
	level = plan_fill(g->n, s->late, s->whole, s->cap, 1);
	s->seconds = seconds;
	s->bound = false;
	for (uint32_t i = 0; i < g->n && isfinite(level); i++) {
		s->share[i] = fmin(fmax(level - s->late[i], 0) / s->whole[i], s->cap[i]);
		s->bound |= s->share[i] >= s->cap[i];
		longest = fmax(
			longest, s->share[i] * s->token[i] + 2 * g->layers * g->delays[i].token);
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

	*unit = plan_unit(s->in, phase);
	return phase == HEAD && !s->g->head ? 0 : (size + *unit - 1) / *unit;
}

/* Bytes of memory that are left to a member for weights: where it streams not the ring, and what its
 * disk has time for is added. loose: and a unit of each phase, since shares are rounded to units and
 * a disk may well read a little longer. */
static double
capacity(const struct sharing *s, uint32_t i, bool loose)
{
	const struct load *l = &s->load;
	double room = plan_room(s->in, s->g->who[i]) - l->fixed, more = 0;
	double disk = s->in->peers[s->g->who[i]].disk_bps, read;
	uint32_t unit;

	if (!s->g->stream || disk <= 0 || s->share[i] * (l->weights + l->cache) <= room)
		return fmax(room, 0);
	read = s->seconds * disk / l->used;
	for (int p = 0; p < HEAD && loose; p++)
		more += (l->part[p] + l->cache) / units_of(s, p, &unit);
	return room - plan_ahead(l, s->share[i], room) + read + more;
}

/* How phases are cut, one after the other: what comes first may fill a bounded member's memory. The
 * cache comes with heads, so that feed-forward columns first may save more; level: nobody takes more of
 * a phase than of the whole, so that each phase gets its part of a bounded member. */
struct manner {
	int order[PHASES];
	bool level, loose;
};

/* Returns the sum over phases of the slowest member's seconds, INFINITY when they do not fit. */
static double
cut(const struct sharing *s, const struct manner *how, uint32_t parts[PHASES][SWARM_PLAN_PEERS])
{
	double left[SWARM_PLAN_PEERS], seconds[SWARM_PLAN_PEERS];
	double cap[SWARM_PLAN_PEERS], off[SWARM_PLAN_PEERS], sum = 0, longest;
	uint32_t n = s->g->n, unit;

	for (uint32_t i = 0; i < n; i++)
		left[i] = capacity(s, i, how->loose);
	for (int k = 0; k < PHASES; k++) {
		int p = how->order[k];
		uint32_t units = units_of(s, p, &unit);
		double bytes = units > 0 ? s->load.part[p] / units : 0, longest_off = 0;
		double cache = p == ATTN ? s->load.cache / units : 0;

		for (uint32_t i = 0; i < n; i++) {
			seconds[i] = s->goal[i][p] * unit * (p == HEAD ? 1 : s->g->layers);
			off[i] = s->delay[i][p] * (p == HEAD ? 1 : s->g->layers);
			/* Less than nothing is left where, but for rounding, all fits beside no ring. */
			cap[i] = fmax(floor(left[i] / (bytes + cache + 1e-9)), 0);
			if (how->level && s->share[i] >= s->cap[i] && k + 1 < PHASES)
				cap[i] = fmin(cap[i], ceil(s->share[i] * units - 0.5));
			longest_off = fmax(longest_off, off[i]);
			parts[p][i] = 0;
		}
		if (units > 0 && plan_divide(units, n, off, seconds, cap, parts[p]) != 0)
			return INFINITY;
		longest = p == HEAD ? 0 : longest_off;
		for (uint32_t i = 0; i < n; i++) {
			left[i] -= parts[p][i] * (bytes + cache);
			if (parts[p][i] > 0)
				longest = fmax(longest, off[i] + parts[p][i] * seconds[i]);
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
		range(&at[ATTN], parts[ATTN][i], plan_unit(s->in, ATTN), shape->kv_heads,
			&sl->kv_head0, &sl->kv_heads);
		range(&at[FFN], parts[FFN][i], plan_unit(s->in, FFN), shape->ffn, &sl->ffn0,
			&sl->ffn);
		if (s->g->head)
			range(&at[HEAD], parts[HEAD][i], plan_unit(s->in, HEAD), shape->vocab,
				&sl->vocab0, &sl->vocab);
	}
}

/* Seconds by which a disk reads longer than the step that was aimed at; INFINITY: a member's memory is
 * too little. */
static double
late_disks(const struct sharing *s, struct swarm_plan_member *m)
{
	double late = 0;

	for (uint32_t i = 0; i < s->g->n; i++) {
		if (plan_hold(s->in, s->g->layers, s->g->stream, &m[i]) != 0)
			return INFINITY;
		if (m[i].streamed > 0)
			late = fmax(late, (double)m[i].streamed / s->in->peers[m[i].peer].disk_bps -
						  s->seconds);
	}
	return late;
}

static int
cut_best(const struct sharing *s, struct swarm_plan_member *m)
{
	static const struct manner manners[] = {{{ATTN, FFN, HEAD}, false, false},
		{{FFN, ATTN, HEAD}, false, false}, {{ATTN, FFN, HEAD}, true, false},
		{{HEAD, ATTN, FFN}, true, false}, {{ATTN, FFN, HEAD}, false, true},
		{{FFN, ATTN, HEAD}, false, true}, {{ATTN, FFN, HEAD}, true, true}};
	uint32_t parts[2][PHASES][SWARM_PLAN_PEERS], n = s->g->stream ? 7 : 4;
	double best = INFINITY, sum;
	int at = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (i > 0 && !s->bound && isfinite(best))
			break;
		sum = cut(s, &manners[i], parts[at]);
		if (sum >= best)
			continue;
		set_slices(s, parts[at], m);
		sum += late_disks(s, m);
		if (sum >= best)
			continue;
		best = sum;
		at = 1 - at;
	}
	if (!isfinite(best))
		return -1;
	set_slices(s, parts[1 - at], m);
	return 0;
}

/* One member has all. */
static int
share_alone(const struct sharing *s, struct swarm_plan_member *m)
{
	uint32_t parts[PHASES][SWARM_PLAN_PEERS], unit;

	for (int p = 0; p < PHASES; p++)
		parts[p][0] = units_of(s, p, &unit);
	set_slices(s, parts, m);
	return plan_hold(s->in, s->g->layers, s->g->stream, m);
}

int
plan_shares(const struct swarm_plan_input *in, const struct group *g, struct swarm_plan_member *m)
{
	struct sharing s = {.in = in, .g = g, .load = plan_load(in, g->layers, g->head)};

	if (g->n == 1)
		return share_alone(&s, m);
	take_speeds(&s);
	if (share_by_water(&s) != 0 || cut_best(&s, m) != 0)
		return -1;
	for (uint32_t i = 0; i < g->n; i++)
		if (plan_hold(in, g->layers, g->stream, &m[i]) != 0)
			return -1;
	return s.bound;
}
