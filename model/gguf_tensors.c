/* The table of tensors of a GGUF file. */
#include "kernels/dtype.h"
#include "model/gguf_int.h"

#include <inttypes.h>
#include <stdlib.h>

#define MAX_NAME         255
#define MIN_TENSOR_BYTES 33 /* length, one byte of name, number of dims, a dim, type, offset */

static struct gguf_str
tensor_name_at(const void *arg, uint32_t i)
{
	return ((const struct gguf *)arg)->tensors[i].name;
}

/* The dimensions, as long as their product is no more than one weight per bit of the file: no type
 * packs tighter, and below that nothing overflows. */
static int
parse_dims(const struct gguf *g, struct rd *r, struct gguf_tensor *t, size_t at, struct err *err)
{
	uint64_t count = 1;

	t->n_dims = rd_u32(r);
	if (!r->failed && (t->n_dims < 1 || t->n_dims > 4))
		return err_set(err,
			"tensor '%.*s' (byte %zu) has %" PRIu32 " dimensions: 1 to 4 are valid",
			SHOWN(t->name), at, t->n_dims);
	for (uint32_t d = 0; d < 4; d++)
		t->dims[d] = !r->failed && d < t->n_dims ? rd_u64(r) : 1;
	if (r->failed)
		return 0; /* said by the caller */
	for (uint32_t d = 0; d < 4; d++)
		if (t->dims[d] == 0 || __builtin_mul_overflow(count, t->dims[d], &count) ||
			count / 8 > g->len)
			return err_set(err,
				"tensor '%.*s' (byte %zu) has dimension %" PRIu32 " of %" PRIu64
				": %s",
				SHOWN(t->name), at, d, t->dims[d],
				t->dims[d] == 0 ? "it must not be 0"
						: "the file is not large enough for it");
	return 0;
}

/* Type and size. */
static int
size_tensor(struct gguf_tensor *t, size_t at, struct err *err)
{
	const struct dtype_info *info = dtype_info(t->dtype);
	uint64_t bytes;

	if (info == NULL)
		return err_set(err,
			"tensor '%.*s' (byte %zu) has type %" PRIu32 ", which is not known",
			SHOWN(t->name), at, t->dtype);
	if (t->dims[0] % info->block != 0)
		return err_set(err,
			"tensor '%.*s' (byte %zu) has rows of %" PRIu64
			" weights, no multiple of %" PRIu32 " as %s wants",
			SHOWN(t->name), at, t->dims[0], info->block, info->name);
	bytes = t->dims[0] / info->block * info->bytes;
	for (uint32_t d = 1; d < 4; d++)
		if (__builtin_mul_overflow(bytes, t->dims[d], &bytes))
			return err_set(err, "tensor '%.*s' (byte %zu) is impossibly large",
				SHOWN(t->name), at);
	t->bytes = bytes;
	return 0;
}

static int
parse_tensor(const struct gguf *g, struct rd *r, uint32_t i, uint64_t *offset, struct err *err)
{
	struct gguf_tensor *t = &g->tensors[i];
	size_t at = r->pos;

	if (gguf_parse_name(r, "tensor", i, MAX_NAME, &t->name, err) != 0 ||
		parse_dims(g, r, t, at, err) != 0)
		return -1;
	t->dtype = rd_u32(r);
	*offset = rd_u64(r);
	if (r->failed)
		return err_set(err, "the file ends in the entry of tensor '%.*s' (byte %zu)",
			SHOWN(t->name), at);
	if (size_tensor(t, at, err) != 0)
		return -1;
	if (*offset % g->alignment != 0)
		return err_set(err,
			"tensor '%.*s' (byte %zu) has offset %" PRIu64
			", no multiple of the alignment %" PRIu32,
			SHOWN(t->name), at, *offset, g->alignment);
	return 0;
}

/* offsets: from where data begins. */
static int
place_tensors(struct gguf *g, const uint64_t *offsets, struct err *err)
{
	uint64_t room = g->head_len < g->len ? g->len - g->head_len : 0;

	for (uint32_t i = 0; i < g->n_tensors; i++) {
		struct gguf_tensor *t = &g->tensors[i];

		if (offsets[i] > room || t->bytes > room - offsets[i])
			return err_set(err,
				"tensor '%.*s' has %" PRIu64 " bytes at byte %" PRIu64
				", but the file has only %zu: it is cut off or damaged",
				SHOWN(t->name), t->bytes, g->head_len + offsets[i], g->len);
		t->data = g->data + g->head_len + offsets[i];
	}
	return 0;
}

static int
by_place(const void *a, const void *b)
{
	const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a;
	const struct gguf_tensor *y = *(const struct gguf_tensor *const *)b;

	return (x->data > y->data) - (x->data < y->data);
}

/* Tensors that share bytes would let a small file stand for a model of any size. */
static int
check_overlap(const struct gguf *g, struct err *err)
{
	const struct gguf_tensor **order = malloc((size_t)g->n_tensors * sizeof *order + 1);
	int rc = 0;

	if (order == NULL)
		return err_set(err, "out of memory for %" PRIu32 " tensors", g->n_tensors);
	for (uint32_t i = 0; i < g->n_tensors; i++)
		order[i] = &g->tensors[i];
	qsort(order, g->n_tensors, sizeof *order, by_place);
	for (uint32_t i = 1; rc == 0 && i < g->n_tensors; i++)
		if (order[i - 1]->data + order[i - 1]->bytes > order[i]->data)
			rc = err_set(err, "tensors '%.*s' and '%.*s' overlap at byte %td",
				SHOWN(order[i - 1]->name), SHOWN(order[i]->name),
				order[i]->data - g->data);
	free(order);
	return rc;
}

static int
parse_table(struct gguf *g, struct rd *r, uint64_t *offsets, struct err *err)
{
	for (uint32_t i = 0; i < g->n_tensors; i++) {
		if (parse_tensor(g, r, i, &offsets[i], err) != 0)
			return -1;
		if (name_index_add(&g->names, i, tensor_name_at, g) != NAME_NONE)
			return err_set(err, "tensor '%.*s' (byte %zu) is there twice",
				SHOWN(g->tensors[i].name), r->pos);
	}
	g->head_len = (r->pos + g->alignment - 1) / g->alignment * g->alignment;
	if (g->head_len > g->len)
		g->head_len = g->len;
	if (place_tensors(g, offsets, err) != 0)
		return -1;
	return check_overlap(g, err);
}

int
gguf_parse_tensors(struct gguf *g, struct rd *r, struct err *err)
{
	uint64_t *offsets;
	int rc;

	if (g->n_tensors > rd_left(r) / MIN_TENSOR_BYTES)
		return err_set(err,
			"the header (byte 8) counts %" PRIu32 " tensors: more than a file of %zu "
			"bytes can hold",
			g->n_tensors, g->len);
	g->tensors = calloc((size_t)g->n_tensors + 1, sizeof *g->tensors);
	offsets = calloc((size_t)g->n_tensors + 1, sizeof *offsets);
	if (g->tensors == NULL || offsets == NULL || name_index_init(&g->names, g->n_tensors) != 0)
		rc = err_set(err, "out of memory for %" PRIu32 " tensors", g->n_tensors);
	else
		rc = parse_table(g, r, offsets, err);
	free(offsets);
	return rc;
}

size_t
gguf_n_tensors(const struct gguf *g)
{
	return g->n_tensors;
}

const struct gguf_tensor *
gguf_tensor_at(const struct gguf *g, size_t i)
{
	return &g->tensors[i];
}

const struct gguf_tensor *
gguf_tensor(const struct gguf *g, const char *name)
{
	uint32_t i = name_index_find(&g->names, name, strlen(name), tensor_name_at, g);

	return i == NAME_NONE ? NULL : &g->tensors[i];
}
