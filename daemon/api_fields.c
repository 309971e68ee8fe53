#include "daemon/api_fields.h"

#include "daemon/api_form.h"
#include "daemon/api_tools.h"

#include <math.h>

#define TAKE(name)                                                                                 \
	static int name(                                                                           \
		struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e)

int
api_bad_value(const struct api_field *f, struct api_error *e, const char *must)
{
	return api_error_set(e, 400, "invalid_value", f->name, "%s must be %s", f->name, must);
}

/* A setting that would change the answer and is not built: never accepted in silence. */
static int
refuse(const struct api_field *f, struct api_error *e)
{
	return api_error_set(e, 400, "unsupported_parameter", f->name,
		"%s is not supported by this server: leave it out", f->name);
}

static int
number(const struct api_field *f, json_t *v, float *out, struct api_error *e)
{
	double d = json_number_value(v);

	if (!json_is_number(v) || !isfinite(d) || d < f->min || d > f->max)
		return api_error_set(e, 400, "invalid_value", f->name,
			"%s must be a number from %g to %g", f->name, f->min, f->max);
	*out = (float)d;
	return 0;
}

/* Whole numbers; 3.0 is one too. */
static int
whole(const struct api_field *f, json_t *v, int64_t *out, struct api_error *e)
{
	double d = json_number_value(v);

	if (json_is_integer(v))
		*out = json_integer_value(v);
	else if (json_is_real(v) && d == floor(d) && fabs(d) < 9e15)
		*out = (int64_t)d;
	else
		return api_bad_value(f, e, "a whole number");
	if ((double)*out < f->min || (double)*out > f->max)
		return api_error_set(e, 400, "invalid_value", f->name,
			"%s must be a whole number from %.0f to %.0f", f->name, f->min, f->max);
	return 0;
}

static int
boolean(const struct api_field *f, json_t *v, bool *out, struct api_error *e)
{
	if (!json_is_boolean(v))
		return api_bad_value(f, e, "true or false");
	*out = json_is_true(v);
	return 0;
}

TAKE(take_model)
{
	if (!json_is_string(v))
		return api_bad_value(f, e, "a text");
	r->model = json_string_value(v);
	return 0;
}

TAKE(take_shoal)
{
	if (!json_is_object(v))
		return api_bad_value(f, e, "an object");
	r->shoal = v;
	return 0;
}

TAKE(take_stream)
{
	return boolean(f, v, &r->stream, e);
}

TAKE(take_stream_options)
{
	json_t *usage = json_object_get(v, "include_usage");

	if (!json_is_object(v))
		return api_bad_value(f, e, "an object");
	if (usage != NULL && !json_is_boolean(usage) && !json_is_null(usage))
		return api_bad_value(f, e, "an object whose include_usage is true or false");
	r->include_usage = json_is_true(usage);
	return 0;
}

TAKE(take_echo)
{
	return boolean(f, v, &r->echo, e);
}

TAKE(take_return_tokens)
{
	return boolean(f, v, &r->return_tokens, e);
}

TAKE(take_ignore_eos)
{
	return boolean(f, v, &r->ignore_end, e);
}

TAKE(take_temperature)
{
	return number(f, v, &r->sampler.temperature, e);
}

TAKE(take_top_p)
{
	return number(f, v, &r->sampler.top_p, e);
}

TAKE(take_min_p)
{
	return number(f, v, &r->sampler.min_p, e);
}

TAKE(take_presence)
{
	return number(f, v, &r->sampler.presence_penalty, e);
}

TAKE(take_frequency)
{
	return number(f, v, &r->sampler.frequency_penalty, e);
}

TAKE(take_repeat)
{
	return number(f, v, &r->sampler.repeat_penalty, e);
}

TAKE(take_top_k)
{
	int64_t k = 0;

	if (whole(f, v, &k, e) != 0)
		return -1;
	r->sampler.top_k = k < 0 ? 0 : (uint32_t)k; /* -1 is off, as llama.cpp says it */
	return 0;
}

TAKE(take_repeat_last)
{
	int64_t n = 0;

	if (whole(f, v, &n, e) != 0)
		return -1;
	r->sampler.penalty_last = n < 0 ? UINT32_MAX : (uint32_t)n; /* -1: the whole context */
	return 0;
}

TAKE(take_seed)
{
	if (!json_is_integer(v))
		return api_bad_value(f, e, "a whole number of 64 bits");
	r->sampler.seed = (uint64_t)json_integer_value(v);
	r->seeded = true;
	return 0;
}

/* max_tokens and max_completion_tokens are one setting with two names. */
TAKE(take_max_tokens)
{
	int64_t n = 0;
	uint32_t max;

	if (whole(f, v, &n, e) != 0)
		return -1;
	if (n == 0 || (n < 0 && r->kind == API_CHAT))
		return api_bad_value(f, e, "at least 1");
	max = n < 0 ? UINT32_MAX : (uint32_t)n; /* -1: as the context allows */
	if (r->max_tokens != 0 && r->max_tokens != max)
		return api_error_set(e, 400, "invalid_value", f->name,
			"max_tokens and max_completion_tokens differ: give one of them");
	r->max_tokens = max;
	return 0;
}

TAKE(take_cache_prompt)
{
	bool cache = true;

	if (boolean(f, v, &cache, e) != 0)
		return -1;
	r->uncached = !cache;
	return 0;
}

TAKE(take_max_guesses)
{
	int64_t n = 0;

	if (whole(f, v, &n, e) != 0)
		return -1;
	r->max_guesses = (uint32_t)n;
	return 0;
}

static int
add_stop(struct api_request *r, const struct api_field *f, json_t *v, struct api_error *e)
{
	if (!json_is_string(v))
		return api_bad_value(f, e, "a text or a list of texts");
	if (json_string_length(v) > API_MAX_STOP)
		return api_error_set(e, 400, "invalid_value", f->name,
			"a stop text must not be longer than %d bytes", API_MAX_STOP);
	if (json_string_length(v) > 0) /* an empty one can match nothing */
		r->stops[r->n_stops++] = json_string_value(v);
	return 0;
}

TAKE(take_stop)
{
	size_t i;
	json_t *s;

	if (!json_is_array(v))
		return add_stop(r, f, v, e);
	if (json_array_size(v) > SESSION_MAX_STOPS)
		return api_error_set(e, 400, "invalid_value", f->name,
			"stop may hold at most %d texts", SESSION_MAX_STOPS);
	json_array_foreach(v, i, s) if (add_stop(r, f, s, e) != 0) return -1;
	return 0;
}

/* n, best_of: one answer for a request. */
TAKE(take_only_one)
{
	(void)r;
	if (!json_is_integer(v) || json_integer_value(v) != 1)
		return api_error_set(e, 400, "unsupported_value", f->name,
			"%s can only be 1: this server gives one answer to a request", f->name);
	return 0;
}

/* Of `functions`, which are not taken: nobody is called. */
TAKE(take_function_call)
{
	const char *s = json_string_value(v);

	(void)r;
	if (s != NULL && (strcmp(s, "none") == 0 || strcmp(s, "auto") == 0))
		return 0;
	return refuse(f, e);
}

TAKE(take_modalities)
{
	const char *s = json_string_value(json_array_get(v, 0));

	(void)r;
	if (json_array_size(v) == 1 && s != NULL && strcmp(s, "text") == 0)
		return 0;
	return api_error_set(
		e, 400, "unsupported_value", f->name, "%s can only be [\"text\"]", f->name);
}

TAKE(take_logprobs)
{
	return boolean(f, v, &r->logprobs, e);
}

TAKE(take_top_logprobs)
{
	int64_t n = 0;

	if (whole(f, v, &n, e) != 0)
		return -1;
	r->top_logprobs = (uint32_t)n;
	return 0;
}

/* Of a completion it is the number of alternatives; 0 asks for the chosen token's. */
TAKE(take_logprobs_number)
{
	if (json_is_false(v))
		return 0;
	r->logprobs = true;
	return take_top_logprobs(r, f, v, e);
}

/* Whatever asks for nothing passes: false, 0, "", an empty list or object. */
TAKE(take_unless_set)
{
	bool zero = json_is_number(v) && json_number_value(v) == 0;

	(void)r;
	if (json_is_false(v) || zero || (json_is_string(v) && json_string_length(v) == 0) ||
		(json_is_array(v) && json_array_size(v) == 0) ||
		(json_is_object(v) && json_object_size(v) == 0))
		return 0;
	return refuse(f, e);
}

#define CHAT       (1u << API_CHAT)
#define COMPLETION (1u << API_COMPLETION)
#define BOTH       (CHAT | COMPLETION)

static const struct api_field fields[] = {
	{"best_of", COMPLETION, take_only_one, 0, 0},
	{"audio", CHAT, take_unless_set, 0, 0},
	{"cache_prompt", BOTH, take_cache_prompt, 0, 0},
	{"echo", COMPLETION, take_echo, 0, 0},
	{"frequency_penalty", BOTH, take_frequency, -2, 2},
	{"function_call", CHAT, take_function_call, 0, 0},
	{"functions", CHAT, take_unless_set, 0, 0},
	{"grammar", BOTH, take_unless_set, 0, 0},
	{"ignore_eos", BOTH, take_ignore_eos, 0, 0},
	{"json_schema", BOTH, take_unless_set, 0, 0},
	{"logit_bias", BOTH, take_unless_set, 0, 0},
	{"logprobs", CHAT, take_logprobs, 0, 0},
	{"logprobs", COMPLETION, take_logprobs_number, 0, 5},
	{"max_completion_tokens", BOTH, take_max_tokens, -1, INT32_MAX},
	{"max_tokens", BOTH, take_max_tokens, -1, INT32_MAX},
	{"messages", CHAT, api_take_messages, 0, 0},
	{"metadata", BOTH, NULL, 0, 0},
	{"min_p", BOTH, take_min_p, 0, 1},
	{"modalities", CHAT, take_modalities, 0, 0},
	{"model", BOTH, take_model, 0, 0},
	{"n", BOTH, take_only_one, 0, 0},
	{"parallel_tool_calls", CHAT, api_take_parallel, 0, 0},
	{"prediction", BOTH, api_take_prediction, 0, 0},
	{"presence_penalty", BOTH, take_presence, -2, 2},
	{"prompt", COMPLETION, api_take_prompt, 0, 0},
	{"prompt_cache_key", BOTH, NULL, 0, 0},
	{"prompt_cache_retention", BOTH, NULL, 0, 0},
	{"reasoning_effort", CHAT, take_unless_set, 0, 0},
	{"repeat_last_n", BOTH, take_repeat_last, -1, INT32_MAX},
	{"repeat_penalty", BOTH, take_repeat, 0.01, 10},
	{"repetition_penalty", BOTH, take_repeat, 0.01, 10},
	{"response_format", BOTH, api_take_response_format, 0, 0},
	{"return_tokens", BOTH, take_return_tokens, 0, 0},
	{"safety_identifier", BOTH, NULL, 0, 0},
	{"seed", BOTH, take_seed, 0, 0},
	{"service_tier", BOTH, NULL, 0, 0},
	{"shoal", BOTH, take_shoal, 0, 0},
	{"speculative.n_max", BOTH, take_max_guesses, 0, INT32_MAX},
	{"stop", BOTH, take_stop, 0, 0},
	{"store", BOTH, NULL, 0, 0},
	{"stream", BOTH, take_stream, 0, 0},
	{"stream_options", BOTH, take_stream_options, 0, 0},
	{"suffix", COMPLETION, take_unless_set, 0, 0},
	{"temperature", BOTH, take_temperature, 0, 2},
	{"tool_choice", CHAT, api_take_tool_choice, 0, 0},
	{"tools", CHAT, api_take_tools, 0, 0},
	{"top_k", BOTH, take_top_k, -1, INT32_MAX},
	{"top_logprobs", CHAT, take_top_logprobs, 0, ODDS_MOST},
	{"top_logprobs", COMPLETION, take_unless_set, 0, 0},
	{"top_p", BOTH, take_top_p, 0, 1},
	{"user", BOTH, NULL, 0, 0},
	{"web_search_options", CHAT, take_unless_set, 0, 0},
};

const struct api_field *
api_field_find(enum api_kind kind, const char *name)
{
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if ((fields[i].kinds & 1u << kind) != 0 && strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}
