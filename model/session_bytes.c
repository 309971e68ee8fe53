/* Sessions to bytes and back. Little-endian:
 *
 *   u8 version, u8 flags, u32 max_tokens, u32 context,
 *   sampler: f32 temperature, u32 top_k, f32 top_p, min_p, repeat_penalty, frequency_penalty,
 *            presence_penalty, u32 penalty_last, u64 seed,
 *   u8 stops, for each: u32 bytes, text,
 *   u32 max_guesses, u32 ids of the prediction, these ids (version 1 had neither, and knew no UNCACHED),
 *   u32 ids of the prompt, u32 of the answer so far, all ids as u32 */
#include "model/session.h"

#include <stdlib.h>

#define VERSION    2
#define IGNORE_END 1u
#define SPECIAL    2u
#define UNCACHED   4u
#define MAX_STOP   4096

/* --- writing ------------------------------------------------------------------------------------ */

static void
put_sampler(struct buf *out, const struct sampler_params *p)
{
	buf_f32(out, p->temperature);
	buf_u32(out, p->top_k);
	buf_f32(out, p->top_p);
	buf_f32(out, p->min_p);
	buf_f32(out, p->repeat_penalty);
	buf_f32(out, p->frequency_penalty);
	buf_f32(out, p->presence_penalty);
	buf_u32(out, p->penalty_last);
	buf_u64(out, p->seed);
}

static uint8_t
flags_of(const struct session_params *p)
{
	return (uint8_t)((p->ignore_end ? IGNORE_END : 0) | (p->special ? SPECIAL : 0) |
			 (p->uncached ? UNCACHED : 0));
}

static void
put_ids(struct buf *out, const uint32_t *ids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_u32(out, ids[i]);
}

int
session_write(const struct session *s, struct buf *out)
{
	size_t n, n_prompt = session_n_prompt(s);
	const uint32_t *ids = session_ids(s, &n);
	struct session_params p;

	session_describe(s, &p);
	if (p.grammar != NULL)
		return -1;
	buf_u8(out, VERSION);
	buf_u8(out, flags_of(&p));
	buf_u32(out, p.max_tokens);
	buf_u32(out, p.context);
	put_sampler(out, &p.sampler);
	buf_u8(out, (uint8_t)p.n_stops);
	for (uint32_t i = 0; i < p.n_stops; i++) {
		buf_u32(out, (uint32_t)strlen(p.stops[i]));
		buf_str(out, p.stops[i]);
	}
	buf_u32(out, p.max_guesses);
	buf_u32(out, (uint32_t)p.n_prediction);
	put_ids(out, p.prediction, p.n_prediction);
	buf_u32(out, (uint32_t)n_prompt);
	buf_u32(out, (uint32_t)(n - n_prompt));
	put_ids(out, ids, n);
	return out->failed ? -1 : 0;
}

/* --- reading ------------------------------------------------------------------------------------ */

static void
take_sampler(struct rd *r, struct sampler_params *p)
{
	p->temperature = rd_f32(r);
	p->top_k = rd_u32(r);
	p->top_p = rd_f32(r);
	p->min_p = rd_f32(r);
	p->repeat_penalty = rd_f32(r);
	p->frequency_penalty = rd_f32(r);
	p->presence_penalty = rd_f32(r);
	p->penalty_last = rd_u32(r);
	p->seed = rd_u64(r);
}

struct pointed { /* what parameters point to */
	char *stop[SESSION_MAX_STOPS];
	uint32_t n_stops;
	uint32_t *prediction;
};

static void
pointed_free(struct pointed *to)
{
	for (uint32_t i = 0; i < to->n_stops; i++)
		free(to->stop[i]);
	free(to->prediction);
}

static int
take_stops(struct rd *r, struct pointed *to)
{
	uint32_t n = rd_u8(r);

	if (n > SESSION_MAX_STOPS)
		return -1;
	while (to->n_stops < n) {
		uint32_t len = rd_u32(r);
		const char *bytes = len <= MAX_STOP ? rd_bytes(r, len) : NULL;

		if (bytes == NULL)
			return -1;
		to->stop[to->n_stops] = strndup(bytes, len);
		if (to->stop[to->n_stops] == NULL)
			return -1;
		to->n_stops++;
	}
	return 0;
}

/* n ids, to be freed. NULL: they are not all there, or there is no memory for them. */
static uint32_t *
take_ids(struct rd *r, size_t n)
{
	uint32_t *ids = !r->failed && n <= rd_left(r) / 4 ? malloc(n * sizeof *ids + 1) : NULL;

	for (size_t i = 0; ids != NULL && i < n; i++)
		ids[i] = rd_u32(r);
	return ids;
}

/* What is guessed is computed: it has to be of the vocabulary. */
static int
take_guesses(struct rd *r, const struct tokenizer *t, struct session_params *p, struct pointed *to)
{
	p->max_guesses = rd_u32(r);
	p->n_prediction = rd_u32(r);
	p->prediction = to->prediction = take_ids(r, p->n_prediction);
	if (p->prediction == NULL)
		return -1;
	for (size_t i = 0; i < p->n_prediction; i++)
		if (p->prediction[i] >= tokenizer_size(t))
			return -1;
	return 0;
}

/* Up to the ids. */
static int
take_params(struct rd *r, const struct tokenizer *t, struct session_params *p, struct pointed *to)
{
	uint8_t version = rd_u8(r), flags = rd_u8(r);

	if (version < 1 || version > VERSION)
		return -1;
	p->ignore_end = (flags & IGNORE_END) != 0;
	p->special = (flags & SPECIAL) != 0;
	p->uncached = (flags & UNCACHED) != 0;
	p->max_tokens = rd_u32(r);
	p->context = rd_u32(r);
	take_sampler(r, &p->sampler);
	if (take_stops(r, to) != 0 || r->failed || p->context > SESSION_MAX_CONTEXT)
		return -1;
	p->stops = (const char *const *)to->stop;
	p->n_stops = to->n_stops;
	p->max_guesses = UINT32_MAX;
	return version > 1 ? take_guesses(r, t, p, to) : 0;
}

static int
repeat(struct session *s, const struct tokenizer *t, const uint32_t *ids, size_t n,
	struct buf *text, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		if (session_state(s) != SESSION_RUNNING)
			return err_set(
				err, "a session that has ended goes on for %zu tokens", n - i);
		if (ids[i] >= tokenizer_size(t))
			return err_set(err, "token %u is beyond the vocabulary of %u", ids[i],
				tokenizer_size(t));
		session_repeat(s, ids[i], text);
	}
	return text->failed ? err_set(err, "out of memory for an answer's text") : 0;
}

static struct session *
make(struct rd *r, const struct tokenizer *t, const struct session_params *p, struct buf *text,
	struct err *err)
{
	/* Wide, so that no sum and no product wraps, also where sizes have 32 bits. */
	uint64_t prompt = rd_u32(r), all = prompt + rd_u32(r);
	size_t n_prompt = (size_t)prompt, n = (size_t)all;
	struct session *s = NULL;
	uint32_t *ids;

	if (r->failed || rd_left(r) != all * 4) {
		err_set(err, "a kept session is damaged: its ids are not all there");
		return NULL;
	}
	ids = take_ids(r, n);
	if (ids == NULL)
		err_set(err, "out of memory for %zu tokens", n);
	else
		s = session_new(t, p, ids, n_prompt, err);
	if (s != NULL && repeat(s, t, ids + n_prompt, n - n_prompt, text, err) != 0) {
		session_free(s);
		s = NULL;
	}
	free(ids);
	return s;
}

struct session *
session_read(
	const struct tokenizer *t, const void *data, size_t len, struct buf *text, struct err *err)
{
	struct rd r = rd_init(data, len);
	struct session_params p = {0};
	struct pointed to = {0};
	struct session *s = NULL;

	if (take_params(&r, t, &p, &to) != 0)
		err_set(err, "a kept session is damaged, or of another version");
	else
		s = make(&r, t, &p, text, err);
	pointed_free(&to);
	return s;
}
