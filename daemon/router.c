#include "daemon/router_int.h"

#include <stdlib.h>
#include <time.h>

/* Nothing of it is there where no cloud is configured. */
static int
open_clouds(struct router *r, const struct config *c, struct err *err)
{
	char path[sizeof c->state_dir + 16];

	r->endpoints = endpoints_load(c->cloud, err);
	if (r->endpoints == NULL)
		return -1;
	if (endpoints_count(r->endpoints) == 0)
		return 0;
	snprintf(path, sizeof path, "%s/purse", c->state_dir);
	r->purse = purse_file_open(path, endpoints_limits(r->endpoints), time(NULL), err);
	if (r->purse != NULL)
		r->door = door_new(r->loop, r->endpoints, r->purse, NULL, err);
	return r->door != NULL ? 0 : -1;
}

static int
open_labels(struct router *r, const struct config *c, struct err *err)
{
	r->small_watts = c->small_watts;
	if (strcmp(c->labels, "idle") != 0)
		return 0;
	r->labels = labels_new(r->loop, c, r->serve, r->book, err);
	return r->labels != NULL ? 0 : -1;
}

struct router *
router_new(uv_loop_t *loop, const struct config *c, struct serve *s, struct err *err)
{
	struct router *r = calloc(1, sizeof *r);

	if (r == NULL) {
		err_set(err, "not enough memory for routing");
		return NULL;
	}
	*r = (struct router){.loop = loop,
		.serve = s,
		.quality = c->quality,
		.token_threshold = c->token_threshold,
		.parallel = c->parallel};
	r->recent = calloc(ROUTER_RECENT, sizeof *r->recent);
	if (r->recent == NULL)
		err_set(err, "not enough memory for routing");
	else
		r->wall = wall_new(c, err);
	if (r->wall != NULL)
		r->book = route_book_open(loop, c->state_dir, err);
	if (r->book != NULL && open_clouds(r, c, err) == 0 && open_labels(r, c, err) == 0)
		return r;
	router_close(r);
	return NULL;
}

void
router_close(struct router *r)
{
	if (r == NULL)
		return;
	for (unsigned i = 0; r->recent != NULL && i < ROUTER_RECENT; i++)
		json_decref(r->recent[i].said);
	free(r->recent);
	if (r->door != NULL)
		door_close(r->door);
	purse_file_close(r->purse);
	if (r->endpoints != NULL)
		endpoints_free(r->endpoints);
	wall_free(r->wall);
	labels_close(r->labels);
	route_book_close(r->book);
	free(r);
}

struct route_book *
router_book(struct router *r)
{
	return r->book;
}

int
router_forget(struct router *r, struct err *err)
{
	if (route_book_forget(r->book, err) != 0)
		return -1;
	labels_forget(r->labels);
	return 0;
}

void
router_busy(struct router *r)
{
	labels_yield(r->labels);
}

bool
router_turn(const struct router *r, const struct privacy_hash *answer, struct route_turn *turn)
{
	uint64_t n = r->n_turns < ROUTER_TURNS ? r->n_turns : ROUTER_TURNS;

	for (uint64_t i = 1; i <= n; i++) {
		uint64_t at = (r->n_turns - i) % ROUTER_TURNS;

		if (memcmp(&r->turns[at].answer, answer, sizeof *answer) != 0)
			continue;
		*turn = r->turns[at].turn;
		return true;
	}
	return false;
}

/* A prompt is judged by its text, also where it came as ids. -1 without memory. */
static int
judge(struct router *r, const struct http_request *h, const struct api_request *a,
	const struct served_model *m, enum privacy request, struct wall_verdict *v)
{
	struct api_request of = *a;
	struct buf text;
	int rc = -1;

	buf_init(&text, 0);
	if (a->kind == API_COMPLETION)
		api_prompt_text(&text, a, m, false);
	if (buf_u8(&text, 0) == 0) {
		of.prompt = (const char *)text.data;
		rc = wall_judge(r->wall, h->client, h->key_privacy, request, &of, v);
	}
	buf_free(&text);
	return rc;
}

/* What is said to a model that is named may come back as history, or as the begin of a prompt, of a request that a cloud
 * could get. Where there is none, nothing is kept. -1 without memory. */
static int
remember(struct router *r, const struct http_request *h, const struct api_request *a,
	const struct served_model *m, enum privacy request, struct wall_verdict *v)
{
	if (endpoints_count(r->endpoints) == 0)
		return 0;
	if (judge(r, h, a, m, request, v) != 0)
		return -1;
	wall_made(r->wall, v, NULL, 0);
	return 0;
}

void
router_said(struct router *r, const struct wall_verdict *v, const char *text, size_t len)
{
	if (v->record != NULL && len > 0)
		wall_made(r->wall, v, text, len);
}

bool
router_may_ask_clouds(const struct router *r)
{
	return endpoints_count(r->endpoints) > 0 && wall_policy(r->wall) >= PRIVACY_REDACT;
}

/* A model that is named is at home: what remains to be kept is a policy that wants this device. */
bool
router_allows(struct router *r, struct http_request *h, const struct api_request *a,
	const struct served_model *m, struct wall_verdict *v)
{
	struct route_said said;
	struct privacy_voices voices;
	struct api_error e;

	if (route_said_read(h, a, &said, &e) != 0) {
		http_error(h, &e);
		return false;
	}
	if (remember(r, h, a, m, said.privacy, v) != 0) {
		http_fail(h, 503, NULL, NULL, "out of memory");
		return false;
	}
	voices = (struct privacy_voices){
		wall_policy(r->wall), h->key_privacy, PRIVACY_CLOUD, said.privacy};
	if (m->devices <= 1 || privacy_effective(&voices) != PRIVACY_DEVICE)
		return true;
	http_fail(h, 403, "privacy", "model",
		"privacy is 'device', as %s says, and '%.128s' is computed by %u devices: ask for "
		"'auto:local'",
		privacy_whose(&voices), m->id, m->devices);
	return false;
}
