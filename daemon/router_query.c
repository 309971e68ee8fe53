/* What is known of a request before anybody is asked. */
#include "daemon/router_int.h"

#include <math.h>
#include <stdlib.h>

#define STAY        0.1  /* by which a gain must fall short before a conversation goes back down */
#define MOVE_SECOND 0.01 /* a gain that is worth a second of reading a conversation anew, */
#define MOVE_MOST   0.15 /* and all of it at most */
#define CLOUD_GAIN  0.2 /* that a cloud must promise over the best at home to be asked unasked-for */

const struct served_model *
routed_model(const struct routed *q, enum route_target t)
{
	struct serve *s = q->router->serve;

	return t == ROUTE_SMALL ? serve_small(s, NULL) : serve_model(s, NULL);
}

/* --- the query ---------------------------------------------------------------------------------- */

static bool
has_role(const struct chat_message *m, const char *role)
{
	return strcmp(m->role, role) == 0;
}

/* What the user wrote last, in q->prompt, which has room for it: not a system prompt, which would be the
 * same in every request, nor what programs put into messages. When that was before the last answer, and a
 * tool's result came since, its turn goes on. */
static void
find_prompt(struct routed *q)
{
	const struct api_request *a = &q->a;
	bool answered = false, result = false;

	for (size_t i = a->n_messages; i-- > 0;) {
		const struct chat_message *m = &a->messages[i];
		struct route_own own;

		if (!answered && has_role(m, "assistant")) {
			answered = true;
			q->query.in_tool = result;
		}
		if (!has_role(m, "user"))
			continue;
		own = route_own(m->content, strlen(m->content), q->prompt);
		q->prompt[own.len] = '\0';
		if (own.len > 0)
			return;
		result = result || (own.result && !answered);
	}
	q->query.in_tool = false; /* there is no turn that could go on */
	strcpy(q->prompt, a->messages[a->n_messages - 1].content);
}

static int
make_prompt(struct routed *q)
{
	q->prompt = malloc(q->a.text_bytes + 1);
	if (q->prompt == NULL)
		return -1;
	if (q->a.kind == API_CHAT)
		find_prompt(q);
	else
		strcpy(q->prompt, q->a.prompt);
	return 0;
}

/* --- the conversation --------------------------------------------------------------------------- */

/* What reading the conversation costs a model that has not read it, as a gain: the seconds, by how fast it
 * has been. */
static double
cost_of_moving(const struct routed *q)
{
	struct serve_pace pace;
	double cost;

	if (!serve_pace(q->router->serve, false, &pace))
		return 0;
	cost = (double)q->a.text_bytes / ROUTED_TOKEN_BYTES / pace.prompt_tokens_per_s *
	       MOVE_SECOND;
	return cost < MOVE_MOST ? cost : MOVE_MOST;
}

/* Its last answer may have several texts. */
static void
find_last_turn(struct routed *q)
{
	const struct privacy_messages *m = &q->verdict.messages;

	for (size_t i = m->n_old; i-- > 0 && m->message[i] == m->message[m->n_old - 1];)
		if (router_turn(q->router, &m->hash[i], &q->query.last)) {
			q->query.had_last = true;
			return;
		}
}

/* How much better the best cloud is said to be than the best at home is expected to be. */
static void
set_cloud_gain(struct routed *q)
{
	const struct gain_estimate *e = &q->before.estimate;
	double home = (double)fmaxf(e->p[GAIN_SMALL], e->p[GAIN_LARGE]), best = 0;

	for (unsigned i = 0; i < q->query.n; i++) {
		const struct route_candidate *c = &q->query.candidates[i];

		if (c->kind == ROUTE_CLOUD && c->refusal == ROUTE_USABLE && c->quality > best)
			best = c->quality;
	}
	q->query.cloud_known = best > 0 && e->reason == GAIN_TEXT;
	q->query.cloud_gain = best - home;
}

static void
set_query(struct routed *q)
{
	struct route_query *query = &q->query;
	const struct gain_estimate *e = &q->before.estimate;

	query->ask = q->said.ask;
	query->gain = e->gain;
	query->threshold = q->before.threshold;
	query->known = q->before.known;
	query->up = q->before.up;
	query->clear = q->before.clear;
	query->cloud_threshold = CLOUD_GAIN;
	set_cloud_gain(q);
	query->firm = q->wish.at_least < 0 && (q->wish.quality <= 0 || q->wish.quality >= 1);
	query->stay = STAY;
	query->spare = ROUTER_SPARE;
	query->move = cost_of_moving(q);
	find_last_turn(q);
}

static int
look(struct routed *q, struct http_request *h)
{
	struct router *r = q->router;

	if (wall_judge(r->wall, h->client, h->key_privacy, q->said.privacy, &q->a, &q->verdict) !=
		0)
		return -1;
	q->text = malloc(sizeof *q->text);
	if (q->text == NULL || make_prompt(q) != 0)
		return -1;
	q->wish = (struct route_wish){
		q->said.quality >= 0 ? q->said.quality : r->quality, q->said.at_least};
	route_text(q->text, q->prompt, strlen(q->prompt));
	route_book_prompt(r->book, q->text, &q->wish, &q->before);
	routed_add_home(q);
	routed_add_clouds(q);
	routed_set_limits(q);
	set_query(q);
	return 0;
}

int
routed_look(struct routed *q, struct http_request *h)
{
	struct api_error e;

	if (q->a.kind == API_COMPLETION && q->a.prompt == NULL) {
		http_fail(h, 400, "invalid_value", "prompt",
			"a prompt of token ids is of one model's: name that model, not '%s'",
			q->a.model);
		return -1;
	}
	if (route_said_read(h, &q->a, &q->said, &e) != 0) {
		http_error(h, &e);
		return -1;
	}
	if (look(q, h) != 0) {
		http_fail(h, 503, NULL, NULL, "out of memory");
		return -1;
	}
	return 0;
}
