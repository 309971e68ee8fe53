/* What a cloud costs in time with the model `auto`, over the API: a client that leaves ends its call at once, and one
 * that cannot be reached is waited for once. Times are the best of as many as it takes: others compute on this machine,
 * too, and what is slow by itself never has a good one. */
#include "tests/support/patience.h"
#include "tests/support/tools_fixture.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const struct fake_script words_only = {
	.pieces = {"It is so."}, .end = SESSION_STOP, .margin = 20, .context = 8192};

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* A figure of what is known of clouds. */
static double
spent(const char *key)
{
	int fd = client_unix(fixture_socket);
	struct answer status;
	json_t *clouds;
	double v;

	client_ask(fd, "GET", "/shoal/v1/route/status", "", NULL, &status);
	close(fd);
	clouds = json_object_get(status.json, "clouds");
	v = json_number_value(json_object_get(json_object_get(clouds, "spent"), key));
	answer_free(&status);
	return v;
}

/* --- a client leaves ----------------------------------------------------------------------------- */

static const struct leaving {
	const char *faults, *more; /* of the cloud; members of the request */
	bool text;                 /* the client has seen some */
	bool document;             /* it asks about a long one, and the cloud is to plan that */
} leavings[] = {
	{.faults = "mute", .more = ""},
	{.faults = "mute", .more = ",\"stream\":true"},
	{.faults = "text-9~stall-900", .more = ",\"stream\":true", .text = true},
	{.faults = "text-9~stall-900", .more = ""},
	{.faults = "mute", .more = ",\"shoal\":{\"mode\":\"token\"}"},
	{.faults = "mute", .more = "", .document = true},
};

static void
write_more(const struct leaving *l, char *more, size_t size)
{
	size_t len;

	if (!l->document) {
		snprintf(more, size, "%s", l->more);
		return;
	}
	len = (size_t)snprintf(more, size, ",\"shoal\":{\"mode\":\"document\",\"document\":\"");
	for (int i = 0; i < 600; i++)
		len += (size_t)snprintf(
			more + len, size - len, "This is line %d of a long text.\\n", i);
	snprintf(more + len, size - len, "\"}");
}

/* Until its nth call has all that it is sent. */
static void
wait_for_call(unsigned n)
{
	bool there = false;
	uint64_t since = 0;
	struct buf b;

	while (!there && wait_more(&since)) {
		if (cloud_server_connections(&cloud) <= n)
			continue;
		buf_init(&b, 1 << 20);
		cloud_server_received(&cloud, n, &b);
		there = b.len > 0 && memmem(b.data, b.len, "\"max_tokens\"", 12) != NULL &&
			b.data[b.len - 1] == '}';
		buf_free(&b);
	}
	ck_assert(there);
}

static void
wait_for_text(int fd)
{
	char seen[65536] = "";
	size_t len = 0;

	while (strstr(seen, "\"content\":\"0 ") == NULL) {
		ssize_t n = recv(fd, seen + len, sizeof seen - 1 - len, 0);

		ck_assert_msg(n > 0, "%s", seen);
		len += (size_t)n;
		seen[len] = '\0';
	}
}

/* From when the client has gone to when the cloud sees that, in ms. */
static double
leave(const struct leaving *l)
{
	static char more[32768];
	unsigned n = cloud_server_connections(&cloud);
	uint64_t since = 0;
	double left;
	int fd;

	write_more(l, more, sizeof more);
	fd = begin_with("", "auto:cloud", more);
	wait_for_call(n);
	if (l->text)
		wait_for_text(fd);
	ck_assert(!cloud_server_ended(&cloud, n));
	ck_assert_double_gt(spent("reserved"), 0);
	left = now_ms();
	close(fd);
	while (!cloud_server_ended(&cloud, n))
		ck_assert(wait_more(&since));
	return now_ms() - left;
}

/* Before a word, in the middle, whoever else writes: the cloud is hung up on within 200 ms, and nothing stays reserved
 * of what may have to be paid. */
START_TEST(who_leaves_ends_the_call)
{
	const struct leaving *l = &leavings[_i];
	double best = 1e9;
	uint64_t since = 0;

	start(l->faults, "cloud");
	fake_set_small(&unsure);
	json_array_clear(tools);
	add("user", "hello there");
	while (best > 200 && wait_more(&since)) {
		double before_it = spent("day"), ms = leave(l);

		ck_assert_double_eq(spent("reserved"), 0);
		ck_assert_double_gt(spent("day"), before_it);
		best = ms < best ? ms : best;
	}
	ck_assert_msg(best <= 200, "%s%s%s: %.0f ms", l->faults, l->more,
		l->document ? ", a document" : "", best);
}
END_TEST

/* --- the cable is out ---------------------------------------------------------------------------- */

/* Sockets of a port that answers no SYN: as with a cable that was pulled, who connects waits. */
static int hole[3];

static void
dig(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = {htonl(INADDR_LOOPBACK)}};
	int yes = 1;

	for (int i = 0; i < 3; i++) {
		hole[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		ck_assert_int_ge(hole[i], 0);
	}
	setsockopt(hole[0], SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	ck_assert_msg(bind(hole[0], (struct sockaddr *)&at, sizeof at) == 0, "%s", strerror(errno));
	ck_assert_int_eq(listen(hole[0], 0), 0); /* room for one that nobody accepts */
	ck_assert_int_eq(connect(hole[1], (struct sockaddr *)&at, sizeof at), -1);
	ck_assert_int_eq(errno, EINPROGRESS);
	usleep(20000);
	ck_assert_int_eq(connect(hole[2], (struct sockaddr *)&at, sizeof at), -1);
	usleep(20000);
	ck_assert_int_eq(connect(hole[2], (struct sockaddr *)&at, sizeof at), -1);
	ck_assert_int_eq(errno, EALREADY); /* still on its way */
}

static void
fill_in(void)
{
	for (int i = 0; i < 3; i++)
		close(hole[i]);
}

/* A conversation in which the cloud has called a tool: its result is for the cloud. Then there is no cloud. */
static void
pull_the_cable(void)
{
	static char words[2001];

	memset(words, 'w', sizeof words - 1);
	for (size_t i = 6; i < sizeof words - 1; i += 7)
		words[i] = ' ';
	open_cloud();
	start("agent", "cloud");
	add("user", words);
	say("auto:cloud", "");
	ck_assert_str_eq(shoal("target"), "cloud");
	answer_it("fine");
	close_cloud();
	dig((uint16_t)cloud.port);
}

static void
plug_in(void)
{
	fill_in();
	teardown();
}

static double
time_of(const char *model)
{
	double began = now_ms();

	say(model, "");
	ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
	return now_ms() - began;
}

static void
answered_at_home(const char *reason)
{
	ck_assert_str_eq(shoal("target"), "large");
	ck_assert_str_eq(shoal("reason"), reason);
	ck_assert_str_eq(called(0, "arguments"), "{\"room\":\"cellar\"}");
}

/* The one that finds it out waits for it, two seconds at most. */
START_TEST(the_first_is_home_within_two_seconds)
{
	double best = 1e9;
	uint64_t since = 0;

	while (best > 2000 && wait_more(&since)) {
		double ms;

		pull_the_cable();
		ms = time_of("auto");
		answered_at_home("fell_back");
		best = ms < best ? ms : best;
		plug_in();
	}
	ck_assert_msg(best <= 2000, "%.0f ms", best);
}
END_TEST

/* Those behind it take as long as if the model at home had been named, but for 5 ms; and so does the one whose turn it
 * is to look whether the cloud is back, which is done behind it. */
START_TEST(later_ones_do_not_wait)
{
	double routed = 1e9, named = 1e9;
	uint64_t since = 0;
	bool looked = false;

	pull_the_cable();
	say("auto", "");
	answered_at_home("fell_back");
	for (int i = 0; (i < 40 || routed - named > 5 || !looked) && wait_more(&since); i++) {
		double ms = time_of("auto");
		bool looks = strcmp(shoal("reason"), "fell_back") == 0;

		answered_at_home(looks ? "fell_back" : "no_gain");
		looked = looked || looks;
		ck_assert_double_lt(ms, CLOUD_CONNECT_MS); /* what waiting would take, at least */
		routed = ms < routed ? ms : routed;
		ms = time_of(FAKE_MODEL);
		named = ms < named ? ms : named;
		if (i >= 40)
			usleep(50 * 1000); /* until it is somebody's turn */
	}
	ck_assert_msg(routed - named <= 5, "%.2f ms, %.2f ms with the model named", routed, named);
	ck_assert(looked);
	plug_in();
}
END_TEST

/* --- among the models ---------------------------------------------------------------------------- */

/* Where the daemon's own policy lets a request get there. */
START_TEST(it_is_listed)
{
	static const char *const policies[] = {"device", "home", "redact", "cloud"};

	start("ok", policies[_i]);
	get("/v1/models/auto:cloud", &a);
	ck_assert_int_eq(a.status, _i < 2 ? 404 : 200);
	answer_free(&a);
	get("/v1/models", &a);
	ck_assert_int_eq(strstr(a.body, "\"auto:cloud\"") != NULL, _i >= 2);
}
END_TEST

/* --- what it cannot tell -------------------------------------------------------------------------- */

/* A cloud tells no logprobs: such a request stays at home, in whatever mode, or is refused with a reason. */
START_TEST(logprobs_are_told_at_home)
{
	static const char *const stays[] = {"", ",\"shoal\":{\"mode\":\"token\"}"};
	unsigned n;
	char more[128];

	start("ok", "cloud");
	json_decref(tools);
	tools = json_array();
	add("user", "Is it so?");
	fake_set(&words_only);
	fake_set_small(NULL);
	n = cloud_server_connections(&cloud);
	for (size_t i = 0; i < sizeof stays / sizeof *stays; i++) {
		snprintf(more, sizeof more, ",\"logprobs\":true%s", stays[i]);
		say("auto:cloud", more);
		ck_assert_msg(a.status == 400, "%d %s", a.status, a.body);
		ck_assert_str_eq(answer_error(&a, "param"), "logprobs");
		ck_assert_str_eq(answer_error(&a, "code"), "logprobs");
		ck_assert_ptr_nonnull(strstr(answer_error(&a, "message"), "ask a model at home"));
		say("auto", more);
		ck_assert_msg(a.status == 200, "%d %s", a.status, a.body);
		ck_assert_str_eq(shoal("target"), "large");
	}
	ck_assert_uint_eq(cloud_server_connections(&cloud), n);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("router_cloud");
	TCase *t = tcase_create("leaving");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_unchecked_fixture(t, open_cloud, close_cloud);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(
		t, who_leaves_ends_the_call, 0, (int)(sizeof leavings / sizeof *leavings));
	tcase_add_loop_test(t, it_is_listed, 0, 4);
	tcase_add_test(t, logprobs_are_told_at_home);
	suite_add_tcase(s, t);
	t = tcase_create("cable");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_first_is_home_within_two_seconds);
	tcase_add_test(t, later_ones_do_not_wait);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
