#include "kernels/attention.h"

#include "kernels/attend_scratch.h"
#include "kernels/block.h"
#include "kernels/dtype.h"
#include "kernels/tiles.h"

static const char *const names[KV_TYPES] = {
	[KV_F32] = "f32",
	[KV_F16] = "f16",
	[KV_Q8_0] = "q8_0",
};

const char *
kv_type_name(enum kv_type type)
{
	return (unsigned)type < KV_TYPES ? names[type] : NULL;
}

enum kv_type
kv_type_find(const char *name)
{
	unsigned t = 0;

	while (t < KV_TYPES && strcmp(names[t], name) != 0)
		t++;
	return (enum kv_type)t;
}

int
kv_type_parse(const char *option, const char *value, enum kv_type *type, struct err *err)
{
	*type = kv_type_find(value);
	if (*type == KV_TYPES)
		return err_set(err, "%s: '%s' is none of f32, f16, q8_0", option, value);
	return 0;
}

uint32_t
kv_width(uint32_t dim)
{
	return block_count(dim) * BLOCK;
}

size_t
kv_head_bytes(enum kv_type type, uint32_t dim, uint32_t context)
{
	size_t width = kv_width(dim), groups = context / KV_GROUP + (context % KV_GROUP != 0);
	size_t group = width * KV_GROUP * sizeof(float), bytes;

	if (type == KV_F16)
		group /= 2;
	else if (type == KV_Q8_0)
		group = KV_GROUP / TILE_ROWS * tile_group_bytes(DTYPE_Q8_0, (uint32_t)width);
	return __builtin_mul_overflow(group, groups, &bytes) ? SIZE_MAX : bytes;
}

uint32_t
attend_most_rows(uint32_t group)
{
	uint32_t rows = ATTEND_COLS / group;

	if (rows == 0)
		return 1;
	return rows < ATTEND_ROWS ? rows : ATTEND_ROWS;
}

size_t
attend_scratch_bytes(uint32_t group, uint32_t head_dim)
{
	struct attention a = {.group = group, .head_dim = head_dim};
	struct attend_scratch s;

	return attend_scratch_take(&s, &a, NULL);
}
