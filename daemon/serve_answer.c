/* What a source is asked for, and what comes of it. */
#include "daemon/cuts_message.h"
#include "daemon/serve_source_int.h"

/* --- asking --------------------------------------------------------------------------------------- */

static void
ask_header(struct source *s, bool chunks)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__FetchHeader fetch = SHOAL__FETCH_HEADER__INIT;

	fetch.header_hash = (ProtobufCBinaryData){SHARD_HASH, s->follow->header_hash};
	fetch.chunks = chunks;
	e.body_case = SHOAL__ENVELOPE__BODY_FETCH_HEADER;
	e.fetch_header = &fetch;
	swarm_pack_send(s->link, &e);
}

void
sources_ask(struct follow *f)
{
	struct sources *all = f->sources;

	for (uint32_t i = 0; all->fetch != NULL && i < FETCH_SOURCES; i++) {
		struct source *s = &all->list[i];
		uint32_t chunk;

		if (s->link == NULL || s->number == FETCH_NONE)
			continue;
		while ((chunk = fetch_next(all->fetch, s->number, source_now())) != FETCH_NONE)
			chunk_ask(s->link, &s->questions, f->model_id, chunk,
				&f->chunks->chunks[chunk]);
	}
}

/* --- what comes ----------------------------------------------------------------------------------- */

void
source_join(struct source *s)
{
	struct sources *all = s->follow->sources;

	s->number = fetch_join(all->fetch, s->home, source_now());
	s->questions.n = 0;
}

static int
take_held(struct source *s, const Shoal__Held *m, struct err *err)
{
	struct follow *f = s->follow;
	struct fetch *fetch = f->sources->fetch;
	struct slice slices[SHELF_MAX];
	uint32_t n = cuts_message_read(m->cuts, m->n_cuts, &f->header->shape, slices);

	if (s->home || s->number != FETCH_NONE)
		return source_give_up(s, "it told what nobody asked", err);
	source_join(s);
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t c = 0; c < f->chunks->n; c++)
			if (chunk_in_slice(&f->chunks->chunks[c], &f->header->shape, &slices[i]))
				fetch_covers(fetch, s->number, c);
	if (!fetch_wants(fetch, s->number)) {
		source_bar(s);
		source_let_go(s, "nothing of what you have is missing here");
	}
	sources_gathered(f);
	sources_ask(f);
	return 0;
}

static void
count(struct source *s, size_t bytes)
{
	struct follow *f = s->follow;

	f->n_sources += fetch_bytes(f->sources->fetch, s->number) == bytes;
	f->fetched += bytes;
	f->serve->fetched += bytes;
	if (!s->home) {
		f->from_fellows += bytes;
		f->serve->from_fellows += bytes;
	}
	f->sources->home_tries = s->home ? 0 : f->sources->home_tries;
}

static int
take_chunk(struct source *s, const Shoal__Data *d, struct err *err)
{
	struct follow *f = s->follow;
	struct fetch *fetch = f->sources->fetch;
	struct err why = {""};
	int rc;

	if (!chunk_answered(&s->questions, d->number))
		return source_give_up(s, "it gave what nobody asked for", err);
	if (d->bytes.len == 0) {
		if (fetch_lacks(fetch, s->number, d->number, source_now()) == FETCH_WRONG)
			return source_give_up(s, "it does not have the model", err);
		sources_ask(f);
		return 0;
	}
	rc = shard_writer_put(f->writer, d->number, d->bytes.data, d->bytes.len, &why);
	if (rc == -1) {
		*err = why;
		return -1;
	}
	if (fetch_came(fetch, s->number, d->number, rc == 0, source_now()) == FETCH_WRONG)
		return source_give_up(s, why.msg, err);
	count(s, d->bytes.len);
	if (fetch_missing(fetch) > 0)
		sources_ask(f);
	return fetch_chunk_came(f, err);
}

int
source_answer(struct source *s, const Shoal__Envelope *e, struct err *err)
{
	struct follow *f = s->follow;

	if (e->body_case == SHOAL__ENVELOPE__BODY_HELD && f->sources->fetch != NULL)
		return take_held(s, e->held, err);
	if (e->body_case != SHOAL__ENVELOPE__BODY_DATA || f->job != NULL)
		return source_give_up(s, "it said what nobody asked", err);
	if (f->writer != NULL && s->number != FETCH_NONE)
		return take_chunk(s, e->data, err);
	if (!s->home || f->chunks != NULL)
		return source_give_up(s, "it gave what nobody asked for", err);
	if (f->header != NULL)
		return fetch_chunks_came(f, &e->data->bytes, err);
	if (fetch_header_came(f, &e->data->bytes, err) != 0)
		return -1;
	ask_header(s, true);
	return 0;
}

void
source_opened(struct source *s)
{
	struct follow *f = s->follow;

	if (!s->home) {
		held_ask(s->link, f->model_id);
	} else if (f->chunks == NULL) {
		ask_header(s, f->header != NULL);
	} else if (f->sources->fetch != NULL) {
		source_join(s);
		sources_ask(f);
	}
}
