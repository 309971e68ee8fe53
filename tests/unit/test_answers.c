/* Answers with an Idempotency-Key: computed once, however often and from wherever they are asked for,
 * also when clients leave and daemons end in between. */
#include "daemon/answers.h"

#include "daemon/journal.h"
#include "tests/support/http_fixture.h"
#include "tests/support/patience.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHAT   "/v1/chat/completions"
#define COMPL  "/v1/completions"
#define HI     "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]"
#define WHOLE  "{" HI "}"
#define STREAM "{" HI ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"
#define KEY    "Idempotency-Key: one\r\n"

static const struct fake_script five = {
	.pieces = {"On", "ce", " \xc3\xa4", " day", "."}, .end = SESSION_STOP, .gap_ms = 2};
static const struct fake_script slow = {
	.pieces = {"On", "ce", " \xc3\xa4", " day", "."}, .end = SESSION_STOP, .gap_ms = 40};
#define FIVE "Once \xc3\xa4 day."

static struct answer a, b;
static char state[64];

static void
setup(void)
{
	fixture_start();
	fake_set(&five);
}

static void
teardown(void)
{
	answer_free(&a);
	answer_free(&b);
	fixture_stop();
}

/* --- asking ------------------------------------------------------------------------------------- */

static struct fake_seen
seen(void)
{
	struct fake_seen s;

	fake_get(&s);
	return s;
}

static const char *
whole_text(const struct answer *an)
{
	json_t *c = json_array_get(json_object_get(an->json, "choices"), 0);

	return json_string_value(json_object_get(json_object_get(c, "message"), "content"));
}

static void
expect_whole(const struct answer *an)
{
	ck_assert_msg(an->status == 200, "%d: %s", an->status, an->body);
	ck_assert_str_eq(whole_text(an), FIVE);
}

static void
expect_stream(const struct answer *an, const char *want)
{
	char text[256];

	ck_assert_msg(an->status == 200 && an->whole, "%d: %s", an->status, an->body);
	stream_words(an->body, text);
	ck_assert_str_eq(text, want);
	ck_assert_ptr_nonnull(strstr(an->body, "data: [DONE]\n\n"));
}

/* Comments say nothing. */
static void
drop_comments(char *body)
{
	char *p;

	while ((p = strstr(body, "\n\n:\n\n")) != NULL)
		memmove(p + 2, p + 5, strlen(p + 5) + 1);
}

/* Sends a request, reads until `until` is there, and goes away. What was read is in *got. */
static void
leave_with(const char *key, const char *body, const char *until, struct buf *got)
{
	char chunk[512];
	int fd = client_tcp(fixture_port);
	ssize_t n;

	buf_clear(got);
	buf_printf(got,
		"POST " CHAT " HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s", key,
		strlen(body), body);
	client_send(fd, (const char *)got->data, got->len);
	buf_clear(got);
	while (got->len == 0 || strstr((char *)got->data, until) == NULL) {
		n = recv(fd, chunk, sizeof chunk, 0);
		ck_assert_int_gt(n, 0);
		got->len -= got->len > 0;
		buf_append(got, chunk, (size_t)n);
		buf_u8(got, 0);
	}
	close(fd);
}

static void
leave_at(const char *body, const char *until, struct buf *got)
{
	leave_with(KEY, body, until, got);
}

static void
wait_ended(unsigned n)
{
	uint64_t since = 0;

	while (seen().ended < n && wait_more(&since))
		continue;
	ck_assert_uint_eq(seen().ended, n);
}

/* Until the model has begun to answer. */
static void
wait_begun(void)
{
	uint64_t since = 0;

	while (seen().tokens == 0 && wait_more(&since))
		continue;
	ck_assert_uint_gt(seen().tokens, 0);
}

/* --- keys --------------------------------------------------------------------------------------- */

START_TEST(the_same_answer_again)
{
	ask("POST", CHAT, KEY, WHOLE, &a);
	expect_whole(&a);
	ask("POST", CHAT, KEY, WHOLE, &b);
	ck_assert_int_eq(b.status, 200);
	ck_assert_str_eq(a.body, b.body); /* id, time and figures too */
	answer_free(&b);
	ask("POST", CHAT, "Idempotency-Key: \"one\"\r\n", WHOLE, &b); /* as the draft writes it */
	ck_assert_str_eq(a.body, b.body);
	ck_assert_uint_eq(seen().submitted, 1);
	ck_assert_uint_eq(seen().tokens, 5);
	answer_free(&b);
	ask("POST", CHAT, "Idempotency-Key: two\r\n", WHOLE, &b);
	expect_whole(&b);
	ck_assert_str_ne(a.body, b.body);
	ck_assert_uint_eq(seen().submitted, 2);
}
END_TEST

START_TEST(a_key_belongs_to_one_request)
{
	ask("POST", CHAT, KEY, WHOLE, &a);
	expect_whole(&a);
	ask("POST", CHAT, KEY, "{" HI ",\"seed\":1}", &b);
	ck_assert_int_eq(b.status, 422);
	ck_assert_str_eq(answer_error(&b, "code"), "idempotency_key_reused");
	answer_free(&b);
	ask("POST", COMPL, KEY, "{\"prompt\":\"Hi\"}", &b);
	ck_assert_int_eq(b.status, 422);
	answer_free(&b);
	ask("POST", CHAT, KEY "X-Shoal-Privacy: home\r\n", WHOLE, &b);
	ck_assert_int_eq(b.status, 422);
	ck_assert_uint_eq(seen().submitted, 1);
}
END_TEST

START_TEST(keys_that_are_none)
{
	static const char *const bad[] = {"Idempotency-Key: \r\n", "Idempotency-Key: \"\"\r\n",
		"Idempotency-Key: caf\xc3\xa9\r\n", "Idempotency-Key: \"a\\\"\r\n",
		KEY "Idempotency-Key: two\r\n", KEY "Last-Event-ID: x\r\n",
		KEY "Last-Event-ID: -1\r\n", KEY "Last-Event-ID: 9999999999999999999\r\n"};
	char name[ANSWER_KEY_MAX + 32];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ask("POST", CHAT, bad[i], STREAM, &a);
		ck_assert_msg(a.status == 400, "%s: %d %s", bad[i], a.status, a.body);
		answer_free(&a);
	}
	for (int len = ANSWER_KEY_MAX; len <= ANSWER_KEY_MAX + 1; len++) {
		snprintf(name, sizeof name, "Idempotency-Key: %0*d\r\n", len, 7);
		ask("POST", CHAT, name, WHOLE, &a);
		ck_assert_int_eq(a.status, len == ANSWER_KEY_MAX ? 200 : 400);
		answer_free(&a);
	}
	ask("POST", CHAT, KEY "Last-Event-ID: 3\r\n", STREAM, &a); /* nothing to go on with */
	ck_assert_int_eq(a.status, 410);
	ck_assert_uint_eq(seen().submitted, 1);
}
END_TEST

/* The same key, body and daemon give the same seed, so that even a lost journal changes no text. */
START_TEST(the_seed_follows_from_key_and_request)
{
	uint64_t first;

	ask("POST", CHAT, KEY, WHOLE, &a);
	first = seen().sampler.seed;
	ask("POST", CHAT, "Idempotency-Key: two\r\n", WHOLE, &b);
	ck_assert_uint_ne(seen().sampler.seed, first);
	fixture_stop();
	fixture_start();
	answer_free(&a);
	ask("POST", CHAT, KEY, WHOLE, &a);
	ck_assert_uint_eq(seen().sampler.seed, first);
	answer_free(&a);
	ask("POST", CHAT, "Idempotency-Key: three\r\n", "{" HI ",\"seed\":42}", &a);
	ck_assert_uint_eq(seen().sampler.seed, 42);
}
END_TEST

START_TEST(clients_do_not_share_keys)
{
	char keys[] = "/tmp/shoal-keys-XXXXXX";
	int fd = mkstemp(keys);

	ck_assert_int_eq(write(fd, "red\nblue\n", 9), 9);
	close(fd);
	fixture_stop();
	fixture_start_with("127.0.0.1:0", keys);
	unlink(keys);
	ask("POST", CHAT, KEY "Authorization: Bearer red\r\n", WHOLE, &a);
	ask("POST", CHAT, KEY "Authorization: Bearer blue\r\n", WHOLE, &b);
	ck_assert_int_eq(a.status, 200);
	ck_assert_int_eq(b.status, 200);
	ck_assert_uint_eq(seen().submitted, 2);
	answer_free(&b);
	ask("POST", CHAT, KEY "Authorization: Bearer red\r\n", WHOLE, &b);
	ck_assert_str_eq(a.body, b.body);
	ck_assert_uint_eq(seen().submitted, 2);
}
END_TEST

/* --- streams ------------------------------------------------------------------------------------ */

/* Behind each of its events a stream goes on: the rest of the text, in whatever pieces, and the same
 * end. */
START_TEST(a_stream_goes_on_behind_any_event)
{
	char head[128], text[256];
	int n = 0;

	ask("POST", CHAT, KEY, STREAM, &a);
	expect_stream(&a, FIVE);
	drop_comments(a.body);
	ck_assert_ptr_nonnull(strstr(a.body, "id: 0\ndata: "));
	for (const char *p = a.body; (p = strstr(p, "id: ")) != NULL; n++) {
		size_t id = strtoul(p + 4, NULL, 10), len = strlen(FIVE);
		const char *rest = strstr(p, "\n\n") + 2;

		snprintf(head, sizeof head, KEY "Last-Event-ID: %zu\r\n", id);
		ask("POST", CHAT, head, STREAM, &b);
		ck_assert_int_eq(b.status, 200);
		drop_comments(b.body);
		stream_words(b.body, text);
		ck_assert_str_eq(text, &FIVE[id < len ? id : len]);
		if (id < len)
			ck_assert_str_eq(strstr(b.body, "id: 13\n"), strstr(rest, "id: 13\n"));
		else
			ck_assert_str_eq(b.body, rest);
		answer_free(&b);
		p = rest;
	}
	ck_assert_int_ge(n, 1 + 1 + 2);     /* role, text, reason, usage */
	ask("POST", CHAT, KEY, STREAM, &b); /* all of it, from the beginning */
	expect_stream(&b, FIVE);
	ck_assert_uint_eq(seen().submitted, 1);
}
END_TEST

START_TEST(events_that_there_are_not)
{
	ask("POST", CHAT, KEY, STREAM, &a);
	expect_stream(&a, FIVE);
	answer_free(&a);
	ask("POST", CHAT, KEY "Last-Event-ID: 6\r\n", STREAM, &a); /* within a character */
	ck_assert_ptr_nonnull(strstr(a.body, "invalid_request_error"));
	ck_assert_ptr_null(strstr(a.body, "[DONE]"));
	ask("POST", CHAT, KEY "Last-Event-ID: 1000\r\n", STREAM, &b);
	ck_assert_ptr_nonnull(strstr(b.body, "invalid_request_error"));
	ck_assert_ptr_null(strstr(b.body, "[DONE]"));
}
END_TEST

/* A second client joins a stream that runs; both get all of it, and it is computed once. */
START_TEST(two_clients_at_once)
{
	const char *body = STREAM;
	struct buf rest;
	char head[256];
	int fd = client_tcp(fixture_port);

	fake_set(&slow);
	snprintf(head, sizeof head,
		"POST " CHAT " HTTP/1.1\r\nHost: localhost\r\n" KEY "Content-Length: %zu\r\n\r\n%s",
		strlen(body), body);
	client_send(fd, head, strlen(head));
	wait_begun();
	ask("POST", CHAT, KEY, STREAM, &b);
	buf_init(&rest, 0);
	client_read(fd, &rest, &a);
	close(fd);
	buf_free(&rest);
	expect_stream(&a, FIVE);
	expect_stream(&b, FIVE);
	ck_assert_uint_eq(seen().submitted, 1);
	ck_assert_uint_eq(seen().tokens, 5);
}
END_TEST

/* An answer that is far larger than what may be pending for a client is sent at its pace. */
START_TEST(a_large_answer_is_sent_again)
{
	static char big[200001], text[8 * sizeof big], want[8 * sizeof big];
	struct fake_script s = {.pieces = {big, big, big, big, big, big, big, big}, .gap_ms = 1};

	memset(big, 'y', sizeof big - 1);
	fake_set(&s);
	ask("POST", CHAT, KEY, STREAM, &a);
	ck_assert(a.whole);
	ask("POST", CHAT, KEY, STREAM, &b);
	ck_assert(b.whole);
	stream_words(b.body, text);
	memset(want, 'y', 8 * (sizeof big - 1));
	ck_assert_str_eq(text, want);
	ck_assert_uint_eq(seen().submitted, 1);
}
END_TEST

/* --- clients that go ---------------------------------------------------------------------------- */

START_TEST(it_goes_on_without_its_client)
{
	struct buf got = {0};
	char text[256], rest[256], head[128];
	long last = 0;

	fake_set(&slow);
	leave_at(STREAM, "\"ce\"", &got);
	for (char *p = (char *)got.data; (p = strstr(p, "\nid: ")) != NULL; p++)
		last = strtol(p + 5, NULL, 10);
	wait_ended(1);
	ck_assert_uint_eq(seen().cancelled, 0);
	snprintf(head, sizeof head, KEY "Last-Event-ID: %ld\r\n", last);
	ask("POST", CHAT, head, STREAM, &a);
	stream_words((char *)got.data, text);
	stream_words(a.body, rest);
	strcat(text, rest);
	ck_assert_str_eq(text, FIVE);
	ck_assert_uint_eq(seen().tokens, 5);
	buf_free(&got);
}
END_TEST

START_TEST(nobody_comes_back)
{
	struct timespec before, after;
	struct fake_script endless = {.pieces = {"x", NULL}, .gap_ms = 5, .endless = true};
	struct buf got = {0};

	fixture_grace_ms(300);
	fake_set(&endless);
	clock_gettime(CLOCK_MONOTONIC, &before);
	leave_at(STREAM, "\"x\"", &got);
	ck_assert(wait_cancelled(1));
	clock_gettime(CLOCK_MONOTONIC, &after);
	ck_assert_int_gt(
		(after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000,
		250);
	ck_assert_uint_eq(seen().cancelled, 1);
	fake_set(&five);
	ask("POST", CHAT, KEY, STREAM, &a); /* nothing is known of it any more */
	expect_stream(&a, FIVE);
	buf_free(&got);
}
END_TEST

START_TEST(an_answer_is_not_kept_for_ever)
{
	uint64_t since = 0;

	fixture_grace_ms(100);
	ask("POST", CHAT, KEY, WHOLE, &a);
	do { /* until then the key belongs to another request */
		answer_free(&b);
		ask("POST", CHAT, KEY, "{" HI ",\"seed\":1}", &b);
	} while (b.status != 200 && wait_more(&since));
	expect_whole(&b);
	ck_assert_uint_eq(seen().submitted, 2);
}
END_TEST

/* --- failures ----------------------------------------------------------------------------------- */

/* What failed by the swarm's fault goes on where it stood. */
START_TEST(a_failed_answer_goes_on)
{
	struct fake_script fails = {.pieces = {"On", "ce", NULL},
		.gap_ms = 2,
		.fail_status = 502,
		.fail = "m2 was lost"};

	fake_set(&fails);
	ask("POST", CHAT, KEY, STREAM, &a);
	ck_assert_ptr_nonnull(strstr(a.body, "m2 was lost"));
	ck_assert_ptr_null(strstr(a.body, "[DONE]"));
	fake_set(&five);
	ask("POST", CHAT, KEY "Last-Event-ID: 4\r\n", STREAM, &b);
	expect_stream(&b, " \xc3\xa4 day.");
	answer_free(&b);
	ask("POST", CHAT, KEY, STREAM, &b);
	expect_stream(&b, FIVE);
	ck_assert_uint_eq(seen().tokens, 5);
}
END_TEST

START_TEST(what_was_refused_is_not_kept)
{
	struct fake_script full = {.refuse = 429}, wrong = {.fail_status = 400, .fail = "wrong"};

	fake_set(&full);
	ask("POST", CHAT, KEY, WHOLE, &a);
	ck_assert_int_eq(a.status, 429);
	ck_assert_ptr_nonnull(strcasestr(a.head, "\r\nretry-after: "));
	answer_free(&a);
	fake_set(&wrong);
	ask("POST", CHAT, KEY, WHOLE, &a);
	ck_assert_int_eq(a.status, 400);
	fake_set(&five);
	ask("POST", CHAT, KEY, "{" HI ",\"seed\":1}", &b);
	expect_whole(&b);
}
END_TEST

/* A time that is up ends whole answers and streams alike. */
START_TEST(a_request_has_its_time)
{
	struct fake_script endless = {.pieces = {"x", NULL}, .gap_ms = 50, .endless = true};

	fixture_stop();
	fixture_request_timeout = 1;
	fixture_start();
	fake_set(&endless);
	ask("POST", CHAT, "", STREAM, &a);
	ck_assert_int_eq(a.status, 200);
	ck_assert_ptr_nonnull(strstr(a.body, "request_timeout"));
	ck_assert_ptr_null(strstr(a.body, "[DONE]"));
	ask("POST", CHAT, "", WHOLE, &b);
	ck_assert_int_eq(b.status, 504);
	ck_assert_str_eq(answer_error(&b, "code"), "request_timeout");
	ck_assert_ptr_nonnull(strcasestr(b.head, "\r\nx-should-retry: false\r\n"));
	ck_assert(wait_cancelled(2));
	answer_free(&b);
	ask("POST", CHAT, KEY, WHOLE, &b); /* one with a key may be asked for again */
	ck_assert_int_eq(b.status, 504);
	ck_assert_uint_eq(seen().cancelled, 2);
	fixture_request_timeout = 0;
}
END_TEST

/* --- restarts ----------------------------------------------------------------------------------- */

static void
setup_kept(void)
{
	strcpy(state, "/tmp/shoal-answers-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(state));
	fixture_state = state;
	fake_reset();
	setup();
}

static void
teardown_kept(void)
{
	char path[128];

	teardown();
	fixture_state = "";
	snprintf(path, sizeof path, "%s/answers", state);
	unlink(path);
	ck_assert_int_eq(rmdir(state), 0);
}

static void
restart(void)
{
	fixture_stop();
	fixture_start();
}

START_TEST(a_stream_over_a_restart)
{
	struct buf got = {0};
	char text[256], rest[256];
	unsigned before;

	fake_set(&slow);
	leave_at(STREAM, "\"ce\"", &got);
	stream_words((char *)got.data, text);
	ck_assert_str_eq(text, "Once");
	restart();
	before = seen().tokens;
	ask("POST", CHAT, KEY "Last-Event-ID: 4\r\n", STREAM, &a);
	stream_words(a.body, rest);
	strcat(text, rest);
	ck_assert_str_eq(text, FIVE);
	ck_assert_uint_eq(before + 3, 5);
	ck_assert_uint_eq(seen().tokens, 5); /* none twice */
	ask("POST", CHAT, KEY, STREAM, &b);
	expect_stream(&b, FIVE);
	answer_free(&a);
	restart(); /* and it is there after the next one, too */
	ask("POST", CHAT, KEY, STREAM, &a);
	ck_assert_str_eq(a.body, b.body);
	ck_assert_uint_eq(seen().submitted, 2);
	buf_free(&got);
}
END_TEST

static void
expect_figure(const struct answer *an, const char *name, double want)
{
	char word[64];
	const char *at;

	snprintf(word, sizeof word, "\"%s\":", name);
	at = strstr(an->body, word);
	ck_assert_msg(at != NULL, "no %s: %s", name, an->body);
	ck_assert_msg(fabs(strtod(at + strlen(word), NULL) - want) < 0.001, "%s is not %g: %s",
		name, want, an->body);
}

/* What it has cost is what it cost before a restart, or a failure, and since; and stays that. */
START_TEST(figures_add_up)
{
	struct fake_script first = slow, then = slow;
	struct buf got = {0};
	unsigned before;

	first.cached = 2;
	first.drafted = 5;
	first.accepted = 2;
	then.cached = 3; /* rows of its own, perhaps */
	then.drafted = 4;
	then.accepted = 3;
	if (_i == 1) {
		first.pieces[2] = NULL;
		first.fail_status = 502;
		first.fail = "m2 was lost";
	}
	fake_set(&first);
	leave_at(STREAM, _i == 1 ? "m2 was lost" : "\"ce\"", &got);
	fake_set(&then);
	if (_i == 0)
		restart();
	before = seen().tokens;
	for (unsigned i = 0; i < 2; i++) {
		ask("POST", CHAT, KEY, STREAM, &a);
		expect_stream(&a, FIVE);
		expect_figure(&a, "cached_tokens", 2);
		expect_figure(&a, "draft_n", (before - 1) * 5 + (4 - before) * 4);
		expect_figure(&a, "draft_n_accepted", (before - 1) * 2 + (4 - before) * 3);
		expect_figure(
			&a, "accepted_prediction_tokens", (before - 1) * 2 + (4 - before) * 3);
		expect_figure(&a, "prompt_ms", 1000);
		expect_figure(&a, "predicted_ms", 500);
		answer_free(&a);
		restart();
	}
	ck_assert_uint_eq(seen().tokens, 5);
	buf_free(&got);
}
END_TEST

/* As a daemon wrote it that knew less of what an answer has cost. */
static void
write_older(void *arg, const struct journal_entry *e)
{
	struct journal *j = arg;
	struct err err;

	ck_assert_int_eq(journal_begin(j, e->number, e->head, e->head_len, &err), 0);
	ck_assert_int_eq(journal_grow(j, e->number, e->ids, e->n_ids, &err), 0);
	ck_assert_uint_gt(e->ended ? e->tail_len : e->mark_len, 33);
	if (e->ended)
		ck_assert_int_eq(journal_end(j, e->number, e->tail, 33, &err), 0);
}

static void
make_older(void)
{
	char path[128], older[128];
	struct journal *j;
	struct err note;

	snprintf(path, sizeof path, "%s/answers", state);
	snprintf(older, sizeof older, "%s/older", state);
	j = journal_open(older, write_older, NULL, &note);
	journal_close(journal_open(path, write_older, j, &note));
	ck_assert_str_eq(note.msg, "");
	journal_close(j);
	ck_assert_int_eq(rename(older, path), 0);
}

/* Answers in an older daemon's journal are there, and go on; only the figures that it did not know are not. */
START_TEST(a_journal_of_an_older_daemon)
{
	struct fake_script script = _i == 0 ? five : slow;
	struct buf got = {0};

	script.cached = 2;
	script.drafted = 5;
	fake_set(&script);
	leave_at(STREAM, _i == 0 ? "[DONE]" : "\"ce\"", &got);
	fake_set(&slow);
	fixture_stop();
	make_older();
	fixture_start();
	ask("POST", CHAT, KEY, STREAM, &a);
	expect_stream(&a, FIVE);
	ck_assert_uint_eq(seen().tokens, 5);
	ck_assert_ptr_null(strstr(a.body, "cached_tokens"));
	ck_assert_ptr_null(strstr(a.body, "draft_n"));
	expect_figure(&a, "prompt_ms", 500);
	buf_free(&got);
}
END_TEST

/* It does not wait for its client; the client may wait for the model. */
START_TEST(it_goes_on_when_its_model_is_there)
{
	struct fake_script absent = slow;
	struct buf got = {0};
	char head[256];
	int fd;

	fake_set(&slow);
	leave_at(WHOLE, "", &got);
	wait_begun();
	absent.absent = true;
	fake_set(&absent);
	restart();
	fd = client_tcp(fixture_port);
	snprintf(head, sizeof head,
		"POST " CHAT " HTTP/1.1\r\nHost: localhost\r\n" KEY "Content-Length: %zu\r\n\r\n%s",
		strlen(WHOLE), WHOLE);
	client_send(fd, head, strlen(head));
	usleep(400000);
	ck_assert_uint_eq(seen().submitted, 1);
	fake_set(&slow);
	wait_ended(1);
	buf_clear(&got);
	client_read(fd, &got, &a);
	expect_whole(&a);
	close(fd);
	buf_free(&got);
}
END_TEST

/* What was computed for one is not there for the other. */
START_TEST(each_that_goes_on_is_a_client_by_itself)
{
	static const char *const keys[] = {KEY, "Idempotency-Key: another\r\n"};
	uint64_t asked[2], restored[2];
	struct buf got = {0};

	fake_set(&slow);
	for (int i = 0; i < 2; i++) {
		leave_with(keys[i], STREAM, "\"ce\"", &got);
		asked[i] = seen().client;
		restart();
		ask("POST", CHAT, keys[i], STREAM, &a);
		expect_stream(&a, FIVE);
		answer_free(&a);
		restored[i] = seen().client;
	}
	ck_assert_uint_eq(asked[0], asked[1]);
	ck_assert_uint_ne(restored[0], restored[1]);
	ck_assert_uint_ne(restored[0], asked[0]);
	buf_free(&got);
}
END_TEST

START_TEST(another_model_does_not_go_on)
{
	struct fake_script other = slow;
	struct buf got = {0};

	fake_set(&slow);
	leave_at(STREAM, "\"ce\"", &got);
	other.other_model = true;
	fake_set(&other);
	restart();
	if (_i == 1) /* that it cannot go on was found out before anybody asked */
		usleep(700000);
	ask("POST", CHAT, KEY "Last-Event-ID: 4\r\n", STREAM, &a);
	ck_assert_msg(strstr(a.body, "begun with the model '" FAKE_MODEL) != NULL, "%s", a.body);
	ck_assert_ptr_null(strstr(a.body, "[DONE]"));
	ck_assert_uint_eq(seen().submitted, 1);
	ask("POST", CHAT, KEY, STREAM, &b); /* the key is free again */
	expect_stream(&b, FIVE);
	buf_free(&got);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("answers");
	TCase *tc = tcase_create("connected"), *kept = tcase_create("kept");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, the_same_answer_again);
	tcase_add_test(tc, a_key_belongs_to_one_request);
	tcase_add_test(tc, keys_that_are_none);
	tcase_add_test(tc, the_seed_follows_from_key_and_request);
	tcase_add_test(tc, clients_do_not_share_keys);
	tcase_add_test(tc, a_stream_goes_on_behind_any_event);
	tcase_add_test(tc, events_that_there_are_not);
	tcase_add_test(tc, two_clients_at_once);
	tcase_add_test(tc, a_large_answer_is_sent_again);
	tcase_add_test(tc, it_goes_on_without_its_client);
	tcase_add_test(tc, nobody_comes_back);
	tcase_add_test(tc, an_answer_is_not_kept_for_ever);
	tcase_add_test(tc, a_failed_answer_goes_on);
	tcase_add_test(tc, what_was_refused_is_not_kept);
	tcase_add_test(tc, a_request_has_its_time);
	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(kept, setup_kept, teardown_kept);
	tcase_set_timeout(kept, 30);
	tcase_add_test(kept, a_stream_over_a_restart);
	tcase_add_loop_test(kept, figures_add_up, 0, 2);
	tcase_add_loop_test(kept, a_journal_of_an_older_daemon, 0, 2);
	tcase_add_test(kept, it_goes_on_when_its_model_is_there);
	tcase_add_test(kept, each_that_goes_on_is_a_client_by_itself);
	tcase_add_loop_test(kept, another_model_does_not_go_on, 0, 2);
	suite_add_tcase(s, kept);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
