/* Weights that stream from a shard: the same bits, what a damaged or failing disk does, and the
 * arithmetic of the memory budget. */
#include "config.h"

#include "kernels/cpu.h"
#include "model/forward.h"
#include "model/memory.h"
#include "model/window.h"
#include "tests/support/shard_fixture.h"
#include "tests/support/shared_dir.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROMPT  23
#define TOKENS  32
#define CONTEXT 64
#define ROWS    8

static struct pool *pool;
static struct kernels kernels;
static struct shard *opened; /* what the window reads */

static void
setup(void)
{
	shard_setup();
	pool = pool_new(2, &err);
	ck_assert_msg(pool != NULL, "%s", err.msg);
	kernels_init(&kernels, cpu_detect());
	ck_assert_msg(make(NULL, NULL) == 0, "%s", err.msg);
}

static void
teardown(void)
{
	pool_free(pool);
	shard_close(opened);
	opened = NULL;
	shard_teardown();
}

/* --- computing ---------------------------------------------------------------------------------- */

static struct forward *
forward_over(struct weight_source *ws)
{
	static struct slice whole;
	struct forward *f;

	whole = slice_whole(&shape);
	f = forward_new(&(const struct forward_config){.shape = &shape,
				.slice = &whole,
				.weights = ws,
				.kernels = &kernels,
				.pool = pool,
				.max_rows = ROWS,
				.slots = 1,
				.context = CONTEXT,
				.kv = KV_F16},
		&err);
	ck_assert_msg(f != NULL, "%s", err.msg);
	return f;
}

/* One step of n tokens from pos on; the logits of the last, or NULL. */
static const float *
step(struct forward *f, uint32_t pos, uint32_t n)
{
	static float x[ROWS * 1024];
	struct step_row rows[ROWS];
	uint32_t tokens[ROWS];
	const float *logits;

	ck_assert_uint_le(shape.embd, 1024);
	for (uint32_t i = 0; i < n; i++) {
		tokens[i] = (pos + i) * 37 % shape.vocab;
		rows[i] = (struct step_row){0, pos + i, i + 1 == n ? STEP_LOGITS : 0};
	}
	if (forward_embed(f, tokens, n, x, &err) != 0 ||
		forward_step(f, rows, n, x, &logits, &err) != 0)
		return NULL;
	return logits;
}

/* A prompt in chunks, divided behind row `first`, then token by token: the logits of all steps, one after the
 * other. */
static float *
run(struct weight_source *ws, uint32_t first, uint32_t *steps)
{
	struct forward *f = forward_over(ws);
	float *all = malloc((size_t)TOKENS * shape.vocab * sizeof *all);

	ck_assert_ptr_nonnull(all);
	forward_divide(f, first);
	*steps = 0;
	for (uint32_t pos = 0; pos < TOKENS;) {
		uint32_t n = pos < PROMPT ? (PROMPT - pos < ROWS ? PROMPT - pos : ROWS) : 1;
		const float *logits = step(f, pos, n);

		ck_assert_msg(logits != NULL, "%s", err.msg);
		memcpy(all + (size_t)*steps * shape.vocab, logits, shape.vocab * sizeof *logits);
		pos += n;
		(*steps)++;
	}
	forward_free(f);
	return all;
}

static struct weight_source *
window_of(uint64_t memory)
{
	shard_close(opened);
	opened = shard_open(file, false, &err);
	ck_assert_msg(opened != NULL, "%s", err.msg);
	return weights_window(opened, g, memory, NULL, NULL, &err);
}

static void
least_and_all(uint64_t *least, uint64_t *all)
{
	struct shard *s = open_shard();

	*least = window_weights_least(shard_header(s));
	*all = window_weights_all(shard_header(s));
	shard_close(s);
}

START_TEST(any_memory_gives_the_same_bits)
{
	static const char *const models[] = {"llama-nano-q4_0", "llama-nano-q6_k",
		"qwen3-nano-q8_0", "qwen3moe-nano-q4_0", "qwen3moe-nano-q4_k_m"};

	use_model(models[_i]);
	unlink(file);
	ck_assert_msg(make(NULL, NULL) == 0, "%s", err.msg);
	struct shard *s = open_shard();
	struct weight_source *ws = weights_from_shard(s, g, &err);
	uint64_t least, all;
	uint32_t steps;
	float *want = run(ws, 0, &steps);

	ws->free(ws);
	shard_close(s);
	least_and_all(&least, &all);
	ck_assert_uint_lt(least, all);
	for (unsigned i = 0; i < 10; i++) {
		unsigned eighths = i / 2 * 2;
		struct weights_stats st;
		float *got;

		ws = window_of(least + (all - least) / 8 * eighths);
		ck_assert_msg(ws != NULL, "%s", err.msg);
		got = run(ws, i % 2 == 0 ? 0 : 3, &steps);
		ck_assert_int_eq(memcmp(got, want, (size_t)steps * shape.vocab * sizeof *got), 0);
		ws->stats(ws, &st);
		ck_assert_uint_ge(st.passes, steps);
		ck_assert_uint_eq(st.bytes, all);
		ck_assert_uint_le(st.resident + st.ring, least + (all - least) / 8 * eighths);
		/* Every step, also one with many rows, reads what streams once (of experts those
		 * that it uses at least); and the look at the beginning costs a ring. */
		if (shape.experts == 0)
			ck_assert_uint_ge(st.streamed, (st.bytes - st.resident) * steps);
		ck_assert_uint_le(st.streamed,
			(st.bytes - (shape.experts == 0 ? st.resident : 0)) * (steps + 1) +
				2 * st.ring);
		if (shape.experts != 0 && eighths == 6) /* most experts are kept */
			ck_assert_uint_lt(st.streamed, st.bytes * steps / 2);
		free(got);
		ws->free(ws);
	}
	free(want);
}
END_TEST

/* --- disks -------------------------------------------------------------------------------------- */

/* Turns over one bit of an extent. */
static void
flip(uint32_t extent)
{
	struct shard *s = open_shard();
	uint64_t at = shard_header(s)->extents[extent].offset + 77;
	uint8_t byte;
	int fd = open(file, O_RDWR);

	shard_close(s);
	ck_assert_int_eq(pread(fd, &byte, 1, (off_t)at), 1);
	byte ^= 4;
	ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

/* Whatever the extent, resident or not: nothing is computed with it. */
START_TEST(a_flipped_bit_is_found)
{
	struct shard *s = open_shard();
	uint32_t n = shard_header(s)->n_extents;
	uint64_t least, all;
	struct weight_source *ws;
	char want[32], command[512];

	shard_close(s);
	least_and_all(&least, &all);
	snprintf(command, sizeof command, "cp '%s' '%s.copy'", file, file);
	ck_assert_int_eq(system(command), 0);
	for (uint32_t extent = 0; extent < n; extent += 8) {
		flip(extent);
		snprintf(want, sizeof want, "extent %u (", extent);
		ws = window_of(least + (all - least) / 2);
		if (ws != NULL) {
			struct forward *f = forward_over(ws);

			ck_assert_ptr_null(step(f, 0, 4));
			ck_assert_ptr_null(step(f, 0, 4)); /* and it stays so */
			forward_free(f);
			ws->free(ws);
		}
		ck_assert_msg(strstr(err.msg, want) != NULL && strstr(err.msg, "damaged") != NULL,
			"%s", err.msg);
		ck_assert_int_ne(access(file, F_OK), 0);
		ck_assert_int_eq(access(part, F_OK), 0);
		snprintf(command, sizeof command, "rm '%s' && cp '%s.copy' '%s'", part, file, file);
		ck_assert_int_eq(system(command), 0);
	}
	unlink(file);
	ck_assert_msg(make(NULL, NULL) == 0, "%s", err.msg);
}
END_TEST

/* A file that is cut off while it is used: the request fails, with the place; when the file is
 * whole again, the next one works. */
START_TEST(a_short_read_ends_the_request_only)
{
	uint64_t least, all;
	struct weight_source *ws;
	struct forward *f;
	struct stat st;
	char command[512];

	least_and_all(&least, &all);
	snprintf(command, sizeof command, "cp '%s' '%s.copy'", file, file);
	ck_assert_int_eq(system(command), 0);
	ws = window_of(least + (all - least) / 4);
	ck_assert_msg(ws != NULL, "%s", err.msg);
	f = forward_over(ws);
	ck_assert_ptr_nonnull(step(f, 0, 4));
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(truncate(file, 300000), 0);
	ck_assert_ptr_null(step(f, 4, 1)); /* some of what it needs was read ahead, not all */
	ck_assert_msg(
		strstr(err.msg, file) != NULL && strstr(err.msg, "cut off") != NULL, "%s", err.msg);
	ck_assert_ptr_null(step(f, 4, 1));
	snprintf(command, sizeof command, "cat '%s.copy' >'%s'", file, file);
	ck_assert_int_eq(system(command), 0);
	ck_assert_msg(step(f, 4, 1) != NULL, "%s", err.msg);
	forward_free(f);
	ws->free(ws);
}
END_TEST

START_TEST(too_little_memory_is_refused)
{
	uint64_t least, all;

	least_and_all(&least, &all);
	ck_assert_ptr_null(window_of(least - 1));
	ck_assert_msg(strstr(err.msg, "too little") != NULL, "%s", err.msg);
}
END_TEST

static int
stop_at_once(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)done;
	(void)total;
	return 1;
}

START_TEST(loading_can_be_given_up)
{
	struct shard *s = open_shard();
	uint64_t least, all;

	least_and_all(&least, &all);
	ck_assert_ptr_null(weights_window(s, g, all - 1, stop_at_once, NULL, &err));
	ck_assert_msg(strstr(err.msg, "given up") != NULL, "%s", err.msg);
	shard_close(s);
}
END_TEST

/* --- the budget --------------------------------------------------------------------------------- */

START_TEST(sizes_are_read)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {{"600M", 600ull << 20}, {"1.5G", 3ull << 29}, {"2g", 2ull << 30},
		{"512MB", 512ull << 20}, {"512MiB", 512ull << 20}, {"1000000", 1000000},
		{"64K", 64 << 10}, {"auto", 0}};
	static const char *const bad[] = {
		"", "M", "-5M", "0", "lots", "5X", "5MM", "1e30", "nan", "inf", " 5M", "5M "};
	uint64_t v;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		ck_assert_msg(memory_parse("--memory", good[i].text, &v, &err) == 0, "%s", err.msg);
		ck_assert_uint_eq(v, good[i].bytes);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_msg(
			memory_parse("--memory", bad[i], &v, &err) == -1, "'%s' was taken", bad[i]);
		ck_assert_ptr_nonnull(strstr(err.msg, "--memory: "));
	}
}
END_TEST

START_TEST(the_budget_is_for_the_whole_process)
{
	struct memory_need need = {.buffers = 100ull << 20,
		.context = 2048,
		.slots = 4,
		.least = 50ull << 20,
		.all = 700ull << 20};
	uint64_t process = memory_process(), weights;

	ck_assert_uint_gt(process, 1 << 20);
	ck_assert_int_eq(memory_for_weights(1ull << 30, &need, &weights, &err), 0);
	ck_assert_uint_lt(weights, (1ull << 30) - (100ull << 20) - process);
	ck_assert_uint_gt(weights, (1ull << 30) - (150ull << 20) - process);
	ck_assert_int_eq(memory_for_weights(120ull << 20, &need, &weights, &err), -1);
	ck_assert_msg(strstr(err.msg, "120 MB of memory are too little") != NULL &&
			      strstr(err.msg, "100 MB for the KV cache of 4 x 2048") != NULL &&
			      strstr(err.msg, "at least 51 MB for weights") != NULL,
		"%s", err.msg);
	need.buffers = (uint64_t)1 << 49;
	ck_assert_int_eq(memory_for_weights(0, &need, &weights, &err), -1);
	ck_assert_msg(strstr(err.msg, "available") != NULL, "%s", err.msg);
	need.buffers = UINT64_MAX / 2;
	ck_assert_int_eq(memory_for_weights(0, &need, &weights, &err), -1);
	ck_assert_msg(
		strstr(err.msg, "no memory for a KV cache of 4 x 2048") != NULL, "%s", err.msg);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("weights that stream");
	TCase *t = tcase_create("shards");
	SRunner *r;
	int failed;

	if (shared_file("models/llama-nano-q4_0.gguf") == NULL) {
		printf("skipped: no ../shared/models\n");
		return 77;
	}
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, any_memory_gives_the_same_bits, 0, 5);
	tcase_add_test(t, a_flipped_bit_is_found);
	tcase_add_test(t, a_short_read_ends_the_request_only);
	tcase_add_test(t, too_little_memory_is_refused);
	tcase_add_test(t, loading_can_be_given_up);
	suite_add_tcase(s, t);
	t = tcase_create("budget");
	tcase_add_test(t, sizes_are_read);
	tcase_add_test(t, the_budget_is_for_the_whole_process);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? 0 : 1;
}
