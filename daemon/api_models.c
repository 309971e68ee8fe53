/* GET /v1/models, /v1/models/{id}, /health */
#include "daemon/route_said.h"
#include "daemon/router.h"

const struct served_model *
api_served(struct http_request *r)
{
	struct err why = {""};
	const struct served_model *m = serve_model(r->http->serve, &why);

	if (m == NULL)
		http_fail(r, 503, "no_model", NULL, "%s", why.msg);
	return m;
}

static json_t *
model_json(const struct served_model *m)
{
	return json_pack("{s:s,s:s,s:I,s:s,s:{s:I,s:I,s:I,s:I}}", "id", m->id, "object", "model",
		"created", (json_int_t)m->created, "owned_by", "shoal", "meta", "n_ctx",
		(json_int_t)m->context, "n_ctx_train", (json_int_t)m->shape.context, "n_vocab",
		(json_int_t)m->shape.vocab, "n_embd", (json_int_t)m->shape.embd);
}

/* What stands for a model that the router chooses. */
static const char *const words[] = {"auto", "auto:local", "auto:home", "auto:cloud"};

static json_t *
word_json(const char *word)
{
	return json_pack("{s:s,s:s,s:i,s:s}", "id", word, "object", "model", "created", 0,
		"owned_by", "shoal");
}

/* Whether a request for that word has whom to ask, now. */
static bool
stands_for_one(struct http_request *r, const char *word)
{
	bool local = serve_small(r->http->serve, NULL) != NULL,
	     home = serve_model(r->http->serve, NULL) != NULL,
	     cloud = router_may_ask_clouds(r->http->router);
	enum route_ask ask;

	if (!route_said_auto(word, &ask))
		return false;
	return ask == ROUTE_ASK_LOCAL   ? local
	       : ask == ROUTE_ASK_HOME  ? home
	       : ask == ROUTE_ASK_CLOUD ? cloud
					: local || home || cloud;
}

void
api_models(struct http_request *r)
{
	const struct served_model *m = serve_model(r->http->serve, NULL),
				  *small = serve_small(r->http->serve, NULL);
	json_t *list = json_array();
	bool choice = small != NULL || router_may_ask_clouds(r->http->router);

	if (m != NULL)
		json_array_append_new(list, model_json(m));
	if (small != NULL)
		json_array_append_new(list, model_json(small));
	for (size_t i = 0; choice && i < sizeof words / sizeof *words; i++)
		if (stands_for_one(r, words[i]))
			json_array_append_new(list, word_json(words[i]));
	http_json(r, 200, json_pack("{s:s,s:o}", "object", "list", "data", list));
}

void
api_model(struct http_request *r)
{
	struct err why = {""};
	const struct served_model *m = serve_model(r->http->serve, &why),
				  *small = serve_small(r->http->serve, NULL);

	if (small != NULL && strcmp(small->id, r->arg) == 0)
		m = small;
	if (m != NULL && strcmp(m->id, r->arg) == 0)
		http_json(r, 200, model_json(m));
	else if (stands_for_one(r, r->arg))
		http_json(r, 200, word_json(r->arg));
	else if (m != NULL)
		http_fail(r, 404, "model_not_found", "model",
			"the model '%.128s' is not served here: '%.128s' is", r->arg, m->id);
	else
		http_fail(r, 404, "model_not_found", "model", "no model is served: %s", why.msg);
}

void
api_health(struct http_request *r)
{
	if (api_served(r) != NULL)
		http_json(r, 200, json_pack("{s:s}", "status", "ok"));
}
