/* Which of the members that could take part do, and with which slices: what sched/plan predicts to
 * be fastest, from what daemon/speeds has measured. Who is not measured yet is left out until it is: one that never is
 * must not make the others slower. While the coordinator is not, where the model does not fit into those that are, or
 * where the user says so (`plan = all`, `shares`, `stages`), all of them take part; but a plan that serves is not given up
 * for one that is not measured (sched/roster.h).
 *
 * Choices are kept, since predicting takes tens of milliseconds on a small board: until something
 * was measured anew, or CHOICE_MS. Another one must then be better by CHOICE_GAIN, so that slices do
 * not move between devices for nothing; by less where they were seen to be uneven for long, or slower than those
 * before (choices_shift). */
#include "daemon/log.h"
#include "daemon/serve_balance.h"
#include "daemon/serve_kv.h"
#include "model/memory.h"
#include "model/plan_model.h"
#include "sched/step_time.h"

#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define CHOICES     16
#define CHOICE_MS   600000
#define UNKNOWN_MS  10000 /* while something is not measured yet */
#define CHOICE_GAIN 0.10
#define DEPTH       512 /* positions in the cache, when time is predicted */

struct choice { /* of a set of members that could take part */
	uint64_t set, at;
	uint32_t n; /* devices that do, the coordinator first */
	struct swarm_peer *peers[SLICE_MAX_PEERS];
	struct stages stages;
	struct slice slices[SLICE_MAX_PEERS];
	uint32_t n_spares;
	struct plan_spare spares[SLICE_MAX_PEERS];
};

struct choices {
	struct choice *ring[CHOICES];
	unsigned next;
	bool shifts;   /* choices_shift() asks: */
	double saving; /* what other slices of the same devices have to save; 0: and other devices */
};

/* Everything that a prediction reads. */
struct forecast {
	struct swarm_plan_model model;
	struct swarm_plan_peer peers[SLICE_MAX_PEERS];
	struct swarm_plan_link links[SLICE_MAX_PEERS * SLICE_MAX_PEERS];
	struct swarm_plan_input in;
	uint32_t unknown;          /* peers that are not measured, and so not usable */
	struct swarm_plan_alt old; /* what was chosen before */
	struct swarm_plan_result result;
};

/* --- what is measured --------------------------------------------------------------------------- */

/* What a process takes beside weights and cache, which the planner counts itself, with so many rows in a step. */
static uint64_t
overhead(const struct serve *s, const struct model_file *f, uint32_t rows)
{
	const struct slice whole = slice_whole(&f->shape);
	const struct engine_config c = {.shape = &f->shape,
		.slices = &whole,
		.peers = 1,
		.context = 1,
		.slots = s->config->parallel,
		.max_rows = rows,
		.threads = s->config->threads,
		.kv = serve_kv(s->config),
		.kv_copies = s->config->kv_copies > 0};

	return memory_process() + (9u << 20) + engine_bytes(&c);
}

uint32_t
rows_of_step(
	struct serve *s, const struct model_file *f, struct swarm_peer *const *members, uint32_t n)
{
	uint64_t least = UINT64_MAX;

	if (s->config->batch != 0)
		return s->config->batch;
	for (uint32_t i = 0; i <= n; i++) {
		struct peer_speed speed;

		speeds_of(s->speeds, i > 0 ? members[i - 1] : NULL, shard_main_dtype(&f->whole),
			&speed);
		least = speed.memory < least ? speed.memory : least;
	}
	return step_time_most(least, overhead(s, f, STEP_ROWS) - overhead(s, f, STEP_FEW_ROWS));
}

/* What a prediction reads of a device and is not known; p: NULL: of this one. NULL: all of it is. */
static const char *
what_lacks(struct serve *s, const struct swarm_peer *p, uint32_t dtype, struct peer_speed *speed)
{
	if (!speeds_of(s->speeds, p, dtype, speed))
		return "not measured yet: how fast it computes (its log may say why)";
	if (speed->memory == 0)
		return "not known yet: what memory it may use";
	if (p != NULL && (speed->rtt_s <= 0 || speed->link_bytes_per_s <= 0))
		return "not measured yet: the link to it, which is done while nothing is computed";
	return NULL;
}

static bool
is_measured(struct serve *s, const struct swarm_peer *p, uint32_t dtype)
{
	struct peer_speed speed;

	return what_lacks(s, p, dtype, &speed) == NULL;
}

/* One that is not measured is left out until it is; this device cannot be. */
static bool
fill_peer(struct serve *s, const struct swarm_peer *p, uint32_t dtype, uint64_t fixed,
	struct swarm_plan_peer *out, struct peer_speed *speed)
{
	const char *lacks = what_lacks(s, p, dtype, speed);
	double factor;

	*out = (struct swarm_plan_peer){.usable = lacks == NULL};
	snprintf(out->name, sizeof out->name, "%s", p != NULL ? p->known->name : s->state->name);
	if (lacks != NULL) {
		snprintf(out->why, sizeof out->why, "%s", lacks);
		return p != NULL;
	}
	factor = balance_factor(s, p, speed->bytes_per_s);
	out->read_bps = factor * speed->bytes_per_s;
	out->macs_ps = factor * speed->ops_per_s / 2;
	out->disk_bps = speed->disk_bytes_per_s;
	out->memory = speed->memory;
	out->overhead = fixed;
	swarm_plan_fixed_seconds(out, speed->undisturbed);
	return true;
}

/* Links between members are not measured: they are taken for the mean of theirs with the
 * coordinator. */
static void
fill_links(struct forecast *f, const struct peer_speed *speeds, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t j = i + 1; j < n; j++) {
			const struct peer_speed *a = &speeds[i], *b = &speeds[j];
			struct swarm_plan_link *l = &f->links[i * n + j];

			if (i == 0)
				a = b;
			l->rtt = (a->rtt_s + b->rtt_s) / 2;
			l->rtt99 = (a->rtt_p99_s + b->rtt_p99_s) / 2;
			l->rtt99 = l->rtt99 > l->rtt ? l->rtt99 : l->rtt;
			l->bps = a->link_bytes_per_s < b->link_bytes_per_s ? a->link_bytes_per_s
									   : b->link_bytes_per_s;
		}
}

static double
row_bytes(enum frame_format format, const struct model_file *f)
{
	return (double)frame_payload(format, 1, f->shape.embd);
}

/* Those by which sums may go, as 1 << enum swarm_way. */
static unsigned
ways_of(enum collective_way way)
{
	switch (way) {
	case WAY_STAR:
		return 1u << SWARM_STAR;
	case WAY_DIRECT:
		return 1u << SWARM_DIRECT;
	case WAY_SCATTER:
		return 1u << SWARM_SCATTER;
	default:
		return SWARM_ALL_WAYS;
	}
}

/* false: of this device something is not known yet. */
static bool
fill(struct serve *s, const struct plan *p, struct swarm_peer *const *members, uint32_t n,
	struct forecast *f)
{
	const struct shard_header *h = &p->file->whole;
	const struct sum_format sums = serve_payload(s->config, h, 1);
	uint32_t dtype = shard_main_dtype(h);
	uint64_t fixed = overhead(s, p->file, p->rows);
	struct peer_speed speeds[SLICE_MAX_PEERS];

	for (uint32_t i = 0; i <= n; i++) {
		if (!fill_peer(s, i > 0 ? members[i - 1] : NULL, dtype, fixed, &f->peers[i],
			    &speeds[i]))
			return false;
		f->unknown += !f->peers[i].usable;
	}
	f->peers[0].overhead += copies_more_bytes(s, &p->file->shape, p->context);
	fill_links(f, speeds, n + 1);
	plan_model_from_header(h, serve_kv(s->config), s->config->parallel, p->context, &f->model);
	swarm_plan_input_init(&f->in, &f->model);
	f->in.peers = f->peers;
	f->in.links = f->links;
	f->in.n = n + 1;
	f->in.depth = DEPTH < p->context / 2 ? DEPTH : p->context / 2;
	f->in.batch = p->rows;
	f->in.prompt_ratio = 1;
	f->in.row_bytes = row_bytes(sums.token, p->file);
	f->in.prompt_row_bytes = row_bytes(sums.prompt, p->file);
	f->in.staged_row_bytes = row_bytes(serve_payload(s->config, h, 2).token, p->file);
	f->in.logit_bytes = 0;
	f->in.candidates_bytes = (double)frame_best(f->model.shape->vocab);
	f->in.ways = ways_of(serve_way(s->config));
	f->in.overlap = strcmp(s->config->overlap, "off") != 0;
	f->in.today_only = true;
	if (pipelines_are_barred(s))
		f->in.kinds = 1u << SWARM_ONE | 1u << SWARM_TENSOR;
	return true;
}

/* --- choices that are kept ---------------------------------------------------------------------- */

static uint64_t
set_of(const struct plan *p, struct swarm_peer *const *members, uint32_t n)
{
	crypto_generichash_state state;
	uint8_t hash[16];
	uint64_t set;

	crypto_generichash_init(&state, NULL, 0, sizeof hash);
	crypto_generichash_update(&state, p->file->model_id, SHARD_HASH);
	for (uint32_t i = 0; i < n; i++)
		crypto_generichash_update(&state, members[i]->known->key, 32);
	crypto_generichash_final(&state, hash, sizeof hash);
	memcpy(&set, hash, sizeof set);
	return set;
}

static struct choice *
kept(struct serve *s, uint64_t set)
{
	for (unsigned i = 0; s->choices != NULL && i < CHOICES; i++)
		if (s->choices->ring[i] != NULL && s->choices->ring[i]->set == set)
			return s->choices->ring[i];
	return NULL;
}

/* A place for it, at the expense of the oldest. NULL: out of memory. */
static struct choice *
keep(struct serve *s, uint64_t set)
{
	struct choice *c = kept(s, set), **place;

	if (c != NULL)
		return c;
	if (s->choices == NULL)
		s->choices = calloc(1, sizeof *s->choices);
	if (s->choices == NULL)
		return NULL;
	place = &s->choices->ring[s->choices->next++ % CHOICES];
	if (*place == NULL)
		*place = malloc(sizeof **place);
	if (*place != NULL)
		**place = (struct choice){.set = set};
	return *place;
}

void
choices_forget(struct serve *s)
{
	for (unsigned i = 0; s->choices != NULL && i < CHOICES; i++)
		free(s->choices->ring[i]);
	free(s->choices);
	s->choices = NULL;
}

void
choices_news(struct serve *s)
{
	for (unsigned i = 0; s->choices != NULL && i < CHOICES; i++)
		if (s->choices->ring[i] != NULL)
			s->choices->ring[i]->at = 0;
}

/* --- choosing ----------------------------------------------------------------------------------- */

/* The user says who takes part, and with what. */
static bool
is_settled(const struct serve *s)
{
	return s->config->n_shares > 0 || s->config->n_stages > 0 ||
	       strcmp(s->config->plan, "all") == 0;
}

bool
choose_knows(struct serve *s, const struct swarm_peer *p)
{
	uint32_t dtype;

	if (is_settled(s) || s->file == NULL)
		return true;
	dtype = shard_main_dtype(&s->file->whole);
	return is_measured(s, NULL, dtype) && is_measured(s, p, dtype);
}

/* A plan of these stages as the planner wants it; who is in it is left to the caller. */
static void
set_stages(struct swarm_plan_alt *a, const struct stages *st)
{
	*a = (struct swarm_plan_alt){.n = stages_peers(st), .n_stages = st->n};
	for (uint32_t i = 0; i < st->n; i++)
		a->stages[i] = (struct swarm_plan_stage){.layer0 = st->list[i].layer0,
			.layers = st->list[i].layers,
			.first = st->list[i].first,
			.n = st->list[i].n};
}

/* The plan that was chosen before, by what is known now; its score is INFINITY if it does not fit any more. */
static void
predict_old(
	struct forecast *f, const struct choice *c, struct swarm_peer *const *members, uint32_t n)
{
	struct swarm_plan_alt *a = &f->old;
	bool gone = c->n == 0 || (c->stages.n > 1 && f->in.kinds != 0);

	set_stages(a, &c->stages);
	for (uint32_t i = 0; i < c->n && !gone; i++) {
		uint32_t at = 0;

		while (i > 0 && at < n && members[at] != c->peers[i])
			at++;
		gone = i > 0 && (at == n || !f->peers[at + 1].usable);
		a->members[i].peer = i > 0 ? at + 1 : 0;
		a->members[i].slice = c->slices[i];
	}
	if (gone || swarm_plan_predict_given(&f->in, a) != 0)
		a->score = INFINITY;
}

static void
take(struct choice *c, const struct swarm_plan_alt *a, struct swarm_peer *const *members)
{
	c->n = a->n;
	for (uint32_t i = 0; i < a->n; i++) {
		c->peers[i] = a->members[i].peer > 0 ? members[a->members[i].peer - 1] : NULL;
		c->slices[i] = a->members[i].slice;
	}
	c->stages.n = a->n_stages;
	for (uint32_t i = 0; i < a->n_stages; i++)
		c->stages.list[i] = (struct stage){a->stages[i].first, a->stages[i].n,
			a->stages[i].layer0, a->stages[i].layers};
}

static const char *
why_spare(const struct swarm_plan_result *r, uint32_t peer)
{
	for (uint32_t i = 0; i < r->n_spares; i++)
		if (r->spares[i].peer == peer)
			return r->spares[i].why;
	return "a plan with it would not save enough for a change";
}

/* Who is in the best plan that was found and not in the choice, which another plan has to beat by far, is left out, too. */
static void
keep_spares(struct choice *c, const struct swarm_plan_result *r, struct swarm_peer *const *members,
	uint32_t n)
{
	c->n_spares = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct plan_spare *sp = &c->spares[c->n_spares];
		bool in = false;

		for (uint32_t k = 1; k < c->n; k++)
			in |= c->peers[k] == members[i];
		if (in)
			continue;
		sp->peer = members[i];
		snprintf(sp->why, sizeof sp->why, "%s is left out: %s", members[i]->known->name,
			why_spare(r, i + 1));
		c->n_spares++;
	}
}

static void
take_spares(struct plan *p, const struct choice *c)
{
	p->n_spares = c->n_spares;
	memcpy(p->spares, c->spares, c->n_spares * sizeof *c->spares);
}

/* What a plan has to save to be taken instead of the choice. */
static struct swarm_plan_worth
worth(const struct choices *all)
{
	struct swarm_plan_worth w = {CHOICE_GAIN, CHOICE_GAIN};

	if (all->shifts)
		w.same = all->saving;
	if (w.same <= 0)
		w.others = w.same;
	return w;
}

static int
predict(struct serve *s, struct choice *c, const struct plan *p, struct swarm_peer *const *members,
	uint32_t n, struct err *err)
{
	struct forecast *f = calloc(1, sizeof *f);
	const struct swarm_plan_worth least = worth(s->choices);
	const struct swarm_plan_alt *better;

	if (f == NULL)
		return err_set(err, "not enough memory for a plan");
	if (!fill(s, p, members, n, f)) {
		free(f);
		c->n = 0;
		return 0;
	}
	predict_old(f, c, members, n);
	if (swarm_plan_choose(&f->in, &f->result, err) != 0) {
		bool all = f->unknown == 0; /* else the others may have the room that lacks */

		free(f);
		c->n = 0;
		return all ? -1 : 0;
	}
	better = swarm_plan_better(&f->in, &f->result, &f->old, &least);
	if (better != NULL)
		take(c, better, members);
	keep_spares(c, &f->result, members, n);
	free(f);
	return 0;
}

bool
choices_shift(struct serve *s, double saving)
{
	struct swarm_peer *members[SLICE_MAX_PEERS];
	struct roster_choice choice;
	struct plan *p;
	struct err err;
	bool other;

	if (s->choices == NULL)
		return false;
	choices_news(s);
	s->choices->shifts = true;
	s->choices->saving = saving;
	plan_candidates(s, &choice);
	p = plan_make(s, members, plan_chosen(s, &choice, members), &err);
	s->choices->shifts = false;
	if (p == NULL)
		return false;
	other = plan_set(p) != plan_set(s->plan);
	plan_free(p);
	return other;
}

/* The plan as it is, predicted: the first of result.scratch. NULL: something is not known. */
static struct forecast *
forecast_of(struct serve *s, const struct plan *p)
{
	struct forecast *f = calloc(1, sizeof *f);
	struct swarm_peer *members[SLICE_MAX_PEERS];
	struct swarm_plan_alt *a;

	if (f == NULL)
		return NULL;
	a = &f->result.scratch[0];
	set_stages(a, &p->stages);
	for (uint32_t i = 0; i < p->n; i++) {
		if (i > 0)
			members[i - 1] = p->members[i].peer;
		a->members[i].peer = i;
		a->members[i].slice = p->slices[i];
	}
	if (fill(s, p, members, p->n - 1, f) && f->unknown == 0 &&
		swarm_plan_predict_given(&f->in, a) == 0)
		return f;
	free(f);
	return NULL;
}

bool
choose_expected(struct serve *s, const struct plan *p, struct expected *out)
{
	struct forecast *f = forecast_of(s, p);
	struct peer_speed speed;

	if (f == NULL)
		return false;
	for (uint32_t i = 0; i < p->n; i++) {
		const struct swarm_plan_member *m = &f->result.scratch[0].members[i];

		speeds_of(s->speeds, p->members[i].peer, shard_main_dtype(&p->file->whole), &speed);
		out[i] = (struct expected){
			m->share, m->compute_s, f->peers[i].read_bps, speed.bytes_per_s};
	}
	free(f);
	return true;
}

void
plan_divide_rows(struct plan *p)
{
	struct forecast *f = p->way == WAY_AUTO ? forecast_of(p->serve, p) : NULL;

	for (uint32_t i = 0; i < p->stages.n; i++) {
		const struct stage *st = &p->stages.list[i];

		if (f == NULL || f->result.scratch[0].stages[i].prompt_way == SWARM_ROWS)
			slice_row_shares(&p->file->shape, p->slices + st->first, st->n,
				p->row_shares + st->first);
	}
	free(f);
}

int
choose_members(struct serve *s, struct plan *p, struct swarm_peer *const *members, uint32_t n,
	bool *chosen, struct err *err)
{
	uint64_t set = set_of(p, members, n), now = uv_now(s->loop);
	struct choice *c;

	*chosen = false;
	if (n == 0 || is_settled(s))
		return 0;
	c = keep(s, set);
	if (c == NULL)
		return err_set(err, "not enough memory for a plan");
	if (c->at == 0 || now - c->at >= (c->n > 0 ? CHOICE_MS : UNKNOWN_MS)) {
		if (predict(s, c, p, members, n, err) != 0)
			return -1;
		c->at = now;
	}
	if (c->n == 0)
		return 0;
	*chosen = true;
	p->n = c->n;
	for (uint32_t i = 1; i < c->n; i++)
		p->members[i].peer = c->peers[i];
	p->stages = c->stages;
	memcpy(p->slices, c->slices, sizeof p->slices);
	take_spares(p, c);
	return 0;
}

void
choose_leaves_out(struct serve *s, struct swarm_peer *const *members, uint32_t n)
{
	struct choice *c = is_settled(s) ? NULL : kept(s, set_of(s->plan, members, n));

	if (c == NULL || c->n == 0)
		return;
	take_spares(s->plan, c);
	plan_names_spares(s->plan);
}
