#include "daemon/serve_source_int.h"

#include "daemon/log.h"

#include <stdio.h>
#include <stdlib.h>

#define HOME_TRIES 10     /* links in a row to the coordinator over which nothing came */
#define HOME_WRONG 3      /* chunks of the coordinator with wrong bytes */
#define GATHER_US  500000 /* for fellows to say what they hold */

uint64_t
source_now(void)
{
	return uv_hrtime() / 1000;
}

/* --- fellows -------------------------------------------------------------------------------------- */

/* NULL: there have been too many. */
static struct fellow_past *
past_of(struct sources *all, const uint8_t key[32])
{
	struct fellow_past *p;

	for (uint32_t i = 0; i < all->n_past; i++)
		if (memcmp(all->past[i].key, key, 32) == 0)
			return &all->past[i];
	if (all->n_past == STATE_MAX_PEERS)
		return NULL;
	p = &all->past[all->n_past++];
	*p = (struct fellow_past){0};
	memcpy(p->key, key, 32);
	return p;
}

void
source_bar(struct source *s)
{
	struct fellow_past *p = s->home ? NULL : past_of(s->follow->sources, s->key);

	if (p != NULL)
		p->barred = true;
}

/* --- giving up ------------------------------------------------------------------------------------ */

void
sources_gathered(struct follow *f)
{
	const struct sources *all = f->sources;

	for (uint32_t i = 1; i < FETCH_SOURCES; i++)
		if (all->list[i].link != NULL && all->list[i].number == FETCH_NONE)
			return;
	if (all->fetch != NULL)
		fetch_gather(all->fetch, 0);
}

void
source_let_go(struct source *s, const char *why)
{
	static const struct link_events nothing;
	struct sources *all = s->follow->sources;

	if (s->link != NULL) {
		link_set(s->link, &nothing, NULL);
		link_close(s->link, why);
	}
	s->link = NULL;
	s->open = false;
	s->questions.n = 0;
	if (all->fetch != NULL && s->number != FETCH_NONE)
		fetch_leave(all->fetch, s->number);
	s->number = FETCH_NONE;
	sources_gathered(s->follow);
}

int
source_give_up(struct source *s, const char *why, struct err *err)
{
	struct follow *f = s->follow;

	log_warning("fetching '%s': %s is not asked any more: %s", f->model_name, s->name, why);
	source_bar(s);
	source_let_go(s, why);
	if (s->home && ++f->sources->home_wrong >= HOME_WRONG)
		return err_set(err, "the coordinator gives wrong bytes: %s", why);
	sources_ask(f);
	return 0;
}

/* --- links ---------------------------------------------------------------------------------------- */

static int
on_message(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct source *s = arg;
	struct follow *f = s->follow;
	struct err why = {""};
	Shoal__Envelope *e = control_unpack(msg, len, err);
	int rc;

	(void)l;
	if (e == NULL)
		return -1;
	rc = source_answer(s, e, &why);
	control_free(e);
	if (rc != 0)
		follow_trouble(f, why.msg); /* closes this link, too */
	return 0;
}

static void
on_open(struct link *l, void *arg)
{
	struct source *s = arg;

	(void)l;
	s->open = true;
	source_opened(s);
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct source *s = arg;

	(void)l;
	log_info(
		"fetching '%s': the link with %s is gone: %s", s->follow->model_name, s->name, why);
	s->link = NULL;
	source_let_go(s, why);
	sources_ask(s->follow);
}

static const struct link_events events = {on_open, on_message, on_close};

static void
dial_fellow(struct follow *f, const struct fellow *x)
{
	struct sources *all = f->sources;
	struct fellow_past *past = past_of(all, x->key);
	uint32_t i = 1;

	if (past == NULL || past->barred || past->dials >= SOURCE_DIALS)
		return;
	for (uint32_t k = 1; k < FETCH_SOURCES; k++)
		if (all->list[k].link != NULL && memcmp(all->list[k].key, x->key, 32) == 0)
			return;
	while (i < FETCH_SOURCES && all->list[i].link != NULL)
		i++;
	if (i == FETCH_SOURCES)
		return;
	past->dials++;
	all->list[i] = (struct source){.follow = f, .number = FETCH_NONE};
	memcpy(all->list[i].name, x->name, sizeof all->list[i].name);
	memcpy(all->list[i].key, x->key, 32);
	all->list[i].link = swarm_dial_neighbour(f->serve->swarm, x->address, x->key, LINK_BULK,
		CONTROL_MAX_BULK, &events, &all->list[i]);
}

/* Every member begins with another one, so that not all ask the same. */
static void
dial_fellows(struct follow *f)
{
	const struct fellows *x = &f->serve->fellows;
	uint32_t from = x->n > 0 ? f->serve->state->public[0] % x->n : 0;

	for (uint32_t i = 0; i < x->n; i++)
		dial_fellow(f, &x->list[(from + i) % x->n]);
}

/* -1: that was tried often enough. */
static int
dial_home(struct follow *f, struct err *err)
{
	struct sources *all = f->sources;
	struct source *s = &all->list[0];

	if (++all->home_tries > HOME_TRIES)
		return err_set(
			err, "its slice could not be fetched: %u bulk links broke", HOME_TRIES);
	*s = (struct source){.follow = f, .home = true, .number = FETCH_NONE};
	snprintf(s->name, sizeof s->name, "the coordinator");
	s->link = swarm_dial(f->serve->swarm, LINK_BULK, CONTROL_MAX_BULK, &events, s);
	return 0;
}

/* --- for the fetch -------------------------------------------------------------------------------- */

int
sources_start(struct follow *f)
{
	struct err ignored;

	f->sources = calloc(1, sizeof *f->sources);
	return f->sources != NULL ? dial_home(f, &ignored) : -1;
}

int
sources_go(struct follow *f, struct err *err)
{
	struct sources *all = f->sources;
	const struct chunk_list *l = f->chunks;
	uint32_t *bytes = calloc((size_t)l->n + 1, sizeof *bytes);

	for (uint32_t i = 0; bytes != NULL && i < l->n; i++)
		bytes[i] = chunk_bytes(&l->chunks[i]);
	if (bytes != NULL)
		all->fetch = fetch_new(bytes, l->n);
	free(bytes);
	if (all->fetch == NULL)
		return err_set(err, "not enough memory to fetch %u chunks", l->n);
	for (uint32_t i = 0; i < l->n; i++)
		if (shard_writer_has(f->writer, i))
			fetch_have(all->fetch, i);
	if (all->list[0].link != NULL && all->list[0].open)
		source_join(&all->list[0]);
	fetch_gather(all->fetch, source_now() + GATHER_US);
	dial_fellows(f);
	sources_gathered(f);
	sources_ask(f);
	return 0;
}

void
sources_tick(struct follow *f)
{
	struct sources *all = f->sources;
	struct err err = {""};
	uint32_t slow;
	int rc = 0;

	if (all->list[0].link == NULL && f->job == NULL)
		rc = dial_home(f, &err);
	if (rc == 0 && all->fetch != NULL) {
		dial_fellows(f);
		slow = fetch_stalled(all->fetch, source_now());
		for (uint32_t i = 1; slow != FETCH_NONE && i < FETCH_SOURCES; i++)
			if (all->list[i].link != NULL && all->list[i].number == slow)
				rc = source_give_up(&all->list[i], "it is too slow", &err);
		sources_ask(f);
	}
	if (rc != 0)
		follow_trouble(f, err.msg);
}

void
sources_stop(struct follow *f)
{
	struct sources *all = f->sources;

	for (uint32_t i = 0; all != NULL && i < FETCH_SOURCES; i++)
		if (all->list[i].link != NULL)
			source_let_go(&all->list[i], "");
	if (all != NULL)
		fetch_free(all->fetch);
	free(all);
	f->sources = NULL;
}
