/* What devices tell each other of power and heat, and what follows for those that compute together. */
#include "daemon/energy_message.h"

#include <check.h>
#include <stdlib.h>

static const struct energy_told fine = {
	true, ENERGY_FINE, {false, ENERGY_UNKNOWN, ENERGY_UNKNOWN}, 7};
static const struct energy_told silent;

static struct energy_told
in_state(enum energy_state s)
{
	struct energy_told e = fine;

	e.state = s;
	return e;
}

START_TEST(watts_add_up_where_all_tell)
{
	struct energy_told d[3] = {fine, fine, fine};

	d[1].watts = 30;
	ck_assert(energy_watts(d, 3) == 44);
	d[2].watts = 0;
	ck_assert(energy_watts(d, 3) == 0);
	ck_assert(energy_watts(d, 2) == 37);
	d[1] = silent;
	ck_assert(energy_watts(d, 2) == 0);
	ck_assert(energy_watts(d, 0) == 0);
}
END_TEST

START_TEST(who_is_spared)
{
	struct energy_told d[3] = {fine, fine, silent};

	ck_assert_int_eq(energy_lean(d, 3), ENERGY_EVEN);
	d[0] = in_state(ENERGY_HOT);
	ck_assert_int_eq(energy_lean(d, 3), ENERGY_UP);
	ck_assert_int_eq(energy_lean(d, 1), ENERGY_EVEN); /* nobody else computes */
	d[2] = in_state(ENERGY_LOW);
	ck_assert_int_eq(energy_lean(d, 3), ENERGY_EVEN);
	ck_assert_uint_eq(energy_strained(d, 3), 2);
	d[0] = fine;
	ck_assert_int_eq(energy_lean(d, 3), ENERGY_DOWN);
	ck_assert_int_eq(energy_lean(d, 2), ENERGY_EVEN);
	ck_assert_int_eq(energy_lean(d, 0), ENERGY_EVEN);
}
END_TEST

/* Through the wire's own checks. */
static struct energy_told
there_and_back(const struct energy_told *e)
{
	Shoal__Envelope out = SHOAL__ENVELOPE__INIT, *in;
	Shoal__Pong pong = SHOAL__PONG__INIT;
	Shoal__Energy energy = SHOAL__ENERGY__INIT;
	struct energy_told got;
	struct err err = {""};
	struct buf b;

	energy_message_fill(&energy, e);
	pong.token = 5;
	pong.energy = &energy;
	out.body_case = SHOAL__ENVELOPE__BODY_PONG;
	out.pong = &pong;
	buf_init(&b, 4096);
	ck_assert_int_eq(control_pack(&out, &b, &err), 0);
	in = control_unpack(b.data, b.len, &err);
	ck_assert_msg(in != NULL, "%s", err.msg);
	ck_assert_uint_eq(in->pong->token, 5);
	energy_message_read(in->pong->energy, &got);
	control_free(in);
	buf_free(&b);
	return got;
}

START_TEST(messages_come_back)
{
	const struct energy_told all[] = {fine, {true, ENERGY_HOT, {true, 0, 83.5f}, 0},
		{true, ENERGY_LOW, {true, 100, -20}, 100000},
		{true, ENERGY_FINE, {false, 37, 0}, 1}};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct energy_told got = there_and_back(&all[i]);

		ck_assert(got.told);
		ck_assert_int_eq(got.state, all[i].state);
		ck_assert_int_eq(got.now.on_battery, all[i].now.on_battery);
		ck_assert(got.now.charge == all[i].now.charge);
		ck_assert_float_eq_tol(got.now.celsius, all[i].now.celsius, 0.01f);
		ck_assert_uint_eq(got.watts, all[i].watts);
	}
}
END_TEST

START_TEST(senseless_messages)
{
	Shoal__Energy m = SHOAL__ENERGY__INIT;
	struct energy_told e;

	m.state = 3;
	m.charge = 102;
	m.centikelvins = 4294967295u;
	m.watts = 100001;
	energy_message_read(&m, &e);
	ck_assert(!e.told);
	ck_assert_int_eq(e.state, ENERGY_FINE);
	ck_assert(e.now.charge == ENERGY_UNKNOWN && e.now.celsius == ENERGY_UNKNOWN);
	ck_assert_uint_eq(e.watts, 0);
}
END_TEST

START_TEST(as_json)
{
	const struct energy_told e = {true, ENERGY_HOT, {true, 40, 83.46f}, 7};
	json_t *o = energy_json(&e);
	char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(5));

	ck_assert_str_eq(text, "{\"state\":\"hot\",\"on_battery\":true,\"celsius\":83.5,"
			       "\"charge\":40.0,\"watts\":7}");
	free(text);
	json_decref(o);
	o = energy_json(&fine);
	ck_assert_uint_eq(json_object_size(o), 3);
	json_decref(o);
	ck_assert(json_is_null(energy_json(&silent)));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("energy");
	TCase *t = tcase_create("energy");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_test(t, watts_add_up_where_all_tell);
	tcase_add_test(t, who_is_spared);
	tcase_add_test(t, messages_come_back);
	tcase_add_test(t, senseless_messages);
	tcase_add_test(t, as_json);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
