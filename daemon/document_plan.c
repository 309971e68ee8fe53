#include "daemon/document_plan.h"

#include "daemon/api_parse.h"
#include "daemon/document_reply.h"

#include <stdlib.h>

static int
check_members(json_t *o, const char *const *names, const char *what, struct err *err)
{
	const char *name;
	json_t *v;

	json_object_foreach(o, name, v)
	{
		const char *const *n = names;

		while (*n != NULL && strcmp(*n, name) != 0)
			n++;
		if (*n == NULL)
			return err_set(
				err, "%s has a member '%.32s' that is not known", what, name);
	}
	return 0;
}

static int
add_request(struct document_plan *p, const struct document_limits *l, const char *instruction,
	json_int_t part, struct err *err)
{
	uint32_t most =
		l->max_requests < DOCUMENT_REQUESTS_MAX ? l->max_requests : DOCUMENT_REQUESTS_MAX;

	if (part < 1 || part > l->parts)
		return err_set(err, "there is no part %lld: the document has parts 1 to %u",
			(long long)part, l->parts);
	if (p->n_requests == most)
		return err_set(err, "the plan costs more than %u requests", most);
	p->requests[p->n_requests++] = (struct document_request){instruction, (uint32_t)(part - 1)};
	return 0;
}

static int
add_job(struct document_plan *p, const struct document_limits *l, json_t *job, struct err *err)
{
	static const char *const members[] = {"instruction", "parts", NULL};
	json_t *instruction = json_object_get(job, "instruction"), *v;
	json_t *parts = json_object_get(job, "parts");
	const char *s = json_string_value(instruction), *all = json_string_value(parts);
	size_t i;

	if (!json_is_object(job) || check_members(job, members, "a job", err) != 0)
		return json_is_object(job) ? -1 : err_set(err, "a job must be an object");
	if (s == NULL || s[0] == '\0' || json_string_length(instruction) > DOCUMENT_INSTRUCTION_MAX)
		return err_set(err, "instruction must be a text of 1 to %d bytes",
			DOCUMENT_INSTRUCTION_MAX);
	if (all != NULL && strcmp(all, "all") == 0) {
		for (uint32_t part = 1; part <= l->parts; part++)
			if (add_request(p, l, s, part, err) != 0)
				return -1;
		return 0;
	}
	if (json_array_size(parts) == 0)
		return err_set(err, "parts must be \"all\" or a list of numbers");
	json_array_foreach(parts, i, v)
	{
		if (!json_is_integer(v))
			return err_set(err, "parts must be \"all\" or a list of numbers");
		if (add_request(p, l, s, json_integer_value(v), err) != 0)
			return -1;
	}
	return 0;
}

static int
read_jobs(struct document_plan *p, const struct document_limits *l, uint32_t round, struct err *err)
{
	static const char *const members[] = {"jobs", NULL};
	json_t *jobs = json_object_get(p->root, "jobs"), *job;
	size_t i;

	if (check_members(p->root, members, "the plan", err) != 0)
		return -1;
	if (round >= l->max_rounds)
		return err_set(err, "the %u rounds are over: the plan must answer", l->max_rounds);
	if (json_array_size(jobs) == 0)
		return err_set(err, "jobs must be a list with at least one job");
	p->requests = calloc(DOCUMENT_REQUESTS_MAX, sizeof *p->requests);
	if (p->requests == NULL)
		return err_set(err, "no memory for a plan");
	json_array_foreach(jobs, i, job) if (add_job(p, l, job, err) != 0) return err_prefix(
		err, "job %zu: ", i + 1);
	return 0;
}

static int
read_answer(struct document_plan *p, struct err *err)
{
	static const char *const members[] = {"answer", "quotes", NULL};
	json_t *answer = json_object_get(p->root, "answer");

	if (check_members(p->root, members, "the plan", err) != 0)
		return -1;
	p->answer = json_string_value(answer);
	if (p->answer == NULL || p->answer[0] == '\0' ||
		json_string_length(answer) > DOCUMENT_ANSWER_MAX)
		return err_set(err, "answer must be a text of 1 to %d bytes", DOCUMENT_ANSWER_MAX);
	return document_quotes_read(json_object_get(p->root, "quotes"), p->quotes,
		DOCUMENT_QUOTES_MAX, &p->n_quotes, err);
}

int
document_plan_parse(const char *text, size_t len, const struct document_limits *l, uint32_t round,
	struct document_plan *p, struct err *err)
{
	*p = (struct document_plan){.root = document_object(text, len, err)};
	if (p->root == NULL)
		return -1;
	if (json_object_get(p->root, "jobs") != NULL)
		return read_jobs(p, l, round, err);
	return read_answer(p, err);
}

void
document_plan_free(struct document_plan *p)
{
	json_decref(p->root);
	free(p->requests);
	*p = (struct document_plan){0};
}
