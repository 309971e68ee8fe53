/* Labels that a daemon makes while nobody asks: only with consent, out of what it may keep, and never in
 * anybody's way. */
#include "tests/support/http_fixture.h"

#include "daemon/energy_gauge.h"
#include "daemon/labels.h"
#include "sched/label.h"
#include "tests/support/patience.h"

#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHAT "/v1/chat/completions"

static const struct fake_script small = {
	.pieces = {"small", " says", " so"}, .end = SESSION_STOP, .margin = 20};
static const struct fake_script unsure = {
	.pieces = {"small", " may", " be"}, .end = SESSION_STOP, .margin = 2};
static const struct fake_script large = {
	.pieces = {"large", " knows"}, .end = SESSION_STOP, .margin = 20};
static const char *dir;
static char sysfs[80];
static struct answer a;

static void
consent(struct config *c)
{
	strcpy(c->labels, "idle");
	c->label_share = 1;
	c->label_after = 0;
	strcpy(c->label_hours, "any");
	c->hot = 80;
	c->low_battery = 20;
	snprintf(c->sysfs, sizeof c->sysfs, "%s", sysfs);
}

static void
write_file(const char *folder, const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof path, "mkdir -p '%s/%s'", sysfs, folder);
	ck_assert_int_eq(system(path), 0);
	snprintf(path, sizeof path, "%s/%s/%s", sysfs, folder, name);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void
start(void)
{
	dir = fixture_state_begin();
	snprintf(sysfs, sizeof sysfs, "%s/sys", dir);
	fixture_privacy = "home";
	fake_reset();
	fake_set(&large);
	fake_set_small(&small);
	fixture_start();
}

static void
setup(void)
{
	fixture_configure = consent;
	start();
}

static void
setup_without(void)
{
	fixture_configure = NULL;
	start();
}

static void
teardown(void)
{
	answer_free(&a);
	a = (struct answer){0};
	fixture_stop();
	fixture_state_end();
}

static void
say(const char *model, const char *text, const char *more)
{
	char body[1024];

	snprintf(body, sizeof body,
		"{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]%s}", model,
		text, more);
	answer_free(&a);
	post(CHAT, body, &a);
}

static void
local(const char *method, const char *path, const char *body)
{
	answer_free(&a);
	client_ask(client_unix(fixture_socket), method, path, "", body, &a);
}

/* Numbers of `shoal route status`, objects by '.'. */
static json_int_t
figure(const char *object, const char *key)
{
	json_t *o;

	local("GET", "/shoal/v1/route/status", NULL);
	o = json_object_get(a.json, object);
	if (strncmp(key, "made.", 5) == 0) {
		o = json_object_get(o, "made");
		key += 5;
	}
	return json_integer_value(json_object_get(o, key));
}

static void
pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static void
wait_for(const char *object, const char *key, json_int_t n)
{
	uint64_t since = 0;

	while (figure(object, key) != n && wait_more(&since))
		continue;
	ck_assert_msg(figure(object, key) == n, "%s.%s is not %lld: %s", object, key, (long long)n,
		a.body);
}

static unsigned
submitted(void)
{
	struct fake_seen seen;

	fake_get(&seen);
	return seen.submitted;
}

/* --- which labels ------------------------------------------------------------------------------- */

START_TEST(nothing_without_consent)
{
	say("auto", "hello", "");
	pause_ms(3 * LABELS_TICK_MS);
	ck_assert_uint_eq(submitted(), 1);
	local("GET", "/shoal/v1/route/status", NULL);
	ck_assert(json_is_false(json_object_get(json_object_get(a.json, "labels"), "consent")));
}
END_TEST

START_TEST(the_same_answer)
{
	struct fake_script agrees = large;
	struct fake_seen seen;

	agrees.pieces[0] = "Small says ";
	agrees.pieces[1] = " so.";
	fake_set(&agrees);
	say("auto", "hello", "");
	wait_for("labels", "made.same", 1);
	ck_assert_int_eq(figure("learned", "rows_kept"), 1);
	ck_assert_int_eq(figure("labels", "waiting"), 0);
	fake_get(&seen);
	ck_assert_uint_eq(seen.submitted, 2);
	ck_assert_uint_eq(seen.small, 1);
	ck_assert_uint_eq(seen.max_guesses, 0); /* a draft would be the small model's work */
	answer_free(&a);
	get("/metrics", &a);
	ck_assert_ptr_nonnull(strstr(a.body, "shoal_route_labels_total{label=\"same\"} 1\n"));
}
END_TEST

START_TEST(votes)
{
	struct fake_seen seen;

	say("auto", "hello", ",\"temperature\":0.25");
	wait_for("labels", "made.voted", 1);
	fake_get(&seen);
	ck_assert_uint_eq(seen.submitted, 2 + LABEL_VOTES);
	ck_assert_uint_eq(seen.small, 1);
	ck_assert(seen.sampler.temperature > 0.99f);
	ck_assert_uint_eq(seen.max_guesses, 0);
}
END_TEST

/* The large model's answers are asked again of the small one, and that answer has figures. */
START_TEST(of_the_large_model)
{
	struct fake_seen seen;

	say("auto", "hello", ",\"shoal\":{\"quality\":1}");
	wait_for("labels", "made.voted", 1);
	fake_get(&seen);
	ck_assert_uint_eq(seen.small, 1);
	ck_assert_uint_eq(seen.submitted, 2 + LABEL_VOTES);
	/* Enough of them are enough to train on, answers included. */
	for (int i = 1; i < GAIN_LEAST_ROWS; i++)
		say("auto", "hello", ",\"shoal\":{\"quality\":1}");
	wait_for("labels", "made.voted", GAIN_LEAST_ROWS);
	local("POST", "/shoal/v1/route/train", "{}");
	ck_assert_msg(a.status == 200, "%s", a.body);
	ck_assert_int_eq(
		json_integer_value(json_object_get(a.json, "rows_with_answers")), GAIN_LEAST_ROWS);
}
END_TEST

static atomic_uint asked;
static const char *verdicts[2];

/* Another text each time; as a judge, what the test has it say. */
static void
write_freely(const char *prompt, char *out, size_t size)
{
	const char *at = strstr(prompt, "Answer A:\n");

	if (at == NULL)
		snprintf(out, size, "text %u", atomic_fetch_add(&asked, 1));
	else
		snprintf(out, size, "%s",
			verdicts[strncmp(at, "Answer A:\nsmall says so", 23) != 0]);
}

static void
judge(const char *small_first, const char *large_first)
{
	struct fake_script free_text = {
		.reply = write_freely, .end = SESSION_STOP, .margin = 20, .context = 4096};

	verdicts[0] = small_first;
	verdicts[1] = large_first;
	fake_set(&free_text);
	say("auto", "tell me of the sea", "");
}

START_TEST(a_judge)
{
	judge("A", "B");
	wait_for("labels", "made.judged", 1);
	ck_assert_uint_eq(submitted(), 2 + LABEL_VOTES + 2);
	judge(" =", "=");
	wait_for("labels", "made.judged", 2);
	ck_assert_int_eq(figure("learned", "rows_kept"), 2);
	judge("A", "A"); /* likes the first place */
	wait_for("labels", "made.none", 1);
	judge("both are", "fine");
	wait_for("labels", "made.none", 2);
	ck_assert_int_eq(figure("learned", "rows_kept"), 2);
	ck_assert_int_eq(figure("labels", "made.judged"), 2);
}
END_TEST

/* --- what is kept ------------------------------------------------------------------------------- */

static bool
on_disk(const char *word)
{
	char command[160];

	snprintf(command, sizeof command, "grep -rqa '%s' '%s'", word, dir);
	return system(command) == 0;
}

START_TEST(hashes_and_nothing_else)
{
	char path[96];
	struct stat st;

	say("auto", "xylophones in the attic", "");
	wait_for("labels", "made.voted", 1);
	snprintf(path, sizeof path, "%s/route/rows", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_uint_gt((unsigned long)st.st_size, 0);
	ck_assert(!on_disk("xylophone") && !on_disk("small says") && !on_disk("large knows"));
	local("GET", "/shoal/v1/route/log", NULL);
	ck_assert_ptr_null(strstr(a.body, "xylophone"));
	local("POST", "/shoal/v1/route/forget", "{}");
	ck_assert_int_eq(a.status, 200);
	ck_assert_int_ne(stat(path, &st), 0);
	ck_assert_int_eq(figure("learned", "rows_kept"), 0);
}
END_TEST

static void
on_battery(void)
{
	write_file("class/power_supply/BAT0", "type", "Battery\n");
	write_file("class/power_supply/BAT0", "capacity", "90\n");
	write_file("class/power_supply/BAT0", "status", "Discharging\n");
}

START_TEST(bounded_and_forgotten)
{
	char id[64], body[128];

	on_battery();
	for (int i = 0; i < LABELS_MOST + 8; i++)
		say("auto", "hello", "");
	ck_assert_int_eq(figure("labels", "waiting"), LABELS_MOST);
	local("POST", "/shoal/v1/route/forget", "{}");
	ck_assert_int_eq(figure("labels", "waiting"), 0);
	/* Somebody's word is better than any label that could still be made. */
	say("auto", "hello", "");
	ck_assert_int_eq(figure("labels", "waiting"), 1);
	say("auto", "hello", "");
	snprintf(id, sizeof id, "%s", json_string_value(json_object_get(a.json, "id")));
	snprintf(body, sizeof body, "{\"id\":\"%s\",\"right\":true}", id);
	local("POST", "/shoal/v1/route/feedback", body);
	ck_assert_int_eq(a.status, 200);
	ck_assert_int_eq(figure("labels", "waiting"), 1);
	/* What both have written is no answer of one of them. */
	say("auto", "hello", ",\"shoal\":{\"mode\":\"token\"}");
	ck_assert_int_eq(figure("labels", "waiting"), 1);
}
END_TEST

/* What was said on this device is not asked of two. */
START_TEST(no_further_than_it_was_allowed)
{
	struct fake_script two = large;

	two.devices = 2;
	fake_set(&two);
	say("auto", "hello", ",\"shoal\":{\"privacy\":\"device\"}");
	ck_assert_int_eq(a.status, 200);
	wait_for("labels", "made.none", 1);
	ck_assert_uint_eq(submitted(), 1);
}
END_TEST

/* --- when --------------------------------------------------------------------------------------- */

START_TEST(gives_way_at_once)
{
	struct fake_script endless = large;
	struct fake_seen seen;
	uint64_t since = 0;
	unsigned tokens;

	endless.endless = true;
	endless.gap_ms = 10;
	fake_set(&endless);
	say("auto", "hello", "");
	do
		fake_get(&seen);
	while (seen.running != 1 && wait_more(&since));
	ck_assert_uint_eq(seen.running, 1);
	tokens = seen.tokens;
	say(FAKE_SMALL, "a real one", "");
	ck_assert_int_eq(a.status, 200);
	fake_get(&seen);
	ck_assert_uint_eq(seen.cancelled, 1);
	ck_assert_uint_lt(
		seen.tokens - tokens, 100); /* of both, in a second of the server's own clock */
	ck_assert_int_eq(figure("labels", "stopped"), 1);
	ck_assert_int_eq(figure("labels", "waiting"), 1);
	/* It begins anew. */
	fake_set(&large);
	say(FAKE_SMALL, "another", "");
	wait_for("labels", "made.voted", 1);
}
END_TEST

START_TEST(spares_the_battery)
{
	on_battery();
	say("auto", "hello", "");
	pause_ms(3 * LABELS_TICK_MS);
	ck_assert_uint_eq(submitted(), 1);
	ck_assert_int_eq(figure("labels", "waiting"), 1);
	ck_assert_ptr_nonnull(strstr(a.body, "\"hold\":\"battery\""));
	write_file("class/power_supply/BAT0", "status", "Charging\n");
	/* A mouse's battery is none of its own. */
	write_file("class/power_supply/hid-mouse", "type", "Battery\n");
	write_file("class/power_supply/hid-mouse", "scope", "Device\n");
	write_file("class/power_supply/hid-mouse", "status", "Discharging\n");
	wait_for("labels", "made.voted", 1);
}
END_TEST

START_TEST(spares_a_hot_device)
{
	write_file("class/thermal/cooling_device0", "type", "Processor\n");
	write_file("class/thermal/thermal_zone0", "temp", "45000\n");
	write_file("class/thermal/thermal_zone1", "temp", "85000\n");
	write_file("class/thermal/thermal_zone2", "temp", "-274000\n");
	say("auto", "hello", "");
	pause_ms(3 * LABELS_TICK_MS);
	ck_assert_uint_eq(submitted(), 1);
	ck_assert_int_eq(figure("labels", "waiting"), 1);
	ck_assert_ptr_nonnull(strstr(a.body, "\"hold\":\"hot\""));
	write_file(
		"class/thermal/thermal_zone1", "temp", "60\n"); /* of a driver with whole degrees */
	wait_for("labels", "made.voted", 1);
}
END_TEST

/* A hot device, too, is asked less where others compute the large model. */
START_TEST(loses_traffic)
{
	struct fake_script two = large;

	write_file("class/thermal/thermal_zone0", "temp", "90000\n");
	say("auto", "hello", "");
	ck_assert_ptr_nonnull(strstr(a.body, "\"reason\":\"tokens_sure\"")); /* alone */
	two.devices = 2;
	fake_set(&two);
	say("auto", "hello", "");
	ck_assert_ptr_nonnull(strstr(a.body, "\"reason\":\"spared\""));
	ck_assert_ptr_nonnull(strstr(a.body, "large knows"));
	say("auto", "hello", ",\"shoal\":{\"quality\":0}");
	ck_assert_ptr_nonnull(strstr(a.body, "\"reason\":\"no_gain\""));
	answer_free(&a);
	get("/metrics", &a);
	ck_assert_ptr_nonnull(strstr(a.body, "shoal_device_spared 1\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "shoal_device_celsius 90\n"));
}
END_TEST

/* Of the devices that compute the large model a member is enough: nothing is asked of it for labels, and
 * less of it by prompts; of both sides that are hot neither is spared. */
START_TEST(a_member_is_hot)
{
	struct fake_script two = large;

	two.devices = 2;
	two.member_state = ENERGY_HOT;
	fake_set(&two);
	fake_set_small(&unsure);
	say("auto", "hello", "");
	ck_assert_ptr_nonnull(strstr(a.body, "\"reason\":\"spared\""));
	ck_assert_ptr_nonnull(strstr(a.body, "small may be"));
	pause_ms(3 * LABELS_TICK_MS);
	ck_assert_uint_eq(submitted(), 1);
	local("GET", "/shoal/v1/route/status", NULL);
	ck_assert_ptr_nonnull(strstr(a.body, "\"hold\":\"hot\""));
	ck_assert_ptr_nonnull(strstr(a.body, "\"members_spared\":1"));
	answer_free(&a);
	get("/metrics", &a);
	ck_assert_ptr_nonnull(strstr(a.body, "shoal_members_spared 1\n"));
	ck_assert_ptr_nonnull(strstr(a.body, "shoal_device_spared 0\n"));
	write_file("class/thermal/thermal_zone0", "temp", "90000\n");
	pause_ms(ENERGY_GAUGE_MS + 100);
	say("auto", "hello", "");
	ck_assert_ptr_nonnull(strstr(a.body, "\"reason\":\"tokens_doubt\""));
}
END_TEST

/* A model that fails is tried again, but not for ever. */
START_TEST(a_model_that_fails)
{
	struct fake_script broken = {.end = SESSION_STOP, .fail_status = 502, .fail = "lost"};

	fake_set(&broken);
	say("auto", "hello", "");
	wait_for("labels", "made.none", 1);
	ck_assert_uint_eq(submitted(), 1 + 3);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("labels");
	TCase *without = tcase_create("without consent"), *t = tcase_create("with consent");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(without, setup_without, teardown);
	tcase_add_test(without, nothing_without_consent);
	suite_add_tcase(s, without);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, the_same_answer);
	tcase_add_test(t, votes);
	tcase_add_test(t, of_the_large_model);
	tcase_add_test(t, a_judge);
	tcase_add_test(t, hashes_and_nothing_else);
	tcase_add_test(t, bounded_and_forgotten);
	tcase_add_test(t, no_further_than_it_was_allowed);
	tcase_add_test(t, gives_way_at_once);
	tcase_add_test(t, spares_the_battery);
	tcase_add_test(t, spares_a_hot_device);
	tcase_add_test(t, loses_traffic);
	tcase_add_test(t, a_member_is_hot);
	tcase_add_test(t, a_model_that_fails);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
