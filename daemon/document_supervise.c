/* Asking the supervisor: a cloud within what it may get, else the model at home that is able. */
#include "daemon/document_int.h"

#include "daemon/log.h"

#include <stdlib.h>

#define PLAN_TOKENS    512
#define CONCLUDE_LEAST 256  /* tokens of an answer */
#define CONCLUDE_MOST  1024 /* unless max_tokens says less: what a cloud is reserved for */
#define FINDINGS_LEAST 64   /* bytes that are worth a request */
#define BYTES_A_TOKEN  2    /* that a cloud's model makes of them, at the least that is likely */

uint32_t
document_max_requests(const struct document_run *d)
{
	if (d->round >= d->said.document.rounds)
		return 0;
	return d->said.document.max_jobs - d->n_jobs;
}

/* What all of the readers can take for an instruction, in bytes: a token has two, at the least. */
static uint32_t
instruction_bytes(const struct document_run *d)
{
	uint32_t least = DOCUMENT_INSTRUCTION_MAX;

	for (int t = 0; t < ROUTE_CLOUD; t++) {
		const struct served_model *m = document_model(d, (enum route_target)t);

		if (d->workers[t].usable && m != NULL && m->context / 4 < least)
			least = m->context / 4;
	}
	return least;
}

/* The prompt, with at most so many bytes of findings in it. *some: there is one. shown NULL: all as it is. */
static int
make_prompt(
	struct document_run *d, const struct document_shown *shown, size_t max_findings, bool *some)
{
	struct document_standing s = {
		.question = shown != NULL ? (const char *)shown->question.data : d->question,
		.texts = &d->texts,
		.max_requests = document_max_requests(d),
		.max_instruction = instruction_bytes(d),
		.asked = d->n_jobs,
		.failed = document_jobs_failed(d)};
	json_t *found = NULL;
	char *text = NULL;
	size_t left_out = 0;
	int rc;

	*some = false;
	if (d->stage == STAGE_CONCLUDE) {
		found = document_findings(d, shown, max_findings, &left_out);
		text = json_dumps(found, JSON_COMPACT);
		if (text == NULL)
			return -1;
		*some = json_array_size(found) > 0 || left_out == 0;
	}
	s.findings = text;
	s.left_out = d->left_out = (uint32_t)left_out;
	rc = document_prompt_supervisor(&d->prompt, &s);
	json_decref(found);
	free(text);
	return rc;
}

static uint32_t
room(const struct document_run *d, uint32_t context)
{
	uint32_t most = d->stage == STAGE_PLAN ? PLAN_TOKENS : CONCLUDE_MOST;

	if (most > context / 4)
		most = context / 4 > CONCLUDE_LEAST ? context / 4 : CONCLUDE_LEAST;
	return d->stage == STAGE_CONCLUDE && d->a.max_tokens < most ? d->a.max_tokens : most;
}

static struct document_question
question(const struct document_run *d, uint32_t context)
{
	return (struct document_question){.messages = d->prompt.messages,
		.n = d->prompt.n,
		.sampler = d->stage == STAGE_PLAN ? document_greedy() : d->a.sampler,
		.seeded = d->stage == STAGE_PLAN || d->a.seeded,
		.max_tokens = room(d, context),
		.client = d->answer.http->client};
}

/* --- what came ------------------------------------------------------------------------------------- */

static void
note_call(struct document_run *d, const struct document_heard *h)
{
	struct document_call *c = &d->calls[d->n_calls - 1];

	c->end = h->end;
	c->seconds = h->seconds;
	d->spent += h->cost;
	d->usage.prompt_tokens += h->prompt_tokens;
	d->usage.new_tokens += h->new_tokens;
}

/* No cloud from here on. true: that ends the request, which demanded one; d is gone. */
static bool
give_up_cloud(struct document_run *d, int status, const char *why, const char *logged)
{
	snprintf(d->no_cloud, sizeof d->no_cloud, "%s: %s", d->cloud->name, why);
	log_info("%s: %s does not supervise: %s", d->answer.http->id, d->cloud->name, logged);
	d->cloud = NULL;
	if (d->said.ask != ROUTE_ASK_CLOUD)
		return false;
	document_fail(d, status, d->no_cloud, logged);
	return true;
}

static void
on_supervised(void *arg, const struct document_heard *h)
{
	struct document_run *d = arg;
	bool cloud = d->calls[d->n_calls - 1].target == ROUTE_CLOUD;

	d->supervising = NULL;
	note_call(d, h);
	if (h->status == 0) {
		document_supervised(d, h->text, h->len);
	} else if (cloud) {
		if (!give_up_cloud(d, h->status, h->why, h->end))
			document_supervise(d);
	} else {
		log_warning("%s: the supervisor failed: %s", d->answer.http->id, h->why);
		document_supervised(d, NULL, 0);
	}
}

static struct document_call *
add_call(struct document_run *d, enum route_target t, const char *name)
{
	struct document_call *c =
		&d->calls[d->n_calls < DOCUMENT_CALLS_MAX ? d->n_calls++ : DOCUMENT_CALLS_MAX - 1];

	*c = (struct document_call){
		.target = t, .what = d->stage == STAGE_PLAN ? "plan" : "conclude", .end = "asked"};
	snprintf(c->name, sizeof c->name, "%s", name);
	return c;
}

/* --- at home --------------------------------------------------------------------------------------- */

/* The prompt with as many findings as the model has room for. */
static int
fit_home(struct document_run *d, const struct served_model *m)
{
	size_t most = (size_t)m->context * 4, tokens;
	bool some;

	for (;; most = most / 4 * 3) {
		if (make_prompt(d, NULL, most, &some) != 0)
			return -1;
		tokens = document_tokens(m, &d->prompt);
		if (tokens != SIZE_MAX && tokens + room(d, m->context) <= m->context)
			return some || d->stage == STAGE_PLAN ? 0 : -1;
		if (d->stage == STAGE_PLAN || most < FINDINGS_LEAST)
			return -1;
	}
}

static void
ask_home(struct document_run *d)
{
	const struct served_model *m =
		d->supervisor >= 0 ? document_model(d, (enum route_target)d->supervisor) : NULL;
	struct document_question q;
	struct err err = {"it is not there any more"};
	int status;

	if (m != NULL && fit_home(d, m) == 0) {
		q = question(d, m->context);
		d->supervising =
			document_ask_model(d->router, m, &q, on_supervised, d, &status, &err);
	}
	if (d->supervising != NULL) {
		add_call(d, (enum route_target)d->supervisor, m->id);
		return;
	}
	if (d->supervisor >= 0)
		log_info("%s: no supervisor at home: %s", d->answer.http->id, err.msg);
	document_supervised(d, NULL, 0);
}

/* --- a cloud --------------------------------------------------------------------------------------- */

static uint32_t
time_left(const struct document_run *d)
{
	uint64_t now = uv_now(d->router->loop), by = d->answer.http->end_by;

	if (by == 0)
		return 0;
	return by > now ? (uint32_t)(by - now) : 1;
}

/* Makes d->body with as many findings as may leave. */
static int
fit_shown(struct document_run *d, const struct document_leave *l,
	const struct document_shown *shown, size_t *wire, struct err *err)
{
	size_t allowed = d->texts.bytes / DOCUMENT_CLOUD_PART - d->bytes_out, most = allowed;
	size_t context = (size_t)l->endpoint->context * BYTES_A_TOKEN;
	struct document_question q;
	bool some;

	for (;; most = most / 4 * 3) {
		if (make_prompt(d, shown, most, &some) != 0)
			return err_set(err, "there is not enough memory");
		q = question(d, l->endpoint->context);
		if (document_cloud_body(d->router, l, &q, &d->body, wire, err) != 0)
			return -1;
		/* A plan is worth less than what comes of it. */
		if (*wire <= context &&
			(d->stage == STAGE_PLAN ? *wire * 3 <= allowed : *wire <= allowed && some))
			return 0;
		if (d->stage == STAGE_PLAN || most < FINDINGS_LEAST)
			return err_set(err,
				"a cloud may get %zu bytes more, a fifth of the documents in all",
				allowed);
	}
}

static int
fit_cloud(struct document_run *d, const struct document_leave *l, size_t *wire, struct err *err)
{
	struct document_shown shown;
	int rc;

	if (d->verdict.policy == PRIVACY_CLOUD)
		return fit_shown(d, l, NULL, wire, err);
	rc = document_show(d, &shown, err);
	if (rc == 0)
		rc = fit_shown(d, l, &shown, wire, err);
	document_shown_free(d, &shown);
	return rc;
}

static int
status_of(const struct document_run *d, const struct door_no *no)
{
	if (d->stage == STAGE_PLAN && no->why == DOOR_OPEN)
		return 0;
	return no->why == DOOR_BUDGET ? 402 : no->why == DOOR_BREAKER ? 503 : 403;
}

static struct document_leave
leave(struct document_run *d)
{
	return (struct document_leave){.endpoint = d->cloud,
		.verdict = &d->verdict,
		.client = d->answer.http->client,
		.spent = d->spent,
		.budget = d->said.budget,
		.timeout_ms = time_left(d)};
}

/* false: it was not asked. */
static bool
ask_cloud(struct document_run *d, struct door_no *no)
{
	const struct document_leave l = leave(d);
	size_t wire;

	*no = (struct door_no){.why = DOOR_OPEN};
	if (fit_cloud(d, &l, &wire, &no->err) != 0)
		return false;
	d->supervising = document_ask_cloud(d->router, &l, &d->body, on_supervised, d, no);
	if (d->supervising == NULL)
		return false;
	add_call(d, ROUTE_CLOUD, d->cloud->name)->bytes = wire;
	d->bytes_out += wire;
	return true;
}

json_t *
document_preview(struct document_run *d)
{
	const struct document_leave l = leave(d);
	struct door_request request = {.endpoint = d->cloud};
	struct door_no no = {.why = DOOR_OPEN};
	struct buf bytes;
	uint64_t worst;
	size_t wire;
	json_t *o = NULL;

	buf_init(&bytes, 0);
	d->stage = STAGE_PLAN;
	if (fit_cloud(d, &l, &wire, &no.err) == 0) {
		request.body = d->body.data;
		request.len = d->body.len;
		if (door_preview(&request, &bytes, &worst, &no) == 0)
			o = json_pack("{s:s,s:f,s:s%}", "endpoint", d->cloud->name, "worst_price",
				worst != PURSE_UNKNOWN ? (double)worst / 1e6 : -1.0, "bytes",
				(const char *)bytes.data, bytes.len);
	}
	if (o == NULL)
		o = json_pack("{s:s,s:s}", "endpoint", d->cloud->name, "refused", no.err.msg);
	buf_free(&bytes);
	return o;
}

void
document_supervise(struct document_run *d)
{
	struct door_no no;

	if (d->cloud == NULL) {
		ask_home(d);
		return;
	}
	if (ask_cloud(d, &no))
		return;
	if (status_of(d, &no) == 0) { /* too few bytes for a plan: the question is one */
		snprintf(d->plan_trouble, sizeof d->plan_trouble, "%.180s", no.err.msg);
		document_supervised(d, NULL, 0);
		return;
	}
	if (!give_up_cloud(d, status_of(d, &no), no.err.msg, door_refusal_word(no.why)))
		ask_home(d);
}
