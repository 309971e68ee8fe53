/* Real links over the loopback: who gets in, what arrives, what is refused, moving to another thread's loop. */
#include "daemon/link_internal.h"
#include "daemon/log.h"
#include "proto/invite.h"
#include "tests/support/patience.h"

#include <check.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_MESSAGE (8u << 20)

struct side {
	uint8_t secret[32], public[32];
	struct link_identity me;
	struct link *link;
	bool open, closed;
	char why[256];
	struct buf got; /* the last message */
	unsigned messages;
};

static uv_loop_t loop;
static struct side dialler, listener_side;
static struct link_listener *listener;
static uint8_t known_key[32], psk[32], invite[8] = {1, 2, 3};
static unsigned refused, let_in;

static void
on_open(struct link *l, void *arg)
{
	struct side *s = arg;

	s->link = l;
	s->open = true;
}

static int
on_message(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct side *s = arg;

	(void)l, (void)err;
	buf_clear(&s->got);
	buf_append(&s->got, msg, len);
	s->messages++;
	return 0;
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct side *s = arg;

	(void)l;
	s->link = NULL;
	s->closed = true;
	snprintf(s->why, sizeof s->why, "%s", why);
}

static const struct link_events events = {on_open, on_message, on_close};

static int
admit(void *arg, struct link *l, const struct hello *h, uint8_t out[32],
	const struct link_events **ev, void **ev_arg, size_t *max_message, struct err *err)
{
	(void)arg, (void)l;
	if (h->purpose == LINK_PAIR ? memcmp(h->who, invite, 8) != 0
				    : memcmp(h->who, known_key, 32) != 0) {
		refused++;
		return err_set(err, "not known here");
	}
	memcpy(out, psk, 32);
	if (ev == NULL)
		return 0;
	let_in++;
	*ev = &events;
	*ev_arg = &listener_side;
	*max_message = MAX_MESSAGE;
	return 0;
}

static void
side_init(struct side *s)
{
	*s = (struct side){0};
	randombytes_buf(s->secret, 32);
	noise_public(s->public, s->secret);
	s->me = (struct link_identity){.secret = s->secret, .public = s->public};
	buf_init(&s->got, 0);
}

static void
setup(void)
{
	struct link_gate gate = {admit, NULL};
	struct err err;

	log_open(LOG_LEVEL_ERROR);
	ck_assert_int_ge(sodium_init(), 0);
	uv_loop_init(&loop);
	side_init(&dialler);
	side_init(&listener_side);
	memcpy(known_key, dialler.public, 32);
	randombytes_buf(psk, 32);
	refused = let_in = 0;
	listener = link_listen(&loop, &listener_side.me, "127.0.0.1", 0, &gate, &err);
	ck_assert_msg(listener != NULL, "%s", err.msg);
}

static void
teardown(void)
{
	if (dialler.link != NULL)
		link_close(dialler.link, "");
	if (listener_side.link != NULL)
		link_close(listener_side.link, "");
	link_listener_close(listener);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	buf_free(&dialler.got);
	buf_free(&listener_side.got);
}

static void
stop_waiting(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

/* Turns the loop until the condition holds; 5 s at most. */
#define WAIT(condition)                                                                            \
	do {                                                                                       \
		uv_timer_t timer_;                                                                 \
		bool late_ = false;                                                                \
                                                                                                   \
		uv_timer_init(&loop, &timer_);                                                     \
		timer_.data = &late_;                                                              \
		uv_timer_start(&timer_, stop_waiting, 8000, 0);                                    \
		while (!(condition) && !late_)                                                     \
			uv_run(&loop, UV_RUN_ONCE);                                                \
		uv_close((uv_handle_t *)&timer_, NULL);                                            \
		uv_run(&loop, UV_RUN_NOWAIT);                                                      \
		ck_assert_msg(!late_, "still not: " #condition);                                   \
	} while (0)

static void
dial(enum link_purpose purpose, const uint8_t *remote, const uint8_t *key)
{
	ck_assert_ptr_nonnull(link_dial(&loop, &dialler.me, "127.0.0.1",
		link_listener_port(listener), purpose, remote, key,
		purpose == LINK_PAIR ? invite : NULL, MAX_MESSAGE, &events, &dialler));
}

static void
connect_both(void)
{
	dial(LINK_CONTROL, listener_side.public, NULL);
	WAIT(dialler.open && listener_side.open);
}

/* Who says what ciphers cost, and what is agreed on. */
static const struct talk {
	bool dialler, listener;
	uint32_t listeners_aes;
	enum aead_kind agreed;
} talks[] = {
	{false, false, 0, AEAD_CHACHA},
	{true, true, 900, AEAD_AES},
	{true, true, 9000, AEAD_CHACHA},
	{true, false, 900, AEAD_CHACHA},
	{false, true, 900, AEAD_CHACHA},
};

START_TEST(messages_both_ways)
{
	const struct talk *talk = &talks[_i];
	const struct cipher_costs fast = {{2000, 1000}}, other = {{2000, talk->listeners_aes}};
	size_t big = 5u << 20;
	uint8_t *data = malloc(big);

	dialler.me.costs = talk->dialler ? &fast : NULL;
	listener_side.me.costs = talk->listener ? &other : NULL;
	connect_both();
	ck_assert_int_eq(link_cipher(dialler.link), talk->agreed);
	ck_assert_int_eq(link_cipher(listener_side.link), talk->agreed);
	ck_assert_mem_eq(link_remote(listener_side.link), dialler.public, 32);
	ck_assert_int_eq(link_send(dialler.link, "hello ", 6, "there", 5), 0);
	ck_assert_int_eq(link_send(listener_side.link, NULL, 0, NULL, 0), 0);
	WAIT(listener_side.messages == 1 && dialler.messages == 1);
	ck_assert_mem_eq(listener_side.got.data, "hello there", 11);
	ck_assert_uint_eq(dialler.got.len, 0);
	randombytes_buf(data, big);
	ck_assert_int_eq(link_send(dialler.link, data, 10, data + 10, big - 10), 0);
	WAIT(listener_side.messages == 2);
	ck_assert_uint_eq(listener_side.got.len, big);
	ck_assert_mem_eq(listener_side.got.data, data, big);
	free(data);
	link_close(dialler.link, "done");
	WAIT(dialler.closed && listener_side.closed);
	ck_assert_str_eq(dialler.why, "done");
}
END_TEST

static void
expect_no_bbr(int fd)
{
	char name[16] = "";
	socklen_t len = sizeof name - 1;

	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
	ck_assert_msg(strncmp(name, "bbr", 3) != 0, "%s", name);
}

START_TEST(links_do_not_go_by_bbr)
{
	const struct side *const sides[] = {&dialler, &listener_side};
	int plain = socket(AF_INET, SOCK_STREAM, 0);

	/* Whatever the system's choice, where it knows BBR and this process may choose it. */
	if (setsockopt(plain, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3) == 0) {
		link_send_at_once(plain);
		expect_no_bbr(plain);
	}
	close(plain);
	connect_both();
	for (int i = 0; i < 2; i++) {
		uv_os_fd_t fd;

		ck_assert_int_eq(uv_fileno((uv_handle_t *)&sides[i]->link->tcp, &fd), 0);
		expect_no_bbr(fd);
	}
}
END_TEST

START_TEST(pairing_by_invite)
{
	dial(LINK_PAIR, listener_side.public, psk);
	WAIT(dialler.open && listener_side.open);
	ck_assert_mem_eq(link_remote(listener_side.link), dialler.public, 32);
	ck_assert_mem_eq(link_remote(dialler.link), listener_side.public, 32);
}
END_TEST

START_TEST(a_wrong_secret_is_refused)
{
	uint8_t wrong[32] = {9};

	dial(LINK_PAIR, listener_side.public, wrong);
	WAIT(dialler.closed && listener_side.closed);
	ck_assert(!listener_side.open);
}
END_TEST

START_TEST(unknown_keys_are_refused)
{
	known_key[0] ^= 1;
	dial(LINK_CONTROL, listener_side.public, NULL);
	WAIT(dialler.closed);
	ck_assert(!dialler.open && !listener_side.open);
	ck_assert_uint_eq(refused, 1);
}
END_TEST

START_TEST(another_device_than_expected_is_refused)
{
	uint8_t other[32];

	memcpy(other, listener_side.public, 32);
	other[3] ^= 1;
	dial(LINK_CONTROL, other, NULL);
	WAIT(dialler.closed);
	ck_assert(!dialler.open);
}
END_TEST

START_TEST(nobody_listens)
{
	struct link *l = link_dial(&loop, &dialler.me, "127.0.0.1", 1, LINK_CONTROL,
		listener_side.public, NULL, NULL, MAX_MESSAGE, &events, &dialler);

	ck_assert_ptr_nonnull(l);
	WAIT(dialler.closed);
	ck_assert_ptr_nonnull(strstr(dialler.why, "refused"));
}
END_TEST

/* Bytes of somebody who does not speak the protocol. */
static int
raw_connection(void)
{
	struct sockaddr_in sa;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	uv_ip4_addr("127.0.0.1", link_listener_port(listener), &sa);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
	return fd;
}

/* Turns the loop until an answer comes, or the end of the connection (0), for as long as others have. */
static ssize_t
answer_to(int fd, uint8_t *out, size_t size)
{
	ssize_t n = -1;

	for (int i = 0; i < 8000 && n < 0; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		n = recv(fd, out, size, MSG_DONTWAIT);
		usleep(1000);
	}
	return n;
}

/* What a dialler says until it is answered: all that somebody who listened has. Returns its length. */
static size_t
first_words(uint8_t out[static 256])
{
	const struct hello h = {.version = HELLO_VERSION, .purpose = LINK_CONTROL};
	struct hello own = h;
	struct noise n;
	struct err err;
	size_t len;

	memcpy(own.who, dialler.public, 32);
	hello_write(&own, out);
	noise_init(
		&n, NOISE_KK, true, out, HELLO_BYTES, dialler.secret, listener_side.public, NULL);
	ck_assert_int_eq(noise_write(&n, NULL, 0, out + HELLO_BYTES + 4, 200, &len, &err), 0);
	put_le32(out + HELLO_BYTES, (uint32_t)len);
	return HELLO_BYTES + 4 + len;
}

START_TEST(a_recording_gets_an_answer_and_nothing_else)
{
	uint8_t said[256], answer[256];
	size_t len = first_words(said);
	int fds[2];

	connect_both();
	ck_assert_uint_eq(let_in, 1);
	for (int i = 0; i < 2; i++) { /* as often as one likes */
		fds[i] = raw_connection();
		ck_assert_int_eq(write(fds[i], said, len), (ssize_t)len);
		ck_assert_int_gt(answer_to(fds[i], answer, sizeof answer), 4);
	}
	ck_assert_uint_eq(let_in, 1);
	ck_assert(listener_side.open && !listener_side.closed);
	/* Anything that should be the first record, but is sealed by no key of theirs. */
	memset(answer, 7, sizeof answer);
	put_le32(answer, NOISE_TAG);
	ck_assert_int_eq(write(fds[0], answer, 4 + NOISE_TAG), 4 + NOISE_TAG);
	ck_assert_int_eq(answer_to(fds[0], answer, sizeof answer), 0);
	/* The other says no more until its time is over. */
	WAIT(recv(fds[1], answer, sizeof answer, MSG_DONTWAIT) == 0);
	ck_assert_uint_eq(let_in, 1);
	for (int i = 0; i < 2; i++)
		close(fds[i]);
}
END_TEST

START_TEST(garbage_is_turned_away_at_once)
{
	int fd = raw_connection();
	char c;

	ck_assert_int_eq(write(fd, "GET / HTTP/1.1\r\n", 16), 16);
	for (int i = 0; i < 20; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	ck_assert_int_le(recv(fd, &c, 1, MSG_DONTWAIT), 0);
	close(fd);
	connect_both(); /* others are not hurt */
}
END_TEST

START_TEST(half_open_connections_are_bounded)
{
	int fds[40], cut = 0;
	char c;

	for (int i = 0; i < 40; i++) {
		fds[i] = raw_connection();
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	for (int i = 0; i < 50; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	for (int i = 0; i < 40; i++)
		cut += recv(fds[i], &c, 1, MSG_DONTWAIT) == 0;
	ck_assert_int_eq(cut, 8);
	/* As many as there may be are there and say nothing: that hinders nobody. */
	connect_both();
	for (int i = 0; i < 40; i++)
		close(fds[i]);
}
END_TEST

/* A hello that never comes to its end, byte by byte. */
START_TEST(slow_bytes_do_not_keep_a_connection)
{
	static const char hello[] = "SHOL\2\2";
	uint64_t begun = uv_hrtime();
	int fd = raw_connection();
	char c;

	for (size_t i = 0; recv(fd, &c, 1, MSG_DONTWAIT) != 0; i++) {
		ck_assert_uint_lt(i, HELLO_BYTES); /* it never gets there */
		send(fd, i < 6 ? &hello[i] : "", 1, MSG_NOSIGNAL);
		for (int k = 0; k < 10; k++) {
			uv_run(&loop, UV_RUN_NOWAIT);
			usleep(20000);
		}
	}
	ck_assert_uint_gt(uv_hrtime() - begun, 3000000000u); /* for that it was slow, not wrong */
	close(fd);
	connect_both();
}
END_TEST

/* Who makes us answer and takes no answer: what waits for it is bounded. */
START_TEST(a_link_that_takes_nothing_is_closed)
{
	uint8_t *piece = calloc(1, 1u << 20);
	unsigned sent = 0;

	connect_both();
	while (link_send(dialler.link, piece, 1u << 20, NULL, 0) == 0) {
		ck_assert_uint_le(link_queued(dialler.link), MAX_MESSAGE + (9u << 20));
		ck_assert_uint_lt(++sent, 64); /* and no turn of the loop */
	}
	free(piece);
	WAIT(dialler.closed);
	ck_assert_str_ne(dialler.why, "");
}
END_TEST

/* --- another thread's loop --- */

struct mover {
	struct link_detached d;
	struct side *side;
	bool ok;
};

static int
answer(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	(void)arg, (void)err;
	link_send(l, "again: ", 7, msg, len);
	return 0;
}

static void
on_moved_close(struct link *l, void *arg, const char *why)
{
	(void)l, (void)why;
	((struct mover *)arg)->ok = true;
}

static void
run_mover(void *arg)
{
	static const struct link_events echo = {NULL, answer, on_moved_close};
	struct mover *m = arg;
	struct err err;
	uv_loop_t own;

	uv_loop_init(&own);
	if (link_attach(&own, &m->d, &echo, m, &err) != NULL)
		uv_run(&own, UV_RUN_DEFAULT);
	uv_loop_close(&own);
}

START_TEST(a_link_moves_to_another_thread)
{
	struct mover m = {0};
	struct err err;
	uv_thread_t t;

	connect_both();
	ck_assert_msg(link_detach(listener_side.link, &m.d, &err) == 0, "%s", err.msg);
	listener_side.link = NULL;
	ck_assert_int_eq(uv_thread_create(&t, run_mover, &m), 0);
	ck_assert_int_eq(link_send(dialler.link, "hello", 5, NULL, 0), 0);
	WAIT(dialler.messages == 1);
	ck_assert_mem_eq(dialler.got.data, "again: hello", 12);
	link_close(dialler.link, "");
	WAIT(dialler.closed);
	uv_thread_join(&t);
	ck_assert(m.ok);
	ck_assert(!listener_side.closed); /* its owner gave it away */
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("link");
	TCase *t = tcase_create("link");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, messages_both_ways, 0, sizeof talks / sizeof *talks);
	tcase_add_test(t, links_do_not_go_by_bbr);
	tcase_add_test(t, pairing_by_invite);
	tcase_add_test(t, a_wrong_secret_is_refused);
	tcase_add_test(t, unknown_keys_are_refused);
	tcase_add_test(t, another_device_than_expected_is_refused);
	tcase_add_test(t, nobody_listens);
	tcase_add_test(t, a_recording_gets_an_answer_and_nothing_else);
	tcase_add_test(t, garbage_is_turned_away_at_once);
	tcase_add_test(t, half_open_connections_are_bounded);
	tcase_add_test(t, slow_bytes_do_not_keep_a_connection);
	tcase_add_test(t, a_link_that_takes_nothing_is_closed);
	tcase_add_test(t, a_link_moves_to_another_thread);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
