/* The published Noise vectors: two written here, all others from ../shared/reference where that is at hand. */
#include "proto/cipher_choice.h"
#include "proto/noise.h"

#include <check.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_TEXT 1024

struct message {
	const char *payload, *ciphertext;
};

struct vector {
	enum noise_pattern pattern;
	const char *prologue, *psk;
	const char *init_static, *init_ephemeral, *init_remote;
	const char *resp_static, *resp_ephemeral, *resp_remote;
	const char *hash;
	struct message messages[8];
	size_t n;
};

static size_t
hex(const char *text, uint8_t *out)
{
	size_t len = 0;

	if (text == NULL)
		return 0;
	ck_assert_int_eq(sodium_hex2bin(out, MAX_TEXT, text, strlen(text), NULL, &len, NULL), 0);
	return len;
}

static void
begin(struct noise *n, const struct vector *v, bool initiator)
{
	uint8_t prologue[MAX_TEXT], secret[MAX_TEXT], ephemeral[MAX_TEXT], remote[MAX_TEXT],
		psk[MAX_TEXT];
	size_t len = hex(v->prologue, prologue);
	const char *rs = initiator ? v->init_remote : v->resp_remote;

	hex(initiator ? v->init_static : v->resp_static, secret);
	hex(initiator ? v->init_ephemeral : v->resp_ephemeral, ephemeral);
	hex(rs, remote);
	hex(v->psk, psk);
	noise_init(n, v->pattern, initiator, prologue, len, secret, rs != NULL ? remote : NULL,
		v->psk != NULL ? psk : NULL);
	noise_set_ephemeral(n, ephemeral);
}

static void
play(const struct vector *v)
{
	struct noise a, b, *from, *to;
	struct noise_cipher send[2], recv[2];
	uint8_t payload[MAX_TEXT], want[MAX_TEXT], got[MAX_TEXT], back[MAX_TEXT], hash[32];
	size_t i, len, want_len, got_len, back_len;
	struct err err;

	begin(&a, v, true);
	begin(&b, v, false);
	for (i = 0; i < v->n && !noise_done(&a); i++) {
		from = i % 2 == 0 ? &a : &b;
		to = i % 2 == 0 ? &b : &a;
		len = hex(v->messages[i].payload, payload);
		want_len = hex(v->messages[i].ciphertext, want);
		ck_assert_uint_eq(noise_overhead(from), want_len - len);
		ck_assert_msg(noise_write(from, payload, len, got, sizeof got, &got_len, &err) == 0,
			"%s", err.msg);
		ck_assert_uint_eq(got_len, want_len);
		ck_assert_mem_eq(got, want, want_len);
		ck_assert_msg(noise_read(to, got, got_len, back, sizeof back, &back_len, &err) == 0,
			"%s", err.msg);
		ck_assert_uint_eq(back_len, len);
		ck_assert(len == 0 || memcmp(back, payload, len) == 0);
	}
	ck_assert(noise_done(&a) && noise_done(&b));
	noise_split(&a, &send[0], &recv[0], hash);
	hex(v->hash, want);
	ck_assert_mem_eq(hash, want, 32);
	noise_split(&b, &send[1], &recv[1], hash);
	ck_assert_mem_eq(hash, want, 32);
	ck_assert_uint_lt(i, v->n);
	for (; i < v->n; i++) {
		len = hex(v->messages[i].payload, payload);
		want_len = hex(v->messages[i].ciphertext, want);
		ck_assert_int_eq(cipher_seal(&send[i % 2], NULL, 0, payload, len, got), 0);
		ck_assert_uint_eq(want_len, len + NOISE_TAG);
		ck_assert_mem_eq(got, want, want_len);
		ck_assert_int_eq(cipher_open(&recv[1 - i % 2], NULL, 0, got, want_len, back), 0);
		ck_assert(len == 0 || memcmp(back, payload, len) == 0);
	}
}

/* From the cacophony set, as published with mcginty/snow. */
static const struct vector written[] = {
#include "tests/unit/noise_vectors.inc"
};

START_TEST(written_vectors)
{
	for (size_t i = 0; i < sizeof written / sizeof *written; i++)
		play(&written[i]);
}
END_TEST

static const char *
text_of(json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

START_TEST(shared_vectors)
{
	const char *src = getenv("SHOAL_SRCDIR");
	char path[4096];
	json_t *all, *list, *o, *m;
	size_t i, k;
	unsigned played = 0;

	snprintf(path, sizeof path, "%s/../shared/reference/noise-vectors.json",
		src != NULL ? src : ".");
	if (access(path, R_OK) != 0) {
		printf("SKIP shared_vectors: ../shared is not there\n");
		return;
	}
	all = json_load_file(path, 0, NULL);
	ck_assert_ptr_nonnull(all);
	list = json_object_get(all, "vectors");
	json_array_foreach(list, i, o)
	{
		const char *name = text_of(o, "protocol_name");
		bool kk = strcmp(name, "Noise_KK_25519_ChaChaPoly_SHA256") == 0;
		struct vector v = {.pattern = kk ? NOISE_KK : NOISE_XX_PSK3};

		if (!kk && strcmp(name, "Noise_XXpsk3_25519_ChaChaPoly_SHA256") != 0)
			continue;
		v.prologue = text_of(o, "init_prologue");
		v.psk = json_string_value(json_array_get(json_object_get(o, "init_psks"), 0));
		v.init_static = text_of(o, "init_static");
		v.init_ephemeral = text_of(o, "init_ephemeral");
		v.init_remote = text_of(o, "init_remote_static");
		v.resp_static = text_of(o, "resp_static");
		v.resp_ephemeral = text_of(o, "resp_ephemeral");
		v.resp_remote = text_of(o, "resp_remote_static");
		v.hash = text_of(o, "handshake_hash");
		json_array_foreach(json_object_get(o, "messages"), k, m)
		{
			ck_assert_uint_lt(v.n, 8);
			v.messages[v.n++] =
				(struct message){text_of(m, "payload"), text_of(m, "ciphertext")};
		}
		play(&v);
		played++;
	}
	ck_assert_uint_ge(played, 2);
	json_decref(all);
}
END_TEST

/* Every flipped bit of every handshake message, and every wrong key, fails the handshake. */
START_TEST(changed_messages_fail)
{
	for (size_t at = 0; at < 48; at += 5) {
		struct noise a, b;
		uint8_t msg[MAX_TEXT], out[MAX_TEXT];
		size_t len, out_len;
		struct err err;

		begin(&a, &written[0], true);
		begin(&b, &written[0], false);
		ck_assert_int_eq(noise_write(&a, "x", 1, msg, sizeof msg, &len, &err), 0);
		msg[at % len] ^= 1;
		ck_assert_int_eq(noise_read(&b, msg, len, out, sizeof out, &out_len, &err), -1);
	}
}
END_TEST

START_TEST(keys_of_small_order_are_refused)
{
	struct noise a, b;
	uint8_t msg[MAX_TEXT], out[MAX_TEXT];
	size_t len, out_len;
	struct err err;

	begin(&a, &written[0], true);
	begin(&b, &written[0], false);
	ck_assert_int_eq(noise_write(&a, NULL, 0, msg, sizeof msg, &len, &err), 0);
	memset(msg, 0, NOISE_KEY);
	ck_assert_int_eq(noise_read(&b, msg, len, out, sizeof out, &out_len, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "key"));
}
END_TEST

START_TEST(rekeying_keeps_both_sides_together)
{
	struct noise_cipher a = {.has_key = true}, b;
	uint8_t sealed[64], out[64];

	randombytes_buf(a.key, sizeof a.key);
	b = a;
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(cipher_seal(&a, "ad", 2, "hello", 5, sealed), 0);
		ck_assert_int_eq(cipher_open(&b, "ad", 2, sealed, 5 + NOISE_TAG, out), 0);
		ck_assert_int_eq(
			cipher_open(&b, "ad", 2, sealed, 5 + NOISE_TAG, out), -1); /* a replay */
		cipher_rekey(&a);
		cipher_rekey(&b);
	}
	a.nonce = UINT64_MAX;
	ck_assert_int_eq(cipher_seal(&a, NULL, 0, "x", 1, sealed), -1);
}
END_TEST

/* The fast cipher writes and reads what libsodium does, of every length about a block, also after a new key. */
START_TEST(fast_and_plain_are_the_same)
{
	static const size_t lengths[] = {0, 1, 15, 16, 17, 63, 64, 65, 255, 256, 1000, 8192, 60000};
	static uint8_t in[60000], plain_out[60000 + NOISE_TAG], fast_out[60000 + NOISE_TAG],
		back[60000];
	struct noise_cipher plain = {.has_key = true}, fast, opens;

	randombytes_buf(plain.key, sizeof plain.key);
	randombytes_buf(in, sizeof in);
	fast = opens = plain;
	ck_assert_int_eq(cipher_use(&fast, AEAD_CHACHA), 0);
	ck_assert_int_eq(cipher_use(&opens, AEAD_CHACHA), 0);
	ck_assert_ptr_nonnull(fast.fast);
	for (size_t i = 0; i < 2 * sizeof lengths / sizeof *lengths; i++) {
		size_t len = lengths[i / 2], sealed = len + NOISE_TAG, ad = i % 2 == 0 ? 0 : i;

		ck_assert_int_eq(cipher_seal(&plain, in, ad, in, len, plain_out), 0);
		memcpy(fast_out, in, len); /* in place */
		ck_assert_int_eq(cipher_seal(&fast, in, ad, fast_out, len, fast_out), 0);
		ck_assert_mem_eq(plain_out, fast_out, sealed);
		fast_out[i % sealed] ^= 1;
		ck_assert_int_eq(cipher_open(&opens, in, ad, fast_out, sealed, back), -1);
		ck_assert_int_eq(cipher_open(&opens, in, ad + 1, plain_out, sealed, back), -1);
		ck_assert_int_eq(cipher_open(&opens, in, ad, plain_out, sealed, back), 0);
		ck_assert_mem_eq(back, in, len);
		if (i % 5 == 0) {
			cipher_rekey(&plain);
			cipher_rekey(&fast);
			cipher_rekey(&opens);
		}
	}
	ck_assert_int_eq(cipher_open(&opens, NULL, 0, plain_out, NOISE_TAG - 1, back), -1);
	cipher_deinit(&fast);
	cipher_deinit(&opens);
	ck_assert_ptr_null(fast.fast);
}
END_TEST

/* Test case 16 of the GCM specification (McGrew and Viega, 2005). */
START_TEST(aes_is_the_published_one)
{
	static const char key[] =
		"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
			  plain[] =
				  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
				  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
			  ad[] = "feedfacedeadbeeffeedfacedeadbeefabaddad2",
			  nonce[] = "cafebabefacedbaddecaf888",
			  want[] =
				  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
				  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
				  "76fc6ece0f4e1768cddf8853bb2d551b";
	uint8_t k[32], p[60], a[20], n[12], w[76], out[76];
	struct aead *aes;

	sodium_hex2bin(k, sizeof k, key, sizeof key - 1, NULL, NULL, NULL);
	sodium_hex2bin(p, sizeof p, plain, sizeof plain - 1, NULL, NULL, NULL);
	sodium_hex2bin(a, sizeof a, ad, sizeof ad - 1, NULL, NULL, NULL);
	sodium_hex2bin(n, sizeof n, nonce, sizeof nonce - 1, NULL, NULL, NULL);
	sodium_hex2bin(w, sizeof w, want, sizeof want - 1, NULL, NULL, NULL);
	aes = aead_new(AEAD_AES, k);
	ck_assert_ptr_nonnull(aes);
	ck_assert_int_eq(aead_seal(aes, n, a, sizeof a, p, sizeof p, out), 0);
	ck_assert_mem_eq(out, w, sizeof w);
	ck_assert_int_eq(aead_open(aes, n, a, sizeof a, w, sizeof w, out), 0);
	ck_assert_mem_eq(out, p, sizeof p);
	w[70] ^= 1;
	ck_assert_int_eq(aead_open(aes, n, a, sizeof a, w, sizeof w, out), -1);
	aead_free(aes);
}
END_TEST

/* Noise, section 12.4: its counter ends the nonce, the least byte last. */
START_TEST(aes_counts_as_noise_says)
{
	static const uint8_t nonce[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2};
	struct noise_cipher sends = {.has_key = true}, opens;
	uint8_t sealed[5 + NOISE_TAG], want[5 + NOISE_TAG], back[5];
	struct aead *aes;

	randombytes_buf(sends.key, sizeof sends.key);
	opens = sends;
	aes = aead_new(AEAD_AES, sends.key);
	ck_assert_ptr_nonnull(aes);
	ck_assert_int_eq(cipher_use(&sends, AEAD_AES), 0);
	ck_assert_int_eq(cipher_use(&opens, AEAD_AES), 0);
	sends.nonce = opens.nonce = 258;
	ck_assert_int_eq(cipher_seal(&sends, "ad", 2, "12345", 5, sealed), 0);
	ck_assert_int_eq(aead_seal(aes, nonce, "ad", 2, "12345", 5, want), 0);
	ck_assert_mem_eq(sealed, want, sizeof want);
	ck_assert_int_eq(cipher_open(&opens, "ad", 2, sealed, sizeof sealed, back), 0);
	ck_assert_mem_eq(back, "12345", 5);
	cipher_rekey(&sends);
	ck_assert_int_eq(cipher_seal(&sends, "ad", 2, "12345", 5, sealed), 0);
	ck_assert_int_eq(cipher_open(&opens, "ad", 2, sealed, sizeof sealed, back), -1);
	cipher_rekey(&opens);
	ck_assert_int_eq(cipher_open(&opens, "ad", 2, sealed, sizeof sealed, back), 0);
	aead_free(aes);
	cipher_deinit(&sends);
	cipher_deinit(&opens);
}
END_TEST

static enum aead_kind
choice(uint32_t a0, uint32_t a1, uint32_t b0, uint32_t b1)
{
	struct cipher_costs a = {{a0, a1}}, b = {{b0, b1}};

	ck_assert_int_eq(cipher_choose(&a, &b), cipher_choose(&b, &a));
	return cipher_choose(&a, &b);
}

START_TEST(the_cheaper_cipher_is_chosen)
{
	uint8_t bytes[CIPHER_COSTS_BYTES];
	struct cipher_costs c = {{0x01020304, 7}}, back;
	struct err err;

	ck_assert_int_eq(choice(10, 4, 10, 5), AEAD_AES);
	ck_assert_int_eq(
		choice(10, 4, 10, 17), AEAD_CHACHA); /* one of them has no instructions for it */
	ck_assert_int_eq(choice(10, 10, 5, 5), AEAD_CHACHA);
	ck_assert_int_eq(choice(10, 0, 10, 1), AEAD_CHACHA);
	ck_assert_int_eq(choice(0, 10, 1, 10), AEAD_AES);
	ck_assert_int_eq(choice(0, 0, 10, 1), AEAD_CHACHA);
	ck_assert_int_eq(choice(UINT32_MAX, UINT32_MAX - 1, UINT32_MAX, UINT32_MAX), AEAD_AES);
	cipher_costs_write(&c, bytes);
	ck_assert_int_eq(cipher_costs_read(bytes, sizeof bytes, &back, &err), 0);
	ck_assert_mem_eq(&c, &back, sizeof c);
	ck_assert_int_eq(cipher_costs_read(bytes, 0, &back, &err), 0);
	ck_assert_uint_eq(back.ns[AEAD_CHACHA], 0);
	ck_assert_int_eq(cipher_costs_read(bytes, sizeof bytes - 1, &back, &err), -1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("noise");
	TCase *t = tcase_create("noise");
	SRunner *r;
	int failed;

	if (sodium_init() < 0)
		return 1;
	tcase_add_test(t, written_vectors);
	tcase_add_test(t, shared_vectors);
	tcase_add_test(t, changed_messages_fail);
	tcase_add_test(t, keys_of_small_order_are_refused);
	tcase_add_test(t, rekeying_keeps_both_sides_together);
	tcase_add_test(t, fast_and_plain_are_the_same);
	tcase_add_test(t, aes_is_the_published_one);
	tcase_add_test(t, aes_counts_as_noise_says);
	tcase_add_test(t, the_cheaper_cipher_is_chosen);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
