#include "daemon/route_said.h"

#include "daemon/http_internal.h"

#include <math.h>
#include <stdlib.h>

bool
route_said_auto(const char *model, enum route_ask *ask)
{
	static const struct {
		const char *word;
		enum route_ask ask;
	} words[] = {{"auto", ROUTE_AUTO}, {"auto:local", ROUTE_ASK_LOCAL},
		{"auto:home", ROUTE_ASK_HOME}, {"auto:cloud", ROUTE_ASK_CLOUD}};

	for (size_t i = 0; model != NULL && i < sizeof words / sizeof *words; i++) {
		if (strcmp(model, words[i].word) != 0)
			continue;
		if (ask != NULL)
			*ask = words[i].ask;
		return true;
	}
	return false;
}

bool
route_said_mode(const char *word, enum route_mode *mode)
{
	static const struct {
		const char *word;
		enum route_mode mode;
	} words[] = {{"query", MODE_QUERY}, {"token", MODE_TOKEN}, {"document", MODE_DOCUMENT}};

	for (size_t i = 0; word != NULL && i < sizeof words / sizeof *words; i++) {
		if (strcmp(word, words[i].word) != 0)
			continue;
		*mode = words[i].mode;
		return true;
	}
	return false;
}

/* --- values ------------------------------------------------------------------------------------- */

static int
bad(struct api_error *e, const char *name, const char *must)
{
	return api_error_set(e, 400, "invalid_value", name, "%s must be %s", name, must);
}

static int
take_privacy(struct route_said *s, const char *name, const char *word, struct api_error *e)
{
	enum privacy p;
	struct err err;

	if (word == NULL || privacy_parse(word, &p, &err) != 0)
		return bad(e, name, "one of device, home, redact, cloud");
	s->privacy = privacy_stricter(s->privacy, p);
	return 0;
}

static int
take_share(float *to, const char *name, double v, struct api_error *e)
{
	if (!(v >= 0 && v <= 1))
		return bad(e, name, "a number from 0 to 1");
	*to = (float)v;
	return 0;
}

/* In units of the currency of the prices; a part of a micro-unit is nothing. */
static int
take_budget(struct route_said *s, const char *name, double v, struct api_error *e)
{
	uint64_t micro;

	if (!(v >= 0 && v <= 1e9))
		return bad(e, name, "an amount of money from 0 to 1000000000");
	micro = (uint64_t)floor(v * 1e6 + 1e-6);
	if (micro < s->budget)
		s->budget = micro;
	return 0;
}

/* --- the body ----------------------------------------------------------------------------------- */

static int
take_latency(struct route_said *s, json_t *v, struct api_error *e)
{
	json_int_t ms = json_integer_value(v);

	if (!json_is_integer(v) || ms < 1 || ms > 86400000)
		return bad(e, "shoal.max_latency_ms", "a whole number from 1 to 86400000");
	s->max_latency_ms = (uint64_t)ms;
	return 0;
}

static int
take_joules(struct route_said *s, double v, struct api_error *e)
{
	if (!(v > 0 && v <= 1e9))
		return bad(e, "shoal.max_joules", "a number above 0, up to 1000000000");
	s->max_joules = v;
	return 0;
}

static int
take_mode(struct route_said *s, const char *word, struct api_error *e)
{
	return route_said_mode(word, &s->mode)
		       ? 0
		       : bad(e, "shoal.mode", "one of query, token, document");
}

/* A document is in the body, and so is that mode. */
static int
take_mode_header(struct route_said *s, const char *word, struct api_error *e)
{
	return route_said_mode(word, &s->mode) && s->mode != MODE_DOCUMENT
		       ? 0
		       : bad(e, "X-Shoal-Mode", "one of query, token");
}

static int
take_verify(struct route_said *s, const char *word, struct api_error *e)
{
	if (word == NULL || (strcmp(word, "doubts") != 0 && strcmp(word, "all") != 0))
		return bad(e, "shoal.verify", "one of doubts, all");
	s->verify_said = true;
	s->verify_all = word[0] == 'a';
	return 0;
}

static double
number_of(json_t *v)
{
	return json_is_number(v) ? json_number_value(v) : NAN;
}

static int
take_member(struct route_said *s, const char *name, json_t *v, struct api_error *e)
{
	int taken = document_wish_take(&s->document, name, v, e);

	if (taken != 0)
		return taken > 0 ? 0 : -1;
	if (strcmp(name, "privacy") == 0)
		return take_privacy(s, "shoal.privacy", json_string_value(v), e);
	if (strcmp(name, "quality") == 0)
		return take_share(&s->quality, "shoal.quality", number_of(v), e);
	if (strcmp(name, "at_least") == 0)
		return take_share(&s->at_least, "shoal.at_least", number_of(v), e);
	if (strcmp(name, "budget") == 0)
		return take_budget(s, "shoal.budget", number_of(v), e);
	if (strcmp(name, "max_latency_ms") == 0)
		return take_latency(s, v, e);
	if (strcmp(name, "max_joules") == 0)
		return take_joules(s, number_of(v), e);
	if (strcmp(name, "mode") == 0)
		return take_mode(s, json_string_value(v), e);
	if (strcmp(name, "verify") == 0)
		return take_verify(s, json_string_value(v), e);
	if (strcmp(name, "token_threshold") == 0)
		return take_share(&s->token_threshold, "shoal.token_threshold", number_of(v), e);
	if (strcmp(name, "explain") == 0 && json_is_boolean(v)) {
		s->explain |= json_is_true(v);
		return 0;
	}
	return api_error_set(e, 400, "invalid_value", "shoal",
		"shoal has no '%.40s' of this kind: it may have privacy, quality, at_least, "
		"budget, max_latency_ms, max_joules, explain, mode, in mode 'token' "
		"token_threshold and "
		"verify, and in mode 'document' document, rounds, max_jobs and part_bytes",
		name);
}

/* --- headers ------------------------------------------------------------------------------------ */

static const char *
header(struct http_request *r, const char *name)
{
	return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name);
}

static double
number_in(const char *text)
{
	char *end;
	double v = strtod(text, &end);

	return end != text && *end == '\0' ? v : NAN;
}

static int
take_headers(struct http_request *r, struct route_said *s, struct api_error *e)
{
	const char *privacy = header(r, "X-Shoal-Privacy"), *dry = header(r, "X-Shoal-Dry-Run"),
		   *quality = header(r, "X-Shoal-Quality"), *budget = header(r, "X-Shoal-Budget"),
		   *mode = header(r, "X-Shoal-Mode");

	if (privacy != NULL && take_privacy(s, "X-Shoal-Privacy", privacy, e) != 0)
		return -1;
	if (quality != NULL &&
		take_share(&s->quality, "X-Shoal-Quality", number_in(quality), e) != 0)
		return -1;
	if (budget != NULL && take_budget(s, "X-Shoal-Budget", number_in(budget), e) != 0)
		return -1;
	if (mode != NULL && take_mode_header(s, mode, e) != 0)
		return -1;
	if (dry != NULL && strcmp(dry, "1") != 0 && strcmp(dry, "0") != 0)
		return bad(e, "X-Shoal-Dry-Run", "1 or 0");
	s->explain = dry != NULL && dry[0] == '1';
	return 0;
}

/* --- modes: words that do not go together ------------------------------------------------------ */

static int
check_document(
	const struct route_said *s, const struct api_request *a, bool routed, struct api_error *e)
{
	if (s->mode != MODE_DOCUMENT)
		return !document_wish_said(&s->document)
			       ? 0
			       : api_error_set(e, 400, "invalid_value", "shoal",
					 "document, rounds, max_jobs and part_bytes are for mode "
					 "'document'");
	if (!routed || a->kind != API_CHAT)
		return api_error_set(e, 400, "invalid_value", "shoal.mode",
			"mode 'document' is for chats with the model 'auto'");
	if (s->document.n_texts == 0)
		return api_error_set(e, 400, "missing_required_parameter", "document",
			"shoal.document is missing: a text, or a list of texts");
	if (s->max_latency_ms != 0 || s->max_joules > 0)
		return api_error_set(e, 400, "invalid_value", "shoal",
			"max_latency_ms and max_joules say nothing in mode "
			"'document'");
	return 0;
}

static int
check_token(const struct route_said *s, struct api_error *e)
{
	bool threshold = s->token_threshold >= 0;

	if (s->mode != MODE_TOKEN && (threshold || s->verify_said))
		return api_error_set(e, 400, "invalid_value", "shoal",
			"token_threshold and verify are for the mode 'token'");
	if (threshold && s->verify_all)
		return api_error_set(e, 400, "invalid_value", "shoal",
			"give one of token_threshold and verify 'all': with the latter the large "
			"model says every token");
	if (s->mode == MODE_TOKEN && s->ask == ROUTE_ASK_LOCAL)
		return api_error_set(e, 400, "invalid_value", "shoal",
			"the mode 'token' needs a second model: ask 'auto', 'auto:home' or "
			"'auto:cloud'");
	if (s->verify_said && s->ask == ROUTE_ASK_CLOUD)
		return api_error_set(e, 400, "invalid_value", "shoal",
			"verify is for models at home: with a cloud there are segments only");
	return 0;
}

/* --- all ---------------------------------------------------------------------------------------- */

int
route_said_read(struct http_request *r, const struct api_request *a, struct route_said *s,
	struct api_error *e)
{
	bool routed;
	const char *name;
	json_t *v;

	*s = (struct route_said){.privacy = PRIVACY_CLOUD,
		.quality = -1,
		.at_least = -1,
		.budget = PURSE_UNLIMITED,
		.token_threshold = -1};
	routed = route_said_auto(a->model, &s->ask);
	if (take_headers(r, s, e) != 0)
		return -1;
	json_object_foreach(a->shoal, name, v)
	{
		if (take_member(s, name, v, e) != 0)
			return -1;
	}
	/* Of the others privacy and budget are kept by themselves: the model is at home. */
	if (!routed && (s->quality >= 0 || s->at_least >= 0 || s->max_latency_ms != 0 ||
			       s->max_joules > 0 || s->explain || s->mode == MODE_TOKEN))
		return api_error_set(e, 400, "invalid_value", "shoal",
			"quality, at_least, max_latency_ms, max_joules, mode and explain are for "
			"the model "
			"'auto'");
	if (s->quality >= 0 && s->at_least >= 0)
		return api_error_set(e, 400, "invalid_value", "shoal",
			"give one of quality and at_least: each says how much may go to larger "
			"models");
	return check_document(s, a, routed, e) == 0 ? check_token(s, e) : -1;
}
