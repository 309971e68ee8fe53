#include "proto/record.h"

#include <check.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MESSAGE 300000

static struct record_stream a, b;
static struct buf wire;
static struct err err;

static void
setup(enum aead_kind kind)
{
	struct noise_cipher c = {.has_key = true}, d = {.has_key = true};

	ck_assert_int_ge(sodium_init(), 0);
	randombytes_buf(c.key, sizeof c.key);
	randombytes_buf(d.key, sizeof d.key);
	ck_assert_int_eq(record_init(&a, &c, &d, kind, MAX_MESSAGE, &err), 0);
	ck_assert_int_eq(record_init(&b, &d, &c, kind, MAX_MESSAGE, &err), 0);
	buf_init(&wire, 0);
}

static void
setup_chacha(void)
{
	setup(AEAD_CHACHA);
}

static void
setup_aes(void)
{
	setup(AEAD_AES);
}

static void
teardown(void)
{
	record_deinit(&a);
	record_deinit(&b);
	buf_free(&wire);
}

static void
send(const void *head, size_t head_len, const void *body, size_t body_len)
{
	ck_assert_int_eq(record_seal(&a, head, head_len, body, body_len, &wire, &err), 0);
}

/* The next message must be this one, and use up exactly what is there. */
static void
expect(const void *want, size_t want_len)
{
	const uint8_t *msg;
	size_t used, len;

	ck_assert_msg(
		record_open(&b, wire.data, wire.len, &used, &msg, &len, &err) == 1, "%s", err.msg);
	ck_assert_uint_eq(len, want_len);
	ck_assert(want_len == 0 || memcmp(msg, want, len) == 0);
	buf_consume(&wire, used);
}

START_TEST(messages_of_every_size)
{
	static const size_t sizes[] = {0, 1, 2, 1000, RECORD_MAX_PLAIN - 1, RECORD_MAX_PLAIN,
		RECORD_MAX_PLAIN + 1, 2 * RECORD_MAX_PLAIN, 200000, MAX_MESSAGE};
	uint8_t *data = malloc(MAX_MESSAGE);

	randombytes_buf(data, MAX_MESSAGE);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t head = sizes[i] / 3;

		send(data, head, data + head, sizes[i] - head);
		expect(data, sizes[i]);
		ck_assert_uint_eq(wire.len, 0);
	}
	send(data, 40, data + 40, RECORD_MAX_PLAIN);
	expect(data, 40 + RECORD_MAX_PLAIN);
	send(NULL, 0, data, MAX_MESSAGE);
	expect(data, MAX_MESSAGE);
	send(data, MAX_MESSAGE, NULL, 0);
	expect(data, MAX_MESSAGE);
	free(data);
}
END_TEST

START_TEST(every_beginning_asks_for_more)
{
	const uint8_t *msg;
	size_t used, len;

	send("hello", 5, " world", 6);
	for (size_t have = 0; have < wire.len; have++) {
		/* Against the end of its memory: reading past it is seen by sanitizers. */
		uint8_t *piece = malloc(have + 1);

		memcpy(piece + 1, wire.data, have);
		ck_assert_int_eq(record_open(&b, piece + 1, have, &used, &msg, &len, &err), 0);
		ck_assert_uint_eq(used, 0);
		free(piece);
	}
	expect("hello world", 11);
}
END_TEST

START_TEST(every_flipped_bit_is_refused)
{
	const uint8_t *msg;
	size_t used, len;

	send("hello", 5, NULL, 0);
	for (size_t bit = 0; bit < wire.len * 8; bit++) {
		struct record_stream c = b;
		uint8_t copy[64];
		int rc;

		buf_init(&c.partial, MAX_MESSAGE);
		memcpy(copy, wire.data, wire.len);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		rc = record_open(&c, copy, wire.len, &used, &msg, &len, &err);
		/* A longer length asks for more; the rest can never come right then either. */
		ck_assert_msg(rc == -1 || (rc == 0 && bit < 16), "bit %zu: %d", bit, rc);
		buf_free(&c.partial);
	}
}
END_TEST

START_TEST(replays_gaps_and_swaps_are_refused)
{
	struct buf first, second;
	const uint8_t *msg;
	size_t used, len;

	buf_init(&first, 0);
	buf_init(&second, 0);
	ck_assert_int_eq(record_seal(&a, "one", 3, NULL, 0, &first, &err), 0);
	ck_assert_int_eq(record_seal(&a, "two", 3, NULL, 0, &second, &err), 0);
	ck_assert_int_eq(record_open(&b, second.data, second.len, &used, &msg, &len, &err), -1);
	ck_assert_int_eq(record_open(&b, first.data, first.len, &used, &msg, &len, &err), 1);
	ck_assert_int_eq(record_open(&b, first.data, first.len, &used, &msg, &len, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "repeated"));
	buf_free(&first);
	buf_free(&second);
}
END_TEST

START_TEST(long_messages_cost_nothing_before_they_are_refused)
{
	struct record_stream small = b;
	uint8_t *data = calloc(1, 200000);
	const uint8_t *msg;
	size_t used, len;

	buf_init(&small.partial, 1000);
	small.max_message = 1000;
	send(data, 200000, NULL, 0);
	ck_assert_int_eq(record_open(&small, wire.data, wire.len, &used, &msg, &len, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "1000"));
	ck_assert_uint_le(small.partial.cap, 1000);
	buf_free(&small.partial);
	free(data);
}
END_TEST

START_TEST(words_that_are_no_record_are_refused)
{
	static const uint32_t words[] = {
		0, 15, 65520, 65535, 1u << 18 | 100, UINT32_MAX, 0x20544547};
	const uint8_t *msg;
	size_t used, len;
	uint8_t data[4];

	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		put_le32(data, words[i]);
		ck_assert_int_eq(record_open(&b, data, 4, &used, &msg, &len, &err), -1);
	}
}
END_TEST

START_TEST(keys_change_by_wish_and_by_volume)
{
	uint8_t before[NOISE_KEY];

	memcpy(before, a.send.key, sizeof before);
	a.rekey_wanted = true;
	send("x", 1, NULL, 0);
	ck_assert_int_ne(memcmp(before, a.send.key, sizeof before), 0);
	ck_assert(!a.rekey_wanted);
	send("y", 1, NULL, 0);
	memcpy(before, a.send.key, sizeof before);
	a.sent_since_rekey = UINT64_C(1) << 32;
	send("z", 1, NULL, 0);
	ck_assert_int_ne(memcmp(before, a.send.key, sizeof before), 0);
	send("end", 3, NULL, 0);
	expect("x", 1);
	expect("y", 1);
	expect("z", 1);
	expect("end", 3);
}
END_TEST

static TCase *
tests_with(const char *name, void (*begin)(void))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, begin, teardown);
	tcase_add_test(t, messages_of_every_size);
	tcase_add_test(t, every_beginning_asks_for_more);
	tcase_add_test(t, every_flipped_bit_is_refused);
	tcase_add_test(t, replays_gaps_and_swaps_are_refused);
	tcase_add_test(t, long_messages_cost_nothing_before_they_are_refused);
	tcase_add_test(t, words_that_are_no_record_are_refused);
	tcase_add_test(t, keys_change_by_wish_and_by_volume);
	return t;
}

int
main(void)
{
	Suite *s = suite_create("record");
	SRunner *r;
	int failed;

	suite_add_tcase(s, tests_with("ChaCha20-Poly1305", setup_chacha));
	suite_add_tcase(s, tests_with("AES-256-GCM", setup_aes));
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
