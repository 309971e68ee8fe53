/* A member follows its coordinator: gets its shard ready, says so, opens the tensor link when told,
 * and computes until the plan is released or breaks. */
#include "base/file.h"
#include "daemon/log.h"
#include "daemon/serve_balance.h"
#include "daemon/serve_kv.h"
#include "daemon/serve_leave.h"
#include "daemon/star.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_CONTEXT (1u << 20)
#define MAX_SLOTS   256
#define MAX_ROWS    1024

static struct swarm_peer *
coordinator(struct serve *s)
{
	struct swarm_peer *const *peers;

	return swarm_peers(s->swarm, &peers) > 0 ? peers[0] : NULL;
}

/* --- states ------------------------------------------------------------------------------------- */

static const char *const state_names[] = {
	"opening", "fetching", "sealing", "ready", "linking", "computing"};

static void
set_state(struct follow *f, enum follow_state state)
{
	log_info("plan %llu: %s -> %s", (unsigned long long)f->epoch, state_names[f->state],
		state_names[state]);
	f->state = state;
}

static void
follow_free(struct follow *f, const char *why)
{
	static const struct link_events nothing;

	fetch_stop(f);
	copier_free(f->copier);
	neighbours_free(f);
	if (f->hub_open)
		link_detached_discard(&f->hub);
	if (f->tensor != NULL) {
		link_set(f->tensor, &nothing, NULL);
		link_close(f->tensor, why);
	}
	if (f->job != NULL)
		shard_job_abandon(f);
	shard_writer_free(f->writer);
	if (f->chunks != NULL)
		chunk_list_free(f->chunks);
	free(f->chunks);
	if (f->weights != NULL)
		f->weights->free(f->weights);
	if (f->header != NULL)
		shard_header_free(f->header);
	free(f->header);
	open_shard_unref(f->shard);
	free(f);
}

static void
spare_drop(struct serve *s)
{
	struct follow *f = s->spare;

	s->spare = NULL;
	if (f != NULL)
		follow_free(f, "");
}

void
follow_drop(struct serve *s, const char *why)
{
	struct follow *f = s->follow;

	spare_drop(s);
	if (f == NULL)
		return;
	log_info("plan %llu: %s -> dropped: %s", (unsigned long long)f->epoch,
		state_names[f->state], why);
	s->follow = NULL;
	serve_stop_engine(s, why);
	follow_free(f, why);
}

/* --- what is said to the coordinator ------------------------------------------------------------- */

static void
send_stocked(struct follow *f, const char *trouble)
{
	struct swarm_peer *c = coordinator(f->serve);
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Stocked stocked = SHOAL__STOCKED__INIT;
	char text[257];

	control_text(trouble, text);
	stocked.header_hash = (ProtobufCBinaryData){SHARD_HASH, f->header_hash};
	stocked.trouble = text;
	e.body_case = SHOAL__ENVELOPE__BODY_STOCKED;
	e.stocked = &stocked;
	if (c != NULL)
		swarm_send(c, &e);
}

static void
send_trouble(struct follow *f, const char *who, const char *what)
{
	struct swarm_peer *c = coordinator(f->serve);
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Trouble trouble = SHOAL__TROUBLE__INIT;
	char text[257], name[257];

	control_text(what, text);
	control_text(who, name);
	trouble.epoch = f->epoch;
	trouble.what = text;
	trouble.who = name;
	e.body_case = SHOAL__ENVELOPE__BODY_TROUBLE;
	e.trouble = &trouble;
	if (c != NULL)
		swarm_send(c, &e);
}

void
follow_trouble(struct follow *f, const char *what)
{
	struct serve *s = f->serve;

	if (f->spare) {
		log_info("no spare slice of '%s': %s", f->model_name, what);
		send_stocked(f, what);
		spare_drop(s);
		return;
	}
	log_warning("%s", what);
	send_trouble(f, "", what);
	follow_drop(s, what);
}

/* --- getting ready ------------------------------------------------------------------------------ */

void
follow_ready(struct follow *f)
{
	struct swarm_peer *c = coordinator(f->serve);
	Shoal__Envelope e = SHOAL__ENVELOPE__INIT;
	Shoal__Ready ready = SHOAL__READY__INIT;

	if (f->spare) {
		log_info("a spare slice of '%s' is on disk, fetched %llu bytes, %llu of these of "
			 "fellow members",
			f->model_name, (unsigned long long)f->fetched,
			(unsigned long long)f->from_fellows);
		send_stocked(f, "");
		spare_drop(f->serve);
		return;
	}
	set_state(f, FOLLOW_READY);
	log_info("plan %llu: the slice is there, fetched %llu bytes, %llu of these of fellow "
		 "members",
		(unsigned long long)f->epoch, (unsigned long long)f->fetched,
		(unsigned long long)f->from_fellows);
	ready.epoch = f->epoch;
	ready.fetched = f->fetched;
	ready.kept = f->kept;
	e.body_case = SHOAL__ENVELOPE__BODY_READY;
	e.ready = &ready;
	if (c != NULL)
		swarm_send(c, &e);
}

static void
take_weights(struct follow *f, struct shard *shard, struct weight_source *weights)
{
	f->shard = open_shard_new(f->serve, shard, weights->stats != NULL, f->header_hash);
	if (f->shard == NULL) {
		weights->free(weights);
		shard_close(shard);
		follow_trouble(f, "not enough memory to open a shard");
		return;
	}
	f->weights = weights;
	follow_ready(f);
}

void
follow_opened(struct follow *f, enum shard_task task, struct shard *shard,
	struct weight_source *weights, bool whole, const struct err *err)
{
	if (f->spare && whole)
		follow_ready(f);
	else if (shard == NULL && task == SHARD_OPEN && !whole)
		fetch_start(f);
	else if (shard == NULL)
		follow_trouble(f, err->msg);
	else
		take_weights(f, shard, weights);
}

static int
check_identity(const ProtobufCBinaryData *model_id, const ProtobufCBinaryData *header_hash,
	uint64_t header_bytes, struct err *err)
{
	if (model_id->len != SHARD_HASH || header_hash->len != SHARD_HASH || header_bytes == 0 ||
		header_bytes > CONTROL_MAX_BYTES)
		return err_set(err, "a slice without a usable model id and header came");
	return 0;
}

/* least: the hub of a stage may be alone in it. */
static int
check_rank(uint32_t rank, uint32_t peers, uint32_t least, struct err *err)
{
	if (peers > SLICE_MAX_PEERS || rank < least || rank >= peers)
		return err_set(err, "a plan with rank %u of %u came", rank, peers);
	return 0;
}

static int
check_prepare(const Shoal__Prepare *p, struct err *err)
{
	if (check_identity(&p->model_id, &p->header_hash, p->header_bytes, err) != 0 ||
		check_rank(p->rank, p->peers, 1, err) != 0)
		return -1;
	if (p->context == 0 || p->context > MAX_CONTEXT || p->slots == 0 || p->slots > MAX_SLOTS ||
		p->max_rows == 0 || p->max_rows > MAX_ROWS || p->kv_type >= KV_TYPES ||
		p->payload >= FRAME_FORMATS || p->prompt_payload >= FRAME_FORMATS ||
		p->collective >= WAYS)
		return err_set(err,
			"a plan with context %u, %u sessions, %u rows, KV type %u, payloads %u and "
			"%u, way %u came",
			p->context, p->slots, p->max_rows, p->kv_type, p->payload,
			p->prompt_payload, p->collective);
	return 0;
}

/* One group, or the stages that the coordinator names; their layers are looked at again when the slice is
 * there. */
static int
take_stages(struct stages *st, const Shoal__Prepare *p, struct err *err)
{
	stages_one(st, p->peers, 0);
	if (p->n_stages == 0)
		return 0;
	st->n = 0;
	for (size_t i = 0; i < p->n_stages; i++)
		if (stages_add(st, p->stages[i]->peers, p->stages[i]->layers, err) != 0)
			return -1;
	return stages_check(st, p->peers, err);
}

/* Of all peers of the group, or of none. */
static int
take_row_shares(struct follow *f, const Shoal__Prepare *p, struct err *err)
{
	const struct stage *st = &f->stages.list[stages_of(&f->stages, f->rank)];

	if (p->n_row_shares != 0 && p->n_row_shares != st->n)
		return err_set(err,
			"a plan came that divides rows among %zu peers, in a group of %u",
			p->n_row_shares, st->n);
	for (size_t i = 0; i < p->n_row_shares; i++) {
		f->row_shares[i] = p->row_shares[i];
		if (p->row_shares[i] == 0 || p->row_shares[i] > INT32_MAX)
			return err_set(err,
				"a plan came that gives peer %zu of its group %u shares of rows", i,
				p->row_shares[i]);
	}
	return 0;
}

static struct follow *
follow_new(struct serve *s, const ProtobufCBinaryData *model_id, const char *model_name,
	const ProtobufCBinaryData *header_hash, uint64_t header_bytes)
{
	struct follow *f = calloc(1, sizeof *f);
	char hex[2 * SHARD_HASH + 1];

	if (f == NULL)
		return NULL;
	f->serve = s;
	memcpy(f->model_id, model_id->data, SHARD_HASH);
	memcpy(f->header_hash, header_hash->data, SHARD_HASH);
	snprintf(f->model_name, sizeof f->model_name, "%s", model_name);
	f->header_bytes = header_bytes;
	sodium_bin2hex(hex, sizeof hex, f->header_hash, SHARD_HASH);
	snprintf(f->path, sizeof f->path, "%s/shards/%.16s.shard", s->state->dir, hex);
	return f;
}

static void
take_numbers(struct follow *f, const Shoal__Prepare *p)
{
	f->epoch = p->epoch;
	if (f->serve->epoch_seen < p->epoch)
		f->serve->epoch_seen = p->epoch;
	f->rank = p->rank;
	f->peers = p->peers;
	f->context = p->context;
	f->slots = p->slots;
	f->max_rows = p->max_rows;
	f->kv = (enum kv_type)p->kv_type;
	f->kv_copies = p->kv_copies;
	f->payload.token = (enum frame_format)p->payload;
	f->payload.prompt = (enum frame_format)p->prompt_payload;
	f->way = (enum collective_way)p->collective;
}

/* Looks for the shard on disk first. */
static void
follow_begin(struct follow *f)
{
	char dir[sizeof f->serve->state->dir + 16];
	struct err trouble;

	snprintf(dir, sizeof dir, "%s/shards", f->serve->state->dir);
	if (file_mkdirs(dir, 0700, &trouble) != 0)
		follow_trouble(f, trouble.msg);
	else if (shard_job_start(f, SHARD_OPEN) != 0)
		follow_trouble(f, "the thread pool takes no job");
}

/* The one that was computed with a moment ago, when it is meant, stays mapped, and is bound by no
 * budget. */
static bool
use_open_shard(struct follow *f)
{
	struct open_shard *o = f->serve->shard;
	struct memory_ask ask;

	memory_ask_init(&ask, f->serve);
	if (o == NULL || strcmp(f->serve->config->memory, "auto") != 0 ||
		shard_unreadable(o->shard) ||
		memcmp(o->hash, f->header_hash, sizeof o->hash) != 0 ||
		memory_copies(&ask, shard_header(o->shard), UINT64_MAX))
		return false;
	f->weights = weights_from_shard(o->shard, NULL, NULL);
	if (f->weights == NULL)
		return false;
	f->shard = o;
	o->refs++;
	return true;
}

static int
take_prepare(struct serve *s, const Shoal__Prepare *p, struct err *err)
{
	struct stages stages;
	struct follow *f;

	if (check_prepare(p, err) != 0)
		return -1;
	if (take_stages(&stages, p, err) != 0)
		return -1;
	follow_drop(s, "the coordinator has another plan");
	f = follow_new(s, &p->model_id, p->model_name, &p->header_hash, p->header_bytes);
	if (f == NULL)
		return err_set(err, "not enough memory for a plan");
	take_numbers(f, p);
	f->stages = stages;
	s->follow = f;
	if (take_row_shares(f, p, err) != 0 || neighbours_new(f, p, err) != 0) {
		follow_drop(s, err->msg);
		return -1;
	}
	log_info("plan %llu: rank %u of %u for '%s'", (unsigned long long)f->epoch, f->rank,
		f->peers, f->model_name);
	if (use_open_shard(f))
		follow_ready(f);
	else
		follow_begin(f);
	return 0;
}

static int
take_stock(struct serve *s, const Shoal__Stock *m, struct err *err)
{
	struct follow *f;

	if (check_identity(&m->model_id, &m->header_hash, m->header_bytes, err) != 0 ||
		check_rank(m->rank, m->peers, 0, err) != 0)
		return -1;
	spare_drop(s);
	f = follow_new(s, &m->model_id, m->model_name, &m->header_hash, m->header_bytes);
	if (f == NULL)
		return err_set(err, "not enough memory for a spare slice");
	f->spare = true;
	f->rank = m->rank;
	f->peers = m->peers;
	stages_one(&f->stages, f->peers, 0);
	s->spare = f;
	if (strcmp(s->config->spare_disk, "off") == 0)
		follow_trouble(f, "spare_disk is off");
	else
		follow_begin(f);
	return 0;
}

/* --- computing ---------------------------------------------------------------------------------- */

static void
on_broken(void *arg, const char *who, const char *why)
{
	struct serve *s = arg;
	struct follow *f = s->follow;

	if (f == NULL)
		return;
	log_warning("%s", why);
	send_trouble(f, who, why);
	follow_drop(s, why);
}

static bool
needs_hub(const struct follow *f)
{
	return stages_linked(&f->stages, f->way, 0, f->rank);
}

/* Begins to compute when the coordinator has said so (with neighbours it does) and can be heard, where it
 * is linked with this device. */
static void
check_start(struct follow *f)
{
	struct swarm_peer *c = coordinator(f->serve);
	struct err err = {""};

	if ((needs_hub(f) && !f->hub_open) || (f->neighbours != NULL && !f->started))
		return;
	if (follow_start_engine(
		    f, c != NULL ? c->known->name : "the coordinator", on_broken, &err) != 0) {
		follow_trouble(f, err.msg);
		return;
	}
	neighbours_free(f);
	set_state(f, FOLLOW_COMPUTING);
}

static void
on_tensor_open(struct link *l, void *arg)
{
	struct follow *f = arg;
	struct err err = {""};

	/* At once: the first step may come before the coordinator's word does. */
	if (link_detach(l, &f->hub, &err) != 0) {
		follow_trouble(f, err.msg);
		return;
	}
	f->tensor = NULL;
	f->hub_open = true;
	check_start(f);
}

static int
on_early_frame(struct link *l, void *arg, const uint8_t *msg, size_t len, struct err *err)
{
	(void)l, (void)arg, (void)msg;
	return err_set(err, "%zu bytes came before the engine was there", len);
}

static void
on_tensor_close(struct link *l, void *arg, const char *why)
{
	struct follow *f = arg;
	char text[512];

	(void)l;
	f->tensor = NULL;
	snprintf(text, sizeof text, "the tensor link could not be opened: %s", why);
	follow_trouble(f, text);
}

static void
take_begin(struct follow *f)
{
	static const struct link_events events = {on_tensor_open, on_early_frame, on_tensor_close};
	const struct shard_header *h = shard_header(f->shard->shard);
	uint32_t logits = engine_max_logits(f->slots, f->max_rows);

	set_state(f, FOLLOW_LINKING);
	if (needs_hub(f))
		f->tensor = swarm_dial(f->serve->swarm, LINK_TENSOR,
			star_max_message(f->max_rows, logits, h->shape.embd,
				f->stages.n > 1 ? h->shape.vocab : h->slice.vocab),
			&events, f);
	if (needs_hub(f) && f->tensor == NULL)
		follow_trouble(f, "the coordinator's address is not usable");
	else
		neighbours_begin(f);
}

/* --- what the coordinator says ------------------------------------------------------------------ */

int
follow_control(struct serve *s, struct swarm_peer *p, const Shoal__Envelope *e, struct err *err)
{
	struct follow *f = s->follow;

	switch (e->body_case) {
	case SHOAL__ENVELOPE__BODY_PREPARE:
		return take_prepare(s, e->prepare, err);
	case SHOAL__ENVELOPE__BODY_STOCK:
		return take_stock(s, e->stock, err);
	case SHOAL__ENVELOPE__BODY_BEGIN:
		if (f != NULL && f->epoch == e->begin->epoch && f->state == FOLLOW_READY)
			take_begin(f);
		return 0;
	case SHOAL__ENVELOPE__BODY_START:
		if (f != NULL && f->epoch == e->start->epoch && f->state == FOLLOW_LINKING) {
			f->started = true;
			f->direct = e->start->direct;
			check_start(f);
		}
		return 0;
	case SHOAL__ENVELOPE__BODY_RELEASE:
		if (f != NULL && f->epoch <= e->release->epoch)
			follow_drop(s, e->release->why);
		return 0;
	case SHOAL__ENVELOPE__BODY_FELLOWS:
		return fellows_take(s, e->fellows, err);
	case SHOAL__ENVELOPE__BODY_LET_GO:
		leave_let_go(s);
		return 0;
	case SHOAL__ENVELOPE__BODY_TROUBLE:
		log_warning("%s: %s", p->known->name, e->trouble->what);
		return 0;
	default:
		return err_set(err, "a coordinator does not send '%s'", control_name(e));
	}
}

void
follow_tick(struct serve *s)
{
	if (s->follow != NULL && s->follow->state == FOLLOW_FETCHING)
		fetch_tick(s->follow);
	else if (s->follow != NULL && s->follow->state == FOLLOW_LINKING)
		neighbours_tick(s->follow);
	else if (s->follow != NULL && s->follow->state == FOLLOW_COMPUTING)
		follow_tell_pace(s->follow);
	if (s->spare != NULL && s->spare->state == FOLLOW_FETCHING)
		fetch_tick(s->spare);
}
