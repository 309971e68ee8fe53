#include "daemon/answers_job.h"

#include "daemon/answers_int.h"
#include "daemon/log.h"

struct kept *
answer_job_begin(struct answers *all, struct http_request *r, const struct answer_key *key,
	const struct api_request *a, const struct api_head *head, void (*cancel)(void *job),
	void *job)
{
	struct kept *k = kept_new(all);

	if (k == NULL)
		return NULL;
	memcpy(k->name, key->name, sizeof k->name);
	memcpy(k->request, key->request, sizeof k->request);
	k->head = *head;
	k->number = all->next_number++;
	k->client = r->client;
	k->by_job = true;
	k->cancel = cancel;
	k->job = job;
	k->state = KEPT_RUNNING;
	log_debug("%s: is the answer %s", r->id, k->head.id);
	reader_attach(k, r, key, a, head->format);
	return k;
}

void
answer_job_model(struct kept *k, const char *model)
{
	snprintf(k->head.model, sizeof k->head.model, "%s", model);
}

void
answer_job_text(struct kept *k, const char *text, size_t len)
{
	kept_take(k, text, len);
	readers_wake(k);
}

void
answer_job_call(struct kept *k, json_t *call)
{
	kept_call(k, json_incref(call));
}

void
answer_job_end(struct kept *k, const char *reason, const struct usage *u, json_t *shoal)
{
	kept_took_all(k);
	if (k->text.failed) {
		answer_job_fail(
			k, 400, "the answer is too long to be kept: ask without Idempotency-Key");
		return;
	}
	snprintf(k->reason, sizeof k->reason, "%s", reason);
	k->shoal = json_incref(shoal);
	k->usage = *u;
	if (u->both != NULL) {
		k->both = *u->both;
		k->usage.both = &k->both;
	}
	kept_end(k);
}

void
answer_job_fail(struct kept *k, int status, const char *what)
{
	k->state = KEPT_FAILED;
	api_error_set(
		&k->error, status >= 400 && status < 600 ? status : 500, NULL, NULL, "%s", what);
	readers_fail(k);
	kept_drop(k);
}
