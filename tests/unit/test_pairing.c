/* Joinings that fail: whoever typed the code hears why, and may try again. */
#include "daemon/swarm.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uv_loop_t loop;
static char dir[64];
static struct config config;
static struct device {
	struct state state;
	struct swarm *swarm;
} coordinator, newcomer;
static char said[512];

static int
may_change(void *arg, struct err *err)
{
	(void)arg, (void)err;
	return 0;
}

static void
open_device(struct device *d, const char *name)
{
	static const struct swarm_events events = {.may_change = may_change};
	struct err err = {""};
	char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	ck_assert_msg(state_open(&d->state, path, name, &err) == 0, "%s", err.msg);
	d->swarm = swarm_new(&loop, &config, &d->state, &events, d, &err);
	ck_assert_msg(d->swarm != NULL, "%s", err.msg);
}

static void
setup(void)
{
	strcpy(dir, "/tmp/shoal-pairing-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	uv_loop_init(&loop);
	config_defaults(&config);
	strcpy(config.listen, "127.0.0.1:0");
	open_device(&coordinator, "attic");
	open_device(&newcomer, "kitchen");
}

static void
teardown(void)
{
	char command[96];

	swarm_close(coordinator.swarm);
	swarm_close(newcomer.swarm);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	swarm_free(coordinator.swarm);
	swarm_free(newcomer.swarm);
	state_close(&coordinator.state);
	state_close(&newcomer.state);
	snprintf(command, sizeof command, "rm -r '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

static void
on_done(void *arg, const char *trouble)
{
	(void)arg;
	snprintf(said, sizeof said, "%s", trouble != NULL ? trouble : "joined");
}

/* What the one who typed the code hears. */
static const char *
join(const char *code)
{
	struct err err = {""};

	said[0] = '\0';
	ck_assert_msg(swarm_join(newcomer.swarm, code, on_done, NULL, &err) == 0, "%s", err.msg);
	while (said[0] == '\0')
		uv_run(&loop, UV_RUN_ONCE);
	return said;
}

static void
invite(char code[INVITE_TEXT])
{
	struct err err = {""};

	ck_assert_msg(swarm_invite(coordinator.swarm, 600, code, &err) == 0, "%s", err.msg);
}

START_TEST(a_name_that_cannot_be_sent)
{
	char code[INVITE_TEXT];

	invite(code);
	strcpy(newcomer.state.name, "K\xfchne");
	for (int i = 0; i < 2; i++)
		ck_assert_msg(
			strstr(join(code), "name and version cannot be sent") != NULL, "%s", said);
	ck_assert_uint_eq(coordinator.state.n_peers, 0);
}
END_TEST

/* A coordinator says nothing to those whom it turns away, nor does one of another version. */
START_TEST(a_code_that_is_not_known)
{
	char code[INVITE_TEXT];

	invite(code);
	coordinator.state.n_invites = 0;
	ck_assert_msg(strstr(join(code), "was used already") != NULL, "%s", said);
	ck_assert_msg(strstr(said, "another version of Shoal") != NULL, "%s", said);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("pairing");
	TCase *t = tcase_create("failures");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_name_that_cannot_be_sent);
	tcase_add_test(t, a_code_that_is_not_known);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
