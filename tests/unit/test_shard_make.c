/* Shards that a device makes for itself: what a crash, a full disk, another process at the same
 * time and a changed model do, and which ones are kept. */
#include "config.h"

#include "base/file_guard.h"
#include "model/chunk.h"
#include "model/generate.h"
#include "model/shard_int.h"
#include "model/shard_store.h"
#include "model/skeleton.h"
#include "tests/support/shard_fixture.h"
#include "tests/support/shared_dir.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- what happens half way ---------------------------------------------------------------------- */

static int
stop_half_way(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	return done > total / 2;
}

static int
die_half_way(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	if (done > total / 2)
		_exit(42);
	return 0;
}

static int
small_files_half_way(void *arg, uint64_t done, uint64_t total)
{
	struct rlimit *limit = arg;

	if (done > total / 2)
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){total / 2, limit->rlim_max});
	return 0;
}

START_TEST(given_up_leaves_nothing)
{
	ck_assert_int_eq(make(stop_half_way, NULL), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "given up"));
	ck_assert(access(file, F_OK) != 0 && access(part, F_OK) != 0);
}
END_TEST

START_TEST(a_crash_leaves_no_shard)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(make(die_half_way, NULL) == 0 ? 1 : 2);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	ck_assert_int_ne(access(file, F_OK), 0);
	ck_assert_int_eq(access(part, F_OK), 0);
	/* Half of it, under the right name, is not taken for a whole one. */
	ck_assert_int_eq(rename(part, file), 0);
	ck_assert_ptr_null(shard_open(file, false, &err));
	ck_assert_int_eq(rename(file, part), 0);
	ck_assert_msg(make(NULL, NULL) == 0, "%s", err.msg);
	shard_close(open_shard());
	ck_assert_int_ne(access(part, F_OK), 0);
}
END_TEST

START_TEST(a_full_disk_leaves_nothing)
{
	struct rlimit was, small;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &was), 0);
	ck_assert_int_eq(make(small_files_half_way, &was), -1);
	ck_assert_msg(strstr(err.msg, "cannot write at byte") != NULL, "%s", err.msg);
	ck_assert(access(file, F_OK) != 0 && access(part, F_OK) != 0);
	small = (struct rlimit){1000000, was.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_assert_int_eq(make(NULL, NULL), -1);
	ck_assert_msg(strstr(err.msg, "up to 1 MB") != NULL, "%s", err.msg);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &was), 0);
	ck_assert_int_eq(make(NULL, NULL), 0);
}
END_TEST

static int
slowly(void *arg, uint64_t done, uint64_t total)
{
	unsigned *calls = arg;

	(void)done;
	(void)total;
	(*calls)++;
	usleep(2000);
	return 0;
}

START_TEST(two_at_once_make_one)
{
	pid_t children[3];

	for (int i = 0; i < 3; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			unsigned calls = 0;

			_exit(make(slowly, &calls) == 0 && shard_open(file, true, &err) != NULL
					? 0
					: 1);
		}
	}
	for (int i = 0; i < 3; i++) {
		int status;

		ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	shard_close(open_shard());
	ck_assert_int_ne(access(part, F_OK), 0);
}
END_TEST

/* A damaged shard is moved to the temporary name while another process still computes with it. */
START_TEST(readers_of_a_damaged_one_are_left_alone)
{
	struct shard *damaged;
	struct stat old, made;

	ck_assert_int_eq(make(NULL, NULL), 0);
	damaged = open_shard();
	ck_assert_int_eq(stat(file, &old), 0);
	ck_assert_int_eq(rename(file, part), 0);
	ck_assert_msg(make(NULL, NULL) == 0, "%s", err.msg);
	ck_assert_int_eq(stat(file, &made), 0);
	ck_assert_uint_ne(old.st_ino, made.st_ino);
	ck_assert_int_ne(access(part, F_OK), 0);
	shard_doubt(damaged);
	ck_assert_msg(shard_check(damaged, &err) == 0, "%s", err.msg); /* it has what it had */
	shard_close(damaged);
	shard_close(open_shard());
}
END_TEST

/* As one that was stopped with Ctrl-Z. */
START_TEST(who_does_not_get_on_is_not_waited_for)
{
	bool busy;
	int fd = shard_open_part(part, &busy, &err);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(make(NULL, NULL), -1);
	ck_assert_msg(strstr(err.msg, part) != NULL && strstr(err.msg, "has not got on") != NULL,
		"%s", err.msg);
	ck_assert_int_eq(access(part, F_OK), 0); /* it is not ours */
	close(fd);
	ck_assert_int_eq(make(NULL, NULL), 0);
}
END_TEST

/* --- the folder --------------------------------------------------------------------------------- */

/* A copy of the model, so that it can be changed. */
static void
copy_model(char copy[128])
{
	char command[4600];

	snprintf(copy, 128, "%s/my model.gguf", dir);
	snprintf(command, sizeof command, "cp '%s' '%s' && chmod 600 '%s'", model, copy, copy);
	ck_assert_int_eq(system(command), 0);
}

static struct gguf *
open_copy(const char *copy)
{
	struct gguf *opened = gguf_open(copy, &err);

	ck_assert_msg(opened != NULL, "%s", err.msg);
	return opened;
}

START_TEST(changed_models_get_other_shards)
{
	struct slice sl[2];
	char copy[128], a[256], b[256];
	struct shard_want want = {g, copy, &shape, &sl[0]};
	struct shard *s;
	uint8_t byte = 0;
	int fd;

	copy_model(copy);
	want.g = open_copy(copy);
	ck_assert_int_eq(slice_cut(&shape, NULL, 2, sl, &err), 0);
	ck_assert_int_eq(shard_store_path(dir, &want, a, sizeof a, &err), 0);
	ck_assert_ptr_nonnull(strstr(a, "/my-model-"));
	want.slice = &sl[1];
	ck_assert_int_eq(shard_store_path(dir, &want, b, sizeof b, &err), 0);
	ck_assert_str_ne(a, b);
	want.slice = &sl[0];
	s = shard_store_get(dir, &want, true, NULL, NULL, &err);
	ck_assert_msg(s != NULL, "%s", err.msg);
	ck_assert_int_eq(access(a, F_OK), 0);
	shard_close(s);
	/* Found again, not made: there is nothing to report. */
	s = shard_store_get(dir, &want, false, stop_half_way, NULL, &err);
	ck_assert_msg(s != NULL, "%s", err.msg);
	shard_close(s);
	/* Damage that is seen when it is opened is mended. */
	ck_assert_int_eq(truncate(a, 9000), 0);
	s = shard_store_get(dir, &want, false, NULL, NULL, &err);
	ck_assert_msg(s != NULL, "%s", err.msg);
	shard_close(s);
	fd = open(copy, O_RDWR); /* the time alone */
	ck_assert_int_eq(futimens(fd, (struct timespec[2]){{1, 0}, {1, 0}}), 0);
	/* Only of what is opened now: what is open still is what it was. */
	ck_assert_int_eq(shard_store_path(dir, &want, b, sizeof b, &err), 0);
	ck_assert_str_eq(a, b);
	gguf_close((struct gguf *)(uintptr_t)want.g);
	want.g = open_copy(copy);
	ck_assert_int_eq(shard_store_path(dir, &want, b, sizeof b, &err), 0);
	ck_assert_str_ne(a, b);
	gguf_close((struct gguf *)(uintptr_t)want.g);
	ck_assert_int_eq(pwrite(fd, &byte, 1, 200), 1); /* a byte of its header */
	ck_assert_int_eq(futimens(fd, (struct timespec[2]){{1, 0}, {1, 0}}), 0);
	close(fd);
	want.g = gguf_open(copy, &err);
	if (want.g != NULL) {
		ck_assert_int_eq(shard_store_path(dir, &want, a, sizeof a, &err), 0);
		ck_assert_str_ne(a, b);
		gguf_close((struct gguf *)(uintptr_t)want.g);
	}
}
END_TEST

/* --- a model file that cannot be trusted -------------------------------------------------------- */

/* An open model whose second half cannot be read any more, as on a broken disk. */
static struct gguf *
open_cut(char copy[128], off_t *size)
{
	struct gguf *cut;

	copy_model(copy);
	cut = open_copy(copy);
	*size = (off_t)gguf_file_bytes(cut);
	ck_assert_int_eq(truncate(copy, *size / 2), 0);
	return cut;
}

/* What read zeros says so, also when the file can be read again. */
static void
is_refused(struct gguf *cut, const char *copy)
{
	ck_assert_msg(strstr(err.msg, "could not be read") != NULL, "%s", err.msg);
	copy_model((char *)(uintptr_t)copy);
	ck_assert_int_eq(gguf_check_read(cut, &err), -1);
	gguf_close(cut);
	cut = open_copy(copy);
	ck_assert_int_eq(gguf_check(cut, &err), 0);
	gguf_close(cut);
}

START_TEST(zeros_of_a_read_error_are_in_no_shard)
{
	struct slice whole = slice_whole(&shape);
	struct shard_header h;
	struct chunk_list l;
	char copy[128];
	struct gguf *cut;
	off_t size;

	ck_assert_int_eq(file_guard_start(&err), 0);
	cut = open_cut(copy, &size);
	ck_assert_int_eq(shard_make(cut, &shape, &whole, file, NULL, NULL, &err), -1);
	ck_assert(access(file, F_OK) != 0 && access(part, F_OK) != 0);
	is_refused(cut, copy);
	cut = open_cut(copy, &size);
	ck_assert_int_eq(shard_header_from_gguf(cut, &shape, &whole, &h, NULL, NULL, &err), -1);
	is_refused(cut, copy);
	cut = open_cut(copy, &size);
	ck_assert_int_eq(
		chunk_list_from_gguf(cut, &shape, &whole, 65536, &h, &l, NULL, NULL, &err), -1);
	is_refused(cut, copy);
	cut = open_cut(copy, &size);
	ck_assert_ptr_null(weights_tiled_from_gguf(cut, &shape, &whole, true, NULL, NULL, &err));
	is_refused(cut, copy);
	cut = open_cut(copy, &size);
	ck_assert_int_eq(skeleton_make(cut, &shape, "a", file, NULL, NULL, &err), -1);
	ck_assert(access(file, F_OK) != 0 && access(part, F_OK) != 0);
	is_refused(cut, copy);
}
END_TEST

/* Its second half is another model's: written while the first one is open. */
START_TEST(a_file_that_changes_makes_no_shard)
{
	struct slice whole = slice_whole(&shape);
	uint8_t bytes[4096] = {1};
	char copy[128];
	struct gguf *open_one;
	int fd;

	copy_model(copy);
	open_one = open_copy(copy);
	ck_assert_int_eq(gguf_check(open_one, &err), 0);
	usleep(20000); /* the clock of files is a coarse one */
	fd = open(copy, O_RDWR);
	ck_assert_int_eq(pwrite(fd, bytes, sizeof bytes, (off_t)gguf_file_bytes(open_one) / 2),
		sizeof bytes);
	close(fd);
	ck_assert_int_eq(shard_make(open_one, &shape, &whole, file, NULL, NULL, &err), -1);
	ck_assert_msg(strstr(err.msg, "was changed") != NULL, "%s", err.msg);
	ck_assert(access(file, F_OK) != 0 && access(part, F_OK) != 0);
	gguf_close(open_one);
}
END_TEST

/* What `shoal run` computes in its own process. */
START_TEST(zeros_of_a_read_error_are_not_computed_with)
{
	struct local_options o = {.threads = 1, .threads_batch = 1, .context = 64};
	const uint32_t ids[] = {1, 2, 3};
	const float *logits;
	char copy[128];
	struct local l;

	ck_assert_int_eq(file_guard_start(&err), 0);
	copy_model(copy);
	ck_assert_msg(local_open(&l, copy, &o, &err) == 0, "%s", err.msg);
	ck_assert_msg(local_eval(&l, 0, ids, 3, 0, &logits, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(truncate(copy, 8192), 0);
	ck_assert_int_eq(local_eval(&l, 0, ids, 3, 0, &logits, &err), -1);
	ck_assert_msg(strstr(err.msg, copy) != NULL, "%s", err.msg);
	local_close(&l);
}
END_TEST

START_TEST(old_shards_go)
{
	char name[8][96];
	struct shard *used;

	ck_assert_int_eq(make(NULL, NULL), 0);
	for (int i = 0; i < 8; i++) {
		struct timespec t[2] = {{1000 + i, 0}, {1000 + i, 0}};
		char command[1024];

		snprintf(name[i], sizeof name[i], "%.63s/old%d.shard%s", dir, i,
			i == 1 ? ".part" : "");
		snprintf(command, sizeof command, "cp '%s' '%s'", file, name[i]);
		ck_assert_int_eq(system(command), 0);
		ck_assert_int_eq(utimensat(AT_FDCWD, name[i], t, 0), 0);
	}
	used = shard_open(name[0], false, &err); /* the oldest, but in use */
	ck_assert_uint_eq(shard_store_prune(file, 3), 4);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(access(name[i], F_OK) == 0, i == 0 || i >= 5);
	shard_close(used);
	ck_assert_uint_eq(shard_store_prune(file, 3), 1);
	ck_assert_int_eq(access(file, F_OK), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("shard_make");
	TCase *t = tcase_create("shard_make");
	SRunner *r;
	int failed;

	if (shared_file("models/stories260K.gguf") == NULL) {
		printf("SKIP shard_make: ../shared is not there\n");
		return TEST_SKIPPED;
	}
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, shard_setup, shard_teardown);
	tcase_add_test(t, given_up_leaves_nothing);
	tcase_add_test(t, a_crash_leaves_no_shard);
	tcase_add_test(t, a_full_disk_leaves_nothing);
	tcase_add_test(t, two_at_once_make_one);
	tcase_add_test(t, readers_of_a_damaged_one_are_left_alone);
	tcase_add_test(t, who_does_not_get_on_is_not_waited_for);
	tcase_add_test(t, changed_models_get_other_shards);
	tcase_add_test(t, old_shards_go);
	tcase_add_test(t, zeros_of_a_read_error_are_in_no_shard);
	tcase_add_test(t, a_file_that_changes_makes_no_shard);
	tcase_add_test(t, zeros_of_a_read_error_are_not_computed_with);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
