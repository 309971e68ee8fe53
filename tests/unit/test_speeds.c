/* Speeds on disk and in control messages: what comes back, what is refused. */
#include "daemon/log.h"
#include "daemon/speed_file.h"
#include "daemon/speed_message.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static struct err err;

static const struct speed_conditions now = {"shoal 1", "a CPU", "avx2", 0, 4, 8};

static void
setup(void)
{
	strcpy(dir, "/tmp/shoal-speeds-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	log_open(LOG_LEVEL_ERROR);
}

static void
teardown(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

static char *
in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static struct device_speed
a_speed(void)
{
	struct device_speed s = {.read_bytes_per_s = 1e10 / 3,
		.disk_bytes_per_s = 4.5e8 / 7,
		.threads = 3,
		.undisturbed = 0.9};

	for (uint32_t i = 0; i < DTYPE_COUNT; i++)
		if (dtype_computed(i))
			s.types[i] = (struct type_speed){1e9 / (i + 3), 1e11 / (i + 7)};
	return s;
}

static bool
equal(const struct device_speed *a, const struct device_speed *b)
{
	for (uint32_t i = 0; i < DTYPE_COUNT; i++)
		if (a->types[i].bytes_per_s != b->types[i].bytes_per_s ||
			a->types[i].ops_per_s != b->types[i].ops_per_s)
			return false;
	return a->read_bytes_per_s == b->read_bytes_per_s &&
	       a->disk_bytes_per_s == b->disk_bytes_per_s && a->threads == b->threads &&
	       a->undisturbed == b->undisturbed;
}

/* --- this device's file --- */

START_TEST(speeds_stay)
{
	struct device_speed s = a_speed(), back;
	struct stat st;

	ck_assert_int_eq(speed_file_load(dir, &now, &back), SPEED_NONE);
	ck_assert_msg(speed_file_save(dir, &now, &s, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(speed_file_load(dir, &now, &back), SPEED_GOOD);
	ck_assert(equal(&s, &back));
	ck_assert_int_eq(stat(in_dir("speed.json"), &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(speed_file_save("/nonexistent", &now, &s, &err), -1);
}
END_TEST

START_TEST(other_conditions_want_a_new_measurement)
{
	struct speed_conditions other[] = {now, now, now, now, now};
	struct device_speed s = a_speed(), back;

	other[0].cpu = "another CPU";
	other[1].kernels = "plain";
	other[2].threads = 1;
	other[3].threads_batch = 0;
	other[4].pool = 4;
	ck_assert_int_eq(speed_file_save(dir, &now, &s, &err), 0);
	for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
		ck_assert_int_eq(speed_file_load(dir, &other[i], &back), SPEED_NONE);
		ck_assert_uint_eq(back.threads, 0);
	}
	other[0] = now;
	other[0].software = "shoal 2"; /* good until there are new ones */
	ck_assert_int_eq(speed_file_load(dir, &other[0], &back), SPEED_OLD);
	ck_assert(equal(&s, &back));
}
END_TEST

static char *
read_text(const char *path, size_t *len)
{
	static char text[20000];
	FILE *f = fopen(path, "r");

	ck_assert_ptr_nonnull(f);
	*len = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[*len] = '\0';
	return text;
}

static void
write_text(const char *path, const char *text, size_t len)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, len, f), len);
	fclose(f);
}

START_TEST(damage_is_as_good_as_no_file)
{
	struct device_speed s = a_speed(), back;
	size_t len;
	char *text, *at;

	ck_assert_int_eq(speed_file_save(dir, &now, &s, &err), 0);
	text = read_text(in_dir("speed.json"), &len);
	for (size_t cut = 0; cut < len - 1; cut += 61) {
		write_text(in_dir("speed.json"), text, cut);
		ck_assert_int_eq(speed_file_load(dir, &now, &back), SPEED_NONE);
	}
	/* Whole, but with a number that cannot be, or is none. */
	at = strstr(text, "\"disk_bytes_per_second\": ");
	ck_assert_ptr_nonnull(at);
	at[25] = '-';
	write_text(in_dir("speed.json"), text, len);
	ck_assert_int_eq(speed_file_load(dir, &now, &back), SPEED_NONE);
	ck_assert_uint_eq(back.threads, 0);
	write_text(in_dir("speed.json"), "[]", 2);
	ck_assert_int_eq(speed_file_load(dir, &now, &back), SPEED_NONE);
}
END_TEST

/* --- the members' file --- */

static struct known_peer keys[3] = {
	{.key = {1}, .name = "a"}, {.key = {2}, .name = "b"}, {.key = {3}, .name = "c \303\274"}};

START_TEST(members_stay)
{
	struct swarm_peer a = {.known = &keys[0]}, b = {.known = &keys[1]}, c = {.known = &keys[2]};
	struct swarm_peer b2 = {.known = &keys[1]}, c2 = {.known = &keys[2]};
	struct swarm_peer *out[] = {&a, &b, &c}, *in[] = {&c2, &b2};

	members_file_load(dir, in, 2); /* there is none */
	strcpy(b.cpu, "Cortex-A72");
	b.threads = 4;
	b.memory = 600u << 20;
	b.speed = a_speed();
	b.net = (struct swarm_net){0.00025, 0.0041, 1.1e8 / 3, 1700000000, "fe80::1"};
	ck_assert_msg(members_file_save(dir, out, 3, &err) == 0, "%s", err.msg);
	members_file_load(dir, in, 2);
	ck_assert_str_eq(b2.cpu, "Cortex-A72");
	ck_assert_uint_eq(b2.threads, 4);
	ck_assert_uint_eq(b2.memory, 600u << 20);
	ck_assert(equal(&b.speed, &b2.speed));
	ck_assert(b2.net.rtt_s == b.net.rtt_s && b2.net.rtt_p99_s == b.net.rtt_p99_s);
	ck_assert(b2.net.bytes_per_s == b.net.bytes_per_s);
	ck_assert_uint_eq(b2.net.measured, 1700000000);
	ck_assert_str_eq(b2.net.host, "fe80::1");
	ck_assert_uint_eq(c2.speed.threads, 0);
	ck_assert_uint_eq(c2.net.measured, 0);
}
END_TEST

START_TEST(damaged_members_are_not_known)
{
	static const char *const bad[] = {"", "{", "[1,2]", "{\"members\": 7}",
		"{\"members\": [7]}", "{\"members\": [{\"key\": 5}]}",
		"{\"members\": [{\"key\": "
		"\"0100000000000000000000000000000000000000000000000000000000000000\", "
		"\"threads\": "
		"-4, \"memory_bytes\": 1e300, \"link\": {\"rtt_s\": -1, \"bytes_per_second\": "
		"\"x\"}, "
		"\"speed\": []}]}"};
	struct swarm_peer a = {.known = &keys[0]}, *in[] = {&a};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		write_text(in_dir("members.json"), bad[i], strlen(bad[i]));
		members_file_load(dir, in, 1);
		ck_assert_uint_eq(a.threads, 0);
		ck_assert_uint_eq(a.memory, 0);
		ck_assert(a.net.rtt_s == 0 && a.net.bytes_per_s == 0);
		ck_assert_uint_eq(a.speed.threads, 0);
	}
}
END_TEST

/* --- messages --- */

START_TEST(messages_come_back)
{
	struct device_speed s = a_speed(), back;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT, *got;
	Shoal__About a = SHOAL__ABOUT__INIT;
	struct speed_message m;
	struct buf b;

	speed_message_fill(&m, &s);
	a.speed = &m.message;
	e.body_case = SHOAL__ENVELOPE__BODY_ABOUT;
	e.about = &a;
	buf_init(&b, 0);
	ck_assert_msg(control_pack(&e, &b, &err) == 0, "%s", err.msg);
	got = control_unpack(b.data, b.len, &err);
	ck_assert_msg(got != NULL, "%s", err.msg);
	ck_assert_int_eq(speed_message_read(got->about->speed, &back, &err), 0);
	ck_assert(equal(&s, &back));
	control_free(got);
	buf_free(&b);
}
END_TEST

START_TEST(unknown_types_are_passed_over)
{
	struct device_speed s = a_speed(), back;
	struct speed_message m;

	speed_message_fill(&m, &s);
	m.types[0].type = 4000000000u;
	m.types[1].type = 36; /* not assigned */
	m.types[1].bytes_per_s = NAN;
	ck_assert_int_eq(speed_message_read(&m.message, &back, &err), 0);
	ck_assert(back.types[DTYPE_F32].bytes_per_s == 0);
	ck_assert(back.types[DTYPE_Q4_0].bytes_per_s == s.types[DTYPE_Q4_0].bytes_per_s);
}
END_TEST

START_TEST(impossible_numbers_are_refused)
{
	static const double bad[] = {-1e9, 0.5, 1e30, INFINITY, NAN};
	struct device_speed s = a_speed(), back;
	struct speed_message m;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		speed_message_fill(&m, &s);
		m.types[2].ops_per_s = bad[i];
		ck_assert_int_eq(speed_message_read(&m.message, &back, &err), -1);
		ck_assert_uint_eq(back.threads, 0);
		speed_message_fill(&m, &s);
		m.message.read_bytes_per_s = bad[i];
		ck_assert_int_eq(speed_message_read(&m.message, &back, &err), -1);
		speed_message_fill(&m, &s);
		m.message.undisturbed = bad[i] == 0.5 ? 1.5 : bad[i];
		ck_assert_int_eq(speed_message_read(&m.message, &back, &err), -1);
	}
	speed_message_fill(&m, &s);
	m.message.threads = 0;
	ck_assert_int_eq(speed_message_read(&m.message, &back, &err), -1);
	m.message.threads = 5000;
	ck_assert_int_eq(speed_message_read(&m.message, &back, &err), -1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("speeds");
	TCase *t = tcase_create("speeds");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, speeds_stay);
	tcase_add_test(t, other_conditions_want_a_new_measurement);
	tcase_add_test(t, damage_is_as_good_as_no_file);
	tcase_add_test(t, members_stay);
	tcase_add_test(t, damaged_members_are_not_known);
	tcase_add_test(t, messages_come_back);
	tcase_add_test(t, unknown_types_are_passed_over);
	tcase_add_test(t, impossible_numbers_are_refused);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
