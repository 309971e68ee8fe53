#include "daemon/gather_int.h"

#include "daemon/log.h"
#include "daemon/serve_skeleton.h"
#include "daemon/serve_source_int.h"

#include <stdio.h>
#include <stdlib.h>

#define ASKING_MS 2000  /* for devices to say what they hold */
#define PAUSE_MS  1000  /* between two rounds */
#define LONG_MS   10000 /* after what another round at once would not mend */

/* --- states --------------------------------------------------------------------------------------- */

void
gather_pause(struct gather *g, uint64_t ms)
{
	fetch_free(g->fetch);
	g->fetch = NULL;
	givers_close(g, "");
	g->state = GATHER_PAUSING;
	g->since = uv_now(g->serve->loop) + ms;
}

static void
fail(struct gather *g, const char *why)
{
	log_warning("gathering '%s': %s", g->name, why);
	snprintf(g->trouble, sizeof g->trouble, "%s", why);
	gather_pause(g, LONG_MS);
}

static void
start_job(struct gather *g, enum gather_state state)
{
	g->state = state;
	g->since = uv_now(g->serve->loop);
	if ((state == GATHER_SEALING ? gather_job_seal(g) : gather_job_prepare(g)) != 0)
		fail(g, "the thread pool takes no job");
}

/* Nobody has anything more to give. */
static void
end_round(struct gather *g)
{
	fetch_free(g->fetch);
	g->fetch = NULL;
	givers_close(g, "all is there");
	if (restore_missing(g->parts.restore) == 0)
		start_job(g, GATHER_SEALING);
	else
		gather_pause(g, PAUSE_MS);
}

void
gather_look(struct gather *g)
{
	bool late = uv_now(g->serve->loop) - g->since >= ASKING_MS;

	if (g->state == GATHER_ASKING && (late || givers_have_answered(g)))
		start_job(g, GATHER_PREPARING);
	else if (g->state == GATHER_FETCHING && !givers_are_busy(g))
		end_round(g);
}

/* --- fetching ------------------------------------------------------------------------------------- */

static int
begin_fetch(struct gather *g)
{
	const struct pieces *p = &g->parts.pieces;
	uint32_t *bytes = calloc((size_t)p->n + 1, sizeof *bytes);

	for (uint32_t i = 0; bytes != NULL && i < p->n; i++)
		bytes[i] = chunk_bytes(&p->list[i].chunk);
	g->fetch = bytes != NULL ? fetch_new(bytes, p->n) : NULL;
	free(bytes);
	if (g->fetch == NULL)
		return -1;
	for (uint32_t i = 0; i < p->n; i++)
		if (p->list[i].here)
			fetch_have(g->fetch, i);
	givers_join(g);
	return 0;
}

void
gather_prepared(struct gather *g, const struct err *err, const char *lacks, const char *name)
{
	if (err != NULL) {
		fail(g, err->msg);
		return;
	}
	if (strcmp(g->lacks, lacks) != 0 && lacks[0] != '\0')
		log_warning(
			"gathering '%s': no disk of the devices that are here has %s", name, lacks);
	snprintf(g->lacks, sizeof g->lacks, "%s", lacks);
	g->trouble[0] = '\0';
	g->total = restore_total(g->parts.restore);
	g->done = restore_done(g->parts.restore);
	g->state = GATHER_FETCHING;
	g->since = uv_now(g->serve->loop);
	if (begin_fetch(g) != 0) {
		fail(g, "not enough memory to fetch");
		return;
	}
	givers_ask(g);
	gather_look(g);
}

/* Who gave something to a chunk that is wrong: all of them may be right but one. */
static void
blame(struct gather *g, uint32_t number)
{
	const struct pieces *p = &g->parts.pieces;
	uint32_t of = p->list[number].of, first = number;

	log_warning("gathering '%s': chunk %u came with a wrong hash", g->name, of);
	while (first > 0 && p->list[first - 1].of == of)
		first--;
	for (uint32_t i = first; i < p->n && p->list[i].of == of; i++) {
		struct giver *v = &g->givers[p->list[i].giver % GATHER_GIVERS];

		if (p->list[i].giver == GATHER_GIVERS)
			g->parts.own_bad[of] = 1;
		else if (++v->wrong >= GATHER_WRONG && v->link != NULL)
			giver_let_go(v, "it gives wrong bytes");
	}
}

void
gather_piece(struct gather *g, struct giver *v, uint32_t number, const Shoal__Data *d)
{
	struct piece *x = &g->parts.pieces.list[number];
	struct err err;

	if (d->bytes.len == 0) {
		fetch_lacks(g->fetch, v->number, number, source_now());
		givers_ask(g);
		return;
	}
	if (d->bytes.len != chunk_bytes(&x->chunk) || x->here) {
		v->wrong++;
		giver_let_go(v, "it gave what nobody asked for");
		return;
	}
	if (restore_put(g->parts.restore, &x->chunk, d->bytes.data, &err) != 0) {
		fail(g, err.msg);
		return;
	}
	fetch_came(g->fetch, v->number, number, true, source_now());
	x->here = true;
	x->giver = (uint32_t)(v - g->givers);
	g->done += d->bytes.len;
	g->from_others += d->bytes.len;
	if (--g->parts.left[x->of] == 0 && !restore_check(g->parts.restore, x->of))
		blame(g, number);
	givers_ask(g);
}

/* --- life ----------------------------------------------------------------------------------------- */

void
gather_drop(struct serve *s)
{
	struct gather *g = s->gather;

	if (g == NULL)
		return;
	s->gather = NULL;
	givers_close(g, "the model is not gathered any more");
	gather_job_abandon(g);
	fetch_free(g->fetch);
	gather_parts_free(&g->parts);
	free(g);
}

void
gather_sealed(struct gather *g, int result, const char *path, const struct err *err)
{
	struct serve *s = g->serve;
	struct err trouble;

	if (result != 0) {
		fail(g, err->msg);
		return;
	}
	log_info("the model is whole again: %s, %llu bytes came from other devices", path,
		(unsigned long long)g->from_others);
	gather_drop(s);
	if (serve_load_elected(s, path, &trouble) != 0)
		log_error("%s", trouble.msg);
}

void
gather_begin(struct serve *s, const uint8_t model_id[SHARD_HASH])
{
	char folder[4096 + 16], path[4096 + 96];
	struct skeleton *k;
	struct err err;
	struct gather *g;

	gather_drop(s);
	snprintf(folder, sizeof folder, "%s/skeletons", s->state->dir);
	skeleton_path(folder, model_id, path, sizeof path);
	k = skeleton_open(path, false, &err); /* its hash is looked at on the thread pool */
	g = k != NULL ? calloc(1, sizeof *g) : NULL;
	if (g == NULL) {
		log_error("the model cannot be gathered: %s",
			k == NULL ? err.msg : "not enough memory");
		skeleton_close(k);
		return;
	}
	g->serve = s;
	memcpy(g->model_id, model_id, SHARD_HASH);
	g->shape = *skeleton_shape(k);
	snprintf(g->name, sizeof g->name, "%s", skeleton_name(k));
	skeleton_close(k);
	for (uint32_t i = 0; i < GATHER_GIVERS; i++)
		g->givers[i] = (struct giver){.gather = g, .number = FETCH_NONE};
	log_info("this device has no file of %s: gathering it from slices", g->name);
	s->gather = g;
	gather_pause(g, 0);
}

/* The model was being gathered when the daemon ended. */
static void
resume(struct serve *s)
{
	const uint8_t *kept = skeletons_kept(s->skeletons);

	s->gather_looked = true;
	if (elect_elects(s->elect) && s->config->model[0] == '\0' && s->state->model[0] == '\0' &&
		kept != NULL)
		gather_begin(s, kept);
}

void
gather_tick(struct serve *s)
{
	struct gather *g;

	if (!s->gather_looked && s->file == NULL && s->gather == NULL)
		resume(s);
	if (s->file != NULL)
		gather_drop(s);
	g = s->gather;
	if (g == NULL)
		return;
	if (g->state == GATHER_PAUSING && uv_now(s->loop) >= g->since) {
		g->state = GATHER_ASKING;
		g->since = uv_now(s->loop);
		givers_dial(g);
	}
	if (g->state == GATHER_FETCHING) {
		givers_tick(g);
		givers_ask(g);
	}
	gather_look(g);
}

void
gather_words(const struct serve *s, char *out, size_t size)
{
	const struct gather *g = s->gather;

	out[0] = '\0';
	if (g == NULL)
		return;
	if (g->trouble[0] != '\0')
		snprintf(out, size, "gathering %s, trying again soon: %s", g->name, g->trouble);
	else if (g->lacks[0] != '\0')
		snprintf(out, size, "gathering %s: no disk of the devices that are here has %s",
			g->name, g->lacks);
	else
		snprintf(out, size, "gathering %s from the devices' slices (%.1f of %.1f MB)",
			g->name, (double)g->done / 1e6, (double)g->total / 1e6);
}
