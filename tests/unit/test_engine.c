/* The engine alone and in groups that are linked over loopback, each engine on its own thread:
 * greedy paths against ../shared/reference, and what happens when a member goes or misbehaves, a
 * request is cancelled, or too many come. */
#include "daemon/engine.h"
#include "daemon/log.h"
#include "daemon/star.h"
#include "kernels/cpu.h"
#include "tests/support/shared_dir.h"

#include <check.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_PEERS 4
#define MAX_IDS   128
#define N_CASES   4
#define EPOCH     7
#define PATIENCE  30000 /* ms: only a hanging test gets there */

/* --- the model and its reference ---------------------------------------------------------------- */

static struct {
	struct gguf *gguf;
	struct model_shape shape;
	struct tokenizer *tokenizer;
	struct kernels kernels;
	struct {
		uint32_t prompt[MAX_IDS], greedy[MAX_IDS];
		size_t n_prompt, n_greedy;
	} cases[N_CASES];
} m;

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

static void
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

static void
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
static void
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
count(void *arg)
{
	++*(unsigned *)arg;
}

/* --- links over loopback ------------------------------------------------------------------------ */

struct pair { /* the two ends of a link, open */
	struct link *near, *far;
	unsigned open;
};

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

static int
on_unexpected(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	(void)l, (void)arg, (void)msg;
	return err_set(err, "%zu bytes came too early", len);
}

static void
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

struct group {
	uv_loop_t loop;
	uint32_t n;
	struct engine *engines[MAX_PEERS];
	struct pair pairs[MAX_PEERS];
	unsigned broken[MAX_PEERS]; /* times that on_broken was called */
	char why[512];              /* the hub's */
	unsigned stopped, to_stop;
	struct engine_config config; /* of all, to be changed before group_start */
	struct slice slices[MAX_PEERS];
	char names[MAX_PEERS][PEER_NAME];
};

static struct group g;

static void
on_broken(void *arg, const char *why)
{
	unsigned rank = (unsigned)((unsigned *)arg - g.broken);

	g.broken[rank]++;
	if (rank == 0)
		snprintf(g.why, sizeof g.why, "%s", why);
}

static void
group_init(uint32_t n, const float *shares)
{
	struct err err = {""};

	memset(&g, 0, sizeof g);
	uv_loop_init(&g.loop);
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
		.tokenizer = m.tokenizer,
		.context = 512,
		.slots = N_CASES,
		.max_rows = 16,
		.queue = 8,
		.kv = KV_F32,
		.payload = FRAME_F32,
		.threads = 1,
		.kernels = &m.kernels,
		.names = g.names,
		.on_broken = on_broken,
	};
}

static void
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

static void
stop_engine(uint32_t rank)
{
	g.to_stop++;
	engine_stop(g.engines[rank], "the test ends", count, &g.stopped);
	g.engines[rank] = NULL;
}

static void
group_start(void)
{
	for (uint32_t i = 0; i < g.n; i++)
		start_engine(i);
}

static void
group_end(void)
{
	for (uint32_t i = 0; i < g.n; i++)
		if (g.engines[i] != NULL)
			stop_engine(i);
	wait_for(&g.loop, &g.stopped, g.to_stop, "engines to stop");
	uv_run(&g.loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&g.loop), 0);
}

/* --- requests ----------------------------------------------------------------------------------- */

struct job {
	struct request *request;
	unsigned texts, ended, failed;
	enum session_end end;
	uint32_t ids[MAX_IDS];
	struct usage usage;
	int status;
	char what[512];
	bool cancel_at_text;
};

static void
on_text(void *arg, const char *text, size_t len)
{
	struct job *j = arg;

	ck_assert_ptr_nonnull(text);
	ck_assert_uint_gt(len, 0);
	j->texts++;
	if (j->cancel_at_text)
		engine_cancel(g.engines[0], j->request);
}

static void
on_end(void *arg, enum session_end end, const struct usage *u)
{
	struct job *j = arg;

	j->ended++;
	j->end = end;
	j->usage = *u;
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

static const struct request_events events = {on_text, on_end, on_error};

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
static int
submit(struct job *j, unsigned number, uint32_t max_tokens)
{
	struct err err = {""};
	int status = 0;

	memset(j, 0, sizeof *j);
	j->request = engine_submit(
		g.engines[0], make_session(number, max_tokens), &events, j, &status, &err);
	if (j->request == NULL)
		snprintf(j->what, sizeof j->what, "%s", err.msg);
	return j->request != NULL ? 0 : status;
}

static void
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

static void
run_all_cases(struct job jobs[N_CASES])
{
	for (unsigned i = 0; i < N_CASES; i++)
		ck_assert_int_eq(submit(&jobs[i], i, (uint32_t)m.cases[i].n_greedy), 0);
	for (unsigned i = 0; i < N_CASES; i++)
		while (!jobs[i].ended && !jobs[i].failed)
			uv_run(&g.loop, UV_RUN_ONCE);
}

static void
check_group(uint32_t n, const float *shares)
{
	struct job jobs[N_CASES];
	struct engine_stats st;

	group_init(n, shares);
	group_start();
	run_all_cases(jobs);
	for (unsigned i = 0; i < N_CASES; i++)
		check_greedy(&jobs[i], i);
	engine_stats(g.engines[0], &st);
	ck_assert_uint_eq(st.running + st.waiting, 0);
	ck_assert_uint_eq(st.new_tokens, N_CASES * m.cases[0].n_greedy);
	ck_assert_int_eq(st.sent_bytes > 0, n > 1);
	ck_assert_int_eq(st.received_bytes > 0, n > 1);
	group_end();
	for (uint32_t i = 0; i < n; i++)
		ck_assert_uint_eq(g.broken[i], 0);
}

/* --- tests: the same ids whatever the group ----------------------------------------------------- */

START_TEST(alone)
{
	check_group(1, NULL);
}
END_TEST

START_TEST(groups_with_equal_shares)
{
	for (uint32_t n = 2; n <= MAX_PEERS; n++)
		check_group(n, NULL);
}
END_TEST

START_TEST(groups_with_uneven_shares)
{
	check_group(2, (const float[]){1, 3});
	check_group(3, (const float[]){3, 1, 2});
	check_group(4, (const float[]){1, 5, 1, 1}); /* someone is left without heads */
}
END_TEST

START_TEST(more_requests_than_slots)
{
	struct job jobs[N_CASES];

	group_init(2, NULL);
	g.config.slots = 1;
	g.config.max_rows = 3;
	group_start();
	run_all_cases(jobs);
	for (unsigned i = 0; i < N_CASES; i++)
		check_greedy(&jobs[i], i);
	ck_assert(jobs[3].usage.queue_seconds > jobs[0].usage.queue_seconds);
	group_end();
}
END_TEST

START_TEST(narrow_payloads)
{
	const enum frame_format formats[] = {FRAME_F16, FRAME_Q8};

	for (unsigned i = 0; i < 2; i++) {
		struct job jobs[N_CASES];
		uint64_t sent;
		struct engine_stats st;

		group_init(3, NULL);
		g.config.payload = formats[i];
		group_start();
		run_all_cases(jobs);
		for (unsigned k = 0; k < N_CASES; k++) {
			ck_assert_msg(jobs[k].ended == 1, "%s", jobs[k].what);
			ck_assert_uint_eq(jobs[k].ids[0], m.cases[k].greedy[0]);
			ck_assert_uint_eq(jobs[k].usage.new_tokens, m.cases[k].n_greedy);
		}
		engine_stats(g.engines[0], &st);
		sent = st.sent_bytes;
		ck_assert_uint_gt(sent, 0);
		group_end();
	}
}
END_TEST

/* --- tests: trouble ----------------------------------------------------------------------------- */

START_TEST(member_lost_during_the_answer)
{
	struct job running, waiting, late;
	uint64_t lost;

	group_init(3, NULL);
	g.config.slots = 1;
	group_start();
	ck_assert_int_eq(submit(&running, 0, 500), 0);
	ck_assert_int_eq(submit(&waiting, 1, 10), 0);
	wait_for(&g.loop, &running.texts, 3, "the first texts");
	stop_engine(2);
	lost = uv_hrtime();
	wait_for(&g.loop, &running.failed, 1, "the error");
	wait_for(&g.loop, &waiting.failed, 1, "the error of the one that waits");
	ck_assert_uint_lt(uv_hrtime() - lost, 1000000000u);
	ck_assert_int_eq(running.status, 502);
	ck_assert_ptr_nonnull(strstr(running.what, "member-2 was lost during the answer"));
	ck_assert_int_eq(waiting.status, 503);
	ck_assert_ptr_nonnull(strstr(waiting.what, "member-2"));
	wait_for(&g.loop, &g.broken[0], 1, "on_broken");
	ck_assert_ptr_nonnull(strstr(g.why, "member-2 was lost"));
	wait_for(&g.loop, &g.broken[1], 1, "the other member to hear of it");
	ck_assert_int_eq(submit(&late, 0, 10), 503);
	ck_assert_ptr_nonnull(strstr(late.what, "member-2"));
	group_end();
	ck_assert_uint_eq(g.broken[0], 1);
	ck_assert_uint_eq(running.ended, 0);
	ck_assert_uint_eq(running.failed, 1);
}
END_TEST

START_TEST(member_lost_while_idle)
{
	group_init(2, NULL);
	group_start();
	stop_engine(1);
	wait_for(&g.loop, &g.broken[0], 1, "on_broken");
	ck_assert_ptr_nonnull(strstr(g.why, "member-1 was lost"));
	group_end();
}
END_TEST

/* A member that answers a step with what it should not. */
struct liar {
	struct frame answer;
	unsigned asked;
};

static int
on_step(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct liar *liar = arg;
	uint8_t head[FRAME_HEADER], body[64 * 64 * 4] = {0};
	const uint8_t *payload;
	struct frame f;

	ck_assert_msg(frame_read(msg, len, 64, 512, &f, &payload, err) == 0, "%s", err->msg);
	ck_assert_int_eq(f.kind, FRAME_STEP);
	liar->asked++;
	liar->answer.step += f.step;
	liar->answer.rows += f.rows;
	frame_write(&liar->answer, head);
	link_send(l, head, sizeof head, body,
		frame_payload(FRAME_F32, liar->answer.rows, liar->answer.width));
	return 0;
}

static void
check_liar(struct frame answer, const char *word)
{
	static const struct link_events liar_events = {.on_message = on_step, .on_close = on_lost};
	struct liar liar = {.answer = answer};
	struct job j;

	group_init(2, NULL);
	link_set(g.pairs[1].far, &liar_events, &liar);
	start_engine(0);
	ck_assert_int_eq(submit(&j, 0, 10), 0);
	wait_for(&g.loop, &j.failed, 1, "the error");
	ck_assert_uint_eq(liar.asked, 1);
	ck_assert_int_eq(j.status, 502);
	ck_assert_msg(strstr(j.what, "member-1") != NULL && strstr(j.what, word) != NULL,
		"'%s' does not say '%s'", j.what, word);
	group_end();
}

START_TEST(wrong_frames_break_the_group)
{
	const struct frame good = {
		.epoch = EPOCH, .kind = FRAME_PART, .format = FRAME_F32, .width = m.shape.embd};
	struct frame f;

	f = good, f.epoch++;
	check_liar(f, "epoch");
	f = good, f.step = 1; /* of the next step */
	check_liar(f, "step");
	f = good, f.layer = 1;
	check_liar(f, "layer 1.0");
	f = good, f.extra = 1; /* the phase */
	check_liar(f, "layer 0.1");
	f = good, f.kind = FRAME_LOGITS;
	check_liar(f, "LOGITS");
	f = good, f.kind = FRAME_STEP;
	check_liar(f, "bytes");
	f = good, f.kind = FRAME_SUM;
	check_liar(f, "only a hub sends");
	f = good, f.rows = 1;
	check_liar(f, "was due");
	f = good, f.width--;
	check_liar(f, "was due");
	f = good, f.kind = FRAME_VOID, f.width = 0;
	check_liar(f, "gave the step up");
}
END_TEST

/* A hub that sends a member what it should not: the member's engine breaks and says so. */
static void
check_lying_hub(const struct frame *f, const void *rows, size_t rows_len)
{
	static const struct link_events hub_events = {
		.on_message = on_unexpected, .on_close = on_lost};
	uint8_t *msg = calloc(1, 65536);
	size_t len = FRAME_HEADER + rows_len + frame_payload(FRAME_F32, f->rows, f->width);

	ck_assert_ptr_nonnull(msg);
	group_init(2, NULL);
	link_set(g.pairs[1].near, &hub_events, NULL);
	start_engine(1);
	frame_write(f, msg);
	memcpy(msg + FRAME_HEADER, rows, rows_len);
	link_send(g.pairs[1].near, msg, len, NULL, 0);
	wait_for(&g.loop, &g.broken[1], 1, "the member to refuse");
	free(msg);
	group_end();
}

START_TEST(a_member_refuses_wrong_steps)
{
	const struct frame good = {.epoch = EPOCH,
		.step = 1,
		.kind = FRAME_STEP,
		.rows = 1,
		.width = m.shape.embd,
		.extra = 1};
	uint8_t row[12] = {0, 0, 0, 0, 0, 0, 0, 0, STEP_LOGITS};
	struct frame f;

	f = good, f.step = 2;
	check_lying_hub(&f, row, 12);
	f = good, f.extra = 0;
	check_lying_hub(&f, row, 12);
	row[0] = N_CASES; /* no such slot */
	check_lying_hub(&good, row, 12);
	row[0] = 0, row[5] = 2; /* position 512 of 512 */
	check_lying_hub(&good, row, 12);
	row[5] = 0, row[4] = 5; /* a position that nothing leads to */
	check_lying_hub(&good, row, 12);
	row[4] = 0, row[8] = 3; /* an unknown flag */
	check_lying_hub(&good, row, 12);
	f = good, f.rows = 0, f.extra = 0;
	check_lying_hub(&f, row, 0);
	f = good, f.kind = FRAME_SUM;
	check_lying_hub(&f, row, 0);
}
END_TEST

START_TEST(a_cancelled_request_frees_its_slot)
{
	struct job cancelled, waiting, next;
	struct engine_stats st;

	group_init(2, NULL);
	g.config.slots = 1;
	group_start();
	ck_assert_int_eq(submit(&cancelled, 0, 500), 0);
	cancelled.cancel_at_text = true;
	ck_assert_int_eq(submit(&waiting, 1, 5), 0);
	engine_cancel(g.engines[0], waiting.request); /* before it ever ran */
	ck_assert_int_eq(submit(&next, 2, (uint32_t)m.cases[2].n_greedy), 0);
	wait_for(&g.loop, &next.ended, 1, "the request after the cancelled one");
	check_greedy(&next, 2);
	ck_assert_uint_eq(cancelled.texts, 1);
	ck_assert_uint_eq(cancelled.ended + cancelled.failed, 0);
	ck_assert_uint_eq(waiting.texts + waiting.ended + waiting.failed, 0);
	engine_stats(g.engines[0], &st);
	ck_assert_uint_eq(st.running + st.waiting, 0);
	group_end();
}
END_TEST

START_TEST(a_full_queue_says_429)
{
	struct job jobs[3], more;

	group_init(1, NULL);
	g.config.slots = 1;
	g.config.queue = 2;
	group_start();
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(submit(&jobs[i], i, 20), 0);
	ck_assert_int_eq(submit(&more, 3, 20), 429);
	ck_assert_ptr_nonnull(strstr(more.what, "3 requests"));
	for (unsigned i = 0; i < 3; i++)
		wait_for(&g.loop, &jobs[i].ended, 1, "the requests that got in");
	ck_assert_int_eq(submit(&more, 3, 20), 0);
	wait_for(&g.loop, &more.ended, 1, "a request after the crowd");
	group_end();
}
END_TEST

START_TEST(stopping_ends_requests_with_an_error)
{
	struct job running, waiting, late;

	group_init(2, NULL);
	g.config.slots = 1;
	group_start();
	ck_assert_int_eq(submit(&running, 0, 500), 0);
	ck_assert_int_eq(submit(&waiting, 1, 500), 0);
	wait_for(&g.loop, &running.texts, 1, "the first text");
	engine_stop(g.engines[0], "the coordinator is stopped", count, &g.stopped);
	g.to_stop++;
	ck_assert_int_eq(submit(&late, 2, 5), 503);
	g.engines[0] = NULL;
	wait_for(&g.loop, &running.failed, 1, "the error");
	wait_for(&g.loop, &waiting.failed, 1, "the other error");
	ck_assert_int_eq(running.status, 503);
	ck_assert_ptr_nonnull(strstr(running.what, "the coordinator is stopped"));
	ck_assert_int_eq(waiting.status, 503);
	group_end();
	ck_assert_uint_eq(running.ended, 0);
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
	struct engine_config c;
	struct err err = {""};
	struct job j;

	group_init(1, NULL);
	g.config.context = 4; /* shorter than the prompt */
	group_start();
	ck_assert_int_eq(submit(&j, 0, 5), 400);
	ck_assert_ptr_nonnull(strstr(j.what, "context of 4"));
	c = g.config;
	c.slots = 0;
	c.weights = weights_from_gguf(m.gguf, &m.shape, &g.slices[0], true, &err);
	ck_assert_ptr_null(engine_new(&g.loop, &c, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "room"));
	group_end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("engine");
	TCase *same = tcase_create("the same ids"), *trouble = tcase_create("trouble");
	SRunner *r = srunner_create(s);
	int failed;

	if (shared_file("models/stories260K.gguf") == NULL) {
		printf("SKIP engine: ../shared is not there\n");
		return TEST_SKIPPED;
	}
	log_open(LOG_LEVEL_ERROR); /* refused frames are meant here */
	if (sodium_init() < 0)
		return EXIT_FAILURE;
	tcase_add_checked_fixture(same, load, unload);
	tcase_add_checked_fixture(trouble, load, unload);
	tcase_set_timeout(same, 120);
	tcase_set_timeout(trouble, 120);
	tcase_add_test(same, alone);
	tcase_add_test(same, groups_with_equal_shares);
	tcase_add_test(same, groups_with_uneven_shares);
	tcase_add_test(same, more_requests_than_slots);
	tcase_add_test(same, narrow_payloads);
	tcase_add_test(trouble, member_lost_during_the_answer);
	tcase_add_test(trouble, member_lost_while_idle);
	tcase_add_test(trouble, wrong_frames_break_the_group);
	tcase_add_test(trouble, a_member_refuses_wrong_steps);
	tcase_add_test(trouble, a_cancelled_request_frees_its_slot);
	tcase_add_test(trouble, a_full_queue_says_429);
	tcase_add_test(trouble, stopping_ends_requests_with_an_error);
	tcase_add_test(trouble, what_does_not_fit_is_refused);
	suite_add_tcase(s, same);
	suite_add_tcase(s, trouble);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
