/* The election's messages: there and back, and what is refused. */
#include "daemon/elect_message.h"

#include "daemon/cuts_message.h"

#include <check.h>
#include <string.h>

static struct err err;

static struct known_peer
device(uint8_t key)
{
	struct known_peer p = {.key = {key}, .name = "pi", .address = "10.0.0.2:8643"};

	return p;
}

static struct election_list
list(uint32_t n, struct known_peer *devices)
{
	struct election_list l = {.term = 3, .version = 7, .elects = true, .n = n};

	for (uint32_t i = 0; i < n; i++) {
		devices[i] = device((uint8_t)(i + 1));
		l.keys[i].b[0] = (uint8_t)(i + 1);
	}
	return l;
}

START_TEST(lists_come_back)
{
	struct known_peer devices[ELECTION_MAX], back[ELECTION_MAX];
	struct election_list l = list(ELECTION_MAX, devices), again;
	struct devices_message m;

	devices_message_fill(&m, &l, devices);
	ck_assert_msg(devices_message_read(&m.message, &again, back, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(again.term, 3);
	ck_assert_uint_eq(again.version, 7);
	ck_assert(again.elects);
	ck_assert_uint_eq(again.n, ELECTION_MAX);
	ck_assert_mem_eq(again.keys, l.keys, sizeof l.keys);
	ck_assert_str_eq(back[63].address, "10.0.0.2:8643");
	ck_assert_str_eq(back[63].name, "pi");
}
END_TEST

/* Through the wire's own checks too: of names and addresses that no device has. */
START_TEST(a_list_travels_in_a_beat)
{
	struct known_peer devices[ELECTION_MAX], back[ELECTION_MAX];
	struct election_list l = list(ELECTION_MAX, devices), again;
	struct devices_message m;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT, *got;
	Shoal__Beat beat = SHOAL__BEAT__INIT;
	struct buf b;

	devices_message_fill(&m, &l, devices);
	beat.devices = &m.message;
	e.body_case = SHOAL__ENVELOPE__BODY_BEAT;
	e.beat = &beat;
	buf_init(&b, 1 << 20);
	ck_assert_msg(control_pack(&e, &b, &err) == 0, "%s", err.msg);
	got = control_unpack(b.data, b.len, &err);
	ck_assert_msg(got != NULL, "%s", err.msg);
	ck_assert_int_eq(devices_message_read(got->beat->devices, &again, back, &err), 0);
	ck_assert_uint_eq(again.n, ELECTION_MAX);
	control_free(got);
	for (size_t len = 0; len < b.len; len += 7) /* cut off anywhere */
		control_free(control_unpack(b.data, len, &err));
	for (size_t i = 0; i < b.len; i += 3) { /* and changed anywhere */
		b.data[i] ^= 0x41;
		got = control_unpack(b.data, b.len, &err);
		if (got != NULL && got->body_case == SHOAL__ENVELOPE__BODY_BEAT &&
			got->beat->devices != NULL)
			devices_message_read(got->beat->devices, &again, back, &err);
		control_free(got);
		b.data[i] ^= 0x41;
	}
	buf_free(&b);
}
END_TEST

START_TEST(lists_that_are_none_are_refused)
{
	struct known_peer devices[ELECTION_MAX], back[ELECTION_MAX];
	struct election_list l = list(3, devices), again;
	struct devices_message m;
	char name[PEER_NAME + 1];

	devices_message_fill(&m, &l, devices);
	m.message.n_devices = 0;
	ck_assert_int_eq(devices_message_read(&m.message, &again, back, &err), -1);
	m.message.n_devices = ELECTION_MAX + 1;
	ck_assert_int_eq(devices_message_read(&m.message, &again, back, &err), -1);
	m.message.n_devices = 3;
	m.message.term = ELECT_MAX_NUMBER;
	ck_assert_int_eq(devices_message_read(&m.message, &again, back, &err), -1);
	m.message.term = 3;
	m.devices[1].key.len = 31;
	ck_assert_int_eq(devices_message_read(&m.message, &again, back, &err), -1);
	m.devices[1].key.len = 32;
	m.peers[1].key[0] = 1; /* as the first one */
	ck_assert_int_eq(devices_message_read(&m.message, &again, back, &err), -1);
	m.peers[1].key[0] = 2;
	memset(name, 'a', PEER_NAME);
	name[PEER_NAME] = '\0';
	m.devices[2].name = name;
	ck_assert_int_eq(devices_message_read(&m.message, &again, back, &err), -1);
	m.devices[2].name = m.peers[2].name;
	ck_assert_int_eq(devices_message_read(&m.message, &again, back, &err), 0);
}
END_TEST

START_TEST(beats_questions_and_answers)
{
	const struct election_beat b = {1, 2, 3, 4};
	const struct election_ask a = {ELECTION_CLAIM, 5, 6, 7, 8};
	const struct election_say s = {9, 10, true, false, true, {{11}}};
	struct election_beat b2;
	struct election_ask a2;
	struct election_say s2;
	Shoal__Beat beat = SHOAL__BEAT__INIT;
	Shoal__VoteAsk ask = SHOAL__VOTE_ASK__INIT;
	Shoal__VoteSay say = SHOAL__VOTE_SAY__INIT;
	uint8_t id[31] = {0};

	beat_message_fill(&beat, &b);
	ck_assert_int_eq(beat_message_read(&beat, &b2, &err), 0);
	ck_assert_mem_eq(&b2, &b, sizeof b);
	beat.model_id = (ProtobufCBinaryData){sizeof id, id};
	ck_assert_int_eq(beat_message_read(&beat, &b2, &err), -1);
	beat.model_id.len = 0;
	beat.skeleton = (ProtobufCBinaryData){sizeof id, id};
	ck_assert_int_eq(beat_message_read(&beat, &b2, &err), -1);
	ask_message_fill(&ask, &a);
	ask.model_id = (ProtobufCBinaryData){sizeof id, id};
	ck_assert_int_eq(ask_message_read(&ask, &a2, &err), -1);
	ask.model_id.len = 0;
	ck_assert_int_eq(ask_message_read(&ask, &a2, &err), 0);
	ck_assert(a2.kind == a.kind && a2.term == 5 && a2.round == 6 && a2.list_version == 8);
	ask.kind = ELECTION_KINDS;
	ck_assert_int_eq(ask_message_read(&ask, &a2, &err), -1);
	ask.kind = ELECTION_WHO;
	ask.port = 65536;
	ck_assert_int_eq(ask_message_read(&ask, &a2, &err), -1);
	ask.port = 1;
	ask.term = UINT64_MAX;
	ck_assert_int_eq(ask_message_read(&ask, &a2, &err), -1);
	say_message_fill(&say, &s);
	ck_assert_int_eq(say_message_read(&say, &s2, &err), 0);
	ck_assert(s2.term == 9 && s2.round == 10 && s2.yes && s2.knows && !s2.newer);
	ck_assert_uint_eq(s2.coordinator.b[0], 11);
	say.coordinator.len = 33;
	ck_assert_int_eq(say_message_read(&say, &s2, &err), -1);
}
END_TEST

START_TEST(cuts_come_back_and_what_is_none_does_not)
{
	const struct model_shape shape = {.layers = 4,
		.kv_heads = 4,
		.heads = 4,
		.head_dim = 64,
		.ffn = 512,
		.vocab = 100,
		.col_block = 256};
	const struct slice s[] = {{0, 1, 0, 4, 0, 4, 0, 512, 0, 100},
		{0, 1, 1, 2, 4, 0, 256, 256, 0, 0},
		{0, 1, 3, 2, 0, 4, 0, 512, 0, 0},          /* layers that are not there */
		{0, 1, 0, 4, 1, UINT32_MAX, 0, 512, 0, 0}, /* heads */
		{0, 1, 0, 4, 0, 4, 100, 156, 0, 0},        /* columns within a block */
		{0, 1, 0, 4, 0, 4, 0, 512, 99, 2}};        /* rows */
	struct slice many[SHELF_MAX + 4], back[SHELF_MAX];
	struct cuts_message m;
	size_t n = cuts_message_fill(&m, s, 6);

	ck_assert_uint_eq(n, 6);
	ck_assert_uint_eq(cuts_message_read(m.pointers, n, &shape, back), 2);
	ck_assert(slice_same(&back[0], &s[0]) && slice_same(&back[1], &s[1]));
	for (int i = 0; i < SHELF_MAX + 4; i++)
		many[i] = s[0];
	ck_assert_uint_eq(cuts_message_fill(&m, many, SHELF_MAX + 4), SHELF_MAX);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("elect_message");
	TCase *t = tcase_create("messages");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, cuts_come_back_and_what_is_none_does_not);
	tcase_add_test(t, lists_come_back);
	tcase_add_test(t, a_list_travels_in_a_beat);
	tcase_add_test(t, lists_that_are_none_are_refused);
	tcase_add_test(t, beats_questions_and_answers);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
