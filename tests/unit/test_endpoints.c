/* The file of clouds: what it says, how each mistake is told, and whose key files are taken. */
#include "daemon/endpoints.h"

#include "daemon/endpoints_int.h"
#include "sched/money.h"

#include <check.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[80], key_path[80];

static void
write_file(const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(name, "we");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(chmod(name, mode), 0);
}

static void
setup(void)
{
	strcpy(dir, "/tmp/shoal-endpoints-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/cloud.conf", dir);
	snprintf(key_path, sizeof key_path, "%s/key", dir);
	write_file(key_path, "sk-secret-1234\n", 0600);
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void
teardown(void)
{
	unlink(path);
	unlink(key_path);
	ck_assert_int_eq(rmdir(dir), 0);
}

#define GOOD_BODY                                                                                  \
	"url = https://api.example/v1\nmodel = m\nprice_in = 1\nprice_out = 2\n"                   \
	"context = 8192\nmax_tokens = 1024\n"
#define BUDGET "[budget]\nday = 1\n"

static struct endpoints *
load(const char *text, struct err *err)
{
	write_file(path, text, 0644);
	err->msg[0] = '\0';
	return endpoints_load(path, err);
}

/* --- good files ---------------------------------------------------------------------------------- */

START_TEST(all_that_it_says)
{
	char text[1024];
	struct err err;
	struct endpoints *e;
	const struct endpoint *p;

	snprintf(text, sizeof text,
		"# clouds\n[budget]\nday = 1.50\nmonth = none\nrequest = 0.05\nkey_month = 12\n\n"
		"[big]\n  url = https://api.example:8443/v1/\n  model = big-1 ; the large one\n"
		"key_file = %s\nprice_in = 0.15\nprice_out = 0.600000\ncontext = 128000\n"
		"max_tokens = 4096\nquality = 0.875\nca_file = %s\ntimeout = 30\ncontinues = "
		"prefix\ncompletions = yes\n"
		"[home.2]\nurl = http://[::1]:9000\nmodel = m\nprice_in = 0\nprice_out = 0\n"
		"context = 2\nmax_tokens = 1\n",
		key_path, key_path);
	e = load(text, &err);
	ck_assert_msg(e != NULL, "%s", err.msg);
	ck_assert_uint_eq(endpoints_count(e), 2);
	p = endpoints_find(e, "big");
	ck_assert_ptr_eq(p, endpoints_at(e, 0));
	ck_assert_str_eq(p->url, "https://api.example:8443/v1");
	ck_assert_str_eq(p->model, "big-1");
	ck_assert_str_eq(p->key, "sk-secret-1234");
	ck_assert_uint_eq(p->price.in, 150000);
	ck_assert_uint_eq(p->price.out, 600000);
	ck_assert_uint_eq(p->context, 128000);
	ck_assert_uint_eq(p->max_tokens, 4096);
	ck_assert_uint_eq(p->timeout, 30);
	ck_assert_int_eq(p->continues, ENDPOINT_CONTINUES_PREFIX);
	ck_assert(p->completions);
	ck_assert_float_eq(p->quality, 0.875f);
	ck_assert_str_eq(p->ca_file, key_path);
	p = endpoints_at(e, 1);
	ck_assert_str_eq(p->name, "home.2");
	ck_assert_ptr_null(p->key);
	ck_assert_uint_eq(p->timeout, ENDPOINT_TIMEOUT);
	ck_assert_int_eq(p->continues, ENDPOINT_CONTINUES_NOT);
	ck_assert(!p->completions);
	ck_assert_float_lt(p->quality, 0);
	ck_assert_ptr_null(endpoints_at(e, 2));
	ck_assert_ptr_null(endpoints_find(e, "budget"));
	ck_assert_uint_eq(endpoints_limits(e)->day, 1500000);
	ck_assert_uint_eq(endpoints_limits(e)->month, PURSE_UNLIMITED);
	ck_assert_uint_eq(endpoints_limits(e)->request, 50000);
	ck_assert_uint_eq(endpoints_limits(e)->key_day, PURSE_UNLIMITED);
	ck_assert_uint_eq(endpoints_limits(e)->key_month, 12000000);
	endpoints_free(e);
}
END_TEST

START_TEST(no_file_no_cloud)
{
	struct err err = {""};
	struct endpoints *e = endpoints_load("", &err);

	ck_assert_ptr_nonnull(e);
	ck_assert_uint_eq(endpoints_count(e), 0);
	ck_assert_uint_eq(endpoints_limits(e)->day, 0);
	endpoints_free(e);
	ck_assert_ptr_null(endpoints_load("/nowhere/cloud.conf", &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "/nowhere/cloud.conf"));
}
END_TEST

/* --- mistakes ------------------------------------------------------------------------------------ */

static const struct {
	const char *text;
	const char *line; /* ":3:" */
	const char *words;
} mistakes[] = {
	{"", "", "names no endpoint"},
	{BUDGET, "", "names no endpoint"},
	{"[a]\n" GOOD_BODY, "", "what may be spent"},
	{"[budget]\nrequest = 1\n[a]\n" GOOD_BODY, "", "what may be spent"},
	{"url = https://x\n", ":1:", "no section"},
	{BUDGET "[a]\n" GOOD_BODY "colour = red\n", ":10:", "'colour'"},
	{"[budget]\nweek = 3\n", ":2:", "'week'"},
	{"[budget]\nday = 1\nday = 2\n", ":3:", "twice"},
	{BUDGET BUDGET, ":3:", "twice"},
	{"[budget]\nday = -1\n", ":2:", "'-1'"},
	{"[budget]\nday = 1e3\n", ":2:", "'1e3'"},
	{"[budget]\nday = 0.0000001\n", ":2:", "six places"},
	{BUDGET "[a]\n" GOOD_BODY "[a]\n" GOOD_BODY, ":10:", "twice"},
	{BUDGET "[a]\n" GOOD_BODY "model = n\n", ":10:", "twice"},
	{BUDGET "[a b]\n", ":3:", "[a b]"},
	{BUDGET "[]\n", ":3:", "a name has"},
	{BUDGET "[12345678901234567890123456789012]\n", ":3:", "31 letters"},
	{BUDGET "[1234567890123456789012345678901234567890123456789]\n", ":3:", "48 bytes"},
	{BUDGET "[a]\n[b]\n", ":4:", "[a] has no url"},
	{BUDGET "[a]\nurl = https://x\n", "", "[a] has no model"},
	{BUDGET "[a]\n" GOOD_BODY "timeout = 0\n", ":10:", "'0'"},
	{BUDGET "[a]\n" GOOD_BODY "timeout = 86401\n", ":10:", "86400"},
	{BUDGET "[a]\n" GOOD_BODY "continues = yes\n", ":10:", "none of no, last"},
	{BUDGET "[a]\n" GOOD_BODY "completions = 1\n", ":10:", "neither yes nor no"},
	{BUDGET "[a]\n" GOOD_BODY "quality = 1.1\n", ":10:", "from 0 to 1"},
	{BUDGET "[a]\n" GOOD_BODY "quality =\n", ":10:", "''"},
	{BUDGET "[a]\n" GOOD_BODY "ca_file = /nowhere.pem\n", "", "/nowhere.pem"},
	{BUDGET "[a]\n" GOOD_BODY "key_file = /nowhere\n", ":10:", "/nowhere"},
	{BUDGET "[a]\n" GOOD_BODY "key_file = name\n", ":10:", "CREDENTIALS_DIRECTORY"},
	{BUDGET "[a]\nmax_tokens = 5x\n", ":4:", "'5x'"},
	{BUDGET "[a]\ncontext = 99999999999999999999\n", ":4:", "whole number"},
	{BUDGET "[a]\nprice_in = free\n", ":4:", "'free'"},
	{BUDGET "[a]\nmodel =\n", ":4:", "is empty"},
	{BUDGET "[a]\nnonsense\n", ":4:", "key = value"},
	{BUDGET "[a]\nurl = http://api.example/v1\n", ":4:", "in the clear"},
};

START_TEST(every_mistake)
{
	for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
		struct err err;
		char where[120];

		ck_assert_ptr_null(load(mistakes[i].text, &err));
		snprintf(where, sizeof where, "%s%s", path, mistakes[i].line);
		ck_assert_msg(strncmp(err.msg, where, strlen(where)) == 0, "%zu: %s", i, err.msg);
		ck_assert_msg(strstr(err.msg, mistakes[i].words) != NULL, "%zu: %s", i, err.msg);
	}
}
END_TEST

START_TEST(max_tokens_leave_room)
{
	struct err err;

	ck_assert_ptr_null(load(BUDGET "[a]\nurl = https://x\nmodel = m\nprice_in = 1\nprice_out = "
				       "1\ncontext = 10\nmax_tokens = 10\n",
		&err));
	ck_assert_ptr_nonnull(strstr(err.msg, "no prompt would fit"));
}
END_TEST

START_TEST(only_so_many)
{
	static char text[ENDPOINTS_MAX * 200 + 400];
	struct err err;
	struct endpoints *e;
	size_t len = (size_t)sprintf(text, BUDGET);

	for (int i = 0; i < ENDPOINTS_MAX; i++)
		len += (size_t)sprintf(text + len, "[e%d]\n" GOOD_BODY, i);
	e = load(text, &err);
	ck_assert_msg(e != NULL, "%s", err.msg);
	ck_assert_uint_eq(endpoints_count(e), ENDPOINTS_MAX);
	endpoints_free(e);
	strcat(text, "[more]\n" GOOD_BODY);
	ck_assert_ptr_null(load(text, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "more than 16"));
}
END_TEST

/* Any bytes: an error or endpoints, nothing else. */
START_TEST(random_files)
{
	static const char *const pieces[] = {"[", "]", "a", "budget", "=", "\n", "url", "https://",
		"x", "key_file", "/", ";", " ", "#", "day", "1", ".", "\t", "\xEF\xBB\xBF", "\xff",
		"model", "[a]\n", "[budget]\n"};
	uint32_t seed = 7;

	for (int i = 0; i < 500; i++) {
		char text[256] = "";
		struct err err;

		for (int n = 0; n < 20; n++) {
			seed = seed * 1664525u + 1013904223u;
			strcat(text, pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)]);
		}
		endpoints_free(load(text, &err));
	}
}
END_TEST

/* --- URLs ---------------------------------------------------------------------------------------- */

START_TEST(urls)
{
	static const struct {
		const char *url;
		bool good;
	} rows[] = {
		{"https://api.example", true},
		{"https://api.example:443/a/b-c/v1.2_~", true},
		{"https://[2001:db8::1]:8443/v1", true},
		{"http://127.0.0.1:8080/v1", true},
		{"http://127.9.9.9", true},
		{"http://[::1]:1/v1", true},
		{"http://localhost/v1", false}, /* whatever that resolves to */
		{"http://api.example", false},
		{"http://128.0.0.1", false},
		{"http://127.1", false}, /* some take it for 127.0.0.1 */
		{"http://0x7f.0.0.1", false},
		{"http://127.0.0.1.example", false},
		{"http://[::2]", false},
		{"http://[::ffff:127.0.0.1]", false},
		{"http://127.0.0.1@evil.example", false},
		{"https://user:pw@api.example", false},
		{"https://api.example?x=1", false},
		{"https://api.example/v1#x", false},
		{"https://api.example/v1%0d%0aX", false},
		{"https://api.example/v1 x", false},
		{"https://api.example\\@evil", false},
		{"https://", false},
		{"https:///v1", false},
		{"https://a:0/", false},
		{"https://a:65536/", false},
		{"https://a:/", false},
		{"https://a:+1/", false},
		{"https://[::1", false},
		{"https://[]", false},
		{"https://a]b", false},
		{"HTTPS://api.example", false},
		{"ftp://api.example", false},
		{"file:///etc/passwd", false},
		{"", false},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err err = {""};

		ck_assert_msg((endpoint_check_url(rows[i].url, &err) == 0) == rows[i].good,
			"%s: %s", rows[i].url, err.msg);
		ck_assert_int_eq(err.msg[0] == '\0', rows[i].good);
	}
}
END_TEST

/* --- keys ---------------------------------------------------------------------------------------- */

static void
expect_key(const char *file, const char *want, const char *words)
{
	struct err err = {""};
	char *key = endpoint_read_key(file, &err);

	if (want == NULL) {
		ck_assert_ptr_null(key);
		ck_assert_msg(strstr(err.msg, words) != NULL, "%s", err.msg);
		ck_assert_ptr_null(strstr(err.msg, "sk-"));
		return;
	}
	ck_assert_msg(key != NULL, "%s", err.msg);
	ck_assert_str_eq(key, want);
	sodium_free(key);
}

START_TEST(modes_of_key_files)
{
	static const mode_t open_modes[] = {0604, 0640, 0620, 0601, 0666, 0444};
	char want[200];

	snprintf(want, sizeof want, "chmod 600 %s", key_path);
	for (size_t i = 0; i < sizeof open_modes / sizeof *open_modes; i++) {
		write_file(key_path, "sk-1", open_modes[i]);
		expect_key(key_path, NULL, want);
	}
	write_file(key_path, "sk-1", 0400);
	expect_key(key_path, "sk-1", NULL);
	expect_key(dir, NULL, "not a regular file");
	expect_key("relative/key", NULL, "absolute");
	expect_key("sk-mistaken", NULL, "absolute");
	if (geteuid() == 0 && chown(key_path, 12345, 12345) == 0)
		expect_key(key_path, NULL, "belongs to user 12345");
}
END_TEST

START_TEST(systemd_credentials)
{
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", dir, 1), 0);
	write_file(key_path, "sk-2", 0440); /* as an access list shows */
	expect_key("key", "sk-2", NULL);
	expect_key(key_path, "sk-2", NULL);
	expect_key("../key", NULL, "systemd credential");
	expect_key("other", NULL, "cannot open");
	expect_key("sk-mistaken", NULL, "the credential"); /* and not what may be the key */
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", "/tmp", 1), 0);
	expect_key(key_path, NULL, "chmod 600"); /* below it, and not in it */
	unsetenv("CREDENTIALS_DIRECTORY");
}
END_TEST

START_TEST(what_is_in_key_files)
{
	char text[ENDPOINT_KEY_MOST + 8];

	write_file(key_path, " \tsk-3 \r\n\n", 0600);
	expect_key(key_path, "sk-3", NULL);
	write_file(key_path, "\n", 0600);
	expect_key(key_path, NULL, "is empty");
	write_file(key_path, "sk-4\nsk-5\n", 0600);
	expect_key(key_path, NULL, "one line");
	write_file(key_path, "sk 4", 0600);
	expect_key(key_path, NULL, "visible");
	write_file(key_path, "sk-\xc3\xa9", 0600);
	expect_key(key_path, NULL, "visible");
	memset(text, 'x', sizeof text);
	text[ENDPOINT_KEY_MOST - 1] = '\0';
	write_file(key_path, text, 0600);
	expect_key(key_path, text, NULL);
	text[ENDPOINT_KEY_MOST - 1] = 'x';
	text[ENDPOINT_KEY_MOST] = '\0';
	write_file(key_path, text, 0600);
	expect_key(key_path, NULL, "longer than a key");
}
END_TEST

/* --- money --------------------------------------------------------------------------------------- */

START_TEST(money)
{
	static const struct {
		const char *text;
		uint64_t micro;
		const char *again;
	} good[] = {
		{"0", 0, "0"},
		{"3", 3000000, "3"},
		{"0.15", 150000, "0.15"},
		{".000001", 1, "0.000001"},
		{"10.", 10000000, "10"},
		{"1.50000000000000", 1500000, "1.5"},
		{"007.10", 7100000, "7.1"},
		{"9007199254.740992", UINT64_C(1) << 53, "9007199254.740992"},
	};
	static const char *const bad[] = {"", ".", "-1", "+1", "1e3", "1,5", "0.0000001", "1.2.3",
		" 1", "1 ", "0x10", "9007199254.740993", "99999999999999999999999999", "nan",
		"inf"};
	char text[MONEY_TEXT];
	uint64_t micro;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		ck_assert_msg(money_parse(good[i].text, &micro), "%s", good[i].text);
		ck_assert_uint_eq(micro, good[i].micro);
		ck_assert_str_eq(money_text(micro, text), good[i].again);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!money_parse(bad[i], &micro), "%s", bad[i]);
	ck_assert_str_eq(money_text(UINT64_MAX, text), "18446744073709.551615");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("endpoints");
	TCase *t = tcase_create("endpoints");
	SRunner *r;
	int failed;

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, all_that_it_says);
	tcase_add_test(t, no_file_no_cloud);
	tcase_add_test(t, every_mistake);
	tcase_add_test(t, max_tokens_leave_room);
	tcase_add_test(t, only_so_many);
	tcase_add_test(t, random_files);
	tcase_add_test(t, urls);
	tcase_add_test(t, modes_of_key_files);
	tcase_add_test(t, systemd_credentials);
	tcase_add_test(t, what_is_in_key_files);
	tcase_add_test(t, money);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
