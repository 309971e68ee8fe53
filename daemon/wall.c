#include "daemon/wall_int.h"

#include "base/file.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_WORDS_FILE (1u << 20)

/* --- records ------------------------------------------------------------------------------------ */

static void
record_unref(struct wall_record *r)
{
	if (r == NULL || --r->refs > 0)
		return;
	privacy_taint_free(r->taint);
	free(r->ends);
	free(r->prompts);
	free(r);
}

static struct wall_record *
record_new(struct wall *w, uint64_t client)
{
	struct wall_record *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->client = client;
	r->refs = 1;
	r->lost = w->lost;
	r->taint = privacy_taint_new(WALL_MESSAGES, PRIVACY_HOME);
	if (r->taint == NULL) {
		free(r);
		return NULL;
	}
	w->n++;
	return r;
}

/* Forgets the one that was quiet longest. What it held counts as said at home from then on; a plain prompt has no
 * history by which that could be seen, so where there were private ones, none that comes from a new client is known to
 * be new. */
static void
drop_oldest(struct wall *w)
{
	struct wall_record **at = &w->records, *last;

	while ((*at)->next != NULL)
		at = &(*at)->next;
	last = *at;
	*at = NULL;
	if (last->lost || last->n_prompts > 0)
		wall_prompts_lost(w);
	w->n--;
	record_unref(last);
}

struct wall_record *
wall_record_of(struct wall *w, uint64_t client)
{
	struct wall_record **at = &w->records, *r;

	while (*at != NULL && (*at)->client != client)
		at = &(*at)->next;
	r = *at;
	if (r != NULL)
		*at = r->next;
	else
		r = record_new(w, client);
	if (r == NULL)
		return NULL;
	r->next = w->records;
	w->records = r;
	if (w->n > WALL_CLIENTS)
		drop_oldest(w);
	return r;
}

/* --- messages ----------------------------------------------------------------------------------- */

bool
wall_hash(const struct wall *w, const char *text, size_t len, struct privacy_hash *out)
{
	return privacy_hash_text(w->key, text, len, out);
}

static int
hash_request(const struct wall *w, const struct api_request *a, const struct wall_record *r,
	struct privacy_messages *m)
{
	struct err err;

	if (a->kind != API_CHAT)
		return privacy_messages_read_prompt(
			w->key, a->prompt != NULL ? a->prompt : "", r->ends, r->n_ends, m);
	if (privacy_messages_read(w->key, json_object_get(a->root, "messages"), m, &err) != 0)
		return -1;
	return privacy_messages_add_tools(
		w->key, a->tools, json_object_get(a->response_format, "json_schema"), m);
}

/* What its i-th hash is of. */
static void
name_part(const struct privacy_messages *m, const struct api_request *a, size_t i,
	char out[static PART_NAME])
{
	if (a->kind == API_COMPLETION)
		snprintf(out, PART_NAME, "%s",
			i < m->n_begins ? "the prompt's begin" : "the prompt");
	else if (m->message[i] == UINT32_MAX && m->call[i] > 0)
		part_name_tool(a->root, m->call[i] - 1, out);
	else if (m->message[i] == UINT32_MAX)
		snprintf(out, PART_NAME, "response_format");
	else if (m->call[i] > 0)
		part_name_call(a->root, m->message[i], m->call[i] - 1, out);
	else
		part_name_message(a->root, m->message[i], out);
}

int
wall_judge(struct wall *w, uint64_t client, enum privacy key, enum privacy request,
	const struct api_request *a, struct wall_verdict *v)
{
	struct privacy_voices voices = {w->policy, key, PRIVACY_CLOUD, request};
	struct privacy_why why = {0};

	*v = (struct wall_verdict){.record = wall_record_of(w, client)};
	if (v->record == NULL)
		return -1;
	v->record->refs++;
	if (hash_request(w, a, v->record, &v->messages) != 0)
		return -1;
	v->asked = privacy_effective(&voices);
	v->policy = privacy_taint_judge(v->record->taint, v->messages.hash, v->messages.n,
		v->messages.n_old, v->asked, NULL, &why);
	if (a->kind == API_COMPLETION && v->record->lost && v->policy > PRIVACY_HOME) {
		v->policy = PRIVACY_HOME;
		err_set(&why.held, "which prompts of before are private is not known any more");
	}
	if (v->policy != v->asked) {
		snprintf(v->why, sizeof v->why, "%s", why.held.msg);
		name_part(&v->messages, a, why.message, v->where);
	}
	if (v->policy == v->asked && v->policy != PRIVACY_CLOUD)
		snprintf(v->why, sizeof v->why, "privacy is '%s', as %s says",
			privacy_name(v->policy), privacy_whose(&voices));
	return 0;
}

void
wall_verdict_free(struct wall_verdict *v)
{
	record_unref(v->record);
	redact_free(v->redact);
	privacy_messages_free(&v->messages);
	*v = (struct wall_verdict){0};
}

void
wall_made(struct wall *w, const struct wall_verdict *v, const char *answer, size_t len)
{
	const struct privacy_messages *m = &v->messages;
	struct privacy_hash hash;

	if (len == 0) {
		privacy_taint_made(v->record->taint, m->hash + m->n_begins, m->n - m->n_begins,
			m->n_old, v->policy);
		if (m->length > 0 && v->policy < PRIVACY_CLOUD)
			wall_prompt_made(w, v->record, m, v->policy);
		return;
	}
	if (wall_hash(w, answer, len, &hash))
		privacy_taint_made(v->record->taint, &hash, 1, 0, v->policy);
}

uint64_t
wall_removed(const struct wall_verdict *v)
{
	const struct redact *r = v->redact;
	uint64_t sum = 0;

	for (int k = 0; r != NULL && k < REDACT_KINDS; k++)
		sum += redact_count(r, (enum redact_kind)k);
	return sum;
}

const struct redact *
wall_items(const struct wall_verdict *v)
{
	return v->redact;
}

/* --- life --------------------------------------------------------------------------------------- */

/* One word or name a line; blank lines and lines that begin with # say nothing. */
static int
split_lines(char *text, const char **words, size_t max, struct err *err)
{
	size_t n = 0;

	for (char *line = strtok_r(text, "\r\n", &text); line != NULL;
		line = strtok_r(NULL, "\r\n", &text)) {
		line += strspn(line, " \t");
		if (*line == '\0' || *line == '#')
			continue;
		if (n == max)
			return err_set(err, "holds more than %zu words", max);
		words[n++] = line;
	}
	return (int)n;
}

static int
read_words(struct wall *w, const char *path, struct err *err)
{
	const char **words = calloc(REDACT_WORDS_MAX, sizeof *words);
	struct buf text;
	int n = -1;

	buf_init(&text, MAX_WORDS_FILE);
	if (words == NULL)
		err_set(err, "out of memory");
	else if (file_read(path, &text, err) == 0) {
		n = buf_u8(&text, 0) != 0
			    ? err_set(err, "out of memory")
			    : split_lines((char *)text.data, words, REDACT_WORDS_MAX, err);
		if (n >= 0)
			w->words = redact_words_new(words, (size_t)n, err);
		if (w->words == NULL)
			err_prefix(err, "%s: ", path);
	}
	buf_free(&text);
	free(words);
	return w->words != NULL ? 0 : err_prefix(err, "redact_words: ");
}

static int
take_settings(struct wall *w, const struct config *c, struct err *err)
{
	if (privacy_parse(c->privacy, &w->policy, err) != 0)
		return -1;
	return c->redact_words[0] == '\0' ? 0 : read_words(w, c->redact_words, err);
}

int
wall_check(const struct config *c, struct err *err)
{
	struct wall w = {0};
	int rc = take_settings(&w, c, err);

	redact_words_free(w.words);
	return rc;
}

struct wall *
wall_new(const struct config *c, struct err *err)
{
	struct wall *w = calloc(1, sizeof *w);

	if (w == NULL) {
		err_set(err, "not enough memory for privacy records");
		return NULL;
	}
	randombytes_buf(w->key, sizeof w->key);
	randombytes_buf(&w->redact_key, sizeof w->redact_key);
	if (take_settings(w, c, err) != 0) {
		wall_free(w);
		return NULL;
	}
	wall_prompts_open(w, c);
	return w;
}

void
wall_free(struct wall *w)
{
	if (w == NULL)
		return;
	for (struct wall_record *r = w->records, *next; r != NULL; r = next) {
		next = r->next;
		record_unref(r);
	}
	redact_words_free(w->words);
	free(w);
}

enum privacy
wall_policy(const struct wall *w)
{
	return w->policy;
}
