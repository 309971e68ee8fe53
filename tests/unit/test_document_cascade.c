/* The cascade of document mode over the API, with models that a script speaks for: what goes up to the large model,
 * how much of it, whose reply stands, what is said of it. */
#include "tests/support/http_fixture.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHAT  "/v1/chat/completions"
#define PARTS 60

static struct answer a;
static char document[8192]; /* a part for each line */

/* --- what the models say ------------------------------------------------------------------------- */

/* The number of the line that is asked about; -1: the prompt is a supervisor's. */
static int
line_of(const char *prompt)
{
	const char *at = strstr(prompt, "Line no ");

	return strstr(prompt, "You direct helpers") == NULL && at != NULL ? atoi(at + 8) : -1;
}

static void
says(const char *who, const char *prompt, char *out, size_t size)
{
	int line = line_of(prompt);

	if (line < 0)
		snprintf(out, size, "I have no plan {");
	else
		snprintf(out, size, "{\"answer\":\"%s %d\",\"quotes\":[\"Line no %d \"]}", who,
			line, line);
}

static void
small_says(const char *prompt, char *out, size_t size)
{
	says("small", prompt, out, size);
}

static void
large_says(const char *prompt, char *out, size_t size)
{
	says("large", prompt, out, size);
}

/* Of every fourth line the small model is not sure. */
static float
sure_of_most(const char *prompt)
{
	return line_of(prompt) % 4 == 0 ? 0.05f : 20;
}

static float
sure_of_all(const char *prompt)
{
	(void)prompt;
	return 20;
}

/* As sure as a hash says. */
static float
mixed(const char *prompt)
{
	uint32_t x = (uint32_t)line_of(prompt) * 2654435761u + 12345;

	x ^= x >> 16;
	return (float)(x % 1000) / 200 + 0.01f;
}

static void
small_stammers(const char *prompt, char *out, size_t size)
{
	if (line_of(prompt) == 7)
		snprintf(out, size, "{\"answer\": \"bro");
	else
		small_says(prompt, out, size);
}

static void
large_stammers(const char *prompt, char *out, size_t size)
{
	if (line_of(prompt) >= 0)
		snprintf(out, size, "{\"answer\": \"bro");
	else
		large_says(prompt, out, size);
}

static void
large_is_lost(const char *prompt, char *out, size_t size)
{
	if (line_of(prompt) >= 0)
		snprintf(out, size, "!503 pi-attic was lost");
	else
		large_says(prompt, out, size);
}

static unsigned large_ms; /* that the large model takes: so long that it does not help */
static uint32_t devices;  /* that compute it; 0: one */
static enum energy_state of_others;
static const char *dir;

static void
speak(void (*large)(const char *, char *, size_t), void (*small)(const char *, char *, size_t),
	float (*sure)(const char *))
{
	struct fake_script s = {.end = SESSION_STOP, .context = 2048, .reply = large};

	s.first_ms = large_ms;
	s.devices = devices;
	s.member_state = of_others;
	s.tokens_per_s = 1;
	fake_set(&s);
	s.first_ms = 0;
	s.tokens_per_s = 1000;
	s.reply = small;
	s.sure = sure;
	fake_set_small(&s);
}

/* --- asking --------------------------------------------------------------------------------------- */

/* How hot this device is. */
static void
heat(const char *temp)
{
	char text[200];

	snprintf(text, sizeof text,
		"mkdir -p %s/sys/class/thermal/thermal_zone0 && echo %s > "
		"%s/sys/class/thermal/thermal_zone0/temp",
		dir, temp, dir);
	ck_assert_int_eq(system(text), 0);
}

static void
configure(struct config *c)
{
	c->hot = 80;
	snprintf(c->sysfs, sizeof c->sysfs, "%s/sys", dir);
}

static void
setup(void)
{
	size_t len = 0;

	dir = fixture_state_begin();
	fixture_configure = configure;
	devices = 0;
	of_others = ENERGY_FINE;
	fixture_privacy = "home";
	large_ms = 25;
	fake_reset();
	fixture_start();
	for (int i = 0; i < PARTS; i++)
		len += (size_t)snprintf(document + len, sizeof document - len,
			"Line no %d of a text that is cut into a part for each of its lines, and "
			"so on.\n",
			i);
}

static void
teardown(void)
{
	answer_free(&a);
	a = (struct answer){0};
	fixture_stop();
	fixture_state_end();
}

/* members: of shoal, behind the document. */
static void
ask_about(const char *model, const char *members)
{
	json_t *doc = json_string(document);
	char *dumped = json_dumps(doc, JSON_ENCODE_ANY), *body = malloc(20000);

	snprintf(body, 20000,
		"{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"Which "
		"line?\"}],\"shoal\":{\"mode\":\"document\",\"part_bytes\":90,\"document\":%s%s}}",
		model, dumped, members);
	answer_free(&a);
	post(CHAT, body, &a);
	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	free(body);
	free(dumped);
	json_decref(doc);
}

static json_t *
shoal(const char *key)
{
	return json_object_get(json_object_get(a.json, "shoal"), key);
}

static double
cascade(const char *key)
{
	ck_assert_msg(json_is_object(shoal("cascade")), "%s", a.body);
	return json_number_value(json_object_get(shoal("cascade"), key));
}

/* How many lines are said to be of that model, of those in the answer whose number n is so that n % 4 is
 * `rest`; -1: whatever it is. */
static int
lines_of(const char *who, int rest)
{
	json_t *choice = json_array_get(json_object_get(a.json, "choices"), 0);
	const char *at =
		json_string_value(json_object_get(json_object_get(choice, "message"), "content"));
	int n = 0;

	ck_assert_ptr_nonnull(at);
	while ((at = strstr(at, who)) != NULL) {
		at += strlen(who) + 1;
		n += rest < 0 || atoi(at) % 4 == rest;
	}
	return n;
}

/* --- tests ---------------------------------------------------------------------------------------- */

START_TEST(what_it_is_unsure_of_goes_up)
{
	json_t *usage;
	int up;

	speak(large_says, small_says, sure_of_most);
	ask_about("auto", ",\"quality\":0.25");
	ck_assert_int_eq(json_integer_value(shoal("jobs")), PARTS);
	ck_assert_int_eq(json_integer_value(shoal("failed_jobs")), 0);
	up = (int)cascade("went_up");
	ck_assert_int_eq(lines_of("large", -1), (int)cascade("large")); /* which may help, too */
	ck_assert_int_eq(lines_of("small", -1), (int)cascade("small"));
	ck_assert_int_eq((int)(cascade("large") + cascade("small")), PARTS);
	ck_assert_int_ge(lines_of("large", 0), 12); /* of the 15 that it doubts */
	ck_assert_int_ge(up, 10);
	ck_assert_int_le(up, 18);
	ck_assert_double_eq_tol(cascade("share"), up / cascade("judged"), 1e-9);
	ck_assert_int_eq((int)cascade("wasted_tokens"), up);
	usage = json_object_get(json_object_get(a.json, "usage"), "completion_tokens_details");
	ck_assert_double_eq_tol(json_number_value(json_object_get(usage, "large_share")),
		cascade("large") / PARTS, 1e-9);
}
END_TEST

START_TEST(the_knob_at_its_ends)
{
	struct fake_seen seen, before;

	speak(large_says, small_says, sure_of_most);
	ask_about("auto", ",\"quality\":0");
	ck_assert_int_ge(lines_of("small", -1), PARTS / 2); /* the large one may help */
	ck_assert_ptr_null(shoal("cascade"));
	fake_get(&before);
	ask_about("auto:local", "");
	ck_assert_int_eq(lines_of("small", -1), PARTS);
	fake_get(&seen);
	ck_assert_uint_eq(seen.submitted - seen.small, before.submitted - before.small);
	ask_about("auto", ",\"quality\":1");
	ck_assert_int_eq(lines_of("large", -1), PARTS);
	ask_about("auto:home", "");
	ck_assert_int_eq(lines_of("large", -1), PARTS);
	ck_assert_ptr_null(shoal("cascade"));
}
END_TEST

/* Over a few documents the share that goes up is the one that was asked for, also when the small model is
 * as sure of all. */
START_TEST(the_share_is_the_knobs)
{
	static const double shares[] = {0.1, 0.3, 0.6};

	large_ms = 0; /* it helps, too */
	for (size_t i = 0; i < 6; i++) {
		double q = shares[i % 3], up = 0, judged = 0;
		char members[32];

		speak(large_says, small_says, i < 3 ? mixed : sure_of_all);
		snprintf(members, sizeof members, ",\"quality\":%.1f", q);
		for (int k = 0; k < 10; k++) {
			ask_about("auto", members);
			up += k >= 5 ? cascade("went_up") : 0;
			judged += k >= 5 ? cascade("judged") : 0;
		}
		ck_assert_double_ge(judged, 2 * PARTS);
		ck_assert_msg(
			fabs(up / judged - q) <= 0.05, "%.3f instead of %.1f", up / judged, q);
	}
}
END_TEST

/* As with chats: what a small model is only a little less sure of stays with it when one of the others is hot,
 * and the large model does not help either. */
START_TEST(others_are_spared)
{
	devices = 2;
	of_others = ENERGY_HOT;
	large_ms = 0;
	speak(large_says, small_says, sure_of_all);
	for (int i = 0; i < 3; i++)
		ask_about("auto", ",\"quality\":0.5");
	ck_assert_int_eq((int)cascade("went_up"), 0);
	ck_assert_int_ge((int)cascade("spared"), 10);
	ck_assert_int_eq(lines_of("small", -1), PARTS);
	of_others = ENERGY_FINE;
	speak(large_says, small_says, sure_of_all);
	ask_about("auto", ",\"quality\":0.5");
	ck_assert_int_ge((int)cascade("went_up"), 10);
	ck_assert_int_eq((int)cascade("spared"), 0);
}
END_TEST

/* This device is hot, and others compute the large model, too: that reads all parts. */
START_TEST(this_device_is_spared)
{
	devices = 2;
	heat("95000");
	speak(large_says, small_says, sure_of_all);
	ask_about("auto", ",\"quality\":0.5");
	ck_assert_int_eq(lines_of("large", -1), PARTS);
	ck_assert_int_eq(json_integer_value(shoal("failed_jobs")), 0);
	of_others = ENERGY_HOT; /* they are no better off */
	speak(large_says, small_says, sure_of_all);
	ask_about("auto", ",\"quality\":0.5");
	ck_assert_int_ge(lines_of("small", -1), 10);
}
END_TEST

START_TEST(what_makes_no_sense_goes_up)
{
	speak(large_says, small_stammers, sure_of_all);
	ask_about("auto", ",\"quality\":0.01");
	ck_assert_int_eq(json_integer_value(shoal("failed_jobs")), 0);
	ck_assert_int_eq(json_integer_value(shoal("jobs")), PARTS);
	ck_assert_int_ge(lines_of("large", 3), 1);
	ck_assert_int_eq(lines_of("small", -1) + lines_of("large", -1), PARTS);
}
END_TEST

/* One bad reply costs one job, a large model that fails none. */
START_TEST(the_small_reply_stands)
{
	struct fake_script full = {.refuse = 429, .context = 2048};
	int helped, failed;

	speak(large_stammers, small_says, sure_of_most);
	ask_about("auto", ",\"quality\":0.25");
	helped = PARTS - (int)cascade("judged"); /* these have no other reply */
	ck_assert_int_ge((int)cascade("went_up"), 8);
	ck_assert_int_eq(lines_of("small", -1), PARTS - helped);
	ck_assert_int_ge(
		(int)cascade("wasted_tokens"), (int)cascade("went_up")); /* the large one's */
	speak(large_stammers, small_stammers, sure_of_most);
	ask_about("auto", ",\"quality\":0.25");
	failed = (int)json_integer_value(shoal("failed_jobs"));
	helped = PARTS - (int)cascade("judged");
	ck_assert_int_eq(lines_of("small", -1), PARTS - failed);
	ck_assert(failed == helped + 1 || (failed == helped && helped > 0));
	speak(large_is_lost, small_says, sure_of_most);
	ask_about("auto", ",\"quality\":0.25");
	ck_assert_int_eq(lines_of("small", -1), PARTS);
	ck_assert_int_eq(json_integer_value(shoal("failed_jobs")), 0);
	fake_set(&full);
	ask_about("auto", ",\"quality\":0.25");
	ck_assert_int_eq(lines_of("small", -1), PARTS);
	ck_assert_int_eq(json_integer_value(shoal("failed_jobs")), 0);
}
END_TEST

START_TEST(what_is_said_of_it)
{
	json_t *why;
	char path[128];
	const char *at;
	int up;

	speak(large_says, small_says, sure_of_most);
	ask_about("auto", ",\"at_least\":0.9"); /* nothing was learned: quality counts */
	ck_assert_double_eq_tol(cascade("at_least"), 0.9, 1e-6);
	up = (int)cascade("went_up");
	ck_assert_int_ge(up, 10);
	snprintf(path, sizeof path, "/shoal/v1/route/why/%s",
		json_string_value(json_object_get(a.json, "id")));
	why = json_incref(shoal("cascade"));
	answer_free(&a);
	client_ask(client_unix(fixture_socket), "GET", path, "", "", &a);
	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	ck_assert(json_equal(json_object_get(json_object_get(a.json, "shoal"), "cascade"), why));
	json_decref(why);
	answer_free(&a);
	get("/metrics", &a);
	at = strstr(a.body, "\nshoal_document_went_up_total ");
	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(atoi(at + strlen("\nshoal_document_went_up_total ")), up);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("document cascade");
	TCase *t = tcase_create("cascade");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, what_it_is_unsure_of_goes_up);
	tcase_add_test(t, the_knob_at_its_ends);
	tcase_add_test(t, the_share_is_the_knobs);
	tcase_add_test(t, others_are_spared);
	tcase_add_test(t, this_device_is_spared);
	tcase_add_test(t, what_makes_no_sense_goes_up);
	tcase_add_test(t, the_small_reply_stands);
	tcase_add_test(t, what_is_said_of_it);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
