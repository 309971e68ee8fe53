#include "daemon/api_object.h"

#include "daemon/log.h"
#include "daemon/token_run.h"

#include <sodium.h>
#include <time.h>

void
api_make_id(char *out, size_t size, const char *prefix)
{
	uint8_t random[12];
	size_t len = (size_t)snprintf(out, size, "%s", prefix);

	randombytes_buf(random, sizeof random);
	sodium_bin2hex(out + len, size - len, random, sizeof random);
}

void
api_head_make(struct api_head *h, const struct api_format *f, const char *model)
{
	h->format = f;
	h->created = (json_int_t)time(NULL);
	snprintf(h->model, sizeof h->model, "%s", model);
	api_make_id(h->id, sizeof h->id, f->id_prefix);
}

static json_t *
object(const struct api_head *h, bool chunk, json_t *choice)
{
	json_t *choices = json_array();

	if (choice != NULL)
		json_array_append_new(choices, choice);
	return json_pack("{s:s,s:s,s:I,s:s,s:o}", "id", h->id, "object",
		chunk ? h->format->chunk : h->format->whole, "created", h->created, "model",
		h->model, "choices", choices);
}

/* By OpenAI's names, what became of tokens that were drafted or guessed ahead; of an answer that two models wrote,
 * who decided its tokens. */
static json_t *
details_json(const struct usage *u)
{
	json_t *o = json_pack("{s:I,s:I}", "accepted_prediction_tokens", (json_int_t)u->accepted,
		"rejected_prediction_tokens", (json_int_t)(u->drafted - u->accepted));

	if (u->both == NULL)
		return o;
	json_object_set_new(o, "small_tokens", json_integer(u->both->small));
	json_object_set_new(o, "large_tokens", json_integer(u->both->large));
	json_object_set_new(o, "large_share", json_real(token_figures_share(u->both)));
	return o;
}

static json_t *
usage_json(const struct usage *u)
{
	json_t *o = json_pack("{s:I,s:I,s:I}", "prompt_tokens", (json_int_t)u->prompt_tokens,
		"completion_tokens", (json_int_t)u->new_tokens, "total_tokens",
		(json_int_t)u->prompt_tokens + (json_int_t)u->new_tokens);

	if (u->cached > 0)
		json_object_set_new(o, "prompt_tokens_details",
			json_pack("{s:I}", "cached_tokens", (json_int_t)u->cached));
	if (u->both != NULL || u->drafted > 0)
		json_object_set_new(o, "completion_tokens_details", details_json(u));
	return o;
}

static double
ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

/* As llama-server's. */
static json_t *
timings_json(const struct usage *u)
{
	double pn = u->prompt_tokens - u->cached, ps = u->prompt_seconds;
	double nn = u->new_tokens, ns = u->new_seconds;
	json_t *o = json_pack("{s:I,s:f,s:f,s:f,s:I,s:f,s:f,s:f}", "prompt_n",
		(json_int_t)(u->prompt_tokens - u->cached), "prompt_ms", ps * 1e3,
		"prompt_per_token_ms", ratio(ps * 1e3, pn), "prompt_per_second", ratio(pn, ps),
		"predicted_n", (json_int_t)u->new_tokens, "predicted_ms", ns * 1e3,
		"predicted_per_token_ms", ratio(ns * 1e3, nn), "predicted_per_second",
		ratio(nn, ns));

	if (u->cached > 0)
		json_object_set_new(o, "cache_n", json_integer(u->cached));
	if (u->drafted > 0) {
		json_object_set_new(o, "draft_n", json_integer(u->drafted));
		json_object_set_new(o, "draft_n_accepted", json_integer(u->accepted));
	}
	return o;
}

static void
add_figures(json_t *o, const struct usage *u, bool tokens)
{
	json_t *ids;

	json_object_set_new(o, "timings", timings_json(u));
	if (!tokens || u->tokens == NULL)
		return;
	ids = json_array();
	for (uint32_t i = 0; i < u->new_tokens; i++)
		json_array_append_new(ids, json_integer(u->tokens[i]));
	json_object_set_new(o, "tokens", ids);
}

json_t *
api_chunk(const struct api_head *h, json_t *choice)
{
	return object(h, true, choice);
}

json_t *
api_last_chunk(const struct api_head *h, const char *reason, const struct usage *u, bool tokens)
{
	json_t *o = object(h, true, h->format->chunk_choice(NULL, reason));

	add_figures(o, u, tokens);
	return o;
}

json_t *
api_usage_chunk(const struct api_head *h, const struct usage *u)
{
	json_t *o = object(h, true, NULL);

	json_object_set_new(o, "usage", usage_json(u));
	return o;
}

json_t *
api_whole(const struct api_head *h, json_t *text, const char *reason, const struct usage *u,
	bool tokens)
{
	json_t *o = object(h, false, h->format->whole_choice(text, reason));

	json_object_set_new(o, "usage", usage_json(u));
	add_figures(o, u, tokens);
	return o;
}

void
api_log(const char *id, const char *reason, const struct usage *u)
{
	uint32_t computed = u->prompt_tokens - u->cached;
	char cached[32] = "";

	if (u->cached > 0)
		snprintf(cached, sizeof cached, " and %u cached", u->cached);
	log_info("%s: %u prompt tokens at %.1f/s%s, %u new at %.1f/s, waited %.2f s, %s", id,
		computed, ratio(computed, u->prompt_seconds), cached, u->new_tokens,
		ratio(u->new_tokens, u->new_seconds), u->queue_seconds, reason);
}
