/* A member fetches its shard: the header and the list of chunks from the coordinator, then, after a look
 * at what is on its disk already, in this file or in other shards, the chunks that are missing, from
 * whoever has them (serve_source.c). What has arrived stays on disk, so a fetch that is cut off goes on
 * where it was. */
#include "daemon/serve_source.h"
#include "model/shard_store.h"

#include <stdlib.h>
#include <sys/statvfs.h>

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
	progress.sources = f->n_sources;
	e.body_case = SHOAL__ENVELOPE__BODY_PROGRESS;
	e.progress = &progress;
	swarm_send(peers[0], &e);
}

/* --- header and list ------------------------------------------------------------------------------ */

static int
check_header(struct follow *f, struct err *err)
{
	const struct stage *st = &f->stages.list[stages_of(&f->stages, f->rank)];

	if (memcmp(f->header->model_id, f->model_id, SHARD_HASH) != 0 ||
		f->header->slice.rank != f->rank - st->first || f->header->slice.peers != st->n)
		return err_set(err, "the header that came is that of another slice");
	if (f->spare && shard_store_room(f->path, f->serve->config->spare_disk,
				f->header->file_bytes, err) != 0)
		return -1;
	return 0;
}

int
fetch_header_came(struct follow *f, const ProtobufCBinaryData *bytes, struct err *err)
{
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
	return check_header(f, err);
}

int
fetch_chunks_came(struct follow *f, const ProtobufCBinaryData *bytes, struct err *err)
{
	f->chunks = calloc(1, sizeof *f->chunks);
	if (f->chunks == NULL)
		return err_set(err, "not enough memory for a list of chunks");
	if (chunk_list_parse(bytes->data, bytes->len, f->header, f->chunks, err) != 0) {
		free(f->chunks);
		f->chunks = NULL;
		return -1;
	}
	for (uint32_t i = 0; i < f->chunks->n; i++)
		f->total += chunk_bytes(&f->chunks->chunks[i]);
	if (shard_job_start(f, SHARD_RESUME) != 0)
		return err_set(err, "the thread pool takes no job");
	return 0;
}

/* --- chunks --------------------------------------------------------------------------------------- */

/* Goes on after the writer has opened or a chunk has come. */
static int
go_on(struct follow *f, struct err *err)
{
	if (shard_writer_missing(f->writer) > 0)
		return 0;
	f->state = FOLLOW_SEALING;
	if (shard_job_start(f, SHARD_SEAL) != 0)
		return err_set(err, "the thread pool takes no job");
	sources_stop(f);
	return 0;
}

int
fetch_chunk_came(struct follow *f, struct err *err)
{
	report(f);
	return go_on(f, err);
}

/* A disk that will be full before the end is told of at once, not after a long transfer. */
static int
check_disk(const struct follow *f, struct err *err)
{
	uint64_t missing = f->total - f->kept, there;
	struct statvfs fs;

	if (statvfs(f->serve->state->dir, &fs) != 0)
		return 0; /* writing will tell */
	there = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (missing > there)
		return err_set(err,
			"%s: this device's slice takes %.1f MB more, and the disk has %.1f MB: "
			"make "
			"room there",
			f->serve->state->dir, (double)missing / 1e6, (double)there / 1e6);
	return 0;
}

void
fetch_resumed(struct follow *f, struct shard_writer *w, const struct err *err)
{
	struct err trouble = {""};
	int rc = 0;

	f->writer = w;
	if (w == NULL) {
		follow_trouble(f, err->msg);
		return;
	}
	for (uint32_t i = 0; i < f->chunks->n; i++)
		if (shard_writer_has(w, i))
			f->kept += chunk_bytes(&f->chunks->chunks[i]);
	if (shard_writer_missing(w) > 0)
		rc = check_disk(f, &trouble);
	if (rc == 0 && shard_writer_missing(w) > 0)
		rc = sources_go(f, &trouble);
	if (rc == 0)
		rc = go_on(f, &trouble);
	if (rc != 0)
		follow_trouble(f, trouble.msg);
}

/* --- life ----------------------------------------------------------------------------------------- */

void
fetch_start(struct follow *f)
{
	f->state = FOLLOW_FETCHING;
	if (sources_start(f) != 0)
		follow_trouble(f, "not enough memory to fetch a slice");
}

void
fetch_tick(struct follow *f)
{
	if (f->sources != NULL)
		sources_tick(f);
}

void
fetch_stop(struct follow *f)
{
	sources_stop(f);
}
