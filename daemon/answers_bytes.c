/* The journal's entries of answers. Little-endian, texts with their length ahead (u32).
 *   head: u8 version, name, request, model_id, id, model, u64 created, prefix, session;
 *         of one by a job (version 2; its session is empty) also reason, shoal (JSON);
 *         of a request with tools (versions 3 and 4) also: by a session, the tools (JSON), u8 whether one call
 *         is enough; by a job, its calls (JSON)
 *   mark, while it runs: what it has cost so far
 *   tail: u8 end, what it has cost
 * What it has cost: u32 prompt_tokens, u32 new_tokens, f64 prompt, new, queue seconds; and, but for tails of older
 * daemons, u32 cached, drafted, accepted, u8 whether two models wrote it: by then the figures of both. */
#include "daemon/answers_int.h"

#include <stdlib.h>

enum { VERSION = 1, VERSION_JOB, VERSION_TOOLS, VERSION_JOB_CALLS };

static void
put_bytes(struct buf *out, const void *data, size_t len)
{
	buf_u32(out, (uint32_t)len);
	buf_append(out, data, len);
}

static void
put_json(json_t *v, struct buf *out)
{
	char *text = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL;

	put_bytes(out, text, text != NULL ? strlen(text) : 0);
	free(text);
}

static uint8_t
version_of(const struct kept *k)
{
	if (k->by_job)
		return k->calls != NULL ? VERSION_JOB_CALLS : VERSION_JOB;
	return k->reader.tools != NULL ? VERSION_TOOLS : VERSION;
}

int
kept_write_head(const struct kept *k, struct buf *out)
{
	buf_u8(out, version_of(k));
	buf_append(out, k->name, sizeof k->name);
	buf_append(out, k->request, sizeof k->request);
	buf_append(out, k->model_id, sizeof k->model_id);
	put_bytes(out, k->head.id, strlen(k->head.id));
	put_bytes(out, k->head.model, strlen(k->head.model));
	buf_u64(out, (uint64_t)k->head.created);
	put_bytes(out, k->text.data, k->prefix);
	put_bytes(out, k->session.data, k->session.len);
	if (k->by_job) {
		put_bytes(out, k->reason, strlen(k->reason));
		put_json(k->shoal, out);
	}
	if (k->by_job && k->calls != NULL)
		put_json(k->calls, out);
	if (k->reader.tools != NULL) {
		put_json(k->reader.tools, out);
		buf_u8(out, k->reader.one);
	}
	return out->failed ? -1 : 0;
}

static void
put_both(const struct token_figures *f, struct buf *out)
{
	buf_u32(out, f->small);
	buf_u32(out, f->large);
	buf_u32(out, f->drafted);
	buf_u32(out, f->accepted);
	buf_u32(out, f->asked);
	buf_u8(out, f->alone);
}

void
kept_write_mark(const struct kept *k, struct buf *out)
{
	const struct usage *u = &k->usage;

	buf_u32(out, u->prompt_tokens);
	buf_u32(out, u->new_tokens);
	buf_f64(out, u->prompt_seconds);
	buf_f64(out, u->new_seconds);
	buf_f64(out, u->queue_seconds);
	buf_u32(out, u->cached);
	buf_u32(out, u->drafted);
	buf_u32(out, u->accepted);
	buf_u8(out, u->both != NULL);
	if (u->both != NULL)
		put_both(u->both, out);
}

void
kept_write_tail(const struct kept *k, struct buf *out)
{
	buf_u8(out, (uint8_t)k->end);
	kept_write_mark(k, out);
}

static void
take_fixed(struct rd *r, uint8_t out[32])
{
	const void *p = rd_bytes(r, 32);

	if (p != NULL)
		memcpy(out, p, 32);
}

static void
take_text(struct rd *r, char *out, size_t size)
{
	size_t len = rd_u32(r);
	const char *p = len < size ? rd_bytes(r, len) : NULL;

	if (p == NULL)
		r->failed = true;
	else
		memcpy(out, p, len); /* the rest is zero */
}

static void
take_buf(struct rd *r, struct buf *out)
{
	size_t len = rd_u32(r);
	const void *p = rd_bytes(r, len);

	if (p != NULL)
		buf_append(out, p, len);
}

/* NULL: there is none. */
static json_t *
take_json(struct rd *r)
{
	size_t len = rd_u32(r);
	const char *p = rd_bytes(r, len);

	return p != NULL && len > 0 ? json_loadb(p, len, 0, NULL) : NULL;
}

static void
take_calls(struct rd *r, struct kept *k)
{
	json_t *calls = take_json(r), *call;
	size_t i;

	json_array_foreach(calls, i, call)
	{
		kept_call(k, json_incref(call));
	}
	json_decref(calls);
}

static void
take_tools(struct rd *r, struct kept *k)
{
	json_t *tools = take_json(r);
	bool one = rd_u8(r) != 0;

	if (json_is_array(tools))
		kept_offer(k, tools, one);
	else
		r->failed = true;
	json_decref(tools);
}

static int
read_head(struct kept *k, const uint8_t *data, size_t len)
{
	struct rd r = rd_init(data, len);
	uint8_t version = rd_u8(&r);

	if (version < VERSION || version > VERSION_JOB_CALLS)
		return -1;
	k->by_job = version == VERSION_JOB || version == VERSION_JOB_CALLS;
	take_fixed(&r, k->name);
	take_fixed(&r, k->request);
	take_fixed(&r, k->model_id);
	take_text(&r, k->head.id, sizeof k->head.id);
	take_text(&r, k->head.model, sizeof k->head.model);
	k->head.created = (json_int_t)rd_u64(&r);
	take_buf(&r, &k->text);
	take_buf(&r, &k->session);
	k->prefix = k->text.len;
	if (k->by_job) {
		take_text(&r, k->reason, sizeof k->reason);
		k->shoal = take_json(&r);
	}
	if (version == VERSION_JOB_CALLS)
		take_calls(&r, k);
	if (version == VERSION_TOOLS)
		take_tools(&r, k);
	return r.failed || rd_left(&r) > 0 || k->text.failed || k->session.failed ? -1 : 0;
}

static void
take_both(struct rd *r, struct kept *k)
{
	k->both = (struct token_figures){.small = rd_u32(r)};
	k->both.large = rd_u32(r);
	k->both.drafted = rd_u32(r);
	k->both.accepted = rd_u32(r);
	k->both.asked = rd_u32(r);
	k->both.alone = rd_u8(r) != 0;
	k->usage.both = &k->both;
}

static void
take_cost(struct rd *r, struct kept *k)
{
	struct usage *u = &k->usage;

	u->prompt_tokens = rd_u32(r);
	u->new_tokens = rd_u32(r);
	u->prompt_seconds = rd_f64(r);
	u->new_seconds = rd_f64(r);
	u->queue_seconds = rd_f64(r);
	if (rd_left(r) == 0)
		return; /* an older daemon's */
	u->cached = rd_u32(r);
	u->drafted = rd_u32(r);
	u->accepted = rd_u32(r);
	if (rd_u8(r) != 0)
		take_both(r, k);
	r->failed |= u->cached > u->prompt_tokens || u->accepted > u->drafted;
}

static int
read_mark(struct kept *k, const uint8_t *data, size_t len)
{
	struct rd r = rd_init(data, len);

	take_cost(&r, k);
	return r.failed ? -1 : 0;
}

static int
read_tail(struct kept *k, const uint8_t *data, size_t len)
{
	struct rd r = rd_init(data, len);

	k->end = rd_u8(&r);
	take_cost(&r, k);
	k->ended = true;
	if (k->by_job)
		return r.failed ? -1 : 0;
	return r.failed || k->end == SESSION_RUNNING || k->end > SESSION_CONTEXT ? -1 : 0;
}

int
kept_read(struct kept *k, const struct journal_entry *e)
{
	k->number = e->number;
	if (read_head(k, e->head, e->head_len) != 0 ||
		(e->mark_len > 0 && read_mark(k, e->mark, e->mark_len) != 0) ||
		(e->ended && read_tail(k, e->tail, e->tail_len) != 0))
		return -1;
	return buf_append(&k->ids, e->ids, e->n_ids * sizeof *e->ids);
}
