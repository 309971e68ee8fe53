#include "proto/control.h"

#include <stdlib.h>

#define MAX_STRING 256
#define MAX_DEPTH  3 /* of messages in the envelope */

/* One block of memory per message; protobuf-c asks for pieces and frees nothing by itself. What
 * unpacking takes is at most a fixed size per field, and a field has at least two bytes on the
 * wire. */
struct arena {
	size_t used, size;
	_Alignas(max_align_t) uint8_t data[];
};

static void *
arena_alloc(void *arg, size_t size)
{
	struct arena *a = arg;
	size_t need = (size + 15) & ~(size_t)15;
	void *p = a->data + a->used;

	if (need < size || need > a->size - a->used)
		return NULL;
	a->used += need;
	return p;
}

static void
arena_free(void *arg, void *p)
{
	(void)arg, (void)p;
}

static bool
is_utf8(const char *s)
{
	const uint8_t *p = (const uint8_t *)s;

	while (*p != 0) {
		unsigned n = *p < 0x80       ? 0
			     : *p >> 5 == 6  ? 1
			     : *p >> 4 == 14 ? 2
			     : *p >> 3 == 30 ? 3
					     : 4;
		uint32_t c = n == 0 ? *p : *p & (0x3fu >> n);

		if (n == 4)
			return false;
		p++;
		for (unsigned i = 0; i < n; i++, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p & 0x3f);
		}
		if ((n == 1 && c < 0x80) ||
			(n == 2 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) ||
			(n == 3 && (c < 0x10000 || c > 0x10ffff)))
			return false;
	}
	return true;
}

static int check_fields(const ProtobufCMessage *m, unsigned depth, struct err *err);

/* A field that repeats: of strings and bytes there are none. */
static int
check_list(const ProtobufCFieldDescriptor *f, const uint8_t *at, const uint8_t *count,
	unsigned depth, struct err *err)
{
	size_t n = *(const size_t *)(const void *)count;
	ProtobufCMessage *const *list = *(ProtobufCMessage *const *const *)(const void *)at;

	if (n > CONTROL_MAX_LIST)
		return err_set(err, "a control message has %zu of '%s', more than %d", n, f->name,
			CONTROL_MAX_LIST);
	for (size_t i = 0; f->type == PROTOBUF_C_TYPE_MESSAGE && depth > 0 && i < n; i++)
		if (check_fields(list[i], depth - 1, err) != 0)
			return -1;
	return 0;
}

static int
check_field(const ProtobufCFieldDescriptor *f, const uint8_t *at, unsigned depth, struct err *err)
{
	if (f->type == PROTOBUF_C_TYPE_STRING) {
		const char *s = *(char *const *)(const void *)at;

		if (s != NULL && (strlen(s) > MAX_STRING || !is_utf8(s)))
			return err_set(err,
				"a control message has a '%s' that is too long or no text",
				f->name);
	} else if (f->type == PROTOBUF_C_TYPE_BYTES) {
		if (((const ProtobufCBinaryData *)(const void *)at)->len > CONTROL_MAX_BYTES)
			return err_set(
				err, "a control message has too many bytes of '%s'", f->name);
	} else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
		const ProtobufCMessage *sub = *(ProtobufCMessage *const *)(const void *)at;

		if (sub != NULL && depth > 0)
			return check_fields(sub, depth - 1, err);
	}
	return 0;
}

/* Looks at every string, byte field and list of a message and of those in it. */
static int
check_fields(const ProtobufCMessage *m, unsigned depth, struct err *err)
{
	const ProtobufCMessageDescriptor *d = m->descriptor;

	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const uint8_t *at = (const uint8_t *)m + f->offset;
		const uint8_t *quantifier = (const uint8_t *)m + f->quantifier_offset;
		int rc;

		/* Of a oneof, only the member that is set. */
		if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0 &&
			*(const uint32_t *)(const void *)quantifier != f->id)
			continue;
		rc = f->label == PROTOBUF_C_LABEL_REPEATED
			     ? check_list(f, at, quantifier, depth, err)
			     : check_field(f, at, depth, err);
		if (rc != 0)
			return -1;
	}
	return 0;
}

int
control_pack(Shoal__Envelope *e, struct buf *out, struct err *err)
{
	size_t size;

	e->version = CONTROL_VERSION;
	if (e->body_case == SHOAL__ENVELOPE__BODY__NOT_SET)
		return err_set(err, "a control message without a body");
	if (check_fields(&e->base, MAX_DEPTH, err) != 0)
		return -1;
	size = shoal__envelope__get_packed_size(e);
	if (buf_reserve(out, size) != 0)
		return err_set(err, "a control message of %zu bytes is too long", size);
	out->len += shoal__envelope__pack(e, out->data + out->len);
	return 0;
}

Shoal__Envelope *
control_unpack(const void *msg, size_t len, struct err *err)
{
	ProtobufCAllocator allocator = {arena_alloc, arena_free, NULL};
	Shoal__Envelope *e;
	struct arena *a;
	size_t size;

	if (len > CONTROL_MAX_BULK) {
		err_set(err, "a control message of %zu bytes is too long", len);
		return NULL;
	}
	size = 4096 + 24 * (len < 4096 ? len : 4096) + 2 * len;
	a = malloc(sizeof *a + size);
	if (a == NULL) {
		err_set(err, "out of memory for a control message");
		return NULL;
	}
	a->used = 0;
	a->size = size;
	allocator.allocator_data = a;
	e = shoal__envelope__unpack(&allocator, len, msg);
	if (e == NULL) {
		err_set(err, "%zu bytes are no control message", len);
	} else if (e->version != CONTROL_VERSION) {
		err_set(err,
			"the other side's control messages are version %u, ours %u: bring both to "
			"one version",
			e->version, CONTROL_VERSION);
	} else if (e->body_case == SHOAL__ENVELOPE__BODY__NOT_SET) {
		err_set(err, "a control message of a kind that is not known here");
	} else if (check_fields(&e->base, MAX_DEPTH, err) == 0) {
		/* The envelope is the arena's first piece. */
		return e;
	}
	free(a);
	return NULL;
}

void
control_free(Shoal__Envelope *e)
{
	if (e != NULL)
		free((uint8_t *)e - offsetof(struct arena, data));
}

const char *
control_name(const Shoal__Envelope *e)
{
	for (unsigned i = 0; i < e->base.descriptor->n_fields; i++)
		if (e->base.descriptor->fields[i].id == (uint32_t)e->body_case)
			return e->base.descriptor->fields[i].name;
	return "nothing";
}
