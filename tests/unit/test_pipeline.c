/* Engines in pipelines, linked over loopback, each on its own thread: greedy paths against
 * ../shared/reference, several sessions at once, and what happens when a stage goes, or sends what is not
 * due. */
#include "daemon/ring.h"
#include "tests/support/engine_group.h"
#include "tests/support/patience.h"

#include <check.h>
#include <stdlib.h>

struct division {
	enum collective_way way;
	uint32_t n, sizes[5];
};

/* Of five layers: an odd one is over. */
static const struct division layouts[] = {
	{WAY_STAR, 2, {1, 1}},
	{WAY_STAR, 3, {1, 1, 1}},
	{WAY_STAR, 5, {1, 1, 1, 1, 1}},
	{WAY_STAR, 2, {2, 2}},
	{WAY_STAR, 2, {1, 3}},
	{WAY_AUTO, 3, {3, 1, 3}},
	{WAY_SCATTER, 2, {1, 4}},
};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

static void
pipeline_init(const struct division *l)
{
	group_init_stages(l->n, l->sizes, l->way);
}

static void
pipeline_end(void)
{
	uint32_t n = g.n;

	group_end();
	for (uint32_t i = 0; i < n; i++)
		ck_assert_uint_eq(g.broken[i], 0);
}

/* --- the same ids ------------------------------------------------------------------------------- */

static void
check_greedy_of(const struct division *l, enum overlap_mode overlap)
{
	struct job jobs[N_CASES];
	struct engine_stats st;

	pipeline_init(l);
	g.config.overlap = overlap;
	group_start();
	run_all_cases(jobs);
	for (unsigned i = 0; i < N_CASES; i++)
		check_greedy(&jobs[i], i);
	engine_stats(g.engines[0], &st);
	ck_assert_uint_eq(st.running + desk_requests(g.desk), 0);
	ck_assert_uint_eq(st.new_tokens, N_CASES * m.cases[0].n_greedy);
	ck_assert_uint_gt(st.sent_bytes, 0);
	ck_assert_uint_gt(st.received_bytes, 0);
	pipeline_end();
}

START_TEST(greedy_is_the_same)
{
	check_greedy_of(&layouts[_i], OVERLAP_AUTO);
}
END_TEST

/* Each group divides its steps. */
START_TEST(greedy_is_the_same_in_divided_steps)
{
	check_greedy_of(&layouts[_i], OVERLAP_ON);
}
END_TEST

/* Bytes that the coordinator sends in a pipeline of single devices, which has no sums. */
static uint64_t
hidden_bytes(enum frame_format payload, bool exact)
{
	struct job jobs[N_CASES];
	struct engine_stats st;
	unsigned same = 0, all = 0;

	pipeline_init(&layouts[1]);
	g.config.payload = (struct sum_format){payload, payload};
	g.config.guess = false;
	group_start();
	run_all_cases(jobs);
	for (unsigned i = 0; i < N_CASES; i++) {
		ck_assert_msg(jobs[i].failed == 0, "case %u: %s", i, jobs[i].what);
		all += (unsigned)m.cases[i].n_greedy;
		for (size_t k = 0;
			k < m.cases[i].n_greedy && jobs[i].ids[k] == m.cases[i].greedy[k]; k++)
			same++;
	}
	ck_assert_uint_ge(same, exact ? all : all / 2);
	engine_stats(g.engines[0], &st);
	pipeline_end();
	return st.sent_bytes;
}

/* Hidden rows have half the bytes, where sums have as many or fewer; the texts are nearly the same. */
START_TEST(hidden_rows_may_be_narrow)
{
	uint64_t wide = hidden_bytes(FRAME_F32, true);

	ck_assert_uint_lt(hidden_bytes(FRAME_F16, false), wide * 6 / 10);
	ck_assert_uint_lt(hidden_bytes(FRAME_Q8, false), wide * 6 / 10);
}
END_TEST

/* Prompts in many chunks, more requests than slots. */
START_TEST(small_steps)
{
	struct job jobs[N_CASES];

	pipeline_init(&layouts[1]);
	g.config.slots = (uint32_t)_i;
	g.config.max_rows = 3;
	group_start();
	run_all_cases(jobs);
	for (unsigned i = 0; i < N_CASES; i++)
		check_greedy(&jobs[i], i);
	pipeline_end();
}
END_TEST

/* Of four sessions no step has more than two rows where there are two stages; a lone session's have one. */
START_TEST(sessions_are_divided_among_the_stages)
{
	const uint64_t tokens = m.cases[0].n_greedy - 1; /* the first one comes with the prompt */
	struct engine_stats st[2] = {{0}, {0}};
	struct job jobs[N_CASES];
	uint64_t since = 0;

	pipeline_init(&layouts[0]);
	g.config.guess = false;
	group_start();
	run_all_cases(jobs);
	engine_stats(g.engines[0], &st[0]);
	ck_assert_uint_ge(st[0].steps, N_CASES * tokens / 2);
	pipeline_end();
	st[0] = (struct engine_stats){0};
	pipeline_init(&layouts[0]);
	g.config.guess = false;
	group_start();
	ck_assert_int_eq(submit(&jobs[0], 0, (uint32_t)m.cases[0].n_greedy), 0);
	wait_for(&g.loop, &jobs[0].ended, 1, "an answer");
	for (uint32_t i = 0; i < 2; i++)
		/* A stage's figures are there a moment after its answer. */
		do
			engine_stats(g.engines[i], &st[i]);
		while (st[i].pace.steps < tokens && wait_more(&since));
	ck_assert_uint_eq(st[0].pace.steps, tokens);
	ck_assert_uint_eq(st[1].pace.steps, tokens);
	ck_assert_double_gt(st[1].pace.compute, 0);
	pipeline_end();
}
END_TEST

START_TEST(samples_are_the_same)
{
	enum { N = 8 };
	static struct job single[N], piped[N];

	group_init(1, NULL);
	group_start();
	run_sampled(single, N);
	group_end();
	pipeline_init(&layouts[_i]);
	group_start();
	run_sampled(piped, N);
	for (unsigned i = 0; i < N; i++) {
		ck_assert_msg(piped[i].ended == 1, "%s", piped[i].what);
		ck_assert_uint_eq(piped[i].usage.new_tokens, N_SAMPLED);
		ck_assert_msg(memcmp(piped[i].ids, single[i].ids, 4 * N_SAMPLED) == 0,
			"job %u: other tokens than alone", i);
	}
	pipeline_end();
}
END_TEST

/* The slot is another's while rows of the cancelled one are still under way. */
START_TEST(a_cancelled_request_frees_its_slot)
{
	struct job cancelled[2], next[N_CASES];

	pipeline_init(&layouts[1]);
	g.config.slots = 2;
	g.config.max_rows = 4;
	group_start();
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(submit(&cancelled[i], i, 400), 0);
		cancelled[i].cancel_at_text = true;
	}
	for (unsigned i = 0; i < N_CASES; i++)
		ck_assert_int_eq(submit(&next[i], i, (uint32_t)m.cases[i].n_greedy), 0);
	for (unsigned i = 0; i < N_CASES; i++)
		wait_for(&g.loop, &next[i].ended, 1, "a request after the cancelled ones");
	for (unsigned i = 0; i < N_CASES; i++)
		check_greedy(&next[i], i);
	ck_assert_uint_eq(cancelled[0].ended + cancelled[0].failed, 0);
	pipeline_end();
}
END_TEST

/* --- held ---------------------------------------------------------------------------------------- */

/* The last stage can be held: its weights do not come. */
static struct gate {
	uv_mutex_t lock;
	uv_cond_t opened;
	bool closed;
	const struct unit *(*acquire)(struct weight_source *ws, enum unit_kind kind, uint32_t layer,
		uint32_t expert, struct err *err);
} gate;

static void
make_gate(void)
{
	uv_mutex_init(&gate.lock);
	uv_cond_init(&gate.opened);
}

static void
remove_gate(void)
{
	uv_cond_destroy(&gate.opened);
	uv_mutex_destroy(&gate.lock);
}

static const struct unit *
acquire_when_open(struct weight_source *ws, enum unit_kind kind, uint32_t layer, uint32_t expert,
	struct err *err)
{
	uv_mutex_lock(&gate.lock);
	while (gate.closed)
		uv_cond_wait(&gate.opened, &gate.lock);
	uv_mutex_unlock(&gate.lock);
	return gate.acquire(ws, kind, layer, expert, err);
}

static void
put_gate(uint32_t number, struct weight_source *ws)
{
	if (number != g.stages.list[g.stages.n - 1].first)
		return;
	gate.acquire = ws->acquire;
	ws->acquire = acquire_when_open;
}

static void
set_gate(bool closed)
{
	uv_mutex_lock(&gate.lock);
	gate.closed = closed;
	uv_cond_signal(&gate.opened);
	uv_mutex_unlock(&gate.lock);
}

/* Until the coordinator has begun so many steps, and computes so many requests; no event is heard meanwhile. */
static void
wait_for_hub(uint64_t steps, uint32_t running)
{
	struct engine_stats st;
	uint64_t since = 0;

	do
		engine_stats(g.engines[0], &st);
	while ((st.steps < steps || st.running != running) && wait_more(&since));
	ck_assert_uint_ge(st.steps, steps);
	ck_assert_uint_eq(st.running, running);
}

/* The text of a case, its prompt and what it says, from some id on, as [n] of a prompt. */
static void
put_text(uint32_t *out, unsigned number, size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = from + i, n_prompt = m.cases[number].n_prompt;

		out[i] = at < n_prompt ? m.cases[number].prompt[at]
				       : m.cases[number].greedy[at - n_prompt];
	}
}

enum { NEW_TOKENS = 30 };

static void
submit_ids(struct job *j, const uint32_t *ids, size_t n, bool uncached)
{
	struct session_params p = greedy_params(NEW_TOKENS);
	struct err err = {""};

	p.uncached = uncached;
	ck_assert_int_eq(submit_session(j, session_new(m.tokenizer, &p, ids, n, &err)), 0);
}

/* Has a request cancelled while chunks of its prompt are under way, as many as there can be, of so many rows,
 * and submits the next one meanwhile; of neither anything was computed by the last stage. Returns the rows. */
static uint32_t
cancel_under_way(struct job jobs[2], const uint32_t *cancelled, const uint32_t *next, uint32_t n,
	uint32_t rows)
{
	uint32_t steps = (n + rows - 1) / rows, depth = ring_depth(g.stages.n);
	struct engine_stats before;

	steps = steps < depth ? steps : depth;
	engine_stats(g.engines[0], &before);
	set_gate(true);
	submit_ids(&jobs[0], cancelled, n, false);
	wait_for_hub(before.steps + steps, 1);
	desk_cancel(g.desk, jobs[0].request);
	wait_for_hub(before.steps + steps, 0);
	submit_ids(&jobs[1], next, n, false);
	wait_for_hub(before.steps + steps, 1);
	set_gate(false);
	while (jobs[1].ended == 0 && g.broken[0] == 0)
		uv_run(&g.loop, UV_RUN_ONCE);
	ck_assert_msg(g.broken[0] == 0, "%s", g.why);
	ck_assert_uint_eq(jobs[0].texts + jobs[0].ended + jobs[0].failed, 0);
	return steps * rows < n ? steps * rows : n;
}

/* Another request of that client, which begins as the cancelled one, goes on behind the rows under way, and
 * says what it says without them. */
START_TEST(a_prompt_goes_on_from_rows_under_way)
{
	static const struct {
		unsigned layout;
		uint32_t n, same; /* ids of the cancelled prompt; as many begin the next one */
	} plays[] = {{0, 60, 60}, {1, 60, 60}, {1, 60, 7}, {1, 10, 10}, {3, 60, 60}, {5, 60, 13}};
	const uint32_t n = plays[_i].n, same = plays[_i].same;
	uint32_t other[80], cancelled[60], next[60], sent;
	struct job first, jobs[2], whole;

	put_text(other, 1, 1, 80);
	put_text(cancelled, 0, 0, n);
	put_text(next, 0, 0, same);
	put_text(next + same, 2, same, n - same);
	pipeline_init(&layouts[plays[_i].layout]);
	g.config.slots = 1;
	g.config.max_rows = 4;
	g.on_weights = put_gate;
	group_start();
	/* In all caches lie rows of another prompt: what is not computed is wrong. */
	submit_ids(&first, other, 80, false);
	wait_for(&g.loop, &first.ended, 1, "an answer");
	sent = cancel_under_way(jobs, cancelled, next, n, g.config.max_rows);
	sent = sent < same ? sent : same;
	ck_assert_uint_eq(jobs[1].usage.cached, sent < n ? sent : n - 1);
	submit_ids(&whole, next, n, true);
	wait_for(&g.loop, &whole.ended, 1, "the same, of which nothing is cached");
	ck_assert_uint_eq(whole.usage.cached, 0);
	ck_assert_mem_eq(jobs[1].ids, whole.ids, sizeof *whole.ids * NEW_TOKENS);
	if (same == n) /* as in the reference */
		ck_assert_mem_eq(whole.ids, m.cases[0].greedy + n - m.cases[0].n_prompt,
			sizeof *whole.ids * NEW_TOKENS);
	pipeline_end();
}
END_TEST

/* --- losses ------------------------------------------------------------------------------------- */

/* Whoever goes: everybody hears of it, the coordinator who it was, and the request goes on elsewhere. */
START_TEST(a_lost_peer_is_named)
{
	static const struct {
		unsigned layout;
		uint32_t lost;
	} losses[] = {{0, 1}, {1, 2}, {2, 3}, {3, 1}, {3, 3}, {5, 5}};
	struct job running, waiting;
	char name[PEER_NAME];
	uint32_t n;

	pipeline_init(&layouts[losses[_i].layout]);
	n = g.n;
	g.config.slots = 1;
	group_start();
	ck_assert_int_eq(submit(&running, 0, (uint32_t)m.cases[0].n_greedy), 0);
	ck_assert_int_eq(submit(&waiting, 1, (uint32_t)m.cases[1].n_greedy), 0);
	wait_for(&g.loop, &running.texts, 3, "the first texts");
	snprintf(name, sizeof name, "%s", g.names[losses[_i].lost]);
	stop_engine(losses[_i].lost);
	wait_for(&g.loop, &g.broken[0], 1, "on_broken");
	ck_assert_msg(strcmp(g.who, name) == 0, "%s instead of %s: %s", g.who, name, g.why);
	for (uint32_t i = 1; i < n; i++)
		if (i != losses[_i].lost)
			wait_for(&g.loop, &g.broken[i], 1, "the others to hear of it");
	for (uint32_t i = 0; i < n; i++)
		if (i != losses[_i].lost)
			stop_engine(i);
	wait_for(&g.loop, &g.stopped, g.to_stop, "engines to stop");
	start_alone();
	wait_for(&g.loop, &running.ended, 1, "the request that ran");
	wait_for(&g.loop, &waiting.ended, 1, "the request that waited");
	check_greedy(&running, 0);
	check_greedy(&waiting, 1);
	group_end();
}
END_TEST

START_TEST(a_loss_is_noticed_while_idle)
{
	pipeline_init(&layouts[1]);
	group_start();
	stop_engine(2);
	wait_for(&g.loop, &g.broken[0], 1, "on_broken");
	wait_for(&g.loop, &g.broken[1], 1, "the other stage to hear of it");
	ck_assert_str_eq(g.who, "member-2");
	group_end();
}
END_TEST

/* In the middle of an answer, which ends there; unless we are so slow that it is whole before. */
START_TEST(stopping_is_quick)
{
	struct job j;
	uint64_t since = 0;

	do {
		pipeline_init(&layouts[3]);
		group_start();
		ck_assert_int_eq(submit(&j, 0, 400), 0);
		wait_for(&g.loop, &j.texts, 1, "the first text");
		desk_end_all(g.desk, 503, "the test ends");
		group_end();
	} while (j.failed == 0 && wait_more(&since));
	ck_assert_uint_eq(j.failed, 1);
}
END_TEST

/* --- distrust ----------------------------------------------------------------------------------- */

/* A last stage that answers a step with what it should not. */
struct liar {
	struct frame answer; /* what is added to a right one */
	unsigned asked, times;
};

static int
on_step(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct liar *liar = arg;
	uint8_t head[FRAME_HEADER], *body = calloc(1, 1 << 20);
	const uint8_t *payload;
	struct frame f, a = liar->answer;
	size_t bytes;

	ck_assert_msg(frame_read(msg, len, 64, 512, &f, &payload, err) == 0, "%s", err->msg);
	ck_assert_int_eq(f.kind, FRAME_STEP);
	liar->asked++;
	a.step += f.step;
	a.rows += f.extra;
	bytes = a.kind == FRAME_LOGITS
			? a.rows * frame_best(a.width) + frame_payload(FRAME_F32, a.extra, a.width)
			: frame_payload(FRAME_F32, a.rows, a.width) +
				  (a.kind == FRAME_STEP ? 12 * a.rows : 0);
	frame_write(&a, head);
	for (unsigned i = 0; i < liar->times; i++)
		link_send(l, head, sizeof head, body, bytes);
	free(body);
	return 0;
}

static void
check_liar(struct frame answer, unsigned times, const char *word)
{
	static const struct link_events liar_events = {.on_message = on_step, .on_close = on_lost};
	struct liar liar = {.answer = answer, .times = times};
	struct job j;

	pipeline_init(&layouts[0]);
	link_set(g.pairs[1].far, &liar_events, &liar);
	start_engine(0);
	ck_assert_int_eq(submit(&j, 0, 10), 0);
	wait_for(&g.loop, &g.broken[0], 1, "on_broken");
	ck_assert_uint_ge(liar.asked, 1);
	ck_assert_str_eq(g.who, "member-1");
	ck_assert_msg(strstr(g.why, word) != NULL, "'%s' does not say '%s'", g.why, word);
	ck_assert_uint_eq(j.texts + j.ended + j.failed, 0); /* it waits for another group */
	desk_end_all(g.desk, 503, "the test ends");
	group_end();
}

START_TEST(wrong_answers_break_the_ring)
{
	const struct frame good = {
		.epoch = EPOCH, .kind = FRAME_LOGITS, .format = FRAME_F32, .width = m.shape.vocab};
	struct frame f;

	check_liar(good, 1, "not in order"); /* its tokens are all zeros */
	f = good, f.epoch--;
	check_liar(f, 1, "epoch");
	f = good, f.step++;
	check_liar(f, 1, "was due");
	f = good, f.rows++;
	check_liar(f, 1, "are due");
	f = good, f.extra++;
	check_liar(f, 1, "are due");
	f = good, f.width--;
	check_liar(f, 1, "are due");
	f = good, f.format = FRAME_F16;
	check_liar(f, 1, "are due");
	f = good, f.kind = FRAME_STEP, f.width = m.shape.embd;
	check_liar(f, 1, "not due from it");
	f = good, f.kind = FRAME_PART, f.width = m.shape.embd;
	check_liar(f, 1, "not due from it");
	f = good, f.kind = FRAME_SUM, f.width = m.shape.embd;
	check_liar(f, 1, "not due from it");
	f = good, f.kind = FRAME_ASK, f.width = 0, f.rows = UINT32_MAX;
	check_liar(f, 1, "not due from it");
	f = good, f.kind = FRAME_VOID, f.width = 0, f.rows = 1000;
	check_liar(f, 1, "over the plan");
	f = good, f.kind = FRAME_VOID, f.width = 0, f.rows = 0;
	check_liar(f, 1, "gave the step up");
	check_liar(good, 100, "member-1 was lost");
}
END_TEST

static int
on_passed(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	(void)l, (void)msg, (void)len, (void)err;
	++*(unsigned *)arg;
	return 0;
}

static void
close_pair(struct pair *p)
{
	link_close(p->near, "");
	link_close(p->far, "");
}

/* What comes from the stage before, so many times: the engine between breaks and says so. Returns how many
 * messages it sent on. */
static unsigned
check_sender(const struct frame *f, const uint8_t row[12], unsigned times, const char *word)
{
	static const struct link_events before = {.on_message = on_unexpected, .on_close = on_lost},
					behind = {.on_message = on_passed, .on_close = on_lost};
	uint8_t *msg = calloc(1, 1 << 20);
	size_t len = FRAME_HEADER + (row != NULL ? 12 : 0);
	unsigned passed = 0;

	if (f->rows <= 65 && f->width <= 512)
		len += frame_payload((enum frame_format)f->format, f->rows, f->width);
	pipeline_init(&layouts[1]);
	link_set(g.pairs[1].near, &before, NULL);
	link_set(g.between[1][2].far, &behind, &passed);
	close_pair(&g.pairs[2]);
	start_engine(1);
	frame_write(f, msg);
	if (row != NULL)
		memcpy(msg + FRAME_HEADER, row, 12);
	for (unsigned i = 0; i < times; i++)
		link_send(g.pairs[1].near, msg, len, NULL, 0);
	wait_for(&g.loop, &g.broken[1], 1, "the frame to be refused");
	ck_assert_msg(strstr(g.told[1], word) != NULL, "'%s' does not say '%s'", g.told[1], word);
	group_end();
	free(msg);
	return passed;
}

START_TEST(wrong_steps_break_the_ring)
{
	const struct frame good = {.epoch = EPOCH,
		.step = 1,
		.kind = FRAME_STEP,
		.format = FRAME_F32,
		.rows = 1,
		.width = m.shape.embd};
	uint8_t row[12] = {0};
	struct frame f;

	check_sender(&good, row, 2, "hub was lost: it sent step 1 where step 2 was due");
	f = good, f.epoch++;
	check_sender(&f, row, 1, "epoch");
	f = good, f.step = 2;
	check_sender(&f, row, 1, "step 2 where step 1 was due");
	f = good, f.width--;
	check_sender(&f, row, 1, "rows of 63");
	f = good, f.format = FRAME_Q8;
	check_sender(&f, row, 1, "in format 2");
	f = good, f.extra = 1;
	check_sender(&f, row, 1, "wants 1 rows of logits and marks 0");
	f = good, f.kind = FRAME_LOGITS, f.rows = 0;
	check_sender(&f, NULL, 1, "not due from it");
	f = good, f.kind = FRAME_PART;
	check_sender(&f, NULL, 1, "not due from it");
	f = good, f.kind = FRAME_ASK, f.width = 0, f.rows = 0;
	check_sender(&f, NULL, 1, "not due from it");
	f = good, f.rows = 0;
	check_sender(&f, NULL, 1, "0 rows");
	f = good, f.rows = UINT32_MAX, f.width = UINT32_MAX;
	check_sender(&f, NULL, 1, "over the plan");
	f = good, f.rows = 17;
	check_sender(&f, row, 1, "over the plan");
	row[0] = N_CASES;
	check_sender(&good, row, 1, "out of range"); /* a slot that there is not */
	row[0] = 0, row[6] = 1;
	check_sender(&good, row, 1, "out of range"); /* a position likewise */
	row[6] = 0, row[8] = 8;
	check_sender(&good, row, 1, "out of range"); /* flags */
}
END_TEST

/* Rows that may not follow those that the stage has: the step cannot be computed, and both neighbours are
 * told. */
START_TEST(a_step_that_cannot_be_computed_breaks_the_ring)
{
	const struct frame f = {.epoch = EPOCH,
		.step = 1,
		.kind = FRAME_STEP,
		.format = FRAME_F32,
		.rows = 1,
		.width = m.shape.embd};
	const uint8_t row[12] = {[4] = 7}; /* position 7 of a session that holds none */

	ck_assert_uint_eq(check_sender(&f, row, 1, "position 7"), 1); /* VOID */
}
END_TEST

START_TEST(impossible_pipelines_are_refused)
{
	struct stages st = {0};
	struct err err = {""};

	ck_assert_int_eq(stages_add(&st, 0, 1, &err), -1);
	ck_assert_int_eq(stages_add(&st, 1, 0, &err), -1);
	ck_assert_int_eq(stages_add(&st, UINT32_MAX, 1, &err), -1);
	ck_assert_int_eq(stages_add(&st, 1, UINT32_MAX, &err), -1);
	ck_assert_int_eq(stages_check(&st, 0, &err), -1);
	for (uint32_t i = 0; i < SLICE_MAX_PEERS; i++)
		ck_assert_int_eq(stages_add(&st, 1, 1, &err), 0);
	ck_assert_int_eq(stages_add(&st, 1, 1, &err), -1);
	ck_assert_int_eq(stages_check(&st, SLICE_MAX_PEERS, &err), 0);
	ck_assert_int_eq(stages_check(&st, 2, &err), -1);
	ck_assert(stages_linked(&st, WAY_STAR, 0, SLICE_MAX_PEERS - 1));
	ck_assert(stages_linked(&st, WAY_STAR, 7, 8));
	ck_assert(!stages_linked(&st, WAY_AUTO, 7, 9));
	ck_assert(!stages_linked(&st, WAY_AUTO, 7, 7));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pipeline");
	SRunner *r = srunner_create(s);
	int failed = engine_tests_begin("pipeline");
	TCase *same = tcase_create("the same ids"), *held = tcase_create("held"),
	      *trouble = tcase_create("trouble");

	if (failed != 0)
		return failed;
	tcase_add_checked_fixture(same, load, unload);
	tcase_set_timeout(same, 120);
	tcase_add_loop_test(same, greedy_is_the_same, 0, LAYOUTS);
	tcase_add_loop_test(same, greedy_is_the_same_in_divided_steps, 3, LAYOUTS);
	tcase_add_test(same, hidden_rows_may_be_narrow);
	tcase_add_loop_test(same, small_steps, 2, 4);
	tcase_add_test(same, sessions_are_divided_among_the_stages);
	tcase_add_loop_test(same, samples_are_the_same, 3, 4);
	tcase_add_test(same, a_cancelled_request_frees_its_slot);
	suite_add_tcase(s, same);
	tcase_add_checked_fixture(held, load, unload);
	tcase_add_checked_fixture(held, make_gate, remove_gate);
	tcase_set_timeout(held, 120);
	tcase_add_loop_test(held, a_prompt_goes_on_from_rows_under_way, 0, 6);
	suite_add_tcase(s, held);
	tcase_add_checked_fixture(trouble, load, unload);
	tcase_set_timeout(trouble, 120);
	tcase_add_loop_test(trouble, a_lost_peer_is_named, 0, 6);
	tcase_add_test(trouble, a_loss_is_noticed_while_idle);
	tcase_add_test(trouble, stopping_is_quick);
	tcase_add_test(trouble, wrong_answers_break_the_ring);
	tcase_add_test(trouble, wrong_steps_break_the_ring);
	tcase_add_test(trouble, a_step_that_cannot_be_computed_breaks_the_ring);
	tcase_add_test(trouble, impossible_pipelines_are_refused);
	suite_add_tcase(s, trouble);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
