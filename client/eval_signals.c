#include "client/eval_signals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct eval_signals {
	FILE *out;
	char path[4096];
};

struct eval_signals *
eval_signals_open(const char *path, struct err *err)
{
	struct eval_signals *f = calloc(1, sizeof *f);

	if (f == NULL) {
		err_set(err, "out of memory");
		return NULL;
	}
	snprintf(f->path, sizeof f->path, "%s", path);
	f->out = fopen(path, "w");
	if (f->out == NULL) {
		err_errno(err, errno, "%s", path);
		free(f);
		return NULL;
	}
	return f;
}

static json_t *
line_of(const struct eval_set *set, size_t at, bool right, const struct token_signals *s,
	double seconds)
{
	json_t *kinds = json_object_get(json_array_get(set->lines, at), "kinds");
	json_t *j = json_pack("{s:i,s:O*,s:s,s:i,s:I,s:f}", "level", (int)set->samples[at].level,
		"kinds", kinds, "user", set->samples[at].user, "right", (int)right, "tokens",
		(json_int_t)s->n, "seconds", seconds);
	float figures[TOKEN_FIGURES];

	token_signals_figures(s, figures);
	for (unsigned i = 0; j != NULL && i < TOKEN_FIGURES; i++)
		if (json_object_set_new(j, token_figure_name(i), json_real((double)figures[i])) !=
			0) {
			json_decref(j);
			return NULL;
		}
	return j;
}

int
eval_signals_write(struct eval_signals *f, const struct eval_set *set, size_t at, bool right,
	const struct token_signals *s, double seconds, struct err *err)
{
	json_t *j = line_of(set, at, right, s, seconds);
	int rc;

	if (j == NULL)
		return err_set(err, "out of memory");
	errno = 0;
	rc = json_dumpf(j, f->out, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(j);
	if (rc != 0 || putc('\n', f->out) == EOF)
		return err_errno(err, errno, "%s", f->path);
	return 0;
}

int
eval_signals_close(struct eval_signals *f, struct err *err)
{
	int rc = 0;

	if (f == NULL)
		return 0;
	if (fclose(f->out) != 0)
		rc = err_errno(err, errno, "%s", f->path);
	free(f);
	return rc;
}
