#include "daemon/document_wish.h"

#include "daemon/document_plan.h"
#include "sched/document.h"

static int
bad(struct api_error *e, const char *name, const char *must)
{
	return api_error_set(e, 400, "invalid_value", name, "shoal.%s must be %s", name, must);
}

static int
take_number(
	uint32_t *to, const char *name, json_t *v, uint32_t min, uint32_t max, struct api_error *e)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < min || n > max)
		return api_error_set(e, 400, "invalid_value", name,
			"shoal.%s must be a whole number from %u to %u", name, min, max);
	*to = (uint32_t)n;
	return 1;
}

static int
add_text(struct document_wish *w, json_t *v, struct api_error *e)
{
	if (!json_is_string(v) || json_string_length(v) == 0)
		return bad(e, "document", "a text, or a list of texts, and none of them empty");
	w->texts[w->n_texts++] = v;
	return 1;
}

static int
take_texts(struct document_wish *w, json_t *v, struct api_error *e)
{
	size_t i, bytes = 0;
	json_t *text;

	w->n_texts = 0;
	if (json_is_array(v) && (json_array_size(v) == 0 || json_array_size(v) > DOCUMENTS_MAX))
		return api_error_set(e, 400, "invalid_value", "document",
			"shoal.document must be a text, or a list of 1 to %d texts", DOCUMENTS_MAX);
	if (!json_is_array(v) && add_text(w, v, e) < 0)
		return -1;
	json_array_foreach(v, i, text) if (add_text(w, text, e) < 0) return -1;
	for (i = 0; i < w->n_texts; i++)
		bytes += json_string_length(w->texts[i]);
	if (bytes > DOCUMENTS_BYTES)
		return api_error_set(e, 413, "document_too_large", "document",
			"the documents have %zu bytes together, and may have %u", bytes,
			DOCUMENTS_BYTES);
	return 1;
}

int
document_wish_take(struct document_wish *w, const char *name, json_t *v, struct api_error *e)
{
	if (strcmp(name, "document") == 0)
		return take_texts(w, v, e);
	if (strcmp(name, "rounds") == 0)
		return take_number(&w->rounds, name, v, 1, DOCUMENT_ROUNDS_MAX, e);
	if (strcmp(name, "max_jobs") == 0)
		return take_number(&w->max_jobs, name, v, 1, DOCUMENT_REQUESTS_MAX, e);
	if (strcmp(name, "part_bytes") == 0)
		return take_number(
			&w->part_bytes, name, v, DOCUMENT_PART_MIN, DOCUMENT_PART_MOST, e);
	return 0;
}

bool
document_wish_said(const struct document_wish *w)
{
	return w->n_texts > 0 || w->rounds > 0 || w->max_jobs > 0 || w->part_bytes > 0;
}
