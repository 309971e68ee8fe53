/* A paired device that behaves badly: with the keys of a member that has been stopped it opens links to that member's
 * coordinator.
 *
 *   hostile STATE-DIRECTORY NAME MODE [SECONDS]
 *
 * Prints "closed: WHY" when the coordinator ends its link, else "still open", and how much it sent. */
#include <config.h>

#include "daemon/config.h"
#include "daemon/link.h"
#include "daemon/state.h"
#include "proto/control.h"
#include "proto/frame.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINKS       64         /* opened at once by `many` */
#define AT_ONCE     (1u << 20) /* bytes that are queued */
#define MAX_MESSAGE (8u << 20)

struct hostile;

struct mode {
	const char *name;
	enum link_purpose purpose;
	bool often; /* sent for as long as the link takes it, not once */
	unsigned links;
	void (*make)(struct hostile *h, struct buf *b);
};

struct hostile {
	uv_loop_t loop;
	uv_timer_t timer;
	uv_prepare_t prepare; /* the next messages */
	uv_idle_t idle;       /* so that the loop does not sleep while there are some */
	struct state state;
	const struct mode *mode;
	struct link
		*control; /* of a mode whose links are others: without it they are turned away */
	struct link *links[LINKS];
	unsigned open, closed;
	uint64_t sent, bytes, n;
	char why[256];
};

static int
die(const char *what)
{
	fprintf(stderr, "hostile: %s\n", what);
	exit(2);
}

/* --- what it sends ------------------------------------------------------------------------------- */

static void
pack(Shoal__Envelope *e, struct buf *b)
{
	struct err err;

	if (control_pack(e, b, &err) != 0)
		die(err.msg);
}

/* Every message has the coordinator log or look something up. */
static void
make_trouble(struct hostile *h, struct buf *b)
{
	Shoal__Trouble t = SHOAL__TROUBLE__INIT;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	char text[200];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	t.what = text;
	t.epoch = h->n;
	e.body_case = SHOAL__ENVELOPE__BODY_TROUBLE;
	e.trouble = &t;
	pack(&e, b);
}

static void
make_pings(struct hostile *h, struct buf *b)
{
	Shoal__Ping p = SHOAL__PING__INIT;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;

	(void)h;
	e.body_case = SHOAL__ENVELOPE__BODY_PING;
	e.ping = &p;
	pack(&e, b);
}

/* Of plans of long ago, of the one that runs, and of the end of time, in turn. */
static void
make_epochs(struct hostile *h, struct buf *b)
{
	static const uint64_t epochs[] = {0, 1, 2, 3, 4, 5, UINT64_MAX, 1ull << 63};
	Shoal__Ready ready = SHOAL__READY__INIT;
	Shoal__Linked linked = SHOAL__LINKED__INIT;
	Shoal__Progress progress = SHOAL__PROGRESS__INIT;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	uint64_t epoch = epochs[h->n / 3 % (sizeof epochs / sizeof *epochs)];

	ready.epoch = linked.epoch = progress.epoch = epoch;
	progress.done = progress.total = UINT64_MAX;
	switch (h->n % 3) {
	case 0:
		e.body_case = SHOAL__ENVELOPE__BODY_READY;
		e.ready = &ready;
		break;
	case 1:
		e.body_case = SHOAL__ENVELOPE__BODY_LINKED;
		e.linked = &linked;
		break;
	default:
		e.body_case = SHOAL__ENVELOPE__BODY_PROGRESS;
		e.progress = &progress;
	}
	pack(&e, b);
}

/* What a member says first, with so many speeds in it. */
static void
about(struct hostile *h, size_t speeds, struct buf *b)
{
	static Shoal__TypeSpeed types[1000], *list[1000];
	static char software[] = "shoal", role[] = "member";
	Shoal__Speed speed = SHOAL__SPEED__INIT;
	Shoal__About a = SHOAL__ABOUT__INIT;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	size_t size;

	for (size_t i = 0; i < speeds; i++) {
		shoal__type_speed__init(&types[i]);
		list[i] = &types[i];
	}
	speed.types = list;
	speed.n_types = speeds;
	a.name = h->state.name;
	a.software = software;
	a.role = role;
	a.speed = speeds > 0 ? &speed : NULL;
	e.version = CONTROL_VERSION;
	e.body_case = SHOAL__ENVELOPE__BODY_ABOUT;
	e.about = &a;
	size = shoal__envelope__get_packed_size(&e); /* control_pack refuses such counts */
	if (buf_reserve(b, size) != 0)
		die("out of memory");
	b->len += shoal__envelope__pack(&e, b->data + b->len);
}

static void
make_counts(struct hostile *h, struct buf *b)
{
	about(h, 1000, b);
}

static void
make_garbage(struct hostile *h, struct buf *b)
{
	size_t size = 1 + h->n * 37 % 4000;

	if (buf_reserve(b, size) != 0)
		die("out of memory");
	randombytes_buf(b->data + b->len, size);
	b->len += size;
}

static void
make_size(struct hostile *h, struct buf *b)
{
	size_t size = CONTROL_MAX_MESSAGE + 1;

	(void)h;
	if (buf_reserve(b, size) != 0)
		die("out of memory");
	memset(b->data + b->len, 0, size);
	b->len += size;
}

/* Questions for more than there is, whose answers are never read in time. */
static void
make_questions(struct hostile *h, struct buf *b)
{
	Shoal__FetchChunk c = SHOAL__FETCH_CHUNK__INIT;
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	uint8_t id[32];

	memset(id, (int)h->n, sizeof id);
	c.model_id.data = id;
	c.model_id.len = sizeof id;
	c.rows = c.cols = UINT32_MAX;
	e.body_case = SHOAL__ENVELOPE__BODY_FETCH_CHUNK;
	e.fetch_chunk = &c;
	pack(&e, b);
}

static void
make_frames(struct hostile *h, struct buf *b)
{
	struct frame f = {.epoch = h->n % 5,
		.step = (uint32_t)h->n,
		.kind = (uint8_t)(FRAME_STEP + h->n % 6),
		.rows = UINT32_MAX,
		.width = UINT32_MAX};

	if (buf_reserve(b, FRAME_HEADER) != 0)
		die("out of memory");
	frame_write(&f, b->data + b->len);
	b->len += FRAME_HEADER;
}

static const struct mode modes[] = {
	{"trouble", LINK_CONTROL, true, 1, make_trouble},
	{"pings", LINK_CONTROL, true, 1, make_pings},
	{"epochs", LINK_CONTROL, true, 1, make_epochs},
	{"counts", LINK_CONTROL, false, 1, make_counts},
	{"garbage", LINK_CONTROL, false, 1, make_garbage},
	{"size", LINK_CONTROL, false, 1, make_size},
	{"questions", LINK_BULK, true, 1, make_questions},
	{"frames", LINK_TENSOR, false, 1, make_frames},
	{"many", LINK_BULK, false, LINKS, NULL},
};

/* --- links --------------------------------------------------------------------------------------- */

static void
say_about(struct hostile *h, struct link *l)
{
	struct buf b;

	buf_init(&b, MAX_MESSAGE);
	about(h, 0, &b);
	link_send(l, b.data, b.len, NULL, 0);
	buf_free(&b);
}

static void
on_open(struct link *l, void *arg)
{
	struct hostile *h = arg;

	h->open++;
	if (h->mode->purpose == LINK_CONTROL)
		say_about(h, l);
}

static int
on_message(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	(void)l;
	(void)arg;
	(void)msg;
	(void)len;
	(void)err;
	return 0;
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct hostile *h = arg;

	for (unsigned i = 0; i < h->mode->links; i++)
		if (h->links[i] == l)
			h->links[i] = NULL;
	snprintf(h->why, sizeof h->why, "%s", why);
	if (++h->closed == h->mode->links)
		uv_stop(&h->loop);
}

/* As many messages as the link takes now; a mode that is not `often` sends one. */
static void
on_prepare(uv_prepare_t *p)
{
	struct hostile *h = p->data;
	struct link *l = h->links[0];
	struct buf b;

	if (h->mode->make == NULL || h->open == 0)
		return;
	buf_init(&b, MAX_MESSAGE);
	for (unsigned i = 0; i < 256 && l == h->links[0] && l != NULL && link_queued(l) < AT_ONCE &&
			     (h->mode->often || h->n == 0);
		i++) {
		buf_clear(&b);
		h->mode->make(h, &b);
		h->n++;
		if (link_send(l, b.data, b.len, NULL, 0) != 0)
			break;
		h->sent++;
		h->bytes += b.len;
	}
	buf_free(&b);
}

static void
on_idle(uv_idle_t *i)
{
	(void)i;
}

static void
on_time(uv_timer_t *t)
{
	uv_stop(t->loop);
}

static struct link *
dial(struct hostile *h, enum link_purpose purpose, const struct link_events *events)
{
	const struct link_identity me = {.secret = h->state.secret, .public = h->state.public};
	char host[256];
	uint16_t port;
	struct err err;

	if (config_address(h->state.coordinator.address, host, sizeof host, &port, &err) != 0)
		die(err.msg);
	return link_dial(&h->loop, &me, host, port, purpose, h->state.coordinator.key, NULL, NULL,
		MAX_MESSAGE, events, h);
}

static void
dial_all(struct hostile *h)
{
	static const struct link_events events = {on_open, on_message, on_close};

	for (unsigned i = 0; i < h->mode->links; i++)
		h->links[i] = dial(h, h->mode->purpose, &events);
}

static void
on_control_open(struct link *l, void *arg)
{
	say_about(arg, l);
	dial_all(arg);
}

static void
on_control_close(struct link *l, void *arg, const char *why)
{
	struct hostile *h = arg;

	(void)l;
	(void)why;
	h->control = NULL;
}

static const struct mode *
find_mode(const char *name)
{
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	die("no such mode");
	return NULL;
}

int
main(int argc, char **argv)
{
	static const struct link_events control = {on_control_open, on_message, on_control_close};
	static struct hostile h;
	struct err err;

	if (argc < 4 || sodium_init() < 0)
		die("usage: hostile STATE-DIRECTORY NAME MODE [SECONDS]");
	h.mode = find_mode(argv[3]);
	if (state_open(&h.state, argv[1], argv[2], &err) != 0)
		die(err.msg);
	if (!state_has_coordinator(&h.state))
		die("this device is no member");
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&h.loop);
	uv_timer_init(&h.loop, &h.timer);
	uv_prepare_init(&h.loop, &h.prepare);
	uv_idle_init(&h.loop, &h.idle);
	h.prepare.data = &h;
	uv_timer_start(&h.timer, on_time, (uint64_t)(1000 * atof(argc > 4 ? argv[4] : "2")), 0);
	uv_prepare_start(&h.prepare, on_prepare);
	if (h.mode->often)
		uv_idle_start(&h.idle, on_idle);
	if (h.mode->purpose == LINK_CONTROL)
		dial_all(&h);
	else
		h.control = dial(&h, LINK_CONTROL, &control);
	uv_run(&h.loop, UV_RUN_DEFAULT);
	printf("%s: %u opened, %u closed%s%s, %llu messages, %llu bytes\n", h.mode->name, h.open,
		h.closed, h.closed > 0 ? ": " : "", h.closed > 0 ? h.why : "",
		(unsigned long long)h.sent, (unsigned long long)h.bytes);
	state_close(&h.state); /* links end with the process */
	return 0;
}
