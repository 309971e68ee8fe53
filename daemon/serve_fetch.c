/* A member fetches its shard over a bulk link: the header, then the extents that it does not have
 * yet, in pieces, several of them asked for at once. What has arrived stays on disk, so a fetch
 * that is cut off goes on where it was. */
#include "daemon/log.h"
#include "daemon/serve_int.h"
#include "model/shard_store.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_TRIES 10  /* bulk links in a row over which nothing came */
#define REPORT_MS 200 /* between two progress messages */

static void
report(struct follow *f)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Progress progress = SHOAL__PROGRESS__INIT;
	struct swarm_peer *const *peers;
	uint64_t now = uv_now(f->serve->loop);

	if (f->spare || now - f->reported < REPORT_MS || swarm_peers(f->serve->swarm, &peers) == 0)
		return;
	f->reported = now;
	progress.epoch = f->epoch;
	progress.done = f->kept + f->fetched;
	progress.total = f->total;
	e.body_case = SHOAL__ENVELOPE__BODY_PROGRESS;
	e.progress = &progress;
	swarm_send(peers[0], &e);
}

static void
ask_header(struct follow *f)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__FetchHeader fetch = SHOAL__FETCH_HEADER__INIT;

	fetch.header_hash = (ProtobufCBinaryData){SHARD_HASH, f->header_hash};
	e.body_case = SHOAL__ENVELOPE__BODY_FETCH_HEADER;
	e.fetch_header = &fetch;
	f->in_flight = 1;
	swarm_pack_send(f->bulk, &e);
}

static void
ask_piece(struct follow *f, uint32_t len)
{
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__FetchExtent fetch = SHOAL__FETCH_EXTENT__INIT;

	fetch.header_hash = (ProtobufCBinaryData){SHARD_HASH, f->header_hash};
	fetch.extent = f->ask_extent;
	fetch.from = f->ask_from;
	fetch.len = len;
	e.body_case = SHOAL__ENVELOPE__BODY_FETCH_EXTENT;
	e.fetch_extent = &fetch;
	f->in_flight++;
	swarm_pack_send(f->bulk, &e);
}

/* Asks for what comes next until enough is under way. */
static void
ask_more(struct follow *f)
{
	const struct shard_header *h = f->header;

	while (f->in_flight < SERVE_IN_FLIGHT && f->ask_extent < h->n_extents) {
		uint64_t left = h->extents[f->ask_extent].bytes - f->ask_from;

		if (left == 0 || (f->ask_from == 0 && shard_writer_has(f->writer, f->ask_extent))) {
			f->ask_extent++;
			f->ask_from = 0;
			continue;
		}
		left = left < SERVE_PIECE ? left : SERVE_PIECE;
		ask_piece(f, (uint32_t)left);
		f->ask_from += left;
	}
}

/* --- what comes --------------------------------------------------------------------------------- */

static int
take_header(struct follow *f, const ProtobufCBinaryData *bytes, struct err *err)
{
	const struct stage *st = &f->stages.list[stages_of(&f->stages, f->rank)];
	uint8_t hash[SHARD_HASH];

	shard_hash(bytes->data, bytes->len, hash);
	if (bytes->len != f->header_bytes || memcmp(hash, f->header_hash, sizeof hash) != 0)
		return err_set(err, "the header that came is not the one that was announced");
	f->header = calloc(1, sizeof *f->header);
	if (f->header == NULL)
		return err_set(err, "not enough memory for a slice's header");
	if (shard_header_parse(bytes->data, bytes->len, f->header, err) != 0) {
		free(f->header);
		f->header = NULL;
		return -1;
	}
	if (memcmp(f->header->model_id, f->model_id, SHARD_HASH) != 0 ||
		f->header->slice.rank != f->rank - st->first || f->header->slice.peers != st->n)
		return err_set(err, "the header that came is that of another slice");
	for (uint32_t i = 0; i < f->header->n_extents; i++)
		f->total += f->header->extents[i].bytes;
	if (f->spare && shard_store_room(f->path, f->serve->config->spare_disk,
				f->header->file_bytes, err) != 0)
		return -1;
	if (shard_job_start(f, SHARD_RESUME) != 0)
		return err_set(err, "the thread pool takes no job");
	return 0;
}

static int
take_piece(struct follow *f, const Shoal__Data *d, struct err *err)
{
	if (d->bytes.len == 0 || d->bytes.len > SERVE_PIECE)
		return err_set(err, "a piece of %zu bytes came", d->bytes.len);
	if (shard_writer_put(f->writer, d->extent, d->from, d->bytes.data, d->bytes.len, err) != 0)
		return -1;
	f->fetched += d->bytes.len;
	f->tries = 0;
	report(f);
	return 0;
}

/* Goes on after the writer has opened or a piece has come. */
static int
go_on(struct follow *f, struct err *err)
{
	if (shard_writer_missing(f->writer) < f->header->n_extents) {
		ask_more(f);
		return 0;
	}
	f->state = FOLLOW_SEALING;
	if (shard_job_start(f, SHARD_SEAL) != 0)
		return err_set(err, "the thread pool takes no job");
	fetch_stop(f);
	return 0;
}

void
fetch_resumed(struct follow *f, struct shard_writer *w, const struct err *err)
{
	struct err trouble;

	f->writer = w;
	if (w == NULL) {
		follow_trouble(f, err->msg);
		return;
	}
	for (uint32_t i = 0; i < f->header->n_extents; i++)
		if (shard_writer_has(w, i))
			f->kept += f->header->extents[i].bytes;
	if (f->bulk == NULL && shard_writer_missing(w) < f->header->n_extents)
		return; /* the next link goes on */
	if (go_on(f, &trouble) != 0)
		follow_trouble(f, trouble.msg);
}

static int
on_message(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	struct follow *f = arg;
	Shoal__Envelope *e = control_unpack(msg, len, err);
	int result = -1;

	(void)l;
	if (e == NULL)
		return -1;
	if (e->body_case != SHOAL__ENVELOPE__BODY_DATA || f->in_flight == 0 || f->job != NULL) {
		err_set(err, "'%s' came, which was not asked for", control_name(e));
	} else {
		f->in_flight--;
		if (f->header == NULL)
			result = take_header(f, &e->data->bytes, err);
		else if (take_piece(f, e->data, err) == 0)
			result = go_on(f, err);
	}
	control_free(e);
	if (result != 0) {
		struct err why = *err;

		follow_trouble(f, why.msg); /* closes this link, too */
		return 0;
	}
	return 0;
}

/* --- the link ----------------------------------------------------------------------------------- */

static void
on_open(struct link *l, void *arg)
{
	struct follow *f = arg;

	(void)l;
	if (f->header == NULL) {
		ask_header(f);
	} else if (f->writer != NULL) {
		f->ask_extent = shard_writer_missing(f->writer);
		f->ask_from = 0;
		f->in_flight = 0;
		ask_more(f);
	}
}

static void
on_close(struct link *l, void *arg, const char *why)
{
	struct follow *f = arg;

	(void)l;
	f->bulk = NULL;
	f->in_flight = 0;
	log_info("fetching '%s': the bulk link is gone: %s", f->model_name, why);
}

static void
dial(struct follow *f)
{
	static const struct link_events events = {on_open, on_message, on_close};
	char why[128];

	if (++f->tries > MAX_TRIES) {
		snprintf(why, sizeof why, "its slice could not be fetched: %u bulk links broke",
			MAX_TRIES);
		follow_trouble(f, why);
		return;
	}
	f->bulk = swarm_dial(f->serve->swarm, LINK_BULK, CONTROL_MAX_BULK, &events, f);
}

void
fetch_start(struct follow *f)
{
	f->state = FOLLOW_FETCHING;
	dial(f);
}

void
fetch_tick(struct follow *f)
{
	if (f->bulk == NULL && f->job == NULL)
		dial(f);
}

void
fetch_stop(struct follow *f)
{
	static const struct link_events nothing;

	if (f->bulk == NULL)
		return;
	link_set(f->bulk, &nothing, NULL);
	link_close(f->bulk, "");
	f->bulk = NULL;
}
