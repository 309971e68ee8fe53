/* Which parts of a request would leave without their personal items, and which cannot leave: for its client,
 * who asked what would be done. */
#include "daemon/wall_int.h"

struct looking {
	struct wall *wall;
	struct wall_verdict *verdict;
	json_t *body, *list;
};

static uint64_t
count(const struct looking *l, enum redact_kind k)
{
	const struct redact *r = l->verdict->redact;

	return r != NULL ? redact_count(r, k) : 0;
}

/* The part was looked at as a list of one. */
static const char *
without_place(const char *words)
{
	static const char *const places[] = {"messages: [0]: ", "tools: [0]: "};

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (strncmp(words, places[i], strlen(places[i])) == 0)
			return words + strlen(places[i]);
	return words;
}

/* Takes the part, as a request of its own. */
static void
look_at(struct looking *l, const char *name, json_t *part)
{
	uint64_t before[REDACT_KINDS];
	struct err err = {""};
	json_t *removed = json_object(), *out;

	for (int k = 0; k < REDACT_KINDS; k++)
		before[k] = count(l, (enum redact_kind)k);
	out = wall_redacted(l->wall, l->verdict, part, &err);
	for (int k = 0; k < REDACT_KINDS; k++)
		if (count(l, (enum redact_kind)k) > before[k])
			json_object_set_new(removed, redact_kind_name((enum redact_kind)k),
				json_integer(
					(json_int_t)(count(l, (enum redact_kind)k) - before[k])));
	if (out == NULL)
		json_array_append_new(l->list,
			json_pack("{s:s,s:s}", "where", name, "refused", without_place(err.msg)));
	else if (json_object_size(removed) > 0)
		json_array_append_new(
			l->list, json_pack("{s:s,s:O}", "where", name, "removed", removed));
	json_decref(removed);
	json_decref(out);
	json_decref(part);
}

static void
look_at_message(struct looking *l, size_t i, json_t *m)
{
	json_t *rest = json_copy(m), *call;
	char name[PART_NAME];
	size_t k;

	json_object_del(rest, "tool_calls");
	part_name_message(l->body, i, name);
	look_at(l, name, json_pack("{s:[o]}", "messages", rest));
	json_array_foreach(json_object_get(m, "tool_calls"), k, call)
	{
		part_name_call(l->body, i, k, name);
		look_at(l, name,
			json_pack("{s:[{s:s,s:[O]}]}", "messages", "role", "assistant",
				"tool_calls", call));
	}
}

json_t *
wall_parts(struct wall *w, struct wall_verdict *v, const struct api_request *a)
{
	static const char *const others[] = {"tool_choice", "response_format", "stop"};
	struct err err;
	struct looking l = {w, v, wall_whole(a, 1, &err), json_array()};
	char name[PART_NAME];
	json_t *part;
	size_t i;

	json_array_foreach(json_object_get(l.body, "messages"), i, part)
	{
		look_at_message(&l, i, part);
	}
	json_array_foreach(json_object_get(l.body, "tools"), i, part)
	{
		part_name_tool(l.body, i, name);
		look_at(&l, name, json_pack("{s:[O]}", "tools", part));
	}
	for (i = 0; i < sizeof others / sizeof *others; i++) {
		part = json_object_get(l.body, others[i]);
		if (part != NULL)
			look_at(&l, others[i], json_pack("{s:O}", others[i], part));
	}
	json_decref(l.body);
	return l.list;
}
