/* Text leaves a session late when it could be the begin of a stop text: `held` is what has been decoded and not yet
 * shown. */
#include "model/session.h"

#include <stdlib.h>
#include <string.h>

struct session {
	const struct tokenizer *t;
	struct sampler *sampler;
	struct detok detok;
	uint32_t *ids;
	size_t n, n_prompt, cap;
	uint32_t max_tokens, context;
	bool ignore_end;
	char *stops[SESSION_MAX_STOPS];
	uint32_t n_stops;
	struct buf held;
};

static int
copy_stops(struct session *s, const struct session_params *p, struct err *err)
{
	if (p->n_stops > SESSION_MAX_STOPS)
		return err_set(err, "at most %d stop texts", SESSION_MAX_STOPS);
	for (uint32_t i = 0; i < p->n_stops; i++) {
		if (p->stops[i][0] == '\0')
			continue;
		s->stops[s->n_stops] = strdup(p->stops[i]);
		if (s->stops[s->n_stops] == NULL)
			return err_set(err, "out of memory");
		s->n_stops++;
	}
	return 0;
}

struct session *
session_new(const struct tokenizer *t, const struct session_params *p, const uint32_t *prompt,
	size_t n_prompt, struct err *err)
{
	struct session *s;

	if (n_prompt == 0) {
		err_set(err, "the prompt has no tokens");
		return NULL;
	}
	if (n_prompt >= p->context) {
		err_set(err,
			"the prompt has %zu tokens, and the context of %u has no room for an "
			"answer to it",
			n_prompt, p->context);
		return NULL;
	}
	for (size_t i = 0; i < n_prompt; i++) {
		if (prompt[i] >= tokenizer_size(t)) {
			err_set(err, "token %u of the prompt is %u; the vocabulary has %u",
				(unsigned)i, prompt[i], tokenizer_size(t));
			return NULL;
		}
	}
	s = calloc(1, sizeof *s);
	if (s == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	s->t = t;
	s->max_tokens = p->max_tokens;
	s->context = p->context;
	s->ignore_end = p->ignore_end;
	s->cap = p->context;
	s->ids = malloc(s->cap * sizeof *s->ids);
	s->sampler = sampler_new(&p->sampler, tokenizer_size(t), err);
	buf_init(&s->held, 0);
	detok_init(&s->detok, t, p->special);
	s->detok.started = true; /* what follows a prompt keeps its leading blank */
	if (s->sampler == NULL || copy_stops(s, p, err) != 0 || s->ids == NULL) {
		if (s->ids == NULL)
			err_set(err, "out of memory for %u positions", p->context);
		session_free(s);
		return NULL;
	}
	memcpy(s->ids, prompt, n_prompt * sizeof *prompt);
	s->n = s->n_prompt = n_prompt;
	for (size_t i = 0; i < n_prompt; i++)
		sampler_accept(s->sampler, prompt[i]);
	return s;
}

void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	sampler_free(s->sampler);
	for (uint32_t i = 0; i < s->n_stops; i++)
		free(s->stops[i]);
	buf_free(&s->held);
	free(s->ids);
	free(s);
}

const uint32_t *
session_ids(const struct session *s, size_t *n)
{
	*n = s->n;
	return s->ids;
}

size_t
session_n_prompt(const struct session *s)
{
	return s->n_prompt;
}

uint32_t
session_last(const struct session *s)
{
	return s->ids[s->n - 1];
}

/* Where the first stop text begins in what is held; held.len when none does. */
static size_t
find_stop(const struct session *s)
{
	size_t first = s->held.len;

	for (uint32_t i = 0; i < s->n_stops; i++) {
		const uint8_t *at = s->held.len > 0 ? memmem(s->held.data, s->held.len, s->stops[i],
							      strlen(s->stops[i]))
						    : NULL;

		if (at != NULL && (size_t)(at - s->held.data) < first)
			first = (size_t)(at - s->held.data);
	}
	return first;
}

/* How many of the last bytes held may yet become a stop text. */
static size_t
undecided(const struct session *s)
{
	size_t most = 0;

	for (uint32_t i = 0; i < s->n_stops; i++) {
		size_t len = strlen(s->stops[i]) - 1;

		if (len > s->held.len)
			len = s->held.len;
		while (len > most &&
			memcmp(s->held.data + s->held.len - len, s->stops[i], len) != 0)
			len--;
		if (len > most)
			most = len;
	}
	return most;
}

static void
show(struct session *s, size_t n, struct buf *text)
{
	buf_append(text, s->held.data, n);
	buf_consume(&s->held, n);
}

static enum session_end
end_with(struct session *s, enum session_end end, struct buf *text)
{
	size_t stop;

	detok_finish(&s->detok, &s->held);
	stop = find_stop(s);
	show(s, stop, text);
	return end;
}

enum session_end
session_next(struct session *s, float *logits, struct buf *text)
{
	uint32_t id = sampler_pick(s->sampler, logits);
	size_t stop;

	sampler_accept(s->sampler, id);
	s->ids[s->n++] = id;
	if (!s->ignore_end && tokenizer_is_end(s->t, id))
		return end_with(s, SESSION_STOP, text);
	detok_push(&s->detok, id, &s->held);
	stop = find_stop(s);
	if (stop < s->held.len) {
		show(s, stop, text);
		return SESSION_STOP;
	}
	if (s->n - s->n_prompt >= s->max_tokens)
		return end_with(s, SESSION_LENGTH, text);
	if (s->n >= s->context)
		return end_with(s, SESSION_CONTEXT, text);
	show(s, s->held.len - undecided(s), text);
	return SESSION_RUNNING;
}

const char *
session_end_name(enum session_end e)
{
	static const char *const names[] = {"running", "stop", "length", "length"};

	return names[e];
}
