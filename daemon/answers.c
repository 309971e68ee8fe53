#include "daemon/answers.h"

#include "daemon/answers_int.h"
#include "daemon/api_answer.h"
#include "daemon/log.h"

#include <stdlib.h>

/* --- events ---------------------------------------------------------------------------------- */

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

/* What its session has cost since it was submitted last, and what it cost before. */
static void
count(struct kept *k, const struct usage *u)
{
	const struct usage *before = &k->before;

	k->usage = *u;
	k->usage.prompt_seconds += before->prompt_seconds;
	k->usage.new_seconds += before->new_seconds;
	k->usage.queue_seconds += before->queue_seconds;
	k->usage.drafted += before->drafted;
	k->usage.accepted += before->accepted;
	if (before->prompt_tokens > 0) /* now its own rows may be there */
		k->usage.cached = before->cached;
}

static void
on_ids(void *arg, const uint32_t *ids, size_t n, const struct usage *so_far)
{
	struct kept *k = arg;

	count(k, so_far);
	buf_append(&k->ids, ids, n * sizeof *ids);
	kept_note_ids(k, ids, n);
}

static void
on_text(void *arg, const char *text, size_t len)
{
	struct kept *k = arg;

	kept_take(k, text, len);
	readers_wake(k);
	if (call_reader_done(&k->reader))
		desk_stop(k->desk, k->work);
}

const char *
kept_reason(const struct kept *k)
{
	return k->by_job ? k->reason : answer_calls_reason(k->calls, session_end_name(k->end));
}

void
kept_end(struct kept *k)
{
	k->state = KEPT_ENDED;
	k->until = uv_now(k->all->loop) + k->all->keep_ms;
	k->usage.signals = NULL;
	k->usage.tokens = !k->by_job && k->ids.len == k->usage.new_tokens * sizeof(uint32_t)
				  ? (const void *)k->ids.data
				  : NULL;
	if (!k->ended && k->by_job)
		kept_note_job(k);
	else if (!k->ended)
		kept_note_end(k);
	k->ended = true;
	api_log(k->head.id, kept_reason(k), &k->usage);
	readers_ended(k);
}

static void
on_end(void *arg, enum session_end end, const struct usage *u)
{
	struct kept *k = arg;

	kept_took_all(k);
	if (k->text.failed || k->ids.failed) {
		fail(k, 400, NULL,
			"the answer is too long to be kept: ask without Idempotency-Key");
		return;
	}
	k->end = end;
	count(k, u);
	kept_end(k);
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
	k->desk = m->desk;
	k->before = k->usage;
	k->work = desk_submit(m->desk, s, k->client, &events, k, status, err);
	if (k->work == NULL)
		return -1;
	k->state = KEPT_RUNNING;
	return 0;
}

static void
cancel(struct kept *k)
{
	if (k->by_job)
		k->cancel(k->job);
	else
		desk_cancel(k->desk, k->work);
}

/* --- going on ----------------------------------------------------------------------------------- */

/* The session as far as it got; what it has said becomes the answer's text. */
static struct session *
rebuild(struct kept *k, const struct served_model *m, struct err *err)
{
	struct buf said;
	struct session *s;
	size_t n = k->ids.len / sizeof(uint32_t);

	buf_init(&said, KEPT_MAX_TEXT);
	s = session_read(m->tokenizer, k->session.data, k->session.len, &said, err);
	for (size_t i = 0; s != NULL && i < n; i++) {
		uint32_t id;

		memcpy(&id, k->ids.data + i * sizeof id, sizeof id);
		session_repeat(s, id, &said);
	}
	kept_take_again(k, (const char *)said.data, said.len);
	buf_free(&said);
	return s;
}

/* A session that had ended, or made the one call, though its end is not in the journal. */
static void
end_known(struct kept *k, const struct session *s)
{
	size_t n, n_prompt = session_n_prompt(s);

	session_ids(s, &n);
	k->end = session_state(s) == SESSION_RUNNING ? SESSION_STOP : session_state(s);
	k->usage.prompt_tokens = (uint32_t)n_prompt;
	k->usage.new_tokens = (uint32_t)(n - n_prompt);
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
	if (!k->ended && session_state(s) == SESSION_RUNNING && !call_reader_done(&k->reader))
		return submit(k, m, s, status, err);
	if (!k->ended)
		end_known(k, s);
	session_free(s);
	kept_took_all(k);
	kept_end(k);
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
	struct kept *k = kept_find(all, key);

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
		k->client = r->client;
		k->prefix = prefix->len;
		if (a->tools != NULL)
			kept_offer(k, a->tools, a->one_call);
		submit(k, m, s, &status, &err);
	}
	if (k == NULL || k->work == NULL) {
		if (k != NULL)
			kept_free(k);
		http_fail(r, status, NULL, NULL, "%s", err.msg);
		return;
	}
	kept_note_begin(k);
	log_debug("%s: is the answer %s", r->id, k->head.id);
	reader_attach(k, r, key, a, f);
}

/* --- life --------------------------------------------------------------------------------------- */

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
	all->journal = journal_open(journal, kept_restore, all, &note);
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
	kept_bound(all);
	kept_tidy(all);
}
