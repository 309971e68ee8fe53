#include "model/generate.h"

#include "base/clock.h"
#include "kernels/cpu.h"
#include "model/huge.h"
#include "model/memory.h"
#include "model/shard_store.h"
#include "model/thread_choice.h"
#include "model/weights_meanwhile.h"
#include "model/window.h"
#include "sched/step_time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CONTEXT 4096

static bool
has_tokenizer(const struct gguf *g)
{
	struct gguf_str s;

	return gguf_string(g, "tokenizer.ggml.model", &s);
}

static void
fill_options(struct local *l, const struct local_options *opt)
{
	l->opt = *opt;
	if (l->opt.context == 0)
		l->opt.context =
			l->shape.context < DEFAULT_CONTEXT ? l->shape.context : DEFAULT_CONTEXT;
	if (l->opt.slots == 0)
		l->opt.slots = 1;
}

struct watch { /* the caller's progress, and whether it ended the work */
	const struct local_options *opt;
	bool ended;
};

static int
watch_progress(void *arg, uint64_t done, uint64_t total)
{
	struct watch *w = arg;

	if (w->opt->progress != NULL && w->opt->progress(w->opt->arg, done, total) != 0)
		w->ended = true;
	return w->ended;
}

/* The shard of the whole model, or why there is none. */
static void
open_shard(struct local *l, const char *path, struct watch *watch, struct err *err)
{
	struct shard_want want = {l->gguf, path, &l->shape, &l->slice};

	if (l->opt.shards == NULL)
		err_set(err, "no folder for it");
	else
		l->shard = shard_store_get(l->opt.shards, &want, false, watch_progress, watch, err);
}

/* In memory, as far as all of it fits there. */
static int
tile_in_memory(struct local *l, struct watch *watch, struct err *why)
{
	char text[640];

	if (l->opt.note != NULL && l->opt.shards != NULL) {
		snprintf(text, sizeof text, "no shard is kept, the model is prepared in memory: %s",
			why->msg);
		l->opt.note(l->opt.arg, text);
	}
	l->weights = weights_tiled_from_gguf(
		l->gguf, &l->shape, &l->slice, true, watch_progress, watch, why);
	return l->weights != NULL ? 0 : -1;
}

/* memory: for weights; all: what they have. */
static int
open_weights(struct local *l, const char *path, uint64_t memory, uint64_t all, struct err *err)
{
	struct watch watch = {.opt = &l->opt};

	/* Plain C reads rows as fast as tiles. */
	if (all <= memory && strcmp(l->kernels.name, "plain") == 0) {
		l->weights = weights_from_gguf(l->gguf, &l->shape, &l->slice, true, err);
		return l->weights != NULL ? 0 : -1;
	}
	open_shard(l, path, &watch, err);
	if (watch.ended)
		return -1;
	if (l->shard == NULL && all > memory)
		return err_prefix(err, "the model is larger than memory, and there is no shard: ");
	if (l->shard == NULL)
		return tile_in_memory(l, &watch, err);
	if (all > memory)
		l->weights = weights_window(l->shard, l->gguf, memory, watch_progress, &watch, err);
	else if (!weights_place_copies(
			 l->opt.place, all, memory, memory_available(), huge_offered()))
		l->weights = weights_from_shard(l->shard, l->gguf, err);
	else if (l->opt.soon && l->opt.place == WEIGHTS_AUTO)
		l->weights = weights_copied_soon(
			l->shard, l->gguf, memory, l->opt.threads, watch_progress, &watch, err);
	else
		l->weights = weights_copied(
			l->shard, l->gguf, l->opt.threads, watch_progress, &watch, err);
	return l->weights != NULL ? 0 : -1;
}

struct memory_need
local_need(const struct forward_config *c, const struct shard_header *h)
{
	struct memory_need need = {.buffers = forward_bytes(c),
		.context = c->context,
		.slots = c->slots,
		.least = window_weights_least(h),
		.all = window_weights_all(h)};

	/* Beside the forward pass: rows, and what a sampler needs of a vocabulary. */
	if (need.buffers < UINT64_MAX / 2)
		need.buffers +=
			c->max_rows * (c->shape->embd * sizeof(float) + sizeof(struct step_row)) +
			(uint64_t)c->shape->vocab * 32;
	return need;
}

/* What of the budget the weights may take, before anything large is made. */
static int
plan_memory(const struct local *l, const struct forward_config *c, uint64_t *memory, uint64_t *all,
	struct err *err)
{
	struct memory_need need;
	struct shard_header h;

	if (shard_header_plan(l->gguf, &l->shape, &l->slice, &h, err) != 0)
		return -1;
	need = local_need(c, &h);
	shard_header_free(&h);
	*all = need.all;
	return memory_for_weights(l->opt.memory, &need, memory, err);
}

static uint32_t
rows_of_step(const struct local *l, const struct forward_config *config)
{
	struct forward_config few = *config, many = *config;

	few.max_rows = STEP_FEW_ROWS;
	many.max_rows = STEP_ROWS;
	return step_time_most(
		memory_budget(l->opt.memory), forward_bytes(&many) - forward_bytes(&few));
}

static int
open_pool(struct local *l, struct err *err)
{
	const struct local_options *o = &l->opt;
	char text[640];

	l->pool = pool_new(thread_choice_pool(o->threads, o->threads_batch, cpu_count()), err);
	if (l->pool == NULL)
		return -1;
	if (o->pin && pool_pin(l->pool, err) != 0 && o->note != NULL) {
		snprintf(text, sizeof text, "threads are not pinned: %s", err->msg);
		o->note(o->arg, text);
	}
	return 0;
}

/* What was computed with the zeros that stand for what could not be read is of no use. */
static int
check_read(const struct local *l, struct err *err)
{
	if (gguf_check_read(l->gguf, err) != 0)
		return err_prefix(err, "%s: ", l->path);
	return l->shard != NULL ? shard_check_read(l->shard, err) : 0;
}

static int
open_parts(struct local *l, const char *path, const struct local_options *opt, struct err *err)
{
	uint32_t features = cpu_detect();
	struct forward_config c;
	uint64_t memory, all;

	l->path = strdup(path);
	if (l->path == NULL)
		return err_set(err, "out of memory");
	l->gguf = gguf_open(path, err);
	if (l->gguf == NULL)
		return -1; /* the message names the file */
	if (shape_from_gguf(l->gguf, &l->shape, err) != 0)
		return err_prefix(err, "%s: ", path);
	fill_options(l, opt);
	if (has_tokenizer(l->gguf)) {
		l->tokenizer = tokenizer_new(l->gguf, err);
		if (l->tokenizer == NULL ||
			tokenizer_check_rows(l->tokenizer, l->shape.vocab, err) != 0)
			return err_prefix(err, "%s: ", path);
	}
	l->chat = chat_detect(l->gguf);
	if (opt->cpu != NULL && cpu_parse(opt->cpu, &features, err) != 0)
		return -1;
	kernels_init(&l->kernels, features);
	l->slice = slice_whole(&l->shape);
	if (open_pool(l, err) != 0)
		return -1;
	c = (struct forward_config){.shape = &l->shape,
		.slice = &l->slice,
		.kernels = &l->kernels,
		.pool = l->pool,
		.threads = l->opt.threads,
		.threads_batch = l->opt.threads_batch,
		.max_rows = l->opt.max_rows,
		.slots = l->opt.slots,
		.context = l->opt.context,
		.kv = l->opt.kv};
	if (c.max_rows == 0)
		l->opt.max_rows = c.max_rows = rows_of_step(l, &c);
	if (plan_memory(l, &c, &memory, &all, err) != 0 ||
		open_weights(l, path, memory, all, err) != 0)
		return err_prefix(err, "%s: ", path);
	c.weights = l->weights;
	l->forward = forward_new(&c, err);
	if (l->forward == NULL)
		return err_prefix(err, "%s: ", path);
	l->x = malloc((size_t)l->opt.max_rows * l->shape.embd * sizeof *l->x);
	l->rows = calloc(l->opt.max_rows, sizeof *l->rows);
	if (l->x == NULL || l->rows == NULL)
		return err_set(err, "out of memory");
	return check_read(l, err);
}

int
local_open(struct local *l, const char *path, const struct local_options *opt, struct err *err)
{
	*l = (struct local){0};
	if (open_parts(l, path, opt, err) == 0)
		return 0;
	local_close(l);
	return -1;
}

void
local_close(struct local *l)
{
	if (l->forward != NULL)
		forward_free(l->forward);
	if (l->weights != NULL)
		l->weights->free(l->weights);
	shard_close(l->shard);
	pool_free(l->pool);
	if (l->tokenizer != NULL)
		tokenizer_free(l->tokenizer);
	if (l->gguf != NULL)
		gguf_close(l->gguf);
	free(l->x);
	free(l->rows);
	free(l->path);
	*l = (struct local){0};
}

/* Computes n rows, which are laid out; of n_logits of them logits are wanted. */
static int
step(struct local *l, const uint32_t *ids, uint32_t n, uint32_t n_logits, const float **logits,
	struct err *err)
{
	uint32_t vocab = l->shape.vocab;

	if (forward_embed(l->forward, ids, n, l->x, err) != 0 ||
		forward_step(l->forward, l->rows, n, l->x, logits, err) != 0 ||
		check_read(l, err) != 0)
		return -1;
	for (uint32_t i = 0; i < n_logits; i++)
		if (logits_check(*logits + (size_t)i * vocab, vocab, err) != 0)
			return err_prefix(err, "%s: ", l->path);
	return 0;
}

int
local_eval(struct local *l, uint32_t slot, const uint32_t *ids, size_t n, uint32_t pos,
	const float **logits, struct err *err)
{
	const float *out = NULL;

	while (n > 0) {
		uint32_t k = n < l->opt.max_rows ? (uint32_t)n : l->opt.max_rows;
		bool last = k == n && logits != NULL;

		for (uint32_t i = 0; i < k; i++)
			l->rows[i] = (struct step_row){slot, pos + i, 0};
		if (last)
			l->rows[k - 1].flags = STEP_LOGITS;
		if (step(l, ids, k, last ? 1 : 0, &out, err) != 0)
			return -1;
		ids += k;
		pos += k;
		n -= k;
	}
	if (logits != NULL)
		*logits = out;
	return 0;
}

/* --- a session --------------------------------------------------------------------------------- */

struct generation {
	struct local *l;
	struct session *s;
	struct local_stats *stats;
	int (*emit)(void *arg, const char *text, size_t n);
	void *arg;
	float *logits; /* [vocab] */
	struct buf text;
	bool left; /* nobody wants more */
};

/* Its last id, at pos, and guesses behind it. logits: those of each, one behind the other. */
static int
eval_guesses(struct local *l, const uint32_t *last, uint32_t pos, const uint32_t *guess, uint32_t n,
	const float **logits, struct err *err)
{
	uint32_t ids[1 + GUESS_MOST] = {*last};
	double start = clock_seconds();

	memcpy(ids + 1, guess, n * sizeof *guess);
	for (uint32_t i = 0; i <= n; i++)
		l->rows[i] = (struct step_row){0, pos + i, STEP_LOGITS};
	if (step(l, ids, 1 + n, 1 + n, logits, err) != 0)
		return -1;
	guess_step(&l->guesses, 1 + n, clock_seconds() - start);
	return 0;
}

static int
take_token(struct generation *g, const float *out, struct err *err)
{
	uint32_t vocab = g->l->shape.vocab;
	struct token_signal signal;
	size_t before, n;

	session_ids(g->s, &before);
	memcpy(g->logits, out, vocab * sizeof *g->logits);
	buf_clear(&g->text);
	session_next(g->s, g->logits, &g->text);
	session_ids(g->s, &n);
	if (g->stats->signals != NULL && n > before) {
		token_signal_of(&signal, out, vocab, session_last(g->s));
		token_signals_add(g->stats->signals, &signal);
	}
	if (g->text.failed)
		return err_set(err, "out of memory for the text");
	g->left = g->text.len > 0 && g->emit(g->arg, (const char *)g->text.data, g->text.len) != 0;
	return 0;
}

static bool
goes_on(const struct generation *g)
{
	return !g->left && session_state(g->s) == SESSION_RUNNING;
}

/* The next token, and those behind it that were guessed right. */
static int
next_tokens(struct generation *g, struct err *err)
{
	uint32_t guess[GUESS_MOST], matched = 0, n_guess, right = 0, most = g->l->opt.max_rows - 1;
	size_t n;
	const uint32_t *ids = session_ids(g->s, &n);
	uint32_t vocab = g->l->shape.vocab;
	const float *out;

	n_guess = session_guess(g->s, guess, most < GUESS_MOST ? most : GUESS_MOST, &matched);
	n_guess = guess_length(&g->l->guesses, matched, 1, n_guess);
	if (eval_guesses(g->l, &ids[n - 1], (uint32_t)n - 1, guess, n_guess, &out, err) != 0)
		return -1;
	for (uint32_t i = 0; i <= n_guess && goes_on(g); i++) {
		if (i > 0 && session_last(g->s) != guess[i - 1])
			break;
		right = i;
		if (take_token(g, out + (size_t)i * vocab, err) != 0)
			return -1;
	}
	if (goes_on(g))
		guess_checked(&g->l->guesses, matched, right < n_guess ? right + 1 : right, right);
	g->stats->guessed += n_guess;
	g->stats->right += right;
	return 0;
}

static int
generate(struct generation *g, struct err *err)
{
	double start = clock_seconds();
	size_t n;
	const uint32_t *ids = session_ids(g->s, &n);
	const float *out;

	if (local_eval(g->l, 0, ids, n, 0, &out, err) != 0)
		return -1;
	g->stats->prompt_seconds = clock_seconds() - start;
	start = clock_seconds();
	if (take_token(g, out, err) != 0)
		return -1;
	while (goes_on(g))
		if (next_tokens(g, err) != 0)
			return -1;
	g->stats->new_seconds = clock_seconds() - start;
	return 0;
}

int
local_generate(struct local *l, struct session *s,
	int (*emit)(void *arg, const char *text, size_t n), void *arg, struct local_stats *stats,
	struct err *err)
{
	struct generation g = {.l = l, .s = s, .stats = stats, .emit = emit, .arg = arg};
	size_t n;
	int rc;

	g.logits = malloc(l->shape.vocab * sizeof *g.logits);
	if (g.logits == NULL)
		return err_set(err, "out of memory");
	buf_init(&g.text, 0);
	stats->guessed = stats->right = 0;
	rc = generate(&g, err);
	session_ids(s, &n);
	stats->prompt_tokens = (uint32_t)session_n_prompt(s);
	stats->new_tokens = (uint32_t)(n - session_n_prompt(s));
	buf_free(&g.text);
	free(g.logits);
	return rc;
}
