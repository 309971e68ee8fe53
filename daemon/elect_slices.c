/* Who has what of the model that was served, while nobody coordinates: devices say so in their answers.
 * Nothing is looked at while there is a coordinator. */
#include "daemon/elect_int.h"

#include "daemon/log.h"
#include "sched/cover.h"

#include <stdio.h>
#include <string.h>

#define OWN_MS   2000  /* for which a look at the own disk counts */
#define HEARD_MS 10000 /* and what another one says */

const struct holding *
elect_own_slices(struct elect *e, const uint8_t model_id[32])
{
	uint64_t now = uv_now(e->loop);
	char folder[sizeof e->state->dir + 16];

	if (e->own.at != 0 && now - e->own.at < OWN_MS &&
		memcmp(e->own.key.b, model_id, sizeof e->own.key.b) == 0)
		return &e->own;
	snprintf(folder, sizeof folder, "%s/shards", e->state->dir);
	memcpy(e->own.key.b, model_id, sizeof e->own.key.b); /* of the own holding: the model */
	e->own.at = now > 0 ? now : 1;
	e->own.n = cuts_of_folder(folder, model_id, e->own.slices);
	return &e->own;
}

/* Where that device's holding is, or may be. */
static struct holding *
place_for(struct elect *e, const struct election_key *key)
{
	struct holding *oldest = &e->others[0];

	for (uint32_t i = 0; i < ELECTION_MAX; i++) {
		if (memcmp(&e->others[i].key, key, sizeof *key) == 0)
			return &e->others[i];
		if (e->others[i].at < oldest->at)
			oldest = &e->others[i];
	}
	return oldest;
}

void
elect_heard_slices(struct elect *e, const struct election_key *key, const Shoal__VoteSay *m)
{
	struct holding *h;

	if (!e->has_shape || !e->has_model)
		return;
	h = place_for(e, key);
	h->key = *key;
	h->at = uv_now(e->loop);
	h->n = cuts_message_read(m->cuts, m->n_cuts, &e->shape, h->slices);
}

/* The shape of the model, which the skeleton tells. */
static bool
know_shape(struct elect *e)
{
	char folder[sizeof e->state->dir + 16], path[sizeof e->state->dir + 96];
	struct skeleton_id id;
	struct skeleton *k;
	struct err ignored;

	if (e->has_shape || !e->host.skeleton(e->host.arg, e->model, &id))
		return e->has_shape;
	snprintf(folder, sizeof folder, "%s/skeletons", e->state->dir);
	skeleton_path(folder, e->model, path, sizeof path);
	k = skeleton_open(path, false, &ignored);
	if (k == NULL)
		return false;
	e->shape = *skeleton_shape(k);
	e->has_shape = true;
	skeleton_close(k);
	return true;
}

static uint32_t
all_slices(struct elect *e, struct slice *out)
{
	const struct holding *own = elect_own_slices(e, e->model);
	uint64_t now = uv_now(e->loop);
	uint32_t n = 0;

	for (uint32_t i = 0; i < own->n; i++)
		out[n++] = own->slices[i];
	for (uint32_t k = 0; k < ELECTION_MAX; k++) {
		const struct holding *h = &e->others[k];

		for (uint32_t i = 0; h->at != 0 && now - h->at < HEARD_MS && i < h->n; i++)
			out[n++] = h->slices[i];
	}
	return n;
}

/* What is missing is said when others have had the time to answer, and once. */
static void
say_lacks(struct elect *e, const struct slice *slices, uint32_t n)
{
	char words[200];

	if (elect_now() < e->core.heard + e->core.wait)
		return;
	cover_words(&e->shape, slices, n, words, sizeof words);
	if (e->lacks[0] == '\0')
		log_warning(
			"cannot stand for coordinator: no disk of the devices that answer has %s",
			words);
	snprintf(e->lacks, sizeof e->lacks, "%s", words);
}

bool
elect_has_slices(struct elect *e)
{
	struct slice slices[(ELECTION_MAX + 1) * SHELF_MAX];
	uint32_t n;

	if (!know_shape(e))
		return false;
	if (e->core.saved.leads || elect_now() < e->core.heard + ELECTION_LEASE) {
		e->lacks[0] = '\0';
		return e->core.stands && e->core.saved.leads;
	}
	n = all_slices(e, slices);
	if (!cover_is_whole(&e->shape, slices, n)) {
		say_lacks(e, slices, n);
		return false;
	}
	e->lacks[0] = '\0';
	return true;
}

const char *
elect_lacks(const struct elect *e)
{
	return e->lacks;
}
