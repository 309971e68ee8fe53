/* What a daemon keeps on disk, and its configuration. */
#include "base/text.h"
#include "daemon/config.h"
#include "daemon/state.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64];
static struct err err;

static void
setup(void)
{
	strcpy(dir, "/tmp/shoal-state-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
teardown(void)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

static char *
in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

START_TEST(an_identity_stays)
{
	struct state s, again;
	struct stat st;

	ck_assert_msg(state_open(&s, dir, "", &err) == 0, "%s", err.msg);
	ck_assert_int_eq(stat(in_dir("identity"), &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	ck_assert_int_eq(state_open(&again, dir, "", &err), -1); /* the lock */
	ck_assert_ptr_nonnull(strstr(err.msg, "another shoald"));
	state_close(&s);
	ck_assert_msg(state_open(&again, dir, "kitchen", &err) == 0, "%s", err.msg);
	ck_assert_mem_eq(again.public, s.public, 32);
	ck_assert_str_eq(again.name, "kitchen");
	state_close(&again);
}
END_TEST

START_TEST(peers_and_invites_stay)
{
	struct known_peer p = {.name = "pi", .address = "10.0.0.2:8643", .joined = 7};
	uint8_t secret[INVITE_SECRET] = {1, 2, 3}, id[8];
	struct state s, again;

	ck_assert_int_eq(state_open(&s, dir, "", &err), 0);
	p.key[0] = 9;
	ck_assert_int_eq(state_add_peer(&s, &p, &err), 0);
	p.key[0] = 10;
	ck_assert_int_eq(state_add_peer(&s, &p, &err), 0);
	ck_assert_int_eq(state_add_invite(&s, secret, 1000, 500, &err), 0);
	strcpy(s.model, "/m.gguf");
	ck_assert_int_eq(state_save(&s, &err), 0);
	state_close(&s);

	ck_assert_msg(state_open(&again, dir, "", &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(again.n_peers, 2);
	ck_assert_str_eq(again.peers[1].address, "10.0.0.2:8643");
	ck_assert_str_eq(again.model, "/m.gguf");
	invite_id(secret, id);
	ck_assert_ptr_nonnull(state_find_invite(&again, id, 999, &err));
	ck_assert_ptr_null(state_find_invite(&again, id, 1001, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "expired"));
	p.key[0] = 11;
	ck_assert_int_eq(state_take_in(&again, id, &p, &err), 0);
	ck_assert_ptr_null(state_find_invite(&again, id, 999, &err));
	ck_assert_ptr_nonnull(strstr(err.msg, "used"));
	p.key[0] = 12;
	ck_assert_int_eq(state_take_in(&again, id, &p, &err), -1);
	p.key[0] = 9;
	ck_assert_int_eq(state_remove_peer(&again, p.key, &err), 0);
	ck_assert_uint_eq(again.n_peers, 2);
	ck_assert_uint_eq(again.peers[0].key[0], 10);
	ck_assert_uint_eq(again.peers[1].key[0], 11);
	state_close(&again);
}
END_TEST

/* Where nothing can be written, what is known stays what is on disk. */
START_TEST(what_cannot_be_saved_changes_nothing)
{
	struct known_peer p = {.key = {9}, .name = "pi", .joined = 7}, other = {.key = {8}};
	uint8_t secret[INVITE_SECRET] = {1, 2, 3}, more[INVITE_SECRET] = {4}, id[8];
	const struct rlimit none = {0, RLIM_INFINITY}, any = {RLIM_INFINITY, RLIM_INFINITY};
	struct state s, before, again;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(state_open(&s, dir, "", &err), 0);
	ck_assert_int_eq(state_add_peer(&s, &p, &err), 0);
	ck_assert_int_eq(state_add_invite(&s, secret, 1000, 500, &err), 0);
	invite_id(secret, id);
	before = s;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	ck_assert_int_eq(state_remove_peer(&s, p.key, &err), -1);
	ck_assert_int_eq(state_add_peer(&s, &other, &err), -1);
	strcpy(p.name, "pi-attic");
	ck_assert_int_eq(state_add_peer(&s, &p, &err), -1);
	ck_assert_int_eq(state_add_invite(&s, more, 1000, 500, &err), -1);
	ck_assert_int_eq(state_take_in(&s, id, &other, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, dir));
	ck_assert_int_eq(state_join(&s, &other, &err), -1);
	ck_assert_int_eq(state_quit(&s, &err), -1);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &any), 0);
	ck_assert_mem_eq(&s, &before, sizeof s);
	state_close(&s);
	ck_assert_msg(state_open(&again, dir, "", &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(again.n_peers, 1);
	ck_assert_str_eq(again.peers[0].name, "pi");
	/* The code is good still. */
	ck_assert_int_eq(state_take_in(&again, id, &other, &err), 0);
	ck_assert_uint_eq(again.n_peers, 2);
	state_close(&again);
}
END_TEST

/* A name that others made up, too long for its place: what is left of it is still a text. */
START_TEST(names_are_cut_between_characters)
{
	char name[3 * PEER_NAME + 1] = "", small[6];
	struct known_peer p = {.key = {9}};
	struct state s, again;

	for (unsigned i = 0; i < PEER_NAME; i++)
		strcat(name, "\xe2\x82\xac");
	text_copy(small, sizeof small, "ab\xe2\x82\xac");
	ck_assert_str_eq(small, "ab\xe2\x82\xac");
	text_copy(small, sizeof small, "abc\xe2\x82\xac");
	ck_assert_str_eq(small, "abc");
	text_copy(small, 1, "\xe2\x82\xac");
	ck_assert_str_eq(small, "");
	ck_assert_int_eq(state_open(&s, dir, name, &err), 0);
	ck_assert_uint_eq(strlen(s.name), 30);
	text_copy(p.name, sizeof p.name, name);
	ck_assert_int_eq(state_add_peer(&s, &p, &err), 0);
	state_close(&s);
	ck_assert_int_eq(state_open(&again, dir, "", &err), 0);
	ck_assert_uint_eq(again.n_peers, 1);
	ck_assert_str_eq(again.peers[0].name, p.name);
	state_close(&again);
}
END_TEST

START_TEST(an_election_stays)
{
	struct state s, again;
	struct known_peer p = {.key = {9}, .name = "pi"};

	ck_assert_int_eq(state_open(&s, dir, "", &err), 0);
	ck_assert_int_eq(state_add_peer(&s, &p, &err), 0);
	s.is_member = true;
	s.election = (struct election_saved){.term = 5,
		.voted = true,
		.vote = {{9}},
		.list = {.term = 4, .version = 6, .elects = true, .n = 2, .keys = {{{9}}, {{8}}}}};
	ck_assert_int_eq(state_save(&s, &err), 0);
	state_close(&s);

	ck_assert_msg(state_open(&again, dir, "", &err) == 0, "%s", err.msg);
	ck_assert(again.is_member && !state_has_coordinator(&again));
	ck_assert_uint_eq(again.election.term, 5);
	ck_assert(again.election.voted && !again.election.bound && again.election.list.elects);
	ck_assert_uint_eq(again.election.vote.b[0], 9);
	ck_assert_uint_eq(again.election.list.term, 4);
	ck_assert_uint_eq(again.election.list.version, 6);
	ck_assert_uint_eq(again.election.list.n, 2);
	ck_assert_uint_eq(again.election.list.keys[1].b[0], 8);
	again.coordinator.key[0] = 9;
	ck_assert(state_has_coordinator(&again));
	ck_assert_int_eq(state_quit(&again, &err), 0);
	state_close(&again);

	ck_assert_int_eq(state_open(&s, dir, "", &err), 0);
	ck_assert(!s.is_member && s.n_peers == 0 && s.election.list.n == 0 && s.election.term == 0);
	state_close(&s);
}
END_TEST

START_TEST(invites_are_bounded)
{
	struct state s;
	uint8_t secret[INVITE_SECRET] = {0};
	int i = 0;

	ck_assert_int_eq(state_open(&s, dir, "", &err), 0);
	while (secret[0] = (uint8_t)i, state_add_invite(&s, secret, 100, 50, &err) == 0)
		i++;
	ck_assert_int_eq(i, STATE_MAX_INVITES);
	ck_assert_int_eq(
		state_add_invite(&s, secret, 90000, 80000, &err), 0); /* old ones make room */
	state_close(&s);
}
END_TEST

START_TEST(damage_is_told_and_nothing_overwritten)
{
	struct state s;
	char text[8] = "";
	FILE *f;

	ck_assert_int_eq(state_open(&s, dir, "", &err), 0);
	state_close(&s);
	chmod(in_dir("identity"), 0644);
	ck_assert_int_eq(state_open(&s, dir, "", &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "chmod 600"));
	chmod(in_dir("identity"), 0600);
	write_file(in_dir("swarm.json"), "{ not");
	ck_assert_int_eq(state_open(&s, dir, "", &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "swarm.json"));
	f = fopen(in_dir("swarm.json"), "r");
	ck_assert_ptr_nonnull(fgets(text, sizeof text, f));
	fclose(f);
	ck_assert_str_eq(text, "{ not");
	/* A member whose coordinator cannot be read does not become one itself. */
	write_file(in_dir("swarm.json"), "{\"coordinator\": {\"key\": \"12\"}}");
	ck_assert_int_eq(state_open(&s, dir, "", &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "coordinator"));
	/* What a full disk or a power cut has left. */
	write_file(in_dir("identity"), "");
	ck_assert_int_eq(state_open(&s, dir, "", &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "identity is empty: bring back a copy of it"));
}
END_TEST

START_TEST(another_machines_identity_is_refused)
{
	struct state s;
	char line[256];
	FILE *f;

	ck_assert_int_eq(state_open(&s, dir, "", &err), 0);
	state_close(&s);
	f = fopen(in_dir("identity"), "r+");
	while (fgets(line, sizeof line, f) != NULL && strstr(line, "machine") == NULL)
		;
	fseek(f, -8, SEEK_CUR); /* some letters of the mark */
	fputs("000", f);
	fclose(f);
	ck_assert_int_eq(state_open(&s, dir, "", &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "another machine"));
}
END_TEST

/* --- configuration --- */

static int
load(struct config *c, const char *text, const char *option, const char *value)
{
	char *argv[] = {(char *)(uintptr_t) "shoald", (char *)(uintptr_t) "--config",
		in_dir("conf"), (char *)(uintptr_t)option, (char *)(uintptr_t)value, NULL};
	bool check_only;

	write_file(in_dir("conf"), text);
	return config_load(
		c, option != NULL ? (value != NULL ? 5 : 4) : 3, argv, &check_only, &err);
}

START_TEST(files_and_options)
{
	struct config c;

	ck_assert_msg(load(&c, "# all\n[shoald]\npayload = f16\n threads = 3\nshares=3,1.5\n",
			      "--threads", "5") == 0,
		"%s", err.msg);
	ck_assert_str_eq(c.payload, "f16");
	ck_assert_uint_eq(c.threads, 5); /* an option goes before the file */
	ck_assert_uint_eq(c.threads_batch, 0);
	ck_assert_str_eq(c.pin, "no");
	ck_assert_uint_eq(c.n_shares, 2);
	ck_assert(c.shares[1] == 1.5f);
	ck_assert_uint_eq(c.parallel, 4);
	ck_assert_msg(load(&c, "", "--log-level=debug", NULL) == 0, "%s", err.msg);
	ck_assert_str_eq(c.log_level, "debug");
	ck_assert_msg(load(&c, "threads = auto\nthreads_batch = 4\npin = yes\n", NULL, NULL) == 0,
		"%s", err.msg);
	ck_assert_uint_eq(c.threads, 0);
	ck_assert_uint_eq(c.threads_batch, 4);
	ck_assert_str_eq(c.pin, "yes");
}
END_TEST

START_TEST(what_is_printed_is_read_again)
{
	struct config c, back;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	ck_assert_int_eq(load(&c,
				 "payload = q8\nshares = 1,2,3\nqueue = 7\nname = "
				 "attic\nthreads_batch = 3\n",
				 NULL, NULL),
		0);
	config_print(&c, f);
	fclose(f);
	ck_assert_msg(load(&back, text, NULL, NULL) == 0, "%s", err.msg);
	ck_assert_str_eq(back.payload, "q8");
	ck_assert_str_eq(back.name, "attic");
	ck_assert_uint_eq(back.n_shares, 3);
	ck_assert_uint_eq(back.queue, 7);
	ck_assert_uint_eq(back.threads, 0);
	ck_assert_uint_eq(back.threads_batch, 3);
	free(text);
}
END_TEST

START_TEST(mistakes_are_told_with_their_line)
{
	static const struct {
		const char *text, *says;
	} bad[] = {{"\n[shoald]\nthraeds = 2\n", "threads"}, {"\n[shoald]\nthraeds = 2\n", ":3"},
		{"[other]\nthreads = 1\n", "other"}, {"threads = many\n", "whole number"},
		{"threads = -1\n", "whole number"}, {"threads = 0\n", "auto"},
		{"pin = 1\n", "no yes"}, {"collective = auto star\n", "direct"},
		{"payload = f8\n", "f32 f16 q8"}, {"shares = 1,,2\n", "shares"},
		{"shares = 0\n", "shares"}, {"kv\n", "key = value"},
		{"batch = 99999999999999999999\n", "batch"}, {"name = K\xfchne\n", "byte 2"}};
	struct config c;
	char line[400] = "name = ";

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		ck_assert_msg(
			load(&c, bad[i].text, NULL, NULL) == -1, "'%s' is taken", bad[i].text);
		ck_assert_msg(
			strstr(err.msg, bad[i].says) != NULL, "'%s': %s", bad[i].text, err.msg);
	}
	memset(line + 7, 'a', sizeof line - 8);
	ck_assert_int_eq(load(&c, line, NULL, NULL), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "longer"));
	ck_assert_int_eq(load(&c, "", "--no-such", "x"), -1);
	ck_assert_int_eq(load(&c, "", "--threads", NULL), -1);
}
END_TEST

START_TEST(addresses)
{
	static const char *const bad[] = {
		"", "host", ":1", "host:", "host:99999", "host:1x", "::1:80", "[::1:80"};
	char host[64];
	uint16_t port;

	ck_assert_int_eq(config_address("[::1]:8643", host, sizeof host, &port, &err), 0);
	ck_assert_str_eq(host, "::1");
	ck_assert_uint_eq(port, 8643);
	ck_assert_int_eq(config_address("pi.local:1", host, sizeof host, &port, &err), 0);
	ck_assert_str_eq(host, "pi.local");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(config_address(bad[i], host, sizeof host, &port, &err) == -1,
			"'%s' is taken", bad[i]);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("state");
	TCase *t = tcase_create("state");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, an_identity_stays);
	tcase_add_test(t, peers_and_invites_stay);
	tcase_add_test(t, what_cannot_be_saved_changes_nothing);
	tcase_add_test(t, names_are_cut_between_characters);
	tcase_add_test(t, an_election_stays);
	tcase_add_test(t, invites_are_bounded);
	tcase_add_test(t, damage_is_told_and_nothing_overwritten);
	tcase_add_test(t, another_machines_identity_is_refused);
	tcase_add_test(t, files_and_options);
	tcase_add_test(t, what_is_printed_is_read_again);
	tcase_add_test(t, mistakes_are_told_with_their_line);
	tcase_add_test(t, addresses);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
