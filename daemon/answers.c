#include "daemon/answers.h"

#include "daemon/answers_int.h"
#include "daemon/log.h"

#include <sodium.h>
#include <stdlib.h>

#define MAX_TEXT (64u << 20) /* of one answer */

/* --- keys --------------------------------------------------------------------------------------- */

/* A string of RFC 8941 ("..." with \" and \\ inside), or, as most clients send it, the bare text.
 * The key's length, or 0: it is none. */
static size_t
key_text(const char *s, char out[ANSWER_KEY_MAX + 1])
{
	size_t len = strlen(s), n = 0;
	bool quoted = len >= 2 && s[0] == '"' && s[len - 1] == '"';
	const char *end = s + len - (quoted ? 1 : 0);

	for (s += quoted ? 1 : 0; s < end; s++) {
		if (quoted && *s == '\\' && ++s == end)
			return 0;
		if (*s < 0x20 || *s > 0x7e || n == ANSWER_KEY_MAX)
			return 0;
		out[n++] = *s;
	}
	return n;
}

static void
hash_key(const struct http_request *r, const char *text, size_t len, struct answer_key *k)
{
	const char *path = r->route->path;
	crypto_generichash_state s;
	uint8_t client[8];

	put_le64(client, r->client);
	crypto_generichash_init(&s, NULL, 0, sizeof k->name);
	crypto_generichash_update(&s, client, sizeof client);
	crypto_generichash_update(&s, (const uint8_t *)text, len);
	crypto_generichash_final(&s, k->name, sizeof k->name);
	crypto_generichash_init(&s, NULL, 0, sizeof k->request);
	crypto_generichash_update(&s, (const uint8_t *)path, strlen(path) + 1);
	crypto_generichash_update(&s, r->body.data, r->body.len);
	crypto_generichash_final(&s, k->request, sizeof k->request);
}

static int
read_event(const char *s, struct answer_key *k, struct api_error *e)
{
	if (s[0] == '\0' || strlen(s) > 18 || strspn(s, "0123456789") != strlen(s))
		return api_error_set(e, 400, NULL, "Last-Event-ID",
			"Last-Event-ID is not the number of an event of this server");
	k->behind = true;
	k->event = strtoull(s, NULL, 10);
	return 0;
}

int
answer_key_read(struct http_request *r, const struct api_request *a, struct answer_key *k,
	bool *keyed, struct api_error *e)
{
	const char *name = MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, "Idempotency-Key");
	const char *event = MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, "Last-Event-ID");
	char text[ANSWER_KEY_MAX + 1];
	size_t len;

	*k = (struct answer_key){0};
	*keyed = name != NULL;
	if (name == NULL)
		return 0;
	len = key_text(name, text);
	if (len == 0)
		return api_error_set(e, 400, "invalid_idempotency_key", "Idempotency-Key",
			"Idempotency-Key must be 1 to %d printable ASCII characters",
			ANSWER_KEY_MAX);
	hash_key(r, text, len, k);
	return event != NULL && a->stream ? read_event(event, k, e) : 0;
}

uint64_t
answer_key_seed(const struct answer_key *k)
{
	uint8_t seed[16];

	crypto_generichash(
		seed, sizeof seed, k->name, sizeof k->name, k->request, sizeof k->request);
	return get_le64(seed);
}

/* --- the store ---------------------------------------------------------------------------------- */

static struct kept *
kept_new(struct answers *all)
{
	struct kept *k = calloc(1, sizeof *k);

	if (k == NULL)
		return NULL;
	k->all = all;
	buf_init(&k->text, MAX_TEXT);
	k->prev = all->last;
	if (all->last != NULL)
		all->last->next = k;
	else
		all->first = k;
	all->last = k;
	return k;
}

static void
kept_free(struct kept *k)
{
	struct answers *all = k->all;

	if (k->prev != NULL)
		k->prev->next = k->next;
	else
		all->first = k->next;
	if (k->next != NULL)
		k->next->prev = k->prev;
	else
		all->last = k->prev;
	buf_free(&k->session);
	buf_free(&k->ids);
	buf_free(&k->text);
	free(k);
}

static struct kept *
find(struct answers *all, const struct answer_key *key)
{
	for (struct kept *k = all->first; k != NULL; k = k->next)
		if (memcmp(k->name, key->name, sizeof k->name) == 0)
			return k;
	return NULL;
}

/* --- the journal -------------------------------------------------------------------------------- */

/* A journal that does not work costs a restart its answers, and nothing else: said once. */
static bool
journal_works(struct answers *all, int result, const struct err *err)
{
	if (result != 0 && !all->complained)
		log_warning("%s (what runs now would be lost by a restart)", err->msg);
	all->complained = result != 0;
	return result == 0;
}

static bool
write_begin(struct kept *k, struct journal *j, struct err *err)
{
	struct buf head;
	int result;

	buf_init(&head, JOURNAL_MAX_RECORD);
	result = kept_write_head(k, &head) != 0
			 ? err_set(err, "an answer is too large for the journal")
			 : journal_begin(j, k->number, head.data, head.len, err);
	buf_free(&head);
	return journal_works(k->all, result, err);
}

static bool
write_end(struct kept *k, struct journal *j, struct err *err)
{
	struct buf tail = {0};
	int result;

	kept_write_tail(k, &tail);
	result = tail.failed ? err_set(err, "out of memory")
			     : journal_end(j, k->number, tail.data, tail.len, err);
	buf_free(&tail);
	return journal_works(k->all, result, err);
}

static bool
write_ids(struct kept *k, struct journal *j, const uint32_t *ids, size_t n, struct err *err)
{
	return n == 0 || journal_works(k->all, journal_grow(j, k->number, ids, n, err), err);
}

/* All that lives, into a new file. */
static int
write_all(void *arg, struct journal *j)
{
	struct answers *all = arg;
	struct err err;

	for (struct kept *k = all->first; k != NULL; k = k->next)
		if (!write_begin(k, j, &err) ||
			!write_ids(k, j, (const void *)k->ids.data, k->ids.len / sizeof(uint32_t),
				&err) ||
			(k->ended && !write_end(k, j, &err)))
			return -1;
	return 0;
}

static void
tidy_journal(struct answers *all)
{
	struct err err;

	if (all->journal == NULL || !journal_due(all->journal, uv_now(all->loop)))
		return;
	if (!journal_works(all, journal_rewrite(all->journal, write_all, all, &err), &err))
		return;
	for (struct kept *k = all->first; k != NULL; k = k->next)
		k->journaled = true;
}

static void
kept_drop(struct kept *k)
{
	struct answers *all = k->all;
	bool journaled = k->journaled, live = false;
	uint64_t number = k->number;
	struct err err;

	kept_free(k);
	for (k = all->first; k != NULL; k = k->next)
		live = live || k->journaled;
	if (journaled)
		journal_works(all, journal_forget(all->journal, number, live, &err), &err);
}

/* --- computing ---------------------------------------------------------------------------------- */

static void
fail(struct kept *k, int status, const char *code, const char *what)
{
	bool told = k->readers != NULL;

	k->state = KEPT_FAILED;
	k->until = uv_now(k->all->loop) + k->all->grace_ms;
	api_error_set(&k->error, status, code, NULL, "%s", what);
	log_warning("%s: failed: %s", k->head.id, what);
	readers_fail(k);
	if (status < 500 && told) /* the request's own fault: now another may come under this key */
		kept_drop(k);
}

static void
on_ids(void *arg, const uint32_t *ids, size_t n)
{
	struct kept *k = arg;
	struct err err;

	buf_append(&k->ids, ids, n * sizeof *ids);
	/* After a gap nothing may be added. */
	if (k->journaled)
		k->journaled = write_ids(k, k->all->journal, ids, n, &err);
}

static void
on_text(void *arg, const char *text, size_t len)
{
	struct kept *k = arg;

	utf8_push(&k->hold, text, len, &k->text);
	readers_wake(k);
}

static void
ended(struct kept *k)
{
	struct err err;

	utf8_finish(&k->hold, &k->text);
	k->state = KEPT_ENDED;
	k->until = uv_now(k->all->loop) + k->all->keep_ms;
	k->usage.tokens = k->ids.len == k->usage.new_tokens * sizeof(uint32_t)
				  ? (const void *)k->ids.data
				  : NULL;
	if (!k->ended && k->journaled)
		k->journaled = write_end(k, k->all->journal, &err);
	k->ended = true;
	api_log(k->head.id, session_end_name(k->end), &k->usage);
	readers_ended(k);
}

static void
on_end(void *arg, enum session_end end, const struct usage *u)
{
	struct kept *k = arg;

	if (k->text.failed || k->ids.failed) {
		fail(k, 400, NULL,
			"the answer is too long to be kept: ask without Idempotency-Key");
		return;
	}
	k->end = end;
	k->usage = *u;
	ended(k);
}

static void
on_error(void *arg, int status, const char *what)
{
	fail(arg, status >= 400 && status < 600 ? status : 500, NULL, what);
}

static const struct request_events events = {
	.on_text = on_text, .on_end = on_end, .on_error = on_error, .on_ids = on_ids};

/* Takes the session. */
static int
submit(struct kept *k, const struct served_model *m, struct session *s, int *status,
	struct err *err)
{
	k->engine = m->engine;
	k->work = engine_submit(m->engine, s, &events, k, status, err);
	if (k->work == NULL)
		return -1;
	k->state = KEPT_RUNNING;
	return 0;
}

static void
cancel(struct kept *k)
{
	engine_cancel(k->engine, k->work);
}

/* --- going on ----------------------------------------------------------------------------------- */

/* The session as far as it got; what it has said becomes the answer's text. */
static struct session *
rebuild(struct kept *k, const struct served_model *m, struct err *err)
{
	struct buf said;
	struct session *s;
	size_t n = k->ids.len / sizeof(uint32_t);

	buf_init(&said, MAX_TEXT);
	s = session_read(m->tokenizer, k->session.data, k->session.len, &said, err);
	for (size_t i = 0; s != NULL && i < n; i++) {
		uint32_t id;

		memcpy(&id, k->ids.data + i * sizeof id, sizeof id);
		session_repeat(s, id, &said);
	}
	k->text.len = k->prefix;
	k->hold = (struct utf8_hold){0};
	utf8_push(&k->hold, (const char *)said.data, said.len, &k->text);
	buf_free(&said);
	return s;
}

/* A session that had ended, though its end is not in the journal. */
static void
end_known(struct kept *k, const struct session *s)
{
	size_t n, n_prompt = session_n_prompt(s);

	session_ids(s, &n);
	k->end = session_state(s);
	k->usage = (struct usage){
		.prompt_tokens = (uint32_t)n_prompt, .new_tokens = (uint32_t)(n - n_prompt)};
}

/* Restored or failed: runs on. -1 with *status: not now, or never (below 500). */
static int
go_on(struct kept *k, const struct served_model *m, int *status, struct err *err)
{
	struct session *s;

	*status = 404;
	if (memcmp(k->model_id, m->model_id, sizeof k->model_id) != 0)
		return err_set(err,
			"the answer was begun with the model '%.128s', which is not served any "
			"more",
			k->head.model);
	*status = 400;
	s = rebuild(k, m, err);
	if (s == NULL)
		return -1;
	if (!k->ended && session_state(s) == SESSION_RUNNING)
		return submit(k, m, s, status, err);
	if (!k->ended)
		end_known(k, s);
	session_free(s);
	ended(k);
	return 0;
}

static void
restore(struct kept *k, const struct served_model *m)
{
	struct err err;
	int status;

	if (go_on(k, m, &status, &err) == 0) {
		log_info("%s: goes on after a restart, with %zu tokens", k->head.id,
			k->ids.len / sizeof(uint32_t));
		if (k->state == KEPT_RUNNING)
			k->until = uv_now(k->all->loop) + k->all->keep_ms;
		readers_wake(k);
	} else if (status < 429) {
		fail(k, status, status == 404 ? "model_not_found" : NULL, err.msg);
	} /* else at the next tick */
}

/* --- requests ----------------------------------------------------------------------------------- */

/* One that failed, and is asked for again. */
static void
try_again(struct kept *k, struct http_request *r, const struct answer_key *key,
	const struct api_request *a, const struct api_format *f)
{
	const struct served_model *m = api_served(r);
	struct err err;
	int status;

	if (m == NULL)
		return;
	if (go_on(k, m, &status, &err) == 0) {
		reader_attach(k, r, key, a, f);
		return;
	}
	http_fail(r, status, status == 404 ? "model_not_found" : NULL, NULL, "%s", err.msg);
	if (status < 429)
		kept_drop(k);
}

bool
answers_find(struct answers *all, struct http_request *r, const struct answer_key *key,
	const struct api_request *a, const struct api_format *f)
{
	struct kept *k = find(all, key);

	if (k == NULL && key->behind)
		http_fail(r, 410, "answer_gone", "Last-Event-ID",
			"there is no answer under this Idempotency-Key that could go on: ask again "
			"without Last-Event-ID");
	else if (k == NULL)
		return false;
	else if (memcmp(k->request, key->request, sizeof k->request) != 0)
		http_fail(r, 422, "idempotency_key_reused", "Idempotency-Key",
			"this Idempotency-Key belongs to another request: use a new one");
	else if (k->state == KEPT_FAILED)
		try_again(k, r, key, a, f);
	else
		reader_attach(k, r, key, a, f);
	return true;
}

void
answers_begin(struct answers *all, struct http_request *r, const struct answer_key *key,
	const struct api_request *a, const struct api_format *f, const struct served_model *m,
	struct session *s, const struct buf *prefix)
{
	struct kept *k = kept_new(all);
	int status = 503;
	struct err err = {"out of memory"};

	if (k == NULL || session_write(s, &k->session) != 0 ||
		buf_append(&k->text, prefix->data, prefix->len) != 0) {
		session_free(s);
	} else {
		memcpy(k->name, key->name, sizeof k->name);
		memcpy(k->request, key->request, sizeof k->request);
		memcpy(k->model_id, m->model_id, sizeof k->model_id);
		api_head_make(&k->head, f, m->id);
		k->number = all->next_number++;
		k->prefix = prefix->len;
		submit(k, m, s, &status, &err);
	}
	if (k == NULL || k->work == NULL) {
		if (k != NULL)
			kept_free(k);
		http_fail(r, status, NULL, NULL, "%s", err.msg);
		return;
	}
	k->journaled = all->journal != NULL && write_begin(k, all->journal, &err);
	log_debug("%s: is the answer %s", r->id, k->head.id);
	reader_attach(k, r, key, a, f);
}

/* --- life --------------------------------------------------------------------------------------- */

static void
on_found(void *arg, const struct journal_entry *e)
{
	struct answers *all = arg;
	struct kept *k = kept_new(all);

	if (k == NULL)
		return;
	k->state = KEPT_RESTORED;
	k->journaled = true;
	k->until = uv_now(all->loop) + all->keep_ms;
	if (e->number >= all->next_number)
		all->next_number = e->number + 1;
	if (kept_read(k, e) != 0)
		k->until = 0; /* of another version: dropped at the first tick */
}

struct answers *
answers_new(uv_loop_t *loop, struct serve *s, const char *journal)
{
	struct answers *all = calloc(1, sizeof *all);
	struct err note;
	size_t n = 0;

	if (all == NULL)
		return NULL;
	all->loop = loop;
	all->serve = s;
	all->keep_ms = ANSWER_KEEP_MS;
	all->grace_ms = ANSWER_GRACE_MS;
	if (journal[0] == '\0')
		return all;
	all->journal = journal_open(journal, on_found, all, &note);
	if (note.msg[0] != '\0')
		log_warning("%s", note.msg);
	for (struct kept *k = all->first; k != NULL; k = k->next)
		n++;
	if (n > 0)
		log_info("answers from before the restart that wait for their model: %zu", n);
	if (all->journal != NULL)
		return all;
	answers_free(all);
	return NULL;
}

void
answers_free(struct answers *all)
{
	if (all == NULL)
		return;
	while (all->first != NULL) {
		if (all->first->state == KEPT_RUNNING)
			cancel(all->first);
		kept_free(all->first);
	}
	journal_close(all->journal);
	free(all);
}

/* Beyond the bounds the oldest of those that nobody reads make room. */
static void
keep_bounds(struct answers *all)
{
	size_t n = 0, bytes = 0;

	for (struct kept *k = all->last, *prev; k != NULL; k = prev) {
		prev = k->prev;
		if (k->state == KEPT_RUNNING || k->readers != NULL)
			continue;
		n++;
		bytes += k->session.len + k->ids.len + k->text.len;
		if (n > ANSWERS_MAX || bytes > ANSWERS_MAX_BYTES)
			kept_drop(k);
	}
}

void
answers_tick(struct answers *all)
{
	const struct served_model *m = serve_model(all->serve, NULL);
	uint64_t now = uv_now(all->loop);

	for (struct kept *k = all->first, *next; k != NULL; k = next) {
		next = k->next;
		if (k->readers == NULL && now >= k->until) {
			if (k->state == KEPT_RUNNING)
				cancel(k);
			log_debug("%s: is not kept any longer", k->head.id);
			kept_drop(k);
		} else if (k->state == KEPT_RESTORED && m != NULL) {
			restore(k, m);
		}
	}
	keep_bounds(all);
	tidy_journal(all);
}
