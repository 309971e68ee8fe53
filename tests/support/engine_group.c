#include "tests/support/engine_group.h"

#include "daemon/log.h"
#include "daemon/star.h"
#include "kernels/cpu.h"
#include "model/shard.h"
#include "tests/support/patience.h"
#include "tests/support/shared_dir.h"

#include <check.h>
#include <jansson.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

struct test_model m;
struct group g;

/* --- the model and its reference ---------------------------------------------------------------- */

static size_t
read_ids(json_t *list, uint32_t *out)
{
	size_t n = json_array_size(list);

	ck_assert_uint_gt(n, 0);
	ck_assert_uint_le(n, MAX_IDS);
	for (size_t i = 0; i < n; i++)
		out[i] = (uint32_t)json_integer_value(json_array_get(list, i));
	return n;
}

void
load(void)
{
	json_t *file = json_load_file(shared_file("reference/stories260K-greedy.json"), 0, NULL);
	json_t *cases = json_object_get(file, "cases");

	ck_assert_uint_eq(json_array_size(cases), N_CASES);
	for (size_t i = 0; i < N_CASES; i++) {
		json_t *c = json_array_get(cases, i);

		m.cases[i].n_prompt = read_ids(json_object_get(c, "prompt"), m.cases[i].prompt);
		m.cases[i].n_greedy = read_ids(json_object_get(c, "greedy"), m.cases[i].greedy);
	}
	json_decref(file);
	load_model(shared_file("models/stories260K.gguf"));
}

void
load_model(const char *path)
{
	struct err err = {""};

	m.gguf = gguf_open(path, &err);
	ck_assert_msg(m.gguf != NULL, "%s", err.msg);
	ck_assert_msg(shape_from_gguf(m.gguf, &m.shape, &err) == 0, "%s", err.msg);
	m.tokenizer = tokenizer_new(m.gguf, &err);
	ck_assert_msg(m.tokenizer != NULL, "%s", err.msg);
	kernels_init(&m.kernels, cpu_detect());
}

void
unload(void)
{
	tokenizer_free(m.tokenizer);
	gguf_close(m.gguf);
}

/* --- turning the main loop ---------------------------------------------------------------------- */

static void
on_patience(uv_timer_t *t)
{
	ck_abort_msg("still waiting for %s", (const char *)t->data);
}

/* Turns the loop until *flag is at least n. */
void
wait_for(uv_loop_t *loop, const unsigned *flag, unsigned n, const char *what)
{
	uv_timer_t t;

	uv_timer_init(loop, &t);
	t.data = (void *)(uintptr_t)what;
	uv_timer_start(&t, on_patience, PATIENCE_MS, 0);
	while (*flag < n)
		uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&t, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
}

static void
count_one(void *arg)
{
	++*(unsigned *)arg;
}

/* --- groups ------------------------------------------------------------------------------------- */

static void
on_broken(void *arg, const char *who, const char *why)
{
	unsigned rank = (unsigned)((unsigned *)arg - g.broken);

	g.broken[rank]++;
	snprintf(g.told[rank], sizeof g.told[rank], "%s", why);
	if (rank > 0)
		return;
	snprintf(g.who, sizeof g.who, "%s", who);
	snprintf(g.why, sizeof g.why, "%s", why);
}

static size_t
max_message(void)
{
	return star_max_message(64, 16, m.shape.embd, m.shape.vocab);
}

static void
init(uint32_t n)
{
	struct err err = {""};

	memset(&g, 0, sizeof g);
	uv_loop_init(&g.loop);
	g.desk = desk_new(&g.loop, &err);
	ck_assert_msg(g.desk != NULL, "%s", err.msg);
	desk_limit(g.desk, 512, N_CASES + 8);
	g.n = n;
	stages_one(&g.stages, n, m.shape.layers);
	for (uint32_t i = 0; i < n; i++)
		snprintf(g.names[i], PEER_NAME, i == 0 ? "hub" : "member-%u", i);
	g.config = (struct engine_config){
		.epoch = EPOCH,
		.shape = &m.shape,
		.slices = g.slices,
		.peers = n,
		.desk = g.desk,
		.context = 512,
		.slots = N_CASES,
		.max_rows = 16,
		.guess = true,
		.kv = KV_F32,
		.payload = {FRAME_F32, FRAME_F32},
		.threads = 1,
		.kernels = &m.kernels,
		.names = g.names,
		.on_broken = on_broken,
	};
}

void
group_init(uint32_t n, const float *shares)
{
	struct err err = {""};

	init(n);
	ck_assert_msg(slice_cut(&m.shape, shares, n, g.slices, &err) == 0, "%s", err.msg);
	slice_row_shares(&m.shape, g.slices, n, g.config.row_shares);
	for (uint32_t i = 1; i < n; i++)
		pair_open(&g.loop, &g.pairs[i], max_message());
}

/* The slices of a stage's peers, of equal shares. */
static void
cut_stage(const struct stage *st)
{
	struct err err = {""};

	ck_assert_msg(
		slice_cut(&m.shape, NULL, st->n, g.slices + st->first, &err) == 0, "%s", err.msg);
	for (uint32_t i = 0; i < st->n; i++)
		slice_narrow(&m.shape, st->layer0, st->layers, &g.slices[st->first + i]);
}

void
group_init_stages(uint32_t n, const uint32_t *sizes, enum collective_way way)
{
	uint32_t peers = 0, layers = m.shape.layers;
	struct err err = {""};

	for (uint32_t i = 0; i < n; i++)
		peers += sizes[i];
	init(peers);
	g.config.way = way;
	g.stages.n = 0;
	for (uint32_t i = 0; i < n; i++) {
		ck_assert_msg(stages_add(&g.stages, sizes[i], layers * (i + 1) / n - layers * i / n,
				      &err) == 0,
			"%s", err.msg);
		cut_stage(&g.stages.list[i]);
	}
	for (uint32_t a = 0; a < peers; a++)
		for (uint32_t b = a + 1; b < peers; b++)
			if (stages_linked(&g.stages, way, a, b))
				pair_open(&g.loop, a == 0 ? &g.pairs[b] : &g.between[a][b],
					max_message());
}

/* What has come already is handed over with the link, as the bytes behind a handshake are. */
static void
take_unread(struct link_detached *d)
{
	uint8_t bytes[65536];
	ssize_t n;

	while ((n = recv(d->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		ck_assert_int_eq(buf_append(&d->unread, bytes, (size_t)n), 0);
}

void
group_link_members(enum collective_way way)
{
	g.config.way = way;
	for (uint32_t i = 1; i < g.n && way != WAY_STAR; i++)
		for (uint32_t k = i + 1; k < g.n; k++)
			pair_open(&g.loop, &g.between[i][k], max_message());
}

/* The end that a peer has of its link with another. */
static struct link *
end_of(uint32_t peer, uint32_t other)
{
	uint32_t low = peer < other ? peer : other, high = peer < other ? other : peer;
	struct pair *p = low == 0 ? &g.pairs[high] : &g.between[low][high];

	return peer == low ? p->near : p->far;
}

static void
take_end(uint32_t peer, uint32_t other, struct link_detached *out)
{
	pair_detach(end_of(peer, other), out);
	if (peer > 0)
		take_unread(out);
}

void
group_take_links(const struct engine_config *c, struct link_detached *out)
{
	uint32_t first = c->number - c->rank, n = 0;

	for (uint32_t i = 0; c->peers > 1 && i < star_links(c->rank, c->peers, c->way); i++)
		take_end(c->number, first + (i < c->rank ? i : i + 1), &out[n++]);
	if (c->rank > 0 || c->stages < 2)
		return;
	take_end(c->number, c->behind, &out[n++]);
	if (c->before != c->behind)
		take_end(c->number, c->before, &out[n++]);
}

void
start_engine(uint32_t number)
{
	struct engine_config c = g.config;
	struct link_detached links[MAX_PEERS];
	struct err err = {""};

	engine_place(&c, &g.stages, number);
	c.slices = g.slices + number - c.rank;
	c.desk = number == 0 ? g.desk : NULL;
	c.arg = &g.broken[number];
	c.links = links;
	c.weights = weights_tiled_from_gguf(
		m.gguf, &m.shape, &g.slices[number], number == 0, NULL, NULL, &err);
	ck_assert_msg(c.weights != NULL, "%s", err.msg);
	if (g.on_weights != NULL)
		g.on_weights(number, c.weights);
	group_take_links(&c, links);
	g.engines[number] = engine_new(&g.loop, &c, &err);
	ck_assert_msg(g.engines[number] != NULL, "%s", err.msg);
}

void
stop_engine(uint32_t rank)
{
	g.to_stop++;
	engine_stop(g.engines[rank], "the test ends", count_one, &g.stopped);
	g.engines[rank] = NULL;
}

void
start_alone(void)
{
	struct err err = {""};

	g.n = 1;
	stages_one(&g.stages, 1, m.shape.layers);
	ck_assert_int_eq(slice_cut(&m.shape, NULL, 1, g.slices, &err), 0);
	start_engine(0);
}

void
group_start(void)
{
	for (uint32_t i = 0; i < g.n; i++)
		start_engine(i);
}

void
group_end(void)
{
	for (uint32_t i = 0; i < g.n; i++)
		if (g.engines[i] != NULL)
			stop_engine(i);
	wait_for(&g.loop, &g.stopped, g.to_stop, "engines to stop");
	desk_close(g.desk);
	uv_run(&g.loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&g.loop), 0);
	desk_free(g.desk);
}

/* --- requests ----------------------------------------------------------------------------------- */

static void
on_ids(void *arg, const uint32_t *ids, size_t n, const struct usage *so_far)
{
	struct job *j = arg;

	ck_assert_uint_eq(so_far->new_tokens, j->n_heard + n);
	ck_assert_ptr_null(so_far->tokens);

	for (size_t i = 0; i < n; i++, j->n_heard++)
		if (j->n_heard < MAX_IDS)
			j->heard[j->n_heard] = ids[i];
}

static void
on_odds(void *arg, const struct token_odds *odds, size_t n, bool lost)
{
	struct job *j = arg;

	ck_assert(!lost);
	for (size_t i = 0; i < n; i++, j->n_odds++)
		if (j->n_odds < MAX_IDS)
			j->odds[j->n_odds] = odds[i];
}

static void
on_text(void *arg, const char *text, size_t len)
{
	struct job *j = arg;

	ck_assert_uint_gt(j->n_heard, j->texts); /* ids come before their text */

	ck_assert_ptr_nonnull(text);
	ck_assert_uint_gt(len, 0);
	j->texts++;
	if (j->cancel_at_text)
		desk_cancel(g.desk, j->request);
	if (j->stop_at_text)
		desk_stop(g.desk, j->request);
}

static unsigned n_ended; /* of all jobs */

static void
on_end(void *arg, enum session_end end, const struct usage *u)
{
	struct job *j = arg;

	j->ended++;
	j->place = ++n_ended;
	j->end = end;
	j->usage = *u;
	ck_assert_uint_eq(j->n_heard, u->new_tokens);
	if (u->new_tokens <= MAX_IDS)
		ck_assert_mem_eq(j->heard, u->tokens, u->new_tokens * sizeof *j->heard);
	if (u->new_tokens <= MAX_IDS)
		memcpy(j->ids, u->tokens, u->new_tokens * sizeof *j->ids);
}

static void
on_error(void *arg, int status, const char *what)
{
	struct job *j = arg;

	j->failed++;
	j->status = status;
	snprintf(j->what, sizeof j->what, "%s", what);
}

uint64_t submit_client;

static const struct request_events events = {.on_text = on_text,
	.on_end = on_end,
	.on_error = on_error,
	.on_ids = on_ids,
	.on_odds = on_odds};

struct session_params
greedy_params(uint32_t max_tokens)
{
	struct session_params p = {
		.sampler = sampler_defaults(),
		.max_tokens = max_tokens,
		.max_guesses = UINT32_MAX,
		.context = 512,
		.ignore_end = true,
	};

	p.sampler.temperature = 0;
	return p;
}

static struct session *
make_session(unsigned number, uint32_t max_tokens, const struct sampler_params *sampler)
{
	struct session_params p = greedy_params(max_tokens);
	struct err err = {""};
	struct session *s;

	if (sampler != NULL)
		p.sampler = *sampler;
	s = session_new(m.tokenizer, &p, m.cases[number].prompt, m.cases[number].n_prompt, &err);
	ck_assert_msg(s != NULL, "%s", err.msg);
	return s;
}

int
submit_session(struct job *j, struct session *s)
{
	struct err err = {""};
	size_t n, n_prompt = session_n_prompt(s);
	const uint32_t *ids = session_ids(s, &n);
	int status = 0;

	memset(j, 0, sizeof *j);
	j->client = submit_client;
	for (size_t i = n_prompt; i < n; i++) /* of an answer that goes on */
		j->heard[j->n_heard++] = ids[i];
	j->request = desk_submit(g.desk, s, j->client, &events, j, &status, &err);
	if (j->request == NULL)
		snprintf(j->what, sizeof j->what, "%s", err.msg);
	return j->request != NULL ? 0 : status;
}

int
submit_sampled(
	struct job *j, unsigned number, uint32_t max_tokens, const struct sampler_params *sampler)
{
	return submit_session(j, make_session(number, max_tokens, sampler));
}

int
submit(struct job *j, unsigned number, uint32_t max_tokens)
{
	return submit_sampled(j, number, max_tokens, NULL);
}

void
run_sampled(struct job jobs[], unsigned n)
{
	struct sampler_params p[] = {
		sampler_defaults(), sampler_defaults(), sampler_defaults(), sampler_defaults()};

	p[1].top_k = 0;
	p[1].top_p = 0.8f;
	p[2].top_k = 0;
	p[2].min_p = 0;
	p[2].top_p = 0.9999f;
	p[2].temperature = 1.5f;
	p[3].repeat_penalty = 1.2f;
	desk_limit(g.desk, 512, n);
	for (unsigned i = 0; i < n; i++) {
		p[i % 4].seed = i;
		ck_assert_int_eq(submit_sampled(&jobs[i], i / 4, N_SAMPLED, &p[i % 4]), 0);
	}
	for (unsigned i = 0; i < n; i++)
		while (!jobs[i].ended && !jobs[i].failed)
			uv_run(&g.loop, UV_RUN_ONCE);
}

void
check_greedy(const struct job *j, unsigned number)
{
	ck_assert_msg(j->failed == 0, "case %u: %s", number, j->what);
	ck_assert_uint_eq(j->ended, 1);
	ck_assert_int_eq(j->end, SESSION_LENGTH);
	ck_assert_uint_eq(j->usage.prompt_tokens, m.cases[number].n_prompt);
	ck_assert_uint_eq(j->usage.new_tokens, m.cases[number].n_greedy);
	for (size_t i = 0; i < m.cases[number].n_greedy; i++)
		ck_assert_msg(j->ids[i] == m.cases[number].greedy[i],
			"case %u, token %zu: %u instead of %u", number, i, j->ids[i],
			m.cases[number].greedy[i]);
}

void
run_all_cases(struct job jobs[N_CASES])
{
	for (unsigned i = 0; i < N_CASES; i++)
		ck_assert_int_eq(submit(&jobs[i], i, (uint32_t)m.cases[i].n_greedy), 0);
	for (unsigned i = 0; i < N_CASES; i++)
		while (!jobs[i].ended && !jobs[i].failed)
			uv_run(&g.loop, UV_RUN_ONCE);
}

int
engine_tests_begin(const char *name)
{
	if (shared_file("models/stories260K.gguf") == NULL) {
		printf("SKIP %s: ../shared is not there\n", name);
		return TEST_SKIPPED;
	}
	signal(SIGPIPE, SIG_IGN);  /* as the daemon does: a peer may be gone */
	log_open(LOG_LEVEL_ERROR); /* refused frames are meant here */
	return sodium_init() < 0 ? EXIT_FAILURE : 0;
}
