/* GET /v1/models, /v1/models/{id}, /health */
#include "daemon/http_internal.h"

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
static void
add_words(json_t *list)
{
	static const char *const words[] = {"auto", "auto:local", "auto:home"};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		json_array_append_new(list, json_pack("{s:s,s:s,s:i,s:s}", "id", words[i], "object",
						    "model", "created", 0, "owned_by", "shoal"));
}

void
api_models(struct http_request *r)
{
	const struct served_model *m = serve_model(r->http->serve, NULL),
				  *small = serve_small(r->http->serve, NULL);
	json_t *list = json_array();

	if (m != NULL)
		json_array_append_new(list, model_json(m));
	if (small != NULL)
		json_array_append_new(list, model_json(small));
	if (small != NULL)
		add_words(list);
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
