/* The star's distrust: peers that send each other frames which are not due. */
#include "tests/support/engine_group.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>

/* A member that answers a step with what it should not. */
struct liar {
	struct frame answer;
	unsigned asked;
};

static size_t
body_bytes(const struct frame *f)
{
	return f->kind == FRAME_LOGITS ? f->rows * frame_best(f->width)
				       : frame_payload(FRAME_F32, f->rows, f->width);
}

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
	liar->answer.rows += f.layer > 0 ? f.layer : f.rows;
	frame_write(&liar->answer, head);
	link_send(l, head, sizeof head, body, body_bytes(&liar->answer));
	return 0;
}

static void
check_liar_of(enum overlap_mode overlap, struct frame answer, const char *word)
{
	static const struct link_events liar_events = {.on_message = on_step, .on_close = on_lost};
	struct liar liar = {.answer = answer};
	struct job j;

	group_init(2, NULL);
	g.config.overlap = overlap;
	link_set(g.pairs[1].far, &liar_events, &liar);
	start_engine(0);
	ck_assert_int_eq(submit(&j, 0, 10), 0);
	wait_for(&g.loop, &g.broken[0], 1, "on_broken");
	ck_assert_uint_eq(liar.asked, 1);
	ck_assert_str_eq(g.who, "member-1");
	ck_assert_msg(strstr(g.why, word) != NULL, "'%s' does not say '%s'", g.why, word);
	ck_assert_uint_eq(j.texts + j.ended + j.failed, 0); /* it waits for another group */
	desk_end_all(g.desk, 503, "the test ends");
	group_end();
}

static void
check_liar(struct frame answer, const char *word)
{
	check_liar_of(OVERLAP_OFF, answer, word);
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

/* The first sub-batch's part is due first, and with its rows. */
START_TEST(wrong_sub_batches_break_the_group)
{
	const struct frame good = {
		.epoch = EPOCH, .kind = FRAME_PART, .format = FRAME_F32, .width = m.shape.embd};
	struct frame f;

	f = good, f.extra = 2; /* the second one's */
	check_liar_of(OVERLAP_ON, f, "layer 0.2");
	f = good, f.extra = 1;
	check_liar_of(OVERLAP_ON, f, "layer 0.1");
	f = good, f.rows = 1;
	check_liar_of(OVERLAP_ON, f, "was due");
	f = good, f.kind = FRAME_LOGITS;
	check_liar_of(OVERLAP_ON, f, "LOGITS");
}
END_TEST

/* A member that answers a step with a thousand parts, each of which could be the one that is due: but never the
 * step's last, or an engine that keeps pace would end the step and ask for another. */
struct flood {
	struct frame part;
	unsigned asked, refused;
};

static int
on_step_flood(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct flood *flood = arg;
	uint8_t head[FRAME_HEADER], body[64 * 64 * 4] = {0};
	const uint8_t *payload;
	struct frame f;

	ck_assert_msg(frame_read(msg, len, 64, 512, &f, &payload, err) == 0, "%s", err->msg);
	if (f.kind != FRAME_STEP) /* sums, of an engine that keeps pace */
		return 0;
	flood->asked++;
	flood->part.step = f.step;
	for (unsigned i = 0; i < 1000; i++) {
		unsigned sum = (f.layer > 0 ? i / 2 : i) % (2 * m.shape.layers - 1);
		unsigned second = f.layer > 0 ? i % 2 : 0;

		flood->part.rows = second ? f.rows - f.layer : f.layer > 0 ? f.layer : f.rows;
		flood->part.layer = (uint16_t)(sum / 2);
		flood->part.extra = sum % 2 + 2 * second;
		frame_write(&flood->part, head);
		flood->refused += link_send(l, head, sizeof head, body,
					  frame_payload(FRAME_F32, flood->part.rows, f.width)) != 0;
	}
	return 0;
}

START_TEST(a_flood_breaks_the_group)
{
	static const struct link_events events = {.on_message = on_step_flood, .on_close = on_lost};
	struct flood flood = {.part = {.epoch = EPOCH,
				      .kind = FRAME_PART,
				      .format = FRAME_F32,
				      .width = m.shape.embd}};
	struct job j;

	group_init(2, NULL);
	g.config.overlap = _i == 0 ? OVERLAP_OFF : OVERLAP_ON;
	link_set(g.pairs[1].far, &events, &flood);
	start_engine(0);
	ck_assert_int_eq(submit(&j, 0, 10), 0);
	wait_for(&g.loop, &g.broken[0], 1, "on_broken");
	ck_assert_uint_eq(flood.asked, 1);
	ck_assert_str_eq(g.who, "member-1");
	/* One may lie ahead; the next is too many, or, when the first is used by then, not due. */
	ck_assert_msg(strstr(g.why, "before its turn") != NULL || strstr(g.why, "was due") != NULL,
		"'%s'", g.why);
	ck_assert_uint_eq(j.texts + j.ended + j.failed, 0);
	desk_end_all(g.desk, 503, "the test ends");
	group_end();
}
END_TEST

static int
on_step_header(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	uint8_t head[FRAME_HEADER];

	(void)msg, (void)len, (void)err;
	frame_write(arg, head);
	link_send(l, head, sizeof head, NULL, 0);
	return 0;
}

/* The engine gets nothing but this header from the peer of rank `from`. */
static void
check_header(struct frame *f, uint32_t from)
{
	static const struct link_events events = {
		.on_message = on_step_header, .on_close = on_lost};
	uint8_t head[FRAME_HEADER];
	struct job j;

	group_init(2, NULL);
	link_set(from == 1 ? g.pairs[1].far : g.pairs[1].near, &events, f);
	start_engine(from == 1 ? 0 : 1);
	frame_write(f, head);
	if (from == 1)
		ck_assert_int_eq(submit(&j, 0, 10), 0);
	else
		link_send(g.pairs[1].near, head, sizeof head, NULL, 0);
	wait_for(&g.loop, &g.broken[1 - from], 1, "the header to be refused");
	desk_end_all(g.desk, 503, "the test ends");
	group_end();
}

/* Counts that would make a frame of gigabytes, in a header alone: refused as they are read. */
START_TEST(absurd_counts_break_the_group)
{
	static const uint32_t counts[][2] = {{UINT32_MAX, UINT32_MAX}, {1u << 31, 64},
		{0x10001, 0xffff0000u}, {64, UINT32_MAX}, {65, 64}};

	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		struct frame f = {.epoch = EPOCH, .kind = FRAME_PART, .format = FRAME_F32};

		f.rows = counts[i][0];
		f.width = counts[i][1];
		check_header(&f, 1);
		f.kind = FRAME_STEP;
		f.step = 1;
		check_header(&f, 0);
	}
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
	row[4] = 0, row[8] = STEP_LOGITS | 16; /* an unknown flag */
	check_lying_hub(&good, row, 12);
	f = good, f.extra = 0, row[8] = STEP_GUESS; /* of which nobody wants to know */
	check_lying_hub(&f, row, 12);
	row[8] = STEP_LOGITS;
	f = good, f.layer = 1; /* divided behind its end */
	check_lying_hub(&f, row, 12);
	f = good, f.rows = 0, f.extra = 0;
	check_lying_hub(&f, row, 0);
	f = good, f.kind = FRAME_SUM;
	check_lying_hub(&f, row, 0);
	f = good, f.kind = FRAME_ASK, f.width = 0; /* about a step that has not been */
	check_lying_hub(&f, row, 4);
}
END_TEST

/* A member that plays along until the end of a step, and then says nonsense of its logits. */
struct late_liar {
	unsigned place; /* the two bytes of its answer that are wrong */
	uint16_t with;
	unsigned parts;
};

static void
answer_best(struct link *l, const struct late_liar *liar, const struct frame *step)
{
	const struct slice *sl = &g.slices[1];
	uint8_t head[FRAME_HEADER], body[8 + 8 * FRAME_BEST] = {0};
	struct frame f = {.epoch = EPOCH,
		.step = step->step,
		.kind = FRAME_LOGITS,
		.rows = 1,
		.width = sl->vocab};

	for (uint32_t i = 0; i < FRAME_BEST; i++)
		put_le32(body + 8 + 8 * i, sl->vocab0 + i);
	body[liar->place] = (uint8_t)liar->with;
	body[liar->place + 1] = (uint8_t)(liar->with >> 8);
	frame_write(&f, head);
	link_send(l, head, sizeof head, body, frame_best(sl->vocab));
}

static int
play_along(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct late_liar *liar = arg;
	uint8_t head[FRAME_HEADER], body[64 * 64 * 4] = {0};
	const uint8_t *payload;
	struct frame f;

	ck_assert_msg(frame_read(msg, len, 64, 512, &f, &payload, err) == 0, "%s", err->msg);
	if (f.kind == FRAME_SUM && ++liar->parts == 2 * m.shape.layers) {
		answer_best(l, liar, &f);
		return 0;
	}
	f.layer = (uint16_t)(liar->parts / 2);
	f.extra = liar->parts % 2;
	f.kind = FRAME_PART;
	frame_write(&f, head);
	link_send(l, head, sizeof head, body, frame_payload(FRAME_F32, f.rows, f.width));
	return 0;
}

static void
check_late_liar(unsigned place, uint16_t with, const char *word)
{
	static const struct link_events events = {.on_message = play_along, .on_close = on_lost};
	struct late_liar liar = {.place = place, .with = with};
	struct job j;

	group_init(2, NULL);
	link_set(g.pairs[1].far, &events, &liar);
	start_engine(0);
	ck_assert_int_eq(submit(&j, 0, 1), 0);
	while (!g.broken[0] && !j.ended)
		uv_run(&g.loop, UV_RUN_ONCE);
	if (word == NULL) {
		ck_assert_msg(j.ended == 1, "%s", g.why);
	} else {
		ck_assert_msg(g.broken[0] == 1 && strstr(g.why, word) != NULL,
			"'%s' does not say '%s'", g.why, word);
		ck_assert_str_eq(g.who, "member-1");
	}
	desk_end_all(g.desk, 503, "the test ends");
	group_end();
}

START_TEST(wrong_best_tokens_break_the_group)
{
	check_late_liar(0, 0, NULL);                    /* as it should be */
	check_late_liar(7, 1, "sum");                   /* which was not asked for */
	check_late_liar(8 + 3, 1, "number 0");          /* an id out of the slice */
	check_late_liar(8 + 8, 256, "number 1");        /* twice the same */
	check_late_liar(8 + 8 + 6, 1, "number 1");      /* better than the one before */
	check_late_liar(8 + 8 + 6, 0x7fc0, "number 1"); /* no number */
}
END_TEST

static int
on_part(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	const uint8_t *payload;
	struct frame f;

	(void)l;
	ck_assert_msg(frame_read(msg, len, 64, 512, &f, &payload, err) == 0, "%s", err->msg);
	ck_assert_int_eq(f.kind, FRAME_PART);
	++*(unsigned *)arg;
	return 0;
}

/* A hub's first step may come in one piece with the end of the handshake, before there is an
 * engine. */
START_TEST(an_early_step_is_computed)
{
	static const struct link_events events = {.on_message = on_part, .on_close = on_lost};
	const struct frame f = {.epoch = EPOCH,
		.step = 1,
		.kind = FRAME_STEP,
		.rows = 1,
		.width = m.shape.embd,
		.extra = 1};
	const uint8_t row[12] = {[8] = STEP_LOGITS};
	uint8_t msg[FRAME_HEADER + sizeof row + 4 * 64] = {0};
	unsigned parts = 0;

	ck_assert_uint_eq(m.shape.embd, 64);
	group_init(2, NULL);
	link_set(g.pairs[1].near, &events, &parts);
	frame_write(&f, msg);
	memcpy(msg + FRAME_HEADER, row, sizeof row);
	ck_assert_int_eq(link_send(g.pairs[1].near, msg, sizeof msg, NULL, 0), 0);
	start_engine(1);
	wait_for(&g.loop, &parts, 1, "the member's part");
	group_end();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("star");
	SRunner *r = srunner_create(s);
	int failed = engine_tests_begin("star");
	TCase *wrong = tcase_create("wrong frames");

	if (failed != 0)
		return failed;
	signal(SIGPIPE, SIG_IGN); /* as the daemon does */
	tcase_add_checked_fixture(wrong, load, unload);
	tcase_set_timeout(wrong, 120);
	tcase_add_test(wrong, wrong_frames_break_the_group);
	tcase_add_test(wrong, wrong_best_tokens_break_the_group);
	tcase_add_test(wrong, a_member_refuses_wrong_steps);
	tcase_add_test(wrong, an_early_step_is_computed);
	tcase_add_test(wrong, wrong_sub_batches_break_the_group);
	tcase_add_loop_test(wrong, a_flood_breaks_the_group, 0, 2);
	tcase_add_test(wrong, absurd_counts_break_the_group);
	suite_add_tcase(s, wrong);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
