/* The journal's entries of answers. Little-endian, texts with their length ahead (u32).
 *   head: u8 version, name, request, model_id, id, model, u64 created, prefix, session;
 *         of one by a job (version 2; its session is empty) also reason, shoal (JSON)
 *   tail: u8 end, u32 prompt_tokens, u32 new_tokens, f64 prompt, new, queue seconds */
#include "daemon/answers_int.h"

#include <stdlib.h>

#define VERSION     1
#define VERSION_JOB 2

static void
put_bytes(struct buf *out, const void *data, size_t len)
{
	buf_u32(out, (uint32_t)len);
	buf_append(out, data, len);
}

static void
put_shoal(const struct kept *k, struct buf *out)
{
	char *text = k->shoal != NULL ? json_dumps(k->shoal, JSON_COMPACT) : NULL;

	put_bytes(out, text, text != NULL ? strlen(text) : 0);
	free(text);
}

int
kept_write_head(const struct kept *k, struct buf *out)
{
	buf_u8(out, k->by_job ? VERSION_JOB : VERSION);
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
		put_shoal(k, out);
	}
	return out->failed ? -1 : 0;
}

int
kept_write_tail(const struct kept *k, struct buf *out)
{
	buf_u8(out, (uint8_t)k->end);
	buf_u32(out, k->usage.prompt_tokens);
	buf_u32(out, k->usage.new_tokens);
	buf_f64(out, k->usage.prompt_seconds);
	buf_f64(out, k->usage.new_seconds);
	buf_f64(out, k->usage.queue_seconds);
	return out->failed ? -1 : 0;
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

static void
take_shoal(struct rd *r, struct kept *k)
{
	size_t len = rd_u32(r);
	const char *p = rd_bytes(r, len);

	if (p != NULL && len > 0)
		k->shoal = json_loadb(p, len, 0, NULL);
}

static int
read_head(struct kept *k, const uint8_t *data, size_t len)
{
	struct rd r = rd_init(data, len);
	uint8_t version = rd_u8(&r);

	if (version != VERSION && version != VERSION_JOB)
		return -1;
	k->by_job = version == VERSION_JOB;
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
		take_shoal(&r, k);
	}
	return r.failed || rd_left(&r) > 0 || k->text.failed || k->session.failed ? -1 : 0;
}

static int
read_tail(struct kept *k, const uint8_t *data, size_t len)
{
	struct rd r = rd_init(data, len);

	k->end = rd_u8(&r);
	k->usage.prompt_tokens = rd_u32(&r);
	k->usage.new_tokens = rd_u32(&r);
	k->usage.prompt_seconds = rd_f64(&r);
	k->usage.new_seconds = rd_f64(&r);
	k->usage.queue_seconds = rd_f64(&r);
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
		(e->ended && read_tail(k, e->tail, e->tail_len) != 0))
		return -1;
	return buf_append(&k->ids, e->ids, e->n_ids * sizeof *e->ids);
}
