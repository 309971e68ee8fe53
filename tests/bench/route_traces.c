#include "tests/bench/route_traces.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const models[] = {"hearth-small", "hearth"};

static void
take_small(struct trace *t, const json_t *j)
{
	json_t *kind;
	size_t i, len = 1;

	t->kinds[0] = '|';
	json_array_foreach(json_object_get(j, "kinds"), i, kind) len +=
		(size_t)snprintf(t->kinds + len, sizeof t->kinds - len, "%.16s|",
			json_string_value(kind) != NULL ? json_string_value(kind) : "");
	for (int k = 0; k < TOKEN_FIGURES; k++)
		t->figure[k] = (float)json_number_value(
			json_object_get(j, token_figure_name((enum token_figure)k)));
	t->level = (int)json_integer_value(json_object_get(j, "level"));
	t->small = (double)json_integer_value(json_object_get(j, "right"));
	t->small_s = json_number_value(json_object_get(j, "seconds"));
	t->user = strdup(json_string_value(json_object_get(j, "user")));
	if (t->user != NULL)
		route_text(&t->text, t->user, strlen(t->user));
}

/* Adds the command of a line of each file. */
static int
take_lines(struct trace_set *s, const json_t *small, const json_t *large, struct err *err)
{
	const char *a = json_string_value(json_object_get(small, "user"));
	const char *b = json_string_value(json_object_get(large, "user"));
	struct trace *t;

	if (a == NULL || b == NULL || strcmp(a, b) != 0)
		return err_set(err, "%s: line %zu is not the same command in both files", s->name,
			s->n + 1);
	if ((s->n & (s->n - 1)) == 0) {
		t = realloc(s->t, (s->n > 0 ? 2 * s->n : 1) * sizeof *t);
		if (t == NULL)
			return err_set(err, "out of memory");
		s->t = t;
	}
	t = &s->t[s->n];
	*t = (struct trace){0};
	take_small(t, small);
	if (t->user == NULL)
		return err_set(err, "out of memory");
	t->large = (double)json_integer_value(json_object_get(large, "right"));
	t->large_s = json_number_value(json_object_get(large, "seconds"));
	s->n++;
	return 0;
}

int
trace_set_read(struct trace_set *s, const char *folder, const char *name, struct err *err)
{
	FILE *f[2] = {NULL, NULL};
	int rc = 0;

	*s = (struct trace_set){.name = name};
	for (int m = 0; m < 2 && rc == 0; m++) {
		char path[4096];

		snprintf(path, sizeof path, "%s/%s.%s.jsonl", folder, name, models[m]);
		f[m] = fopen(path, "r");
		if (f[m] == NULL)
			rc = err_errno(err, errno, "%s", path);
	}
	while (rc == 0) {
		json_t *small = json_loadf(f[0], JSON_DISABLE_EOF_CHECK, NULL);
		json_t *large = json_loadf(f[1], JSON_DISABLE_EOF_CHECK, NULL);

		if (small != NULL && large != NULL)
			rc = take_lines(s, small, large, err);
		else
			rc = 1;
		json_decref(small);
		json_decref(large);
	}
	if (rc == 1)
		rc = s->n > 0 ? 0 : err_set(err, "%s: no command in %s", name, folder);
	for (int m = 0; m < 2; m++)
		if (f[m] != NULL)
			fclose(f[m]);
	return rc;
}

void
trace_set_free(struct trace_set *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->t[i].user);
	free(s->t);
}

bool
trace_has(const struct trace *t, const char *kind)
{
	char word[32];

	snprintf(word, sizeof word, "|%s|", kind);
	return strstr(t->kinds, word) != NULL;
}

void
trace_row(struct gain_row *r, const struct trace *t)
{
	float label[GAIN_MODELS] = {(float)t->small, (float)t->large, GAIN_UNKNOWN};

	gain_row_make(r, &t->text, t->figure, label);
}
