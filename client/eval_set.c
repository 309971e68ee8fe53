#include "client/eval_set.h"

#include "base/buf.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FILE    (64u << 20)
#define MAX_SAMPLES 1000000

static json_t *
first_line(const char *text, size_t len)
{
	const char *end = memchr(text, '\n', len);

	return json_loadb(
		text, end != NULL ? (size_t)(end - text) : len, JSON_REJECT_DUPLICATES, NULL);
}

/* The sample of one line's object, which the set keeps. */
static int
take_line(struct eval_set *set, json_t *line, size_t number, struct err *err)
{
	struct eval_sample *s = &set->samples[set->n];
	const char *answer;
	json_int_t level;

	if (json_unpack(line, "{s:I,s:s,s:s,s:s}", "level", &level, "system", &s->system, "user",
		    &s->user, "answer", &answer) != 0)
		return err_set(err,
			"line %zu: needs \"level\", \"system\", \"user\" and \"answer\"", number);
	if (level < 1 || level > EVAL_LEVELS)
		return err_set(err, "line %zu: the level is not from 1 to %d", number, EVAL_LEVELS);
	s->level = (unsigned)level;
	s->wanted_text = answer;
	s->wanted = first_line(answer, strlen(answer));
	if (s->wanted == NULL)
		return err_set(err, "line %zu: the answer's first line is not JSON", number);
	set->n++;
	return 0;
}

static size_t
count_lines(const struct buf *text)
{
	size_t n = 1;

	for (size_t i = 0; i < text->len; i++)
		n += text->data[i] == '\n';
	return n;
}

static int
take_text(struct eval_set *set, const struct buf *text, struct err *err)
{
	size_t n = count_lines(text), number = 0;
	const char *at = (const char *)text->data, *stop = at + text->len;

	if (n > MAX_SAMPLES)
		return err_set(err, "more than %d lines", MAX_SAMPLES);
	set->samples = calloc(n, sizeof *set->samples);
	set->lines = json_array();
	if (set->samples == NULL || set->lines == NULL)
		return err_set(err, "out of memory");
	while (at < stop) {
		const char *end = memchr(at, '\n', (size_t)(stop - at));
		size_t len = (size_t)((end != NULL ? end : stop) - at);
		json_t *line;

		number++;
		if (len > 0) {
			line = json_loadb(at, len, 0, NULL);
			if (line == NULL || json_array_append_new(set->lines, line) != 0)
				return err_set(err, "line %zu is not a JSON object", number);
			if (take_line(set, line, number, err) != 0)
				return -1;
		}
		at += len + 1;
	}
	return set->n > 0 ? 0 : err_set(err, "there is no sample");
}

int
eval_set_read(struct eval_set *set, const char *path, struct err *err)
{
	struct buf text;
	int rc;

	*set = (struct eval_set){0};
	buf_init(&text, MAX_FILE);
	rc = file_read(path, &text, err);
	if (rc == 0 && take_text(set, &text, err) != 0)
		rc = err_prefix(err, "%s: ", path);
	buf_free(&text);
	if (rc != 0)
		eval_set_free(set);
	return rc;
}

void
eval_set_free(struct eval_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		json_decref(set->samples[i].wanted);
	free(set->samples);
	json_decref(set->lines);
	*set = (struct eval_set){0};
}

bool
eval_right(const struct eval_sample *s, const char *answer, size_t len)
{
	json_t *got = len > 0 ? first_line(answer, len) : NULL;
	bool right = got != NULL && json_equal(got, s->wanted) == 1;

	json_decref(got);
	return right;
}
