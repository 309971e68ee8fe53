/* The purse's journal: no crash, cut or full disk gives money back that was spent. */
#include "daemon/purse_file.h"

#include "base/file.h"

#include <check.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOW ((time_t)1795600000) /* noon of a November day in 2026, wherever the test runs */
#define DAY 86400

static char dir[64], path[80], beside[88];
static const struct purse_limits limits = {
	1000000, 5000000, PURSE_UNLIMITED, 400000, PURSE_UNLIMITED};

static void
setup(void)
{
	/* Where syncing costs nothing: there are thousands. */
	snprintf(dir, sizeof dir, "%s/shoal-purse-XXXXXX",
		access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/purse", dir);
	snprintf(beside, sizeof beside, "%s.new", path);
}

static void
teardown(void)
{
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0); /* nothing else is left */
}

static struct purse_file *
open_at(time_t now)
{
	struct err err = {""};
	struct purse_file *f = purse_file_open(path, &limits, now, &err);

	ck_assert_msg(f != NULL, "%s", err.msg);
	return f;
}

static uint64_t
reserve(struct purse_file *f, time_t now, uint64_t key, uint64_t amount)
{
	struct purse_ask ask = {key, amount, 0, PURSE_UNLIMITED};
	struct err err = {""};
	uint64_t id;
	enum purse_verdict v = purse_file_reserve(f, now, &ask, &id, &err);

	ck_assert_msg(v == PURSE_OK, "%s %s", purse_word(v), err.msg);
	return id;
}

static struct purse_spent
reopened(time_t now)
{
	struct purse_file *f = open_at(now);
	struct purse_spent s = purse_file_purse(f)->all;

	purse_file_close(f);
	return s;
}

static void
slurp(struct buf *b)
{
	struct err err;

	buf_clear(b);
	ck_assert_int_eq(file_read(path, b, &err), 0);
}

static void
spill(const void *data, size_t len)
{
	FILE *f = fopen(path, "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
}

START_TEST(it_remembers)
{
	struct purse_file *f;
	struct stat st;
	uint64_t a, b;

	umask(0);
	f = open_at(NOW);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	a = reserve(f, NOW, 1, 1000);
	b = reserve(f, NOW, 2, 500);
	reserve(f, NOW, 2, 30);
	purse_file_settle(f, NOW, a, 700);
	purse_file_release(f, NOW, b);
	purse_file_close(f);
	/* What was open is spent. */
	f = open_at(NOW);
	ck_assert_uint_eq(purse_file_purse(f)->all.day, 730);
	ck_assert_uint_eq(purse_file_purse(f)->all.month, 730);
	ck_assert_uint_eq(purse_file_purse(f)->all.reserved, 0);
	ck_assert_uint_eq(purse_file_purse(f)->n_keys, 2);
	/* Key 2 may spend 399,970 more today. */
	struct purse_ask ask = {2, 399971, 0, PURSE_UNLIMITED};
	struct err err;

	ck_assert_int_eq(purse_file_reserve(f, NOW, &ask, &a, &err), PURSE_KEY_DAY);
	reserve(f, NOW, 2, 399970);
	purse_file_close(f);
	ck_assert_uint_eq(reopened(NOW).day, 400700);
	ck_assert_uint_eq(reopened(NOW + DAY).day, 0);
	ck_assert_uint_eq(reopened(NOW + DAY).month, 400700);
	ck_assert_uint_eq(reopened(NOW).month, 400700);
	ck_assert_uint_eq(reopened(NOW + 31 * DAY).month, 0);
}
END_TEST

START_TEST(overcharges_are_remembered)
{
	struct purse_file *f = open_at(NOW);

	purse_file_settle(f, NOW, reserve(f, NOW, 1, 10), 25);
	purse_file_close(f);
	f = open_at(NOW);
	ck_assert_uint_eq(purse_file_purse(f)->over, 15);
	ck_assert_uint_eq(purse_file_purse(f)->over_calls, 1);
	ck_assert_uint_eq(purse_file_purse(f)->all.day, 25);
	purse_file_close(f);
}
END_TEST

/* A history, and what has been spent after each of its records if the process ends there. */
static const uint64_t spent_after[] = {0, 0, 0, 1000, 1500, 1200, 1203, 703, 1703, 1613};
#define RECORDS (sizeof spent_after / sizeof *spent_after)

static void
write_history(void)
{
	struct purse_file *f = open_at(NOW); /* three records: head, sums, overcharges */
	uint64_t a = reserve(f, NOW, 1, 1000), b = reserve(f, NOW, 2, 500), c;

	purse_file_settle(f, NOW, a, 700);
	reserve(f, NOW, 1, 3);
	purse_file_release(f, NOW, b);
	c = reserve(f, NOW, 3, 1000);
	purse_file_settle(f, NOW, c, 910);
	purse_file_close(f);
}

/* Cut after any byte it knows all that its whole records say; never less. */
START_TEST(cut_at_every_byte)
{
	struct buf all = {0};
	struct err err;

	write_history();
	slurp(&all);
	ck_assert_uint_eq(all.len, RECORDS * 64);
	for (size_t len = 0; len <= all.len; len++) {
		spill(all.data, len);
		if (len >= 64)
			ck_assert_uint_eq(reopened(NOW).day, spent_after[len / 64 - 1]);
		else /* no crash leaves that: the file is complete when it gets its name */
			ck_assert_ptr_null(purse_file_open(path, &limits, NOW, &err));
	}
	buf_free(&all);
}
END_TEST

/* Blocks that were given to the file and never written read as zeros. */
START_TEST(a_tail_of_zeros)
{
	struct buf all = {0};

	write_history();
	slurp(&all);
	for (size_t records = 1; records < RECORDS; records++) {
		struct buf part = {0};
		uint8_t zeros[300] = {0};

		buf_append(&part, all.data, records * 64);
		buf_append(&part, zeros, sizeof zeros);
		spill(part.data, part.len);
		ck_assert_uint_eq(reopened(NOW).day, spent_after[records - 1]);
		buf_free(&part);
	}
	buf_free(&all);
}
END_TEST

/* A flipped bit is found: in the last record it is a tail that is not whole, anywhere else the file
 * is not used. */
START_TEST(flipped_bits)
{
	struct buf all = {0};
	struct err err;

	write_history();
	slurp(&all);
	for (size_t bit = 0; bit < all.len * 8; bit += 5) {
		bool last = bit / 8 >= all.len - 64;
		struct purse_file *f;

		all.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		spill(all.data, all.len);
		f = purse_file_open(path, &limits, NOW, &err);
		ck_assert_int_eq(f != NULL, last);
		if (f != NULL)
			ck_assert_uint_eq(purse_file_purse(f)->all.day, spent_after[RECORDS - 2]);
		else
			ck_assert_ptr_nonnull(strstr(err.msg, "move it away"));
		purse_file_close(f);
		all.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buf_free(&all);
}
END_TEST

/* Nor are records of another file, or of another place, believed. */
START_TEST(records_stay_in_their_place)
{
	struct buf one = {0}, other = {0};
	struct err err;

	write_history();
	slurp(&one);
	unlink(path);
	write_history();
	slurp(&other);
	memcpy(other.data + 4 * 64, one.data + 4 * 64, 64);
	spill(other.data, other.len);
	ck_assert_ptr_null(purse_file_open(path, &limits, NOW, &err));
	memcpy(one.data + 4 * 64, one.data + 5 * 64, 64);
	spill(one.data, one.len);
	ck_assert_ptr_null(purse_file_open(path, &limits, NOW, &err));
	buf_free(&one);
	buf_free(&other);
}
END_TEST

/* It does not grow for ever, and writing it anew loses nothing. */
START_TEST(its_size_is_bounded)
{
	struct purse_file *f = open_at(NOW);
	uint64_t spent = 0, kept[3];
	struct stat st;

	for (int i = 0; i < 3; i++)
		kept[i] = reserve(f, NOW, 7, 11);
	for (unsigned i = 0; i < 1500; i++) {
		uint64_t id = reserve(f, NOW, i % 5, 100);

		spent += purse_file_settle(f, NOW, id, i % 100);
		if (i == 600)
			purse_file_release(f, NOW, kept[1]);
	}
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_le((uint64_t)st.st_size, PURSE_FILE_GROWTH + 64 * 64);
	purse_file_settle(f, NOW, kept[0], 5);
	purse_file_close(f);
	ck_assert_uint_eq(reopened(NOW).day, spent + 5 + 11);
	ck_assert_int_ne(access(beside, F_OK), 0);
}
END_TEST

/* What cannot be written is not spent; and it goes on when there is room again. */
START_TEST(a_full_disk)
{
	struct purse_file *f = open_at(NOW);
	struct purse_ask ask = {1, 50, 0, PURSE_UNLIMITED};
	uint64_t id = reserve(f, NOW, 1, 100), others[2];
	enum purse_verdict verdicts[2];
	struct rlimit old, small;
	struct err errs[2];
	struct stat st;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = (rlim_t)st.st_size + 20;
	/* libcheck's own file may not grow either: no assertion until that is over. */
	setrlimit(RLIMIT_FSIZE, &small);
	verdicts[0] = purse_file_reserve(f, NOW, &ask, &others[0], &errs[0]);
	small.rlim_cur = 100; /* nor can the file be written anew */
	setrlimit(RLIMIT_FSIZE, &small);
	verdicts[1] = purse_file_reserve(f, NOW, &ask, &others[1], &errs[1]);
	setrlimit(RLIMIT_FSIZE, &old);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(verdicts[i], PURSE_UNWRITTEN);
		ck_assert_uint_eq(others[i], 0);
		ck_assert_ptr_nonnull(strstr(errs[i].msg, path));
	}
	purse_file_settle(f, NOW, id, 60);
	ck_assert_uint_eq(purse_file_purse(f)->all.reserved, 0);
	reserve(f, NOW, 1, 7);
	purse_file_close(f);
	ck_assert_uint_eq(reopened(NOW).day, 67);
}
END_TEST

START_TEST(what_cannot_be_had)
{
	struct err err;

	ck_assert_ptr_null(purse_file_open("/nowhere/purse", &limits, NOW, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "/nowhere/purse"));
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_ptr_null(purse_file_open(path, &limits, NOW, &err));
	ck_assert_int_eq(rmdir(path), 0);
	spill("something else, and long enough to be a record of the file, if it were", 70);
	ck_assert_ptr_null(purse_file_open(path, &limits, NOW, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "byte 0"));
}
END_TEST

/* --- kill -9 ------------------------------------------------------------------------------------- */

/* Spends as a daemon would, so many times, and tells the pipe each amount when it is sent: what it costs. */
static void
spend_until_killed(int out, unsigned seed, unsigned times)
{
	struct err err;
	struct purse_file *f = purse_file_open(path, &limits, NOW, &err);

	if (f == NULL)
		_exit(3);
	for (unsigned i = 0;; i++) {
		struct purse_ask ask = {
			1, 100 + (seed = seed * 1103515245u + 12345u) % 400, 0, PURSE_UNLIMITED};
		uint64_t id, cost = ask.amount * ((seed >> 16) % 11) / 10;

		if (i == times)
			pause(); /* who is to kill us is late */
		if (purse_file_reserve(f, NOW, &ask, &id, &err) != PURSE_OK)
			_exit(1);
		if (write(out, &cost, sizeof cost) != sizeof cost)
			_exit(2);
		usleep(30);
		if ((seed >> 8) % 16 != 0)
			purse_file_settle(f, NOW, id, cost);
	}
}

START_TEST(killed_at_any_moment)
{
	uint64_t sent = 0, cost;
	int deaths = 0, status = SIGKILL;

	for (unsigned round = 0; round < 40; round++) {
		int ends[2];
		pid_t pid;

		ck_assert_int_eq(pipe(ends), 0);
		pid = fork();
		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			spend_until_killed(ends[1], round, round < 39 ? 40 : UINT_MAX);
		close(ends[1]);
		if (read(ends[0], &cost, sizeof cost) == sizeof cost)
			sent += cost; /* it has begun */
		if (round < 39) {
			usleep(round % 7 * 300);
			kill(pid, SIGKILL);
		} /* the last one goes on to the last coin */
		while (read(ends[0], &cost, sizeof cost) == sizeof cost)
			sent += cost;
		close(ends[0]);
		waitpid(pid, &status, 0);
		deaths += WIFSIGNALED(status);
		ck_assert_uint_le(sent, limits.key_day);
		ck_assert_uint_ge(reopened(NOW).day, sent);
	}
	ck_assert_int_eq(deaths, 39);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	ck_assert_uint_gt(reopened(NOW).day, limits.key_day - 500);
	unlink(beside); /* of a death while it was written */
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("purse file");
	TCase *t = tcase_create("purse file");
	SRunner *r;
	int failed;

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, it_remembers);
	tcase_add_test(t, overcharges_are_remembered);
	tcase_add_test(t, cut_at_every_byte);
	tcase_add_test(t, a_tail_of_zeros);
	tcase_add_test(t, flipped_bits);
	tcase_add_test(t, records_stay_in_their_place);
	tcase_add_test(t, its_size_is_bounded);
	tcase_add_test(t, a_full_disk);
	tcase_add_test(t, what_cannot_be_had);
	tcase_add_test(t, killed_at_any_moment);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
