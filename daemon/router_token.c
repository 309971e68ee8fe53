/* Requests of mode `token`: the small model of this device and the large one of the swarm, or a cloud
 * (router_segments.c), write the answer together (token_run.h). Where the large one is to say every token, it answers alone,
 * as any request for it is answered, and the small one drafts (drafter.h). Where they cannot, the request is routed as any
 * other is, and its answer says why. */
#include "daemon/router_int.h"

#include "daemon/log.h"

/* --- whether they can --------------------------------------------------------------------------- */

static int
check(struct routed *q, struct err *why)
{
	const struct served_model *m[ROUTE_CLOUD] = {
		routed_model(q, ROUTE_SMALL), routed_model(q, ROUTE_LARGE)};

	for (unsigned i = 0; i < q->query.n; i++) {
		const struct route_candidate *c = &q->query.candidates[i];

		if (c->kind != ROUTE_CLOUD && (c->refusal != ROUTE_USABLE || m[c->kind] == NULL))
			return err_set(why, "the %s model: %s", route_target_name(c->kind),
				route_refusal_words(c->refusal));
	}
	if (vocabulary_pair_check(&q->router->pair, m[ROUTE_SMALL], m[ROUTE_LARGE], why) != 0)
		return -1;
	if (q->a.kind == API_CHAT && m[ROUTE_SMALL]->chat != m[ROUTE_LARGE]->chat)
		return err_set(why, "they know chats in other forms");
	return 0;
}

void
routed_not_by_token(struct routed *q, const char *why)
{
	snprintf(q->not_token, sizeof q->not_token, "%s", why);
	log_info("%s: not by token: %s", q->id, why);
	/* What was asked for with `all` is the large model's text: it alone writes that, too. */
	if (q->said.verify_all && q->query.ask == ROUTE_AUTO)
		q->query.ask = ROUTE_ASK_HOME;
}

struct route_choice
routed_first(struct routed *q)
{
	struct route_choice c;
	struct err why;

	if (q->said.mode != MODE_TOKEN)
		return route_first(&q->query);
	if (api_has_form(&q->a)) {
		routed_not_by_token(q, "an answer that has to have a form is one model's");
		return route_first(&q->query);
	}
	if (q->a.logprobs) {
		routed_not_by_token(q, "logprobs are of one model's tokens");
		return route_first(&q->query);
	}
	if (q->query.ask == ROUTE_ASK_CLOUD) {
		if (routed_check_segments(q, &c, &why) == 0)
			return c;
		routed_not_by_token(q, why.msg);
		return route_first(&q->query);
	}
	if (check(q, &why) != 0) {
		routed_not_by_token(q, why.msg);
		return route_first(&q->query);
	}
	for (int i = 0; i < (int)q->query.n; i++)
		if (q->query.candidates[i].kind == ROUTE_LARGE)
			return (struct route_choice){.candidate = i, .reason = ROUTE_BY_TOKEN};
	return route_first(&q->query);
}

/* --- the leg ------------------------------------------------------------------------------------ */

static bool
begin_both(struct routed *q, struct err *err)
{
	const struct token_params p = {.small = routed_model(q, ROUTE_SMALL),
		.large = routed_model(q, ROUTE_LARGE),
		.threshold = routed_threshold(q),
		.client = q->client};
	struct session *s = NULL;

	if (p.small != NULL && p.large != NULL)
		s = routed_session(q, p.large, false, err);
	if (s != NULL)
		q->both = token_run_begin(&p, s, &routed_events, q, &q->status, err);
	return q->both != NULL;
}

bool
routed_begin_token(struct routed *q)
{
	struct err err = {"the prompt is too long"};

	if (routed_segments(q))
		return routed_begin_segments(q);
	if (q->said.verify_all) {
		if (routed_begin_at_home(q))
			return true;
		routed_not_by_token(q, q->why);
		return false;
	}
	if (begin_both(q, &err))
		return true;
	routed_not_by_token(q, err.msg);
	return false;
}

struct usage
routed_usage(struct routed *q, const struct usage *u)
{
	struct usage told = *u;

	if (q->choice.reason != ROUTE_BY_TOKEN)
		return told;
	/* Each step says one token, and those that were drafted right. */
	q->token = u->both != NULL ? *u->both
				   : (struct token_figures){.large = u->new_tokens,
					     .drafted = u->drafted,
					     .accepted = u->accepted,
					     .asked = u->new_tokens - u->accepted};
	told.both = &q->token;
	return told;
}

/* --- what is said of it ------------------------------------------------------------------------- */

float
routed_threshold(const struct routed *q)
{
	return q->said.token_threshold >= 0 ? q->said.token_threshold : q->router->token_threshold;
}

static json_t *
figures(const struct token_figures *f)
{
	return json_pack("{s:I,s:I,s:f,s:I,s:I,s:I}", "small_tokens", (json_int_t)f->small,
		"large_tokens", (json_int_t)f->large, "large_share", token_figures_share(f),
		"drafted", (json_int_t)f->drafted, "accepted", (json_int_t)f->accepted,
		"large_asked", (json_int_t)f->asked);
}

void
routed_say_token(const struct routed *q, json_t *o)
{
	bool used = q->not_token[0] == '\0';
	json_t *t;

	if (q->said.mode != MODE_TOKEN)
		return;
	json_object_set_new(o, "mode", json_string(used ? "token" : "query"));
	if (!used) {
		json_object_set_new(o, "not_by_token", json_string(q->not_token));
		return;
	}
	if (q->query.ask == ROUTE_ASK_CLOUD) {
		routed_say_segments(q, o);
		return;
	}
	t = figures(&q->token);
	json_object_set_new(t, "verify", json_string(q->said.verify_all ? "all" : "doubts"));
	if (!q->said.verify_all)
		json_object_set_new(t, "threshold", json_real((double)routed_threshold(q)));
	if (q->token.alone)
		json_object_set_new(t, "small_failed", json_true());
	json_object_set_new(o, "token", t);
}

void
routed_count_token(struct routed *q)
{
	struct router_token_figures *sum = &q->router->figures.token;

	if (q->choice.reason != ROUTE_BY_TOKEN)
		return;
	sum->small += q->token.small;
	sum->large += q->token.large;
	sum->drafted += q->token.drafted;
	sum->accepted += q->token.accepted;
	sum->asked += q->token.asked;
	sum->small += q->segment.small;
	sum->cloud += q->segment.cloud;
	sum->segments += q->segment.asked;
}
