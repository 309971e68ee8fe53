/* Beacons: those for whom they are read them, nobody else. */
#include "proto/beacon.h"

#include <check.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static struct err err;

struct device {
	uint8_t secret[32], public[32];
};

static struct device
a_device(void)
{
	struct device d;

	randombytes_buf(d.secret, sizeof d.secret);
	crypto_scalarmult_base(d.public, d.secret);
	return d;
}

START_TEST(members_read_them)
{
	struct device boss = a_device(), members[BEACON_TAGS], stranger = a_device();
	uint8_t keys[BEACON_TAGS][BEACON_KEY], wire[BEACON_MOST], key[BEACON_KEY];
	uint64_t time;
	uint16_t port;
	size_t len;

	for (size_t i = 0; i < BEACON_TAGS; i++) {
		members[i] = a_device();
		ck_assert_int_eq(beacon_key(boss.secret, members[i].public, keys[i], &err), 0);
	}
	len = beacon_write(8643, 1764000000123, keys, BEACON_TAGS, wire);
	ck_assert_uint_eq(len, BEACON_MOST);
	for (size_t i = 0; i < BEACON_TAGS; i++) {
		ck_assert_int_eq(beacon_key(members[i].secret, boss.public, key, &err), 0);
		ck_assert(beacon_read(wire, len, key, &port, &time));
		ck_assert_uint_eq(port, 8643);
		ck_assert_uint_eq(time, 1764000000123);
	}
	ck_assert_int_eq(beacon_key(stranger.secret, boss.public, key, &err), 0);
	ck_assert(!beacon_read(wire, len, key, &port, &time));
	/* The next one has nothing in common that would give the swarm away. */
	memcpy(key, wire + 16, sizeof key);
	beacon_write(8643, 1764000000124, keys, 2, wire);
	ck_assert_mem_ne(key, wire + 16, 16);
}
END_TEST

START_TEST(changed_ones_are_nothing)
{
	struct device boss = a_device(), member = a_device();
	uint8_t keys[1][BEACON_KEY], wire[BEACON_MOST];
	uint64_t time;
	uint16_t port;
	size_t len;

	ck_assert_int_eq(beacon_key(boss.secret, member.public, keys[0], &err), 0);
	len = beacon_write(8643, 77, keys, 1, wire);
	ck_assert(beacon_read(wire, len, keys[0], &port, &time));
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *copy = malloc(cut + 1); /* so that a read too far is seen */

		memcpy(copy, wire, cut);
		ck_assert(!beacon_read(copy, cut, keys[0], &port, &time));
		free(copy);
	}
	ck_assert(!beacon_read(wire, len + 1, keys[0], &port, &time));
	for (size_t bit = 0; bit < len * 8; bit++) {
		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!beacon_read(wire, len, keys[0], &port, &time));
		wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	len = beacon_write(0, 78, keys, 1, wire);
	ck_assert(!beacon_read(wire, len, keys[0], &port, &time));
	len = beacon_write(8643, 78, keys, 0, wire);
	ck_assert(!beacon_read(wire, len, keys[0], &port, &time));
}
END_TEST

START_TEST(keys_that_are_none)
{
	struct device d = a_device();
	uint8_t zeros[32] = {0}, key[BEACON_KEY];

	ck_assert_int_eq(beacon_key(d.secret, zeros, key, &err), -1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("beacon");
	TCase *t = tcase_create("beacon");
	SRunner *r;
	int failed;

	if (sodium_init() < 0)
		return 1;
	tcase_add_test(t, members_read_them);
	tcase_add_test(t, changed_ones_are_nothing);
	tcase_add_test(t, keys_that_are_none);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
