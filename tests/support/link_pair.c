#include "tests/support/link_pair.h"

#include "tests/support/patience.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

static size_t admitted_message;

static void
give_up(const char *what)
{
	fprintf(stderr, "links for a test: %s\n", what);
	abort();
}

static void
on_near(struct link *l, void *arg)
{
	((struct pair *)arg)->near = l;
	((struct pair *)arg)->open++;
}

static void
on_far(struct link *l, void *arg)
{
	((struct pair *)arg)->far = l;
	((struct pair *)arg)->open++;
}

int
on_unexpected(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	(void)l, (void)arg, (void)msg;
	return err_set(err, "%zu bytes came too early", len);
}

void
on_lost(struct link *l, void *arg, const char *why)
{
	(void)l, (void)arg, (void)why;
}

static const struct link_events near_events = {on_near, on_unexpected, on_lost};
static const struct link_events far_events = {on_far, on_unexpected, on_lost};

static int
admit(void *arg, struct link *l, const struct hello *h, uint8_t psk[32],
	const struct link_events **ev, void **ev_arg, size_t *max, struct err *err)
{
	(void)l, (void)h, (void)psk, (void)err;
	if (ev == NULL)
		return 0;
	*ev = &near_events;
	*ev_arg = arg;
	*max = admitted_message;
	return 0;
}

static void
on_patience(uv_timer_t *t)
{
	(void)t;
	give_up("they do not open");
}

void
pair_open(uv_loop_t *loop, struct pair *p, size_t max_message)
{
	static uint8_t keys[4][32];
	struct link_identity here = {.secret = keys[0], .public = keys[1]},
			     there = {.secret = keys[2], .public = keys[3]};
	const struct link_gate gate = {admit, p};
	struct link_listener *listener;
	struct err err = {""};
	uv_timer_t patience;

	for (int i = 0; i < 4; i += 2) {
		randombytes_buf(keys[i], 32);
		noise_public(keys[i + 1], keys[i]);
	}
	*p = (struct pair){0};
	admitted_message = max_message;
	listener = link_listen(loop, &here, "127.0.0.1", 0, &gate, &err);
	if (listener == NULL)
		give_up(err.msg);
	link_dial(loop, &there, "127.0.0.1", link_listener_port(listener), LINK_TENSOR, keys[1],
		NULL, NULL, max_message, &far_events, p);
	uv_timer_init(loop, &patience);
	uv_timer_start(&patience, on_patience, PATIENCE_MS, 0);
	while (p->open < 2)
		uv_run(loop, UV_RUN_ONCE);
	link_listener_close(listener);
	uv_close((uv_handle_t *)&patience, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
}

void
pair_detach(struct link *l, struct link_detached *d)
{
	struct err err = {""};

	if (link_detach(l, d, &err) != 0)
		give_up(err.msg);
}
