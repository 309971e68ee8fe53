/* Who could do what for a request, and how its documents are cut. */
#include "daemon/document_int.h"

#include <stdlib.h>

#define QUESTION_MAX   16384 /* bytes */
#define PART_BYTES     4000  /* unless asked for otherwise: small models read short texts best */
#define PART_TOKENS    32    /* a context that leaves less for a part is too small */
#define ANSWER_TOKENS  256   /* about a part */
#define SAMPLES        16    /* of a document, to learn how many bytes a token has */
#define SAMPLE_BYTES   512
#define WHOLE_BYTES    8 /* a token has fewer: what is longer is not tokenized to see that */
#define DEFAULT_SLOTS  4
#define INSTRUCTION_OF 8 /* 1/8 of a context is for instructions */

bool
document_wanted(const struct api_request *a)
{
	enum route_mode mode;

	return route_said_mode(json_string_value(json_object_get(a->shoal, "mode")), &mode) &&
	       mode == MODE_DOCUMENT;
}

const struct served_model *
document_model(const struct document_run *d, enum route_target t)
{
	struct serve *s = d->router->serve;
	const struct served_model *m =
		t == ROUTE_SMALL ? serve_small(s, NULL) : serve_model(s, NULL);

	if (m == NULL || (t == ROUTE_LARGE && d->said.ask == ROUTE_ASK_LOCAL))
		return NULL;
	return m->devices <= 1 || d->verdict.policy != PRIVACY_DEVICE ? m : NULL;
}

struct sampler_params
document_greedy(void)
{
	return (struct sampler_params){.top_p = 1, .repeat_penalty = 1, .penalty_last = 64};
}

static int
no_memory(struct http_request *h)
{
	http_fail(h, 503, NULL, NULL, "out of memory");
	return -1;
}

/* --- the request --------------------------------------------------------------------------------- */

static int
refuse_field(struct http_request *h, const char *name, const char *why)
{
	http_fail(h, 400, "unsupported_value", name, "in document mode %s", why);
	return -1;
}

static int
check_request(struct document_run *d, struct http_request *h)
{
	const struct api_request *a = &d->a;

	if (a->tools != NULL)
		return refuse_field(h, "tools",
			"no tool is called: an answer rests on what stands in the document, with "
			"quotes");
	if (a->response_format != NULL)
		return refuse_field(
			h, "response_format", "an answer is words, with quotes of the document");
	if (a->n_messages != 1 || strcmp(a->messages[0].role, "user") != 0)
		return refuse_field(h, "messages",
			"messages is one message of the user, the question; what it is about is in "
			"shoal.document");
	d->question = a->messages[0].content;
	if (a->text_bytes == 0 || a->text_bytes > QUESTION_MAX)
		return refuse_field(h, "messages", "the question has 1 to 16384 bytes");
	if (a->n_stops > 0)
		return refuse_field(h, "stop", "there is no stop");
	if (a->logprobs)
		return refuse_field(h, "logprobs",
			"an answer is more than the tokens of one model: leave it out");
	if (a->ignore_end || a->return_tokens)
		return refuse_field(h, a->ignore_end ? "ignore_eos" : "return_tokens",
			"an answer is more than the tokens of one model");
	return 0;
}

/* Question and documents as messages: so they are remembered, and held to what was said of them
 * before, like any other. */
static int
judge(struct document_run *d, struct http_request *h)
{
	json_t *list = json_array();

	json_array_append_new(list, json_pack("{s:s,s:s}", "role", "user", "content", d->question));
	for (uint32_t i = 0; i < d->said.document.n_texts; i++)
		json_array_append_new(list, json_pack("{s:s,s:O}", "role", "user", "content",
						    d->said.document.texts[i]));
	d->judged = (struct api_request){
		.kind = API_CHAT, .root = json_pack("{s:o}", "messages", list)};
	if (d->judged.root != NULL && wall_judge(d->router->wall, h->client, h->key_privacy,
					      d->said.privacy, &d->judged, &d->verdict) == 0)
		return 0;
	return no_memory(h);
}

/* --- who reads ------------------------------------------------------------------------------------ */

/* The tokens that a part's prompt has around the part. */
static size_t
frame_tokens(struct document_run *d, const struct served_model *m, bool plain)
{
	return document_prompt_part(&d->prompt, "", 0, d->question, plain) == 0
		       ? document_tokens(m, &d->prompt)
		       : SIZE_MAX;
}

static void
set_worker(struct document_run *d, enum route_target t)
{
	const struct served_model *m = document_model(d, t);
	struct document_worker *w = &d->workers[t];

	*w = (struct document_worker){.target = t, .usable = m != NULL};
	if (m == NULL)
		return;
	snprintf(w->name, sizeof w->name, "%s", m->id);
	w->slots = d->router->parallel > 0 ? d->router->parallel : DEFAULT_SLOTS;
	if (w->slots > DOCUMENT_SLOTS_MAX)
		w->slots = DOCUMENT_SLOTS_MAX;
	w->room = m->context / 4 < ANSWER_TOKENS ? m->context / 4 : ANSWER_TOKENS;
	w->plain = frame_tokens(d, m, false) > m->context / 3;
}

/* Members that run the same small model read too, where the document may leave this device. */
static void
set_helpers(struct document_run *d)
{
	const struct document_worker *small = &d->workers[ROUTE_SMALL];
	struct serve_helper helpers[DOCUMENT_HELPERS];
	uint32_t n = 0;

	d->n_workers = ROUTE_CLOUD;
	if (small->usable && d->verdict.policy != PRIVACY_DEVICE && d->said.ask != ROUTE_ASK_LOCAL)
		n = serve_helpers(d->router->serve, helpers, DOCUMENT_HELPERS);
	for (uint32_t i = 0; i < n; i++) {
		struct document_worker *w = &d->workers[d->n_workers++];

		*w = *small;
		/* As many again lie ready there: it need not wait for the next ones. */
		w->slots = helpers[i].slots < DOCUMENT_SLOTS_MAX / 2 ? helpers[i].slots * 2
								     : DOCUMENT_SLOTS_MAX;
		memcpy(w->helper, helpers[i].name, sizeof w->helper);
	}
}

/* Whether a model can be told what a supervisor does, and has room for findings beside. */
static bool
can_supervise(struct document_run *d, enum route_target t)
{
	const struct document_standing s = {.question = d->question,
		.texts = &d->texts,
		.max_requests = 1,
		.max_instruction = 1,
		.findings = "[]"};
	const struct served_model *m = document_model(d, t);

	return d->workers[t].usable && document_prompt_supervisor(&d->prompt, &s) == 0 &&
	       document_tokens(m, &d->prompt) <= m->context / 3;
}

static int
nobody(struct document_run *d, struct http_request *h)
{
	struct err small = {""}, large = {""};

	serve_small(d->router->serve, &small);
	if (serve_model(d->router->serve, &large) == NULL || d->said.ask == ROUTE_ASK_LOCAL)
		http_fail(h, 503, "not_ready", "model",
			"nobody can read the document: %.200s%s%.200s", small.msg,
			large.msg[0] != '\0' ? "; " : "", large.msg);
	else
		http_fail(h, 403, "privacy", "shoal",
			"%.200s, and no small model of this device can read the document: %.200s",
			d->verdict.why, small.msg);
	return -1;
}

static int
set_workers(struct document_run *d, struct http_request *h)
{
	set_worker(d, ROUTE_SMALL);
	set_worker(d, ROUTE_LARGE);
	if ((d->said.ask == ROUTE_ASK_HOME || d->cascade.wholly) && d->workers[ROUTE_LARGE].usable)
		d->workers[ROUTE_SMALL].usable = false; /* the model of the swarm is to read */
	set_helpers(d);
	if (!d->workers[ROUTE_SMALL].usable && !d->workers[ROUTE_LARGE].usable)
		return nobody(d, h);
	d->supervisor = can_supervise(d, ROUTE_LARGE)   ? ROUTE_LARGE
			: can_supervise(d, ROUTE_SMALL) ? ROUTE_SMALL
							: -1;
	document_cascade_spare(d);
	return 0;
}

/* --- who supervises -------------------------------------------------------------------------------- */

/* The first cloud that may and can be asked. *status: why there is none, for who demanded one. */
static void
find_cloud(struct document_run *d, int *status)
{
	const struct endpoints *all = d->router->endpoints;

	*status = 404;
	for (uint32_t i = 0; i < endpoints_count(all) && d->cloud == NULL; i++) {
		const struct endpoint *e = endpoints_at(all, i);

		*status = 503;
		if (door_passes(d->router->door, e, NULL))
			d->cloud = e;
	}
	if (d->cloud == NULL)
		snprintf(d->no_cloud, sizeof d->no_cloud, "%s",
			*status == 404 ? "no cloud is configured ('cloud' in shoald.conf)"
				       : "every cloud has failed lately");
}

static int
set_cloud(struct document_run *d, struct http_request *h)
{
	bool demanded = d->said.ask == ROUTE_ASK_CLOUD;
	int status;

	if (d->said.ask == ROUTE_ASK_LOCAL || d->said.ask == ROUTE_ASK_HOME)
		return 0;
	if (d->verdict.policy < PRIVACY_REDACT) {
		if (!demanded)
			return 0;
		http_fail(h, 403, d->verdict.asked < PRIVACY_REDACT ? "privacy" : "tainted",
			"model", "no cloud may be asked: %s", d->verdict.why);
		return -1;
	}
	find_cloud(d, &status);
	if (d->cloud != NULL || !demanded)
		return 0;
	http_fail(h, status, status == 404 ? "absent" : "breaker", "model", "%s", d->no_cloud);
	return -1;
}

/* --- parts ---------------------------------------------------------------------------------------- */

/* Bytes of these documents that the model takes for a token, where it takes the fewest. */
static double
bytes_a_token(struct document_run *d, const struct served_model *m)
{
	double least = 16;

	for (uint32_t i = 0; i < SAMPLES; i++) {
		uint32_t n = i % d->texts.n;
		const char *text = d->texts.text[n];
		size_t len = d->texts.len[n], at = len / SAMPLES * i;
		size_t take = len - at < SAMPLE_BYTES ? len - at : SAMPLE_BYTES;
		struct token_list ids = {0};
		struct err ignored;

		while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80) {
			at--; /* whole characters from here on */
			take++;
		}
		if (take > 0 && tokenize(m->tokenizer, text + at, take, 0, &ids, &ignored) == 0 &&
			ids.n > 0 && (double)take / (double)ids.n < least)
			least = (double)take / (double)ids.n;
		token_list_free(&ids);
	}
	return least;
}

/* The longest part that a model can be asked about; 0: its context is too small for any. */
static size_t
longest_part(struct document_run *d, const struct document_worker *w)
{
	const struct served_model *m = document_model(d, w->target);
	size_t around = frame_tokens(d, m, w->plain),
	       slack = w->plain ? 8 : m->context / INSTRUCTION_OF;

	if (around == SIZE_MAX || around + slack + w->room + PART_TOKENS > m->context)
		return 0;
	return (size_t)((double)(m->context - around - slack - w->room) * bytes_a_token(d, m) *
			0.9);
}

static int
cut_to(struct document_run *d, size_t size, struct err *err)
{
	bool plain = (!d->workers[ROUTE_SMALL].usable || d->workers[ROUTE_SMALL].plain) &&
		     (!d->workers[ROUTE_LARGE].usable || d->workers[ROUTE_LARGE].plain);

	return document_texts_cut(
		&d->texts, size, plain ? 0 : size / 10, d->said.document.max_jobs, err);
}

static int
cut(struct document_run *d, struct http_request *h)
{
	size_t most = SIZE_MAX, wanted = d->said.document.part_bytes, longest;
	struct err err = {""};

	for (int t = 0; t < ROUTE_CLOUD; t++) {
		struct document_worker *w = &d->workers[t];

		longest = w->usable ? longest_part(d, w) : 0;
		w->usable = longest >= DOCUMENT_PART_MIN;
		if (w->usable && longest < most)
			most = longest;
	}
	for (int t = ROUTE_CLOUD; t < d->n_workers; t++)
		d->workers[t].usable = d->workers[ROUTE_SMALL].usable;
	if (most == SIZE_MAX) {
		http_fail(h, 400, "context_length_exceeded", "messages",
			"the question leaves no room for a part of the document in the context of "
			"a model at home");
		return -1;
	}
	if (cut_to(d,
		    wanted > 0 ? (wanted < most ? wanted : most)
			       : (PART_BYTES < most ? PART_BYTES : most),
		    &err) == 0 ||
		(wanted == 0 && cut_to(d, most, &err) == 0))
		return 0;
	http_fail(h, 400, "too_many_parts", "document",
		"%s; models at home read up to %zu, and shoal.max_jobs allows %u requests", err.msg,
		most, d->said.document.max_jobs);
	return -1;
}

/* Whether all of it fits into the context of the model that would conclude. */
static bool
fits(struct document_run *d)
{
	int t = d->workers[ROUTE_LARGE].usable ? ROUTE_LARGE : ROUTE_SMALL;
	const struct served_model *m = document_model(d, (enum route_target)t);
	size_t room = m->context / 4, tokens;

	if (d->said.ask == ROUTE_ASK_CLOUD || d->texts.bytes / WHOLE_BYTES > m->context)
		return false;
	if (d->a.max_tokens < room)
		room = d->a.max_tokens;
	if (document_prompt_whole(&d->prompt, &d->texts, d->question, d->workers[t].plain) != 0)
		return false;
	tokens = document_tokens(m, &d->prompt);
	return tokens != SIZE_MAX && tokens + room <= m->context;
}

int
document_setup(struct document_run *d, struct http_request *h)
{
	struct document_wish *w = &d->said.document;
	struct api_error e;

	if (route_said_read(h, &d->a, &d->said, &e) != 0) {
		http_error(h, &e);
		return -1;
	}
	if (w->rounds == 0)
		w->rounds = DOCUMENT_ROUNDS;
	if (w->max_jobs == 0)
		w->max_jobs = DOCUMENT_JOBS;
	document_texts_init(&d->texts, w);
	if (document_cascade_setup(d) != 0)
		return no_memory(h);
	if (check_request(d, h) != 0 || judge(d, h) != 0 || set_workers(d, h) != 0 ||
		set_cloud(d, h) != 0)
		return -1;
	d->wholly = fits(d);
	if (!d->wholly && cut(d, h) != 0)
		return -1;
	if (d->wholly && document_texts_whole(&d->texts) != 0)
		return no_memory(h);
	d->jobs = calloc(w->max_jobs, sizeof *d->jobs);
	return d->jobs != NULL ? 0 : no_memory(h);
}
