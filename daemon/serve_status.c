/* What `shoal status` shows. */
#include <config.h>

#include "daemon/energy_message.h"
#include "daemon/gather.h"
#include "daemon/serve_balance.h"
#include "daemon/serve_kv.h"
#include "daemon/serve_upload.h"
#include "kernels/cpu.h"

#include <stdio.h>

/* --- in words ----------------------------------------------------------------------------------- */

/* Nothing of one source. */
static const char *
source_words(uint32_t n, char *out, size_t size)
{
	out[0] = '\0';
	if (n > 1)
		snprintf(out, size, ", from %u devices", n);
	return out;
}

static void
preparing_words(const struct plan *p, char *out, size_t size)
{
	char from[40];
	size_t len = (size_t)snprintf(out, size, "preparing:");

	if (p->preparing != NULL)
		len += (size_t)snprintf(out + len, size - len,
			" this device has %u %% of its slice", own_job_percent(p->preparing));
	for (uint32_t i = 1; i < p->n && len + 100 < size; i++) {
		const struct plan_member *m = &p->members[i];

		if (!m->ready)
			len += (size_t)snprintf(out + len, size - len,
				"%s %s has %.1f of %.1f MB of its slice%s",
				out[len - 1] == ':' ? "" : ",", m->peer->known->name,
				(double)m->done / 1e6, (double)m->total / 1e6,
				source_words(m->sources, from, sizeof from));
	}
}

static bool
plan_words(const struct plan *p, char *out, size_t size)
{
	switch (p->state) {
	case PLAN_HASHING:
		snprintf(out, size, "reading the model for its slices (%u %%)",
			p->hashing != NULL ? hash_job_percent(p->hashing) : 100);
		return false;
	case PLAN_PREPARING:
		preparing_words(p, out, size);
		return false;
	case PLAN_LINKING:
		snprintf(out, size, "linking the members");
		return false;
	case PLAN_SERVING:
		break;
	}
	snprintf(out, size, "serving");
	return true;
}

/* Why none can be elected, as far as this device knows. */
static const char *
lacks_words(const struct serve *s, char *out, size_t size)
{
	out[0] = '\0';
	if (elect_lacks(s->elect)[0] != '\0')
		snprintf(out, size, ": no disk of the devices that answer has %s",
			elect_lacks(s->elect));
	return out;
}

static void
member_words(const struct serve *s, char *out, size_t size)
{
	const struct follow *f = s->follow;
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(s->swarm, &peers);
	char from[40], lacks[320];

	if (n == 0)
		snprintf(out, size, "waiting for a coordinator to be elected%s",
			lacks_words(s, lacks, sizeof lacks));
	else if (peers[0]->control == NULL)
		snprintf(out, size, "waiting for the coordinator, %s%s", peers[0]->known->name,
			lacks_words(s, lacks, sizeof lacks));
	else if (f == NULL)
		snprintf(out, size, "member: waiting for a plan");
	else if (f->state == FOLLOW_COMPUTING)
		snprintf(out, size, "member: computing a slice of %s", f->model_name);
	else if (f->state == FOLLOW_FETCHING)
		snprintf(out, size, "member: fetching a slice of %s (%.1f of %.1f MB%s)",
			f->model_name, (double)(f->kept + f->fetched) / 1e6, (double)f->total / 1e6,
			source_words(f->n_sources, from, sizeof from));
	else
		snprintf(out, size, "member: getting ready for %s", f->model_name);
}

bool
serve_words(struct serve *s, char *out, size_t size)
{
	char missing[256];

	if (s->closing) {
		snprintf(out, size, "shoald is being stopped");
		return false;
	}
	if (swarm_is_member(s->swarm)) {
		member_words(s, out, size);
		return false;
	}
	if (!elect_may_serve(s->elect)) {
		elect_words(s->elect, out, size);
		return false;
	}
	if (s->plan != NULL)
		return plan_words(s->plan, out, size);
	if (s->file == NULL && s->gather != NULL) {
		gather_words(s, out, size);
		return false;
	}
	if (s->file == NULL) {
		snprintf(out, size, "no model is loaded: %s",
			s->trouble[0] != '\0' ? s->trouble
					      : "load one with 'shoal load MODEL.gguf', or "
						"set 'model' in shoald.conf");
		return false;
	}
	plan_missing(s, missing, sizeof missing);
	if (missing[0] != '\0' && s->trouble[0] != '\0')
		snprintf(out, size, "waiting for %s (without: %s)", missing, s->trouble);
	else if (missing[0] != '\0')
		snprintf(out, size, "waiting for %s", missing);
	else if (s->trouble[0] != '\0')
		snprintf(out, size, "trying again soon: %s", s->trouble);
	else
		snprintf(out, size, "making a plan");
	return false;
}

/* --- JSON --------------------------------------------------------------------------------------- */

static json_t *
range(uint32_t first, uint32_t n)
{
	return json_pack("[I,I]", (json_int_t)first, (json_int_t)n);
}

static void
add_slice(json_t *o, const struct slice *sl)
{
	json_object_set_new(o, "layers", range(sl->layer0, sl->layers));
	json_object_set_new(o, "heads", range(sl->kv_head0, sl->kv_heads));
	json_object_set_new(o, "ffn", range(sl->ffn0, sl->ffn));
	json_object_set_new(o, "vocab", range(sl->vocab0, sl->vocab));
}

static json_t *
self_json(struct serve *s, uint32_t rank)
{
	struct energy_told energy;
	json_t *o = json_object();

	json_object_set_new(o, "name", json_string(s->state->name));
	json_object_set_new(o, "rank", json_integer(rank));
	json_object_set_new(o, "address", json_string(s->config->listen));
	json_object_set_new(o, "connected", json_true());
	json_object_set_new(o, "self", json_true());
	json_object_set_new(o, "cpu", json_string(cpu_model()));
	json_object_set_new(o, "kernels", json_string(s->kernels.name));
	json_object_set_new(o, "threads", json_integer(serve_threads(s)));
	json_object_set_new(o, "rtt_ms", json_real(0));
	serve_own_energy(s, &energy);
	json_object_set_new(o, "energy", energy_json(&energy));
	return o;
}

static json_t *
peer_json(const struct swarm_peer *p, uint32_t rank)
{
	const char *address = p->control != NULL ? link_address(p->control) : p->known->address;
	json_t *o = json_object();

	json_object_set_new(o, "name", json_string(p->known->name));
	json_object_set_new(o, "rank", json_integer(rank));
	json_object_set_new(o, "address", json_string(address));
	json_object_set_new(o, "connected", json_boolean(p->control != NULL));
	json_object_set_new(o, "self", json_false());
	json_object_set_new(o, "cpu", json_string(p->cpu));
	json_object_set_new(o, "kernels", json_string(p->kernels));
	json_object_set_new(o, "threads", json_integer(p->threads));
	json_object_set_new(o, "rtt_ms", json_real(p->rtt_ms));
	json_object_set_new(o, "cipher",
		p->control != NULL ? json_string(aead_name(link_cipher(p->control))) : json_null());
	json_object_set_new(o, "energy", energy_json(&p->energy));
	return o;
}

static void
add_bytes(json_t *o, uint64_t weights, uint64_t fetched, uint64_t total)
{
	json_object_set_new(o, "weights_bytes", json_integer((json_int_t)weights));
	json_object_set_new(o, "fetched", json_integer((json_int_t)fetched));
	json_object_set_new(o, "total", json_integer((json_int_t)total));
}

/* Where a step of one row goes, on the mean of this plan; null: it has computed none. */
static void
add_step(json_t *o, const struct engine_pace *p)
{
	double n = (double)p->steps;

	if (p->steps == 0)
		json_object_set_new(o, "step", json_null());
	else
		json_object_set_new(o, "step",
			json_pack("{s:I,s:f,s:f,s:f,s:f}", "steps", (json_int_t)p->steps, "seconds",
				p->seconds / n, "compute_seconds", p->compute / n, "disk_seconds",
				p->disk / n, "sums_seconds", p->sums / n));
}

static void
add_own_step(const struct serve *s, json_t *o)
{
	struct engine_stats st = {0};

	if (s->engine != NULL)
		engine_stats(s->engine, &st);
	add_step(o, &st.pace);
}

/* Why a device that is here does not compute. */
static void
add_reason(const struct serve *s, const struct swarm_peer *p, json_t *o)
{
	const struct plan *plan = s->plan;

	for (uint32_t i = 0; plan != NULL && i < plan->n_spares; i++)
		if (plan->spares[i].peer == p)
			json_object_set_new(o, "left_out", json_string(plan->spares[i].why));
}

static json_t *
swarm_json(struct serve *s)
{
	json_t *list = json_array(), *o = self_json(s, 0);
	const struct plan *p = s->plan;
	struct swarm_peer *const *peers;
	uint32_t n = swarm_peers(s->swarm, &peers);

	if (p != NULL) {
		add_slice(o, &p->slices[0]);
		add_bytes(o, p->members[0].weights, 0, 0);
		balance_member_json(s, 0, o);
		add_own_step(s, o);
	}
	json_array_append_new(list, o);
	for (uint32_t i = 0; i < n; i++) {
		struct plan_member *m = plan_member(s, peers[i]);

		o = peer_json(peers[i], m != NULL ? (uint32_t)(m - p->members) : i + 1);
		if (m != NULL) {
			add_slice(o, &p->slices[m - p->members]);
			add_bytes(o, m->weights, m->ready ? m->total : m->done, m->total);
			json_object_set_new(o, "sources", json_integer(m->sources));
			balance_member_json(s, (uint32_t)(m - p->members), o);
			add_step(o, &m->pace);
		}
		add_reason(s, peers[i], o);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *
member_json(struct serve *s)
{
	const struct follow *f = s->follow;
	json_t *list = json_array(), *o;
	struct swarm_peer *const *peers;

	if (swarm_peers(s->swarm, &peers) > 0)
		json_array_append_new(list, peer_json(peers[0], 0));
	o = self_json(s, f != NULL ? f->rank : 1);
	if (f != NULL && f->shard != NULL) {
		const struct shard_header *h = shard_header(f->shard->shard);

		add_slice(o, &h->slice);
		add_bytes(o, h->file_bytes, f->fetched, f->total);
	}
	json_array_append_new(list, o);
	return list;
}

static json_t *
model_json(const struct serve *s)
{
	const struct model_file *f = s->file;
	uint32_t context = s->served.context;
	json_t *o;

	if (f == NULL)
		return json_null();
	o = json_object();
	json_object_set_new(o, "id", json_string(f->id));
	json_object_set_new(o, "path", json_string(f->path));
	json_object_set_new(o, "arch", json_string(arch_name(f->shape.arch)));
	json_object_set_new(o, "params", json_integer((json_int_t)shape_params(&f->shape)));
	json_object_set_new(o, "bytes", json_integer((json_int_t)f->bytes));
	json_object_set_new(o, "context", json_integer(context != 0 ? context : f->shape.context));
	json_object_set_new(o, "vocab", json_integer(f->shape.vocab));
	return o;
}

static json_t *
figures_json(const struct engine_stats *st)
{
	json_t *o = json_object();

	json_object_set_new(o, "prompt_tokens", json_integer((json_int_t)st->prompt_tokens));
	json_object_set_new(o, "cached_prompt_tokens", json_integer((json_int_t)st->cached_tokens));
	json_object_set_new(o, "new_tokens", json_integer((json_int_t)st->new_tokens));
	json_object_set_new(o, "steps", json_integer((json_int_t)st->steps));
	json_object_set_new(o, "kept_rows", json_integer((json_int_t)st->kept_rows));
	json_object_set_new(o, "again_rows", json_integer((json_int_t)st->again_rows));
	json_object_set_new(o, "steps_divided", json_integer((json_int_t)st->divided));
	json_object_set_new(o, "draft_tokens", json_integer((json_int_t)st->drafted));
	json_object_set_new(o, "draft_accepted_tokens", json_integer((json_int_t)st->accepted));
	json_object_set_new(o, "prompt_per_second",
		json_real(st->computed_seconds > 0
				  ? (double)st->computed_tokens / st->computed_seconds
				  : 0));
	json_object_set_new(o, "new_per_second",
		json_real(st->new_seconds > 0 ? (double)st->new_tokens / st->new_seconds : 0));
	json_object_set_new(o, "reduce_seconds", json_real(st->reduce_seconds));
	json_object_set_new(o, "sent_bytes", json_integer((json_int_t)st->sent_bytes));
	json_object_set_new(o, "received_bytes", json_integer((json_int_t)st->received_bytes));
	return o;
}

/* Which model drafts for the one that is served, or why none does; null: none is there for it. */
static json_t *
drafter_json(struct serve *s)
{
	const struct served_model *small;
	struct err why;

	if (s->drafter.small == NULL || s->served.id == NULL)
		return json_null();
	small = drafter_model(&s->drafter, &why);
	return small != NULL ? json_pack("{s:s}", "model", small->id)
			     : json_pack("{s:n,s:s}", "model", "why", why.msg);
}

/* What streams, and what of it stays; null: everything is in memory. */
static json_t *
weights_json(const struct weights_stats *w)
{
	if (w->bytes == 0)
		return json_null();
	return json_pack("{s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:f,s:f}", "bytes", (json_int_t)w->bytes,
		"resident_bytes", (json_int_t)w->resident, "ring_bytes", (json_int_t)w->ring,
		"streamed_bytes", (json_int_t)w->streamed, "passes", (json_int_t)w->passes,
		"streamed_per_step", w->passes > 0 ? (double)w->streamed / (double)w->passes : 0.0,
		"disk_seconds", w->reading, "disk_bytes_per_second",
		w->reading > 0 ? (double)w->streamed / w->reading : 0.0, "wait_seconds",
		w->waiting);
}

/* The way of the plan that is served; before that, the one that is wanted. */
static const char *
collective_in_force(const struct serve *s)
{
	bool fallen = s->plan != NULL && s->plan->state == PLAN_SERVING && s->plan->n > 1 &&
		      !s->plan->direct;

	return way_name(fallen ? WAY_STAR : serve_way(s->config));
}

/* The same of what sums travel as. */
static void
add_payload(const struct serve *s, json_t *o)
{
	const struct plan *p = s->plan;
	const char *token = p != NULL ? frame_format_name(p->payload.token) : s->config->payload;
	const char *prompt = p != NULL ? frame_format_name(p->payload.prompt) : s->config->payload;

	json_object_set_new(o, "payload", json_string(token));
	json_object_set_new(o, "prompt_payload", json_string(prompt));
}

json_t *
serve_status(struct serve *s)
{
	bool member = swarm_is_member(s->swarm);
	json_t *o = json_object(), *requests = json_object();
	struct engine_stats st;
	uint32_t all, waiting;
	uint64_t epoch = member ? (s->follow != NULL ? s->follow->epoch : 0)
				: (s->plan != NULL ? s->plan->epoch : 0);
	char words[512];
	bool serving = serve_words(s, words, sizeof words);

	serve_figures(s, &st);
	all = desk_requests(s->desk);
	waiting = all > st.running ? all - st.running : 0;
	json_object_set_new(o, "name", json_string(s->state->name));
	json_object_set_new(o, "software", json_string(PACKAGE_STRING));
	json_object_set_new(o, "role", json_string(member ? "member" : "coordinator"));
	json_object_set_new(o, "state", json_string(words));
	json_object_set_new(o, "serving", json_boolean(serving));
	stock_words(s, words, sizeof words);
	json_object_set_new(o, "background", json_string(words));
	json_object_set_new(o, "model", model_json(s));
	json_object_set_new(o, "epoch", json_integer((json_int_t)epoch));
	json_object_set_new(o, "election", elect_json(s->elect));
	add_payload(s, o);
	json_object_set_new(o, "collective", json_string(collective_in_force(s)));
	json_object_set_new(o, "kernels", json_string(s->kernels.name));
	json_object_set_new(o, "threads", json_integer(serve_threads(s)));
	json_object_set_new(o, "peers", member ? member_json(s) : swarm_json(s));
	json_object_set_new(requests, "running", json_integer(st.running));
	json_object_set_new(requests, "waiting", json_integer(waiting));
	json_object_set_new(o, "requests", requests);
	if (!member)
		json_object_set_new(o, "balance", balance_json(s));
	json_object_set_new(o, "figures", figures_json(&st));
	json_object_set_new(o, "drafter", drafter_json(s));
	json_object_set_new(o, "memory", json_string(s->config->memory));
	json_object_set_new(o, "kv_copies", copies_json(s));
	json_object_set_new(o, "uploads", uploads_json(s->uploads));
	json_object_set_new(o, "fetches",
		json_pack("{s:I,s:I}", "bytes", (json_int_t)s->fetched, "of_members",
			(json_int_t)s->from_fellows));
	json_object_set_new(o, "weights", weights_json(&st.weights));
	return o;
}
