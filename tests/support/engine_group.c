#include "tests/support/engine_group.h"

#include "daemon/log.h"
#include "daemon/star.h"
#include "kernels/cpu.h"
#include "tests/support/shared_dir.h"

#include <check.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define PATIENCE 30000 /* ms: only a hanging test gets there */

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
	struct err err = {""};

	ck_assert_uint_eq(json_array_size(cases), N_CASES);
	for (size_t i = 0; i < N_CASES; i++) {
		json_t *c = json_array_get(cases, i);

		m.cases[i].n_prompt = read_ids(json_object_get(c, "prompt"), m.cases[i].prompt);
		m.cases[i].n_greedy = read_ids(json_object_get(c, "greedy"), m.cases[i].greedy);
	}
	json_decref(file);
	m.gguf = gguf_open(shared_file("models/stories260K.gguf"), &err);
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
	uv_timer_start(&t, on_patience, PATIENCE, 0);
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

/* --- links over loopback ------------------------------------------------------------------------ */

static void
on_near(struct link *l, void *arg)
{
	((struct pair *)arg)->near = l;
	((struct pair *)arg)->open++;
}

static void
on_far(struct link *l, void *arg)
{
	((struct pair *)arg)->far = l;
	((struct pair *)arg)->open++;
}

int
on_unexpected(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	(void)l, (void)arg, (void)msg;
	return err_set(err, "%zu bytes came too early", len);
}

void
on_lost(struct link *l, void *arg, const char *why)
{
	(void)l, (void)arg, (void)why; /* of a link that a test plays a member on */
}

static const struct link_events near_events = {on_near, on_unexpected, on_lost};
static const struct link_events far_events = {on_far, on_unexpected, on_lost};
static size_t max_message;

static int
admit(void *arg, struct link *l, const struct hello *h, uint8_t psk[32],
	const struct link_events **ev, void **ev_arg, size_t *max, struct err *err)
{
	(void)l, (void)h, (void)psk, (void)err;
	*ev = &near_events;
	*ev_arg = arg;
	*max = max_message;
	return 0;
}

/* Opens a tensor link: near is the hub's end, far the member's. */
static void
open_pair(uv_loop_t *loop, struct pair *p)
{
	static uint8_t keys[4][32];
	struct link_identity hub = {keys[0], keys[1]}, member = {keys[2], keys[3]};
	const struct link_gate gate = {admit, p};
	struct link_listener *listener;
	struct err err = {""};

	for (int i = 0; i < 4; i += 2) {
		randombytes_buf(keys[i], 32);
		noise_public(keys[i + 1], keys[i]);
	}
	*p = (struct pair){0};
	max_message = star_max_message(64, 8, m.shape.embd, m.shape.vocab);
	listener = link_listen(loop, &hub, "127.0.0.1", 0, &gate, &err);
	ck_assert_msg(listener != NULL, "%s", err.msg);
	link_dial(loop, &member, "127.0.0.1", link_listener_port(listener), LINK_TENSOR, keys[1],
		NULL, NULL, max_message, &far_events, p);
	wait_for(loop, &p->open, 2, "a link to open");
	link_listener_close(listener);
}

/* --- groups ------------------------------------------------------------------------------------- */

static void
on_broken(void *arg, const char *who, const char *why)
{
	unsigned rank = (unsigned)((unsigned *)arg - g.broken);

	g.broken[rank]++;
	if (rank > 0)
		return;
	snprintf(g.who, sizeof g.who, "%s", who);
	snprintf(g.why, sizeof g.why, "%s", why);
}

void
group_init(uint32_t n, const float *shares)
{
	struct err err = {""};

	memset(&g, 0, sizeof g);
	uv_loop_init(&g.loop);
	g.desk = desk_new(&g.loop, &err);
	ck_assert_msg(g.desk != NULL, "%s", err.msg);
	desk_limit(g.desk, 512, N_CASES + 8);
	g.n = n;
	ck_assert_msg(slice_cut(&m.shape, shares, n, g.slices, &err) == 0, "%s", err.msg);
	for (uint32_t i = 0; i < n; i++)
		snprintf(g.names[i], PEER_NAME, i == 0 ? "hub" : "member-%u", i);
	for (uint32_t i = 1; i < n; i++)
		open_pair(&g.loop, &g.pairs[i]);
	g.config = (struct engine_config){
		.epoch = EPOCH,
		.shape = &m.shape,
		.slices = g.slices,
		.peers = n,
		.desk = g.desk,
		.context = 512,
		.slots = N_CASES,
		.max_rows = 16,
		.kv = KV_F32,
		.payload = FRAME_F32,
		.threads = 1,
		.kernels = &m.kernels,
		.names = g.names,
		.on_broken = on_broken,
	};
}

void
start_engine(uint32_t rank)
{
	struct engine_config c = g.config;
	struct link_detached links[MAX_PEERS];
	struct err err = {""};

	c.rank = rank;
	c.arg = &g.broken[rank];
	c.links = links;
	c.weights = weights_from_gguf(m.gguf, &m.shape, &g.slices[rank], rank == 0, &err);
	ck_assert_msg(c.weights != NULL, "%s", err.msg);
	for (uint32_t i = 1; rank == 0 && i < g.n; i++)
		ck_assert_msg(
			link_detach(g.pairs[i].near, &links[i - 1], &err) == 0, "%s", err.msg);
	if (rank > 0)
		ck_assert_msg(link_detach(g.pairs[rank].far, &links[0], &err) == 0, "%s", err.msg);
	g.engines[rank] = engine_new(&g.loop, &c, &err);
	ck_assert_msg(g.engines[rank] != NULL, "%s", err.msg);
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
	g.config.peers = 1;
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
on_ids(void *arg, const uint32_t *ids, size_t n)
{
	struct job *j = arg;

	for (size_t i = 0; i < n; i++, j->n_heard++)
		if (j->n_heard < MAX_IDS)
			j->heard[j->n_heard] = ids[i];
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
}

static void
on_end(void *arg, enum session_end end, const struct usage *u)
{
	struct job *j = arg;

	j->ended++;
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

static const struct request_events events = {
	.on_text = on_text, .on_end = on_end, .on_error = on_error, .on_ids = on_ids};

static struct session *
make_session(unsigned number, uint32_t max_tokens)
{
	struct session_params p = {
		.sampler = sampler_defaults(),
		.max_tokens = max_tokens,
		.context = 512,
		.ignore_end = true,
	};
	struct err err = {""};
	struct session *s;

	p.sampler.temperature = 0;
	s = session_new(m.tokenizer, &p, m.cases[number].prompt, m.cases[number].n_prompt, &err);
	ck_assert_msg(s != NULL, "%s", err.msg);
	return s;
}

/* Returns 0 or the status. */
int
submit(struct job *j, unsigned number, uint32_t max_tokens)
{
	struct err err = {""};
	int status = 0;

	memset(j, 0, sizeof *j);
	j->client = submit_client;
	j->request = desk_submit(
		g.desk, make_session(number, max_tokens), j->client, &events, j, &status, &err);
	if (j->request == NULL)
		snprintf(j->what, sizeof j->what, "%s", err.msg);
	return j->request != NULL ? 0 : status;
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
	log_open(LOG_LEVEL_ERROR); /* refused frames are meant here */
	return sodium_init() < 0 ? EXIT_FAILURE : 0;
}
