/* Questions that a coordinator has a member's small model answer, with both sides in this process and no model: what comes
 * back, and whose questions they are to the member's desk. */
#include "daemon/serve_int.h"

#include <check.h>
#include <sodium.h>
#include <stdlib.h>

static const uint8_t model_id[32] = {1};
static struct served_model model = {
	.id = "small", .model_id = model_id, .context = 64, .shape = {.vocab = 9}};

/* Each side with the other as its only peer. */
static struct side {
	struct serve serve;
	struct known_peer known;
	struct swarm_peer peer, *peers[1];
} coordinator, member;

static struct { /* the member's desk: one request */
	uint64_t client;
	struct request_events ev;
	void *arg;
	bool cancelled;
} asked;

static struct {
	unsigned n;
	int status;
	char text[32];
} told;

/* --- what both sides stand on ------------------------------------------------------------------- */

bool
swarm_is_member(const struct swarm *s)
{
	return s == (void *)&member;
}

uint32_t
swarm_peers(const struct swarm *s, struct swarm_peer *const **out)
{
	*out = s == (void *)&member ? member.peers : coordinator.peers;
	return 1;
}

void
swarm_offer(struct swarm *s, const struct swarm_offer *o)
{
	(void)s, (void)o;
}

/* It arrives as bytes. */
int
swarm_send(struct swarm_peer *p, Shoal__Envelope *e)
{
	struct side *to = p == &coordinator.peer ? &member : &coordinator;
	size_t len = shoal__envelope__get_packed_size(e);
	uint8_t *bytes = malloc(len);
	Shoal__Envelope *got;
	struct err err = {""};

	ck_assert_ptr_nonnull(bytes);
	shoal__envelope__pack(e, bytes);
	got = shoal__envelope__unpack(NULL, len, bytes);
	ck_assert_ptr_nonnull(got);
	ck_assert_msg(asks_control(&to->serve, &to->peer, got, &err) == 0, "%s", err.msg);
	shoal__envelope__free_unpacked(got, NULL);
	free(bytes);
	return 0;
}

void
control_text(const char *text, char out[257])
{
	snprintf(out, 257, "%s", text);
}

const struct served_model *
serve_small(struct serve *s, struct err *why)
{
	(void)s, (void)why;
	return &model;
}

const struct served_model *
small_model(struct small *s, struct err *why)
{
	(void)s, (void)why;
	return &model;
}

struct session *
session_new(const struct tokenizer *t, const struct session_params *p, const uint32_t *prompt,
	size_t n_prompt, struct err *err)
{
	(void)t, (void)p, (void)prompt, (void)n_prompt, (void)err;
	return (struct session *)&asked;
}

void
session_free(struct session *s)
{
	(void)s;
}

struct request *
desk_submit(struct desk *d, struct session *s, uint64_t client, const struct request_events *ev,
	void *arg, int *status, struct err *err)
{
	(void)d, (void)s, (void)status, (void)err;
	asked.client = client;
	asked.ev = *ev;
	asked.arg = arg;
	return (struct request *)&asked;
}

void
desk_cancel(struct desk *d, struct request *r)
{
	(void)d, (void)r;
	asked.cancelled = true;
}

/* --- questions ---------------------------------------------------------------------------------- */

static void
begin_side(struct side *s, const char *peer)
{
	*s = (struct side){.peers = {&s->peer}};
	s->serve.asks = asks_new();
	s->serve.swarm = (struct swarm *)s;
	snprintf(s->known.name, sizeof s->known.name, "%s", peer);
	s->peer.known = &s->known;
	s->peer.control = (struct link *)s;
	s->peer.offer = (struct swarm_offer){.slots = 1, .context = 64};
	memcpy(s->peer.offer.model_id, model_id, sizeof model_id);
}

static void
begin(void)
{
	begin_side(&coordinator, "member");
	begin_side(&member, "coordinator");
	memset(&asked, 0, sizeof asked);
	memset(&told, 0, sizeof told);
}

static void
end(void)
{
	asks_free(coordinator.serve.asks);
	asks_free(member.serve.asks);
}

static void
on_told(void *arg, const struct serve_told *t)
{
	(void)arg;
	told.n++;
	told.status = t->status;
	snprintf(told.text, sizeof told.text, "%.*s", (int)t->len, t->text);
}

static struct serve_ask *
ask(uint64_t client)
{
	uint32_t prompt[] = {3, 4, 5};
	const struct token_list ids = {.ids = prompt, .n = 3};
	struct err err = {""};
	struct serve_ask *a =
		serve_ask(&coordinator.serve, "member", &ids, 8, client, on_told, NULL, &err);

	ck_assert_msg(a != NULL, "%s", err.msg);
	return a;
}

/* Whose question it is there. */
static uint64_t
client_of(uint64_t client)
{
	struct usage u = {0};
	unsigned before = told.n;

	ask(client);
	asked.ev.on_text(asked.arg, "it is so", 8);
	asked.ev.on_end(asked.arg, SESSION_STOP, &u);
	ck_assert_uint_eq(told.n, before + 1);
	return asked.client;
}

START_TEST(answers_come_back)
{
	struct serve_ask *a;

	client_of(5);
	ck_assert_int_eq(told.status, 0);
	ck_assert_str_eq(told.text, "it is so");
	ask(5);
	asked.ev.on_error(asked.arg, 429, "it is full");
	ck_assert_int_eq(told.status, 429);
	a = ask(5);
	serve_ask_cancel(a);
	ck_assert(asked.cancelled);
	ask(5);
	asks_peer_down(&coordinator.serve, &coordinator.peer, "it is away");
	ck_assert_int_eq(told.status, 503);
	ck_assert_uint_eq(told.n, 3);
}
END_TEST

/* As one, the one would hear by the time that it takes what the other has asked. */
START_TEST(clients_are_told_apart_there_too)
{
	uint64_t five = client_of(5), six = client_of(6);

	ck_assert_uint_eq(client_of(5), five);
	ck_assert_uint_ne(six, five);
	/* Neither is a number of this device's, which it could have in common with a client of the member's own. */
	ck_assert_uint_ne(five, 5);
	ck_assert_uint_ne(six, 6);
}
END_TEST

/* What the coordinator sends does not choose the client. */
START_TEST(no_client_of_the_members_own_can_be_named)
{
	const uint8_t ids[8] = {3};
	Shoal__Ask q = SHOAL__ASK__INIT;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	struct err err = {""};

	q.model_id = (ProtobufCBinaryData){32, (uint8_t *)(uintptr_t)model_id};
	q.ids = (ProtobufCBinaryData){sizeof ids, (uint8_t *)(uintptr_t)ids};
	q.max_tokens = 8;
	q.client = 1234;
	e.body_case = SHOAL__ENVELOPE__BODY_ASK;
	e.ask = &q;
	ck_assert_int_eq(asks_control(&member.serve, &member.peer, &e, &err), 0);
	ck_assert_uint_ne(asked.client, 0);
	ck_assert_uint_ne(asked.client, q.client);
	ck_assert_int_eq(asks_control(&coordinator.serve, &coordinator.peer, &e, &err), -1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("asks");
	TCase *t = tcase_create("asks");
	SRunner *r = srunner_create(s);
	int failed;

	if (sodium_init() < 0)
		return EXIT_FAILURE;
	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, answers_come_back);
	tcase_add_test(t, clients_are_told_apart_there_too);
	tcase_add_test(t, no_client_of_the_members_own_can_be_named);
	suite_add_tcase(s, t);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
