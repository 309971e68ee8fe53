/* The journal: what comes back after a crash at any byte, with any bit flipped, at any point of a
 * rewrite. */
#include "daemon/journal.h"

#include "base/file.h"
#include "daemon/journal_int.h"

#include <check.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[128], beside[136];

static void
setup(void)
{
	strcpy(dir, "/tmp/shoal-journal-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/answers", dir);
	snprintf(beside, sizeof beside, "%s.new", path);
}

static void
teardown(void)
{
	unlink(path);
	unlink(beside);
	ck_assert_int_eq(rmdir(dir), 0); /* nothing else was made */
}

/* --- what is in it, in words: "1 head (mark) 10,11,12 tail; 2 ..." ------------------------------------ */

static void
say_entry(void *arg, const struct journal_entry *e)
{
	struct buf *out = arg;

	buf_printf(out, "%s%u %.*s ", out->len > 0 ? "; " : "", (unsigned)e->number,
		(int)e->head_len, (const char *)e->head);
	if (e->mark_len > 0)
		buf_printf(out, "(%.*s) ", (int)e->mark_len, (const char *)e->mark);
	for (size_t i = 0; i < e->n_ids; i++)
		buf_printf(out, "%s%u", i > 0 ? "," : "", (unsigned)e->ids[i]);
	if (e->ended)
		buf_printf(out, " %.*s", (int)e->tail_len, (const char *)e->tail);
}

static struct journal *
open_journal(struct buf *words, struct err *note)
{
	struct journal *j;

	buf_clear(words);
	j = journal_open(path, say_entry, words, note);
	ck_assert_ptr_nonnull(j);
	buf_u8(words, 0);
	return j;
}

static void
expect(const char *want)
{
	struct buf words = {0};
	struct err note;
	struct journal *j = open_journal(&words, &note);

	journal_close(j);
	ck_assert_str_eq((const char *)words.data, want);
	buf_free(&words);
}

/* --- a history, and how it stands after each of its records ------------------------------------- */

static void
begin(struct journal *j, unsigned n, const char *head)
{
	struct err err;

	ck_assert_msg(journal_begin(j, n, head, strlen(head), &err) == 0, "%s", err.msg);
}

static void
grow(struct journal *j, unsigned n, uint32_t first, size_t count)
{
	uint32_t ids[] = {first, first + 1, first + 2};
	struct err err;

	ck_assert_msg(journal_grow(j, n, ids, count, &err) == 0, "%s", err.msg);
}

static void
mark(struct journal *j, unsigned n, const char *text)
{
	struct err err;

	ck_assert_msg(journal_mark(j, n, text, strlen(text), &err) == 0, "%s", err.msg);
}

static void
end(struct journal *j, unsigned n, const char *tail)
{
	struct err err;

	ck_assert_msg(journal_end(j, n, tail, strlen(tail), &err) == 0, "%s", err.msg);
}

static void
forget(struct journal *j, unsigned n, bool live)
{
	struct err err;

	ck_assert_msg(journal_forget(j, n, live, &err) == 0, "%s", err.msg);
}

static const char *const history[] = {
	"",
	"1 one ",
	"1 one 10,11",
	"1 one 10,11; 2 two ",
	"1 one 10,11; 2 two 20",
	"1 one (a mark) 10,11; 2 two 20",
	"1 one (a mark) 10,11,12,13,14; 2 two 20",
	"1 one (a mark) 10,11,12,13,14; 2 two 20 stop",
	"1 one (a mark) 10,11,12,13,14; 2 two 20 stop; 3 three ",
	"1 one (a mark) 10,11,12,13,14; 3 three ",
	"1 one (a mark) 10,11,12,13,14; 3 three 30",
	"1 one (more) 10,11,12,13,14; 3 three 30",
};
#define RECORDS (sizeof history / sizeof *history - 1)

static void
write_record(struct journal *j, size_t i)
{
	switch (i) {
	case 0:
		begin(j, 1, "one");
		break;
	case 1:
		grow(j, 1, 10, 2);
		break;
	case 2:
		begin(j, 2, "two");
		break;
	case 3:
		grow(j, 2, 20, 1);
		break;
	case 4:
		mark(j, 1, "a mark");
		break;
	case 5:
		grow(j, 1, 12, 3);
		break;
	case 6:
		end(j, 2, "stop");
		break;
	case 7:
		begin(j, 3, "three");
		break;
	case 8:
		forget(j, 2, true);
		break;
	case 9:
		grow(j, 3, 30, 1);
		break;
	case 10:
		mark(j, 1, "more");
		break;
	default:
		ck_abort();
	}
}

/* Writes all of it; size_after[i]: the file's bytes after i records. */
static void
write_history(size_t size_after[RECORDS + 1])
{
	struct buf words = {0};
	struct err note;
	struct journal *j = open_journal(&words, &note);
	struct stat st;

	size_after[0] = 0;
	for (size_t i = 0; i < RECORDS; i++) {
		write_record(j, i);
		ck_assert_int_eq(stat(path, &st), 0);
		size_after[i + 1] = (size_t)st.st_size;
	}
	journal_close(j);
	buf_free(&words);
}

static void
slurp(const char *name, struct buf *b)
{
	struct err err;

	ck_assert_msg(file_read(name, b, &err) == 0, "%s", err.msg);
}

static void
spill(const char *name, const void *data, size_t len)
{
	FILE *f = fopen(name, "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
}

/* --- tests -------------------------------------------------------------------------------------- */

START_TEST(it_holds_what_was_written)
{
	size_t sizes[RECORDS + 1];
	struct stat st;

	umask(0);
	expect("");
	ck_assert_int_ne(access(path, F_OK), 0); /* no file before there is an entry */
	write_history(sizes);
	expect(history[RECORDS]);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

/* Cut after any byte, it holds what its whole records say, and goes on from there. */
START_TEST(a_crash_at_every_byte)
{
	size_t sizes[RECORDS + 1], whole = 0;
	struct buf all = {0}, words = {0};
	struct err note;

	write_history(sizes);
	slurp(path, &all);
	for (size_t len = 0; len <= all.len; len++) {
		struct journal *j;

		spill(path, all.data, len);
		while (whole < RECORDS && sizes[whole + 1] <= len)
			whole++;
		j = open_journal(&words, &note);
		ck_assert_str_eq((const char *)words.data, history[whole]);
		ck_assert_int_eq(note.msg[0] == '\0',
			len == 0 || len == JOURNAL_HEAD || len == sizes[whole]);
		for (size_t i = whole; i < RECORDS; i++)
			write_record(j, i);
		journal_close(j);
		expect(history[RECORDS]);
	}
	buf_free(&all);
	buf_free(&words);
}
END_TEST

/* A flipped bit costs the record it is in and what comes after it, and nothing else. */
START_TEST(a_flipped_bit_is_found)
{
	size_t sizes[RECORDS + 1], first = JOURNAL_HEAD;
	struct buf all = {0}, words = {0};
	uint8_t key[JOURNAL_KEY];
	bool stale;

	write_history(sizes);
	slurp(path, &all);
	for (size_t bit = 0; bit < all.len * 8; bit++) {
		size_t whole = 0, good;

		while (sizes[whole + 1] <= bit / 8)
			whole++;
		all.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		buf_clear(&words);
		good = journal_read(all.data, all.len, key, &stale, say_entry, &words);
		buf_u8(&words, 0);
		ck_assert_str_eq((const char *)words.data, history[whole]);
		ck_assert_uint_eq(good, bit / 8 < first ? 0 : whole == 0 ? first : sizes[whole]);
		all.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buf_free(&all);
	buf_free(&words);
}
END_TEST

/* A good record at another place, or of another file, is not taken. */
START_TEST(records_are_good_at_their_place_only)
{
	size_t sizes[RECORDS + 1];
	struct buf all = {0}, other = {0};

	write_history(sizes);
	slurp(path, &all);
	buf_append(&other, all.data, sizes[2]);
	buf_append(&other, all.data + sizes[1], sizes[2] - sizes[1]); /* once more */
	spill(path, other.data, other.len);
	expect(history[2]);
	buf_clear(&other);
	unlink(path);
	write_history(sizes);
	slurp(path, &other);
	memcpy(other.data + sizes[3], all.data + sizes[3], all.len - sizes[3]);
	spill(path, other.data, other.len);
	expect(history[3]);
	buf_free(&all);
	buf_free(&other);
}
END_TEST

static int
write_living(void *arg, struct journal *j)
{
	const int *result = arg;

	begin(j, 1, "one");
	grow(j, 1, 10, 3);
	grow(j, 1, 13, 2);
	mark(j, 1, "more");
	begin(j, 3, "three");
	grow(j, 3, 30, 1);
	return *result;
}

START_TEST(a_rewrite_drops_what_is_forgotten)
{
	size_t sizes[RECORDS + 1];
	struct buf words = {0}, all = {0};
	struct err err;
	int result = 0;
	struct journal *j;

	write_history(sizes);
	j = open_journal(&words, &err);
	ck_assert(!journal_due(j, 5000));
	ck_assert(!journal_due(j, 5000 + JOURNAL_REWRITE_MS - 2));
	ck_assert(journal_due(j, 5002 + JOURNAL_REWRITE_MS));
	ck_assert_int_eq(journal_rewrite(j, write_living, &result, &err), 0);
	ck_assert(!journal_due(j, 9000 + JOURNAL_REWRITE_MS));
	slurp(path, &all);
	ck_assert_ptr_null(memmem(all.data, all.len, "two", 3));
	expect(history[RECORDS]);
	grow(j, 3, 31, 1); /* and it goes on in the new file */
	journal_close(j);
	expect("1 one (more) 10,11,12,13,14; 3 three 30,31");
	ck_assert_int_ne(access(beside, F_OK), 0);
	buf_free(&words);
	buf_free(&all);
}
END_TEST

/* A crash while the new file is written leaves the old one, whatever of the new one is there. */
START_TEST(a_crash_in_a_rewrite)
{
	size_t sizes[RECORDS + 1];
	struct buf words = {0}, all = {0};
	struct err err;
	int result = 1;
	struct journal *j;

	write_history(sizes);
	slurp(path, &all);
	for (size_t len = 0; len <= all.len; len += 7) {
		spill(beside, all.data, len);
		expect(history[RECORDS]);
		ck_assert_int_ne(access(beside, F_OK), 0);
	}
	/* One that gives up leaves it too, and says so. */
	j = open_journal(&words, &err);
	ck_assert_int_eq(journal_rewrite(j, write_living, &result, &err), -1);
	ck_assert_int_ne(err.msg[0], '\0');
	ck_assert_int_ne(access(beside, F_OK), 0);
	grow(j, 3, 31, 2);
	journal_close(j);
	expect("1 one (more) 10,11,12,13,14; 3 three 30,31,32");
	buf_free(&words);
	buf_free(&all);
}
END_TEST

/* Every token has a record and a mark: of a long answer they would fill the file, though nothing is forgotten. */
static int
write_long(void *arg, struct journal *j)
{
	const struct buf *ids = arg;
	struct err err;

	begin(j, 1, "one");
	ck_assert_int_eq(journal_grow(j, 1, (const void *)ids->data, ids->len / 4, &err), 0);
	mark(j, 1, "what it has cost");
	return 0;
}

START_TEST(a_long_answer_fits)
{
	struct buf words = {0}, ids = {0};
	struct err err;
	struct journal *j = open_journal(&words, &err);
	unsigned rewrites = 0;
	struct stat st;

	begin(j, 1, "one");
	for (uint32_t id = 0; id < 100000; id++) {
		grow(j, 1, id, 1);
		mark(j, 1, "what it has cost");
		ck_assert_int_eq(buf_append(&ids, &id, sizeof id), 0);
		if (!journal_due(j, 1000))
			continue;
		ck_assert_int_eq(journal_rewrite(j, write_long, &ids, &err), 0);
		ck_assert(!journal_due(j, 1000));
		rewrites++;
	}
	journal_close(j);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_le((uint64_t)st.st_size, 2u << 20);
	ck_assert_uint_ge(rewrites, 2);
	ck_assert_uint_le(rewrites, 10);
	j = open_journal(&words, &err);
	journal_close(j);
	ck_assert_ptr_nonnull(strstr((const char *)words.data, "(what it has cost) 0,1,2,"));
	ck_assert_ptr_nonnull(strstr((const char *)words.data, ",99998,99999"));
	buf_free(&words);
	buf_free(&ids);
}
END_TEST

START_TEST(nothing_lives_nothing_stays)
{
	struct buf words = {0};
	struct err err;
	struct journal *j = open_journal(&words, &err);

	begin(j, 1, "a secret");
	end(j, 1, "stop");
	forget(j, 1, false);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert(!journal_due(j, 1000000));
	begin(j, 2, "two");
	journal_close(j);
	expect("2 two ");
	buf_free(&words);
}
END_TEST

START_TEST(its_size_is_bounded)
{
	size_t len = JOURNAL_MAX_RECORD;
	uint8_t *big = calloc(1, len + 1);
	struct buf words = {0};
	struct err err;
	struct journal *j = open_journal(&words, &err);
	struct stat st;

	ck_assert_ptr_nonnull(big);
	begin(j, 1, "one");
	ck_assert_int_eq(journal_begin(j, 2, big, len + 1, &err), -1);
	ck_assert_int_eq(journal_begin(j, 3, big, len, &err), 0);
	ck_assert_int_eq(journal_begin(j, 4, big, len, &err), -1); /* the file has no room */
	ck_assert_ptr_nonnull(strstr(err.msg, "64 MiB"));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_le((uint64_t)st.st_size, JOURNAL_MAX_BYTES);
	grow(j, 1, 10, 1); /* what fits goes on */
	forget(j, 3, true);
	journal_close(j);
	expect("1 one 10");
	buf_free(&words);
	free(big);
}
END_TEST

/* The disk takes a part of a record: the file stays whole, and goes on when there is room again. */
START_TEST(a_full_disk)
{
	struct rlimit old, small;
	struct buf words = {0};
	struct err err;
	struct journal *j = open_journal(&words, &err);
	uint32_t ids[100] = {0};
	struct stat st;

	signal(SIGXFSZ, SIG_IGN);
	begin(j, 1, "one");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = (rlim_t)st.st_size + 100;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_assert_int_eq(journal_grow(j, 1, ids, 100, &err), -1);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	ck_assert(!journal_due(j, 1000));
	ck_assert(journal_due(j, 1002 + JOURNAL_REWRITE_MS)); /* it may be mended */
	grow(j, 1, 10, 3);
	journal_close(j);
	expect("1 one 10,11,12");
	buf_free(&words);
}
END_TEST

START_TEST(what_is_no_journal_is_dropped)
{
	struct buf words = {0};
	struct err note;

	spill(path, "SHOALJ00 of another version, and so on for some bytes", 53);
	journal_close(open_journal(&words, &note));
	ck_assert_int_ne(note.msg[0], '\0');
	ck_assert_str_eq((const char *)words.data, "");
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0); /* nor can a folder be written */
	{
		struct journal *j = open_journal(&words, &note);

		ck_assert_int_eq(journal_begin(j, 1, "one", 3, &note), -1);
		journal_close(j);
	}
	ck_assert_int_eq(rmdir(path), 0);
	buf_free(&words);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("journal");
	TCase *tc = tcase_create("journal");
	SRunner *sr = srunner_create(s);
	int failed;

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, it_holds_what_was_written);
	tcase_add_test(tc, a_crash_at_every_byte);
	tcase_add_test(tc, a_flipped_bit_is_found);
	tcase_add_test(tc, records_are_good_at_their_place_only);
	tcase_add_test(tc, a_rewrite_drops_what_is_forgotten);
	tcase_add_test(tc, a_crash_in_a_rewrite);
	tcase_add_test(tc, a_long_answer_fits);
	tcase_add_test(tc, nothing_lives_nothing_stays);
	tcase_add_test(tc, its_size_is_bounded);
	tcase_add_test(tc, a_full_disk);
	tcase_add_test(tc, what_is_no_journal_is_dropped);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
