/* Candidates are never sorted as a whole: top-k keeps the best k in a small heap, and what is left
 * is popped from a heap in order, best first, only as far as top-p, min-p or the draw want to see.
 * Sums run in a fixed order in double, and the generator is our own, so that a seed says the same
 * everywhere. */
#include "model/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PENALTY_LAST (1u << 20)

struct sampler {
	struct sampler_params p;
	uint32_t vocab;
	uint64_t rng[4];
	struct candidate *cand; /* [room] */
	uint32_t room;
	double *weight; /* [room] of the candidates that are kept, best first */
	/* The last tokens, and how often each is among them. */
	uint32_t *last; /* [p.penalty_last], a ring */
	uint32_t n_last, head;
	int32_t *count; /* [vocab]; NULL: no penalties */
};

struct sampler_params
sampler_defaults(void)
{
	return (struct sampler_params){.temperature = 0.8f,
		.top_k = 40,
		.top_p = 0.95f,
		.min_p = 0.05f,
		.repeat_penalty = 1.0f,
		.penalty_last = 64};
}

static int
check_range(const char *name, float v, float low, float high, struct err *err)
{
	if (v >= low && v <= high)
		return 0;
	return err_set(
		err, "%s is %g: must be from %g to %g", name, (double)v, (double)low, (double)high);
}

int
sampler_check(const struct sampler_params *p, struct err *err)
{
	if (check_range("temperature", p->temperature, 0.0f, 100.0f, err) != 0 ||
		check_range("top_p", p->top_p, 0.0f, 1.0f, err) != 0 ||
		check_range("min_p", p->min_p, 0.0f, 1.0f, err) != 0 ||
		check_range("repeat_penalty", p->repeat_penalty, 0.01f, 100.0f, err) != 0 ||
		check_range("frequency_penalty", p->frequency_penalty, -100.0f, 100.0f, err) != 0 ||
		check_range("presence_penalty", p->presence_penalty, -100.0f, 100.0f, err) != 0)
		return -1;
	if (p->penalty_last > MAX_PENALTY_LAST)
		return err_set(err, "penalty_last is %u: must be at most %u", p->penalty_last,
			MAX_PENALTY_LAST);
	return 0;
}

/* --- random numbers: xoshiro256**, seeded by splitmix64 (Blackman and Vigna) --------------------- */

static void
rng_seed(uint64_t rng[4], uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15u;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		rng[i] = z ^ z >> 31;
	}
}

static uint64_t
rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

static uint64_t
rng_next(uint64_t rng[4])
{
	uint64_t result = rotl(rng[1] * 5, 7) * 9, t = rng[1] << 17;

	rng[2] ^= rng[0];
	rng[3] ^= rng[1];
	rng[1] ^= rng[2];
	rng[0] ^= rng[3];
	rng[2] ^= t;
	rng[3] = rotl(rng[3], 45);
	return result;
}

/* In [0, 1), of 53 bits. */
static double
rng_unit(uint64_t rng[4])
{
	return (double)(rng_next(rng) >> 11) * 0x1p-53;
}

/* --- life -------------------------------------------------------------------------------------- */

static bool
penalised(const struct sampler_params *p)
{
	return p->penalty_last > 0 && (p->repeat_penalty != 1.0f || p->frequency_penalty != 0.0f ||
					      p->presence_penalty != 0.0f);
}

struct sampler *
sampler_new(const struct sampler_params *p, uint32_t vocab, struct err *err)
{
	struct sampler *s;
	bool pen = penalised(p);

	if (sampler_check(p, err) != 0)
		return NULL;
	if (vocab == 0) {
		err_set(err, "a sampler over a vocabulary of 0 tokens");
		return NULL;
	}
	s = calloc(1, sizeof *s);
	if (s == NULL)
		goto fail;
	s->p = *p;
	s->vocab = vocab;
	s->room = p->top_k == 0 || p->top_k > vocab ? vocab : p->top_k;
	rng_seed(s->rng, p->seed);
	if (p->temperature > 0.0f) {
		s->cand = calloc(s->room, sizeof *s->cand);
		s->weight = calloc(s->room, sizeof *s->weight);
		if (s->cand == NULL || s->weight == NULL)
			goto fail;
	}
	if (pen) {
		s->last = calloc(p->penalty_last, sizeof *s->last);
		s->count = calloc(vocab, sizeof *s->count);
		if (s->last == NULL || s->count == NULL)
			goto fail;
	}
	return s;
fail:
	sampler_free(s);
	err_set(err, "no memory for a sampler over %u tokens", vocab);
	return NULL;
}

void
sampler_free(struct sampler *s)
{
	if (s == NULL)
		return;
	free(s->cand);
	free(s->weight);
	free(s->last);
	free(s->count);
	free(s);
}

/* --- penalties --------------------------------------------------------------------------------- */

void
sampler_accept(struct sampler *s, uint32_t token)
{
	if (s->count == NULL || token >= s->vocab)
		return;
	if (s->n_last == s->p.penalty_last)
		s->count[s->last[s->head]]--;
	else
		s->n_last++;
	s->last[s->head] = token;
	s->head = (s->head + 1) % s->p.penalty_last;
	s->count[token]++;
}

static float
penalise(const struct sampler_params *p, float logit, int32_t count)
{
	logit = logit > 0.0f ? logit / p->repeat_penalty : logit * p->repeat_penalty;
	return logit - (float)count * p->frequency_penalty - p->presence_penalty;
}

/* Each token once: while its count is negative, it has been met already. */
static void
apply_penalties(struct sampler *s, float *logits)
{
	for (uint32_t i = 0; i < s->n_last; i++) {
		uint32_t id = s->last[i];

		if (s->count[id] > 0) {
			logits[id] = penalise(&s->p, logits[id], s->count[id]);
			s->count[id] = -s->count[id];
		}
	}
	for (uint32_t i = 0; i < s->n_last; i++)
		if (s->count[s->last[i]] < 0)
			s->count[s->last[i]] = -s->count[s->last[i]];
}

/* --- the pick ---------------------------------------------------------------------------------- */

/* Takes the best one off a heap, and leaves it behind the heap's new end. */
static struct candidate
pop_best(struct candidate *h, uint32_t *n)
{
	struct candidate best = h[0];

	h[0] = h[--*n];
	h[*n] = best;
	if (*n > 0)
		candidates_sink(h, *n, 0, true);
	return best;
}

static uint32_t
arg_max(const float *logits, uint32_t n)
{
	uint32_t best = 0;
	float value = candidate_usable(logits[0]);

	for (uint32_t i = 1; i < n; i++)
		if (logits[i] > value && candidate_usable(logits[i]) > value) {
			value = candidate_usable(logits[i]);
			best = i;
		}
	return best;
}

/* The top k of all, as a heap with the best at its root. */
static uint32_t
collect(struct sampler *s, const float *logits)
{
	uint32_t n = s->room;

	for (uint32_t i = 0; i < n; i++)
		s->cand[i] = (struct candidate){candidate_usable(logits[i]), i};
	if (n < s->vocab)
		candidates_heap(s->cand, n, false);
	for (uint32_t i = n; i < s->vocab; i++) {
		struct candidate c = {candidate_usable(logits[i]), i};

		if (candidate_better(c, s->cand[0])) {
			s->cand[0] = c;
			candidates_sink(s->cand, n, 0, false);
		}
	}
	candidates_heap(s->cand, n, true);
	return n;
}

/* How many are kept by top-p and min-p, in their order; the kept ones are popped off the heap. */
static uint32_t
keep(struct sampler *s, uint32_t n)
{
	float max = s->cand[0].logit;
	double total = 0.0, sum = 0.0, p;
	uint32_t left = n, kept = 0;

	for (uint32_t i = 0; s->p.top_p < 1.0f && i < n; i++)
		total += exp((double)s->cand[i].logit - max);
	while (left > 0) {
		p = exp((double)s->cand[0].logit - max);
		if (kept > 0 && p < s->p.min_p)
			break;
		pop_best(s->cand, &left);
		kept++;
		sum += p;
		if (s->p.top_p < 1.0f && sum >= s->p.top_p * total)
			break;
	}
	return kept;
}

/* Popped candidates lie at the end of the array: number i, best first, is n - 1 - i. */
static uint32_t
draw(struct sampler *s, uint32_t n, uint32_t kept)
{
	double max = s->cand[n - 1].logit, total = 0.0, target;

	for (uint32_t i = 0; i < kept; i++) {
		s->weight[i] = exp((s->cand[n - 1 - i].logit - max) / s->p.temperature);
		total += s->weight[i];
	}
	target = rng_unit(s->rng) * total;
	for (uint32_t i = 0; i < kept; i++) {
		if (target < s->weight[i])
			return s->cand[n - 1 - i].id;
		target -= s->weight[i];
	}
	return s->cand[n - 1].id; /* rounding ate the last bit: the best one */
}

uint32_t
sampler_pick(struct sampler *s, float *logits)
{
	uint32_t n, kept;

	if (s->count != NULL)
		apply_penalties(s, logits);
	if (s->p.temperature <= 0.0f)
		return arg_max(logits, s->vocab);
	n = collect(s, logits);
	kept = keep(s, n);
	return draw(s, n, kept);
}

/* A draw takes one number, an arg-max none. */
void
sampler_skip(struct sampler *s)
{
	if (s->p.temperature > 0.0f)
		rng_next(s->rng);
}

void
sampler_reset(struct sampler *s)
{
	rng_seed(s->rng, s->p.seed);
	for (uint32_t i = 0; i < s->n_last; i++)
		s->count[s->last[i]] = 0;
	s->n_last = s->head = 0;
}

const struct sampler_params *
sampler_params(const struct sampler *s)
{
	return &s->p;
}

/* --- the pick from the best alone --------------------------------------------------------------- */

/* A share of a sum whose terms were added in another order is not decided when it is as near as this. */
#define SUM_DOUBT 1e-9

enum sampler_needs
sampler_needs(const struct sampler *s)
{
	bool all = s->room == s->vocab;

	if (s->count != NULL)
		return SAMPLER_ALL;
	if (s->p.temperature <= 0.0f || s->room <= BEST_TOKENS)
		return SAMPLER_BEST;
	if (s->p.top_p < 1.0f) /* a part of what top-k leaves */
		return all ? SAMPLER_BEST_AND_SUM : SAMPLER_ALL;
	return s->p.min_p > 0.0f ? SAMPLER_BEST : SAMPLER_ALL;
}

/* As keep() does; 0: the best ones do not say. */
static uint32_t
keep_best(const struct sampler *s, const struct best *b)
{
	bool whole = s->room <= b->n; /* they are all that top-k leaves */
	uint32_t n = whole ? s->room : b->n;
	double total = whole ? 0.0 : b->sum, sum = 0.0, p, edge;

	for (uint32_t i = 0; whole && i < n; i++)
		total += exp((double)b->c[i].logit - b->c[0].logit);
	edge = s->p.top_p * total;
	for (uint32_t i = 0; i < n; i++) {
		p = exp((double)b->c[i].logit - b->c[0].logit);
		if (i > 0 && p < s->p.min_p)
			return i;
		sum += p;
		if (s->p.top_p >= 1.0f)
			continue;
		if (fabs(sum - edge) <= SUM_DOUBT * total)
			return 0;
		if (sum >= edge)
			return i + 1;
	}
	return whole ? n : 0;
}

bool
sampler_pick_best(struct sampler *s, const struct best *b, uint32_t *token)
{
	enum sampler_needs needs = sampler_needs(s);
	uint32_t kept;

	if (b->n == 0 || needs == SAMPLER_ALL || (needs == SAMPLER_BEST_AND_SUM && b->sum < 1.0))
		return false;
	if (s->p.temperature <= 0.0f) {
		*token = b->c[0].id;
		return true;
	}
	kept = keep_best(s, b);
	if (kept == 0)
		return false;
	for (uint32_t i = 0; i < kept; i++)
		s->cand[kept - 1 - i] = b->c[i];
	*token = draw(s, kept, kept);
	return true;
}
