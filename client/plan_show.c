#include "client/plan.h"
#include "client/show.h"

#include <jansson.h>

static const char *
name_of(const struct plan_shown *s, uint32_t peer)
{
	return s->in->peers[peer].name;
}

/* --- for people --- */

/* "nuc, pi-1 | pi-2": stages apart. */
static void
list_members(const struct plan_shown *s, const struct swarm_plan_alt *a, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (uint32_t g = 0; g < a->n_stages; g++)
		for (uint32_t i = 0; i < a->stages[g].n; i++) {
			const char *name = name_of(s, a->members[a->stages[g].first + i].peer);
			const char *before = i > 0 ? ", " : g > 0 ? " | " : "";

			if (len + 80 > size) {
				snprintf(out + len, size - len, " ... (%u)", a->n);
				return;
			}
			len += (size_t)snprintf(out + len, size - len, "%s%s", before, name);
		}
}

static void
print_alternative(const struct plan_shown *s, struct table *t, uint32_t i)
{
	const struct swarm_plan_alt *a = &s->result->alts[i];
	char members[200];

	list_members(s, a, members, sizeof members);
	table_cell(t, "%s", i == s->result->best ? "*" : "");
	table_cell(t, "%s%s", swarm_kind_name(a->kind), a->streams ? ", streaming" : "");
	table_cell(t, "%s", members);
	table_cell(t, "%.1f", a->period * 1e3);
	table_cell(t, "%.1f", a->token.compute * 1e3);
	table_cell(t, "%.1f", a->token.network * 1e3);
	table_cell(t, "%.1f", a->token.disk * 1e3);
	table_cell(t, "%.2f", a->tokens_ps);
	table_cell(t, "%.2f", a->prompt.total * 1e3);
	table_cell(t, "%s", a->today ? "yes" : "not yet");
}

static void
print_alternatives(const struct plan_shown *s)
{
	static const char *const headings[] = {"<", "<plan", "<devices", "ms/token", "compute",
		"network", "disk", "tokens/s", "ms/prompt token", "<runs today", NULL};
	struct table *t = table_new(headings);

	for (uint32_t i = 0; i < s->result->n_alts; i++)
		print_alternative(s, t, i);
	table_print(t, stdout);
	table_free(t);
}

static void
print_member(
	const struct plan_shown *s, struct table *t, const struct swarm_plan_stage *st, uint32_t i)
{
	const struct swarm_plan_member *m = &s->result->alts[s->result->best].members[i];
	char a[24], b[24];

	table_cell(t, "%s", name_of(s, m->peer));
	table_cell(t, "%u-%u", st->layer0, st->layer0 + st->layers - 1);
	table_cell(t, "%u", m->slice.kv_heads);
	table_cell(t, "%u", m->slice.ffn);
	table_cell(t, "%u", m->slice.vocab);
	table_cell(t, "%.1f%%", m->share * 100);
	table_cell(
		t, "%s of %s", show_bytes(m->held, a), show_bytes(s->in->peers[m->peer].memory, b));
	table_cell(t, "%s", m->streamed > 0 ? show_bytes(m->streamed, a) : "-");
	table_cell(t, "%.1f", m->compute_s * 1e3);
}

static void
print_members(const struct plan_shown *s)
{
	static const char *const headings[] = {"<device", "layers", "KV heads", "columns",
		"vocabulary", "share", "memory", "streamed/token", "compute ms", NULL};
	const struct swarm_plan_alt *a = &s->result->alts[s->result->best];
	struct table *t = table_new(headings);

	for (uint32_t g = 0; g < a->n_stages; g++)
		for (uint32_t i = 0; i < a->stages[g].n; i++)
			print_member(s, t, &a->stages[g], a->stages[g].first + i);
	table_print(t, stdout);
	table_free(t);
}

void
plan_print(const struct plan_shown *s)
{
	const struct swarm_plan_result *r = s->result;
	char weights[24];

	printf("%s: %s of weights, a context of %u, %u session%s at once; predicted, not "
	       "measured:\n\n",
		s->options->path, show_bytes(s->model->need.all, weights), s->model->context,
		s->in->sessions, s->in->sessions > 1 ? "s" : "");
	print_alternatives(s);
	printf("\nIn the best plan%s:\n\n",
		s->in->today_only ? " that can be run today (*)" : " (*)");
	print_members(s);
	for (uint32_t i = 0; i < r->n_spares; i++)
		printf("%s%s is left out: %s\n", i == 0 ? "\n" : "", name_of(s, r->spares[i].peer),
			r->spares[i].why);
}

/* --- for programs --- */

static json_t *
cost_json(const struct swarm_plan_cost *c)
{
	return json_pack("{s:f,s:f,s:f,s:f}", "seconds", c->total, "compute_seconds", c->compute,
		"network_seconds", c->network, "disk_seconds", c->disk);
}

static json_t *
member_json(const struct plan_shown *s, const struct swarm_plan_member *m)
{
	return json_pack("{s:s,s:f,s:i,s:i,s:i,s:I,s:I,s:I,s:I,s:f}", "name", name_of(s, m->peer),
		"share", m->share, "kv_heads", (int)m->slice.kv_heads, "columns", (int)m->slice.ffn,
		"vocabulary", (int)m->slice.vocab, "weights_bytes", (json_int_t)m->weights,
		"cache_bytes", (json_int_t)m->cache, "held_bytes", (json_int_t)m->held,
		"streamed_bytes_per_token", (json_int_t)m->streamed, "compute_seconds",
		m->compute_s);
}

static json_t *
alternative_json(const struct plan_shown *s, const struct swarm_plan_alt *a)
{
	json_t *stages = json_array(), *members, *stage;

	for (uint32_t g = 0; g < a->n_stages; g++) {
		const struct swarm_plan_stage *st = &a->stages[g];

		members = json_array();
		for (uint32_t i = 0; i < st->n; i++)
			json_array_append_new(members, member_json(s, &a->members[st->first + i]));
		stage = json_pack("{s:i,s:i,s:o}", "first_layer", (int)st->layer0, "layers",
			(int)st->layers, "members", members);
		if (st->n > 1) {
			json_object_set_new(stage, "token_collective",
				json_string(swarm_way_name(st->token_way)));
			json_object_set_new(stage, "prompt_collective",
				json_string(swarm_way_name(st->prompt_way)));
		}
		json_array_append_new(stages, stage);
	}
	return json_pack("{s:s,s:b,s:b,s:i,s:f,s:f,s:o,s:o,s:o}", "plan", swarm_kind_name(a->kind),
		"streams", a->streams, "runs_today", a->today, "devices", (int)a->n,
		"seconds_per_token", a->period, "tokens_per_second", a->tokens_ps, "token",
		cost_json(&a->token), "prompt_token", cost_json(&a->prompt), "stages", stages);
}

void
plan_print_json(const struct plan_shown *s)
{
	const struct swarm_plan_result *r = s->result;
	json_t *plans = json_array(), *spares = json_array(), *o;

	for (uint32_t i = 0; i < r->n_alts; i++)
		json_array_append_new(plans, alternative_json(s, &r->alts[i]));
	for (uint32_t i = 0; i < r->n_spares; i++)
		json_array_append_new(spares,
			json_pack("{s:s,s:s,s:f}", "name", name_of(s, r->spares[i].peer), "reason",
				r->spares[i].why, "seconds_per_token_with", r->spares[i].with_s));
	o = json_pack("{s:s,s:I,s:i,s:i,s:i,s:o,s:o}", "model", s->options->path, "weights_bytes",
		(json_int_t)s->model->need.all, "context", (int)s->model->context, "sessions",
		(int)s->in->sessions, "best", (int)r->best, "plans", plans, "left_out", spares);
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
}
