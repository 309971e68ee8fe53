#include "model/guide.h"

#include "model/token_signal.h"

#include <stdlib.h>
#include <string.h>

struct guide {
	const struct tokenizer *t;
	struct sampler *sampler;
	uint32_t vocab;
	uint32_t *ids; /* [context] */
	size_t n, n_prompt, context;
	bool margins, ignore_end, uncached;
	bool rests;
	size_t stale;
	uint32_t more;
	float margin;
	size_t accepted, drawn; /* what the sampler has seen: ids, and picks */
};

/* --- life --------------------------------------------------------------------------------------- */

struct guide *
guide_new(const struct tokenizer *t, const struct guide_params *p, const uint32_t *prompt,
	size_t n_prompt, struct err *err)
{
	struct guide *g;

	if (tokenizer_check_prompt(t, p->context, prompt, n_prompt, err) != 0)
		return NULL;
	g = calloc(1, sizeof *g);
	if (g == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	*g = (struct guide){.t = t,
		.vocab = tokenizer_size(t),
		.n = n_prompt,
		.n_prompt = n_prompt,
		.context = p->context,
		.margins = p->margins,
		.ignore_end = p->ignore_end,
		.uncached = p->uncached,
		.rests = true,
		.stale = SIZE_MAX};
	g->ids = malloc(p->context * sizeof *g->ids);
	if (g->ids == NULL)
		err_set(err, "out of memory for %u tokens", p->context);
	else
		g->sampler = sampler_new(&p->sampler, g->vocab, err);
	if (g->sampler == NULL) {
		guide_free(g);
		return NULL;
	}
	memcpy(g->ids, prompt, n_prompt * sizeof *prompt);
	return g;
}

void
guide_free(struct guide *g)
{
	if (g == NULL)
		return;
	sampler_free(g->sampler);
	free(g->ids);
	free(g);
}

/* --- leading ------------------------------------------------------------------------------------ */

static int
check_run(const struct guide *g, const struct guide_run *run, struct err *err)
{
	if (!g->rests)
		return err_set(err, "it is led while it works");
	if (run->keep < g->n_prompt || run->keep > g->n)
		return err_set(err, "%zu ids are to stay, of %zu with a prompt of %zu", run->keep,
			g->n, g->n_prompt);
	if (run->n > g->context - run->keep)
		return err_set(err, "%zu ids behind %zu do not fit the context of %zu", run->n,
			run->keep, g->context);
	if (run->more >= GUIDE_MOST)
		return err_set(err, "%u choices more are too many", run->more);
	for (size_t i = 0; i < run->n; i++)
		if (run->ids[i] >= g->vocab)
			return err_set(err, "token %u is beyond the vocabulary of %u", run->ids[i],
				g->vocab);
	return 0;
}

int
guide_lead(struct guide *g, const struct guide_run *run, struct err *err)
{
	if (check_run(g, run, err) != 0)
		return -1;
	g->n = run->keep + run->n;
	if (run->n > 0)
		memcpy(g->ids + run->keep, run->ids, run->n * sizeof *run->ids);
	g->rests = false;
	g->stale = run->n > 0 ? run->keep : g->n - 1;
	g->more = run->more;
	g->margin = run->margin;
	return 0;
}

bool
guide_rests(const struct guide *g)
{
	return g->rests;
}

size_t
guide_context(const struct guide *g)
{
	return g->context;
}

bool
guide_is_uncached(const struct guide *g)
{
	return g->uncached;
}

const uint32_t *
guide_ids(const struct guide *g, size_t *n)
{
	*n = g->n;
	return g->ids;
}

size_t
guide_stale(struct guide *g)
{
	size_t stale = g->stale;

	g->stale = SIZE_MAX;
	return stale;
}

enum sampler_needs
guide_needs(const struct guide *g)
{
	return sampler_needs(g->sampler);
}

/* --- choosing ----------------------------------------------------------------------------------- */

/* The sampler as a session's that has just these ids. */
static void
prepare(struct guide *g)
{
	size_t drawn = g->n - g->n_prompt;

	if (g->accepted > g->n || g->drawn > drawn) {
		sampler_reset(g->sampler);
		g->accepted = g->drawn = 0;
	}
	for (; g->accepted < g->n; g->accepted++)
		sampler_accept(g->sampler, g->ids[g->accepted]);
	for (; g->drawn < drawn; g->drawn++)
		sampler_skip(g->sampler);
}

static void
chosen(struct guide *g, const struct guide_choice *c)
{
	bool end = !g->ignore_end && tokenizer_is_end(g->t, c->id);

	g->drawn++;
	g->rests = g->more == 0 || end || c->margin <= g->margin || g->n == g->context;
	if (g->rests)
		return;
	g->ids[g->n++] = c->id;
	g->more--;
}

void
guide_take(struct guide *g, float *logits, struct guide_choice *c)
{
	struct token_signal s = {0};

	prepare(g);
	if (g->margins)
		token_signal_of(&s, logits, g->vocab, 0);
	*c = (struct guide_choice){sampler_pick(g->sampler, logits), s.margin};
	chosen(g, c);
}

bool
guide_take_best(struct guide *g, const struct best *best, struct guide_choice *c)
{
	prepare(g);
	*c = (struct guide_choice){0};
	if (!sampler_pick_best(g->sampler, best, &c->id))
		return false;
	if (g->margins) {
		c->margin = best->n > 1 ? best->c[0].logit - best->c[1].logit : TOKEN_MARGIN;
		c->margin = c->margin < TOKEN_MARGIN ? c->margin : TOKEN_MARGIN;
	}
	chosen(g, c);
	return true;
}
