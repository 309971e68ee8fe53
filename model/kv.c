#include "model/kv.h"

#include <stdlib.h>

#define KV_ALIGN 64

static size_t
mul_sat(size_t a, size_t b)
{
	size_t r;

	return __builtin_mul_overflow(a, b, &r) ? SIZE_MAX : r;
}

static size_t
half_bytes(enum kv_type type, uint32_t kv_heads, uint32_t context, uint32_t head_dim)
{
	return mul_sat(kv_heads, kv_head_bytes(type, head_dim, context));
}

size_t
kv_bytes(enum kv_type type, uint32_t layers, uint32_t slots, uint32_t kv_heads, uint32_t context,
	uint32_t head_dim)
{
	size_t n = mul_sat(half_bytes(type, kv_heads, context, head_dim), 2);

	n = mul_sat(mul_sat(n, layers), slots);
	if (n == 0)
		return 0;
	return n > SIZE_MAX - KV_ALIGN ? SIZE_MAX : n + KV_ALIGN;
}

int
kv_init(struct kv_cache *kv, enum kv_type type, uint32_t layers, uint32_t slots, uint32_t kv_heads,
	uint32_t context, uint32_t head_dim, struct err *err)
{
	size_t bytes = kv_bytes(type, layers, slots, kv_heads, context, head_dim);

	*kv = (struct kv_cache){.type = type,
		.layers = layers,
		.slots = slots,
		.kv_heads = kv_heads,
		.context = context,
		.head_dim = head_dim,
		.head = kv_head_bytes(type, head_dim, context),
		.half = half_bytes(type, kv_heads, context, head_dim)};
	if (bytes == 0)
		return 0;
	if (bytes < PTRDIFF_MAX)
		kv->raw = calloc(bytes, 1);
	if (kv->raw == NULL)
		return err_set(err,
			"no memory for a KV cache of %zu MiB (%u sessions of %u positions): use a "
			"smaller context or fewer sessions",
			bytes >> 20, slots, context);
	kv->data = kv->raw + (KV_ALIGN - (uintptr_t)kv->raw % KV_ALIGN) % KV_ALIGN;
	return 0;
}

void
kv_deinit(struct kv_cache *kv)
{
	free(kv->raw);
	*kv = (struct kv_cache){0};
}

void *
kv_k(const struct kv_cache *kv, uint32_t layer, uint32_t slot, uint32_t head)
{
	return kv->data + ((size_t)layer * kv->slots + slot) * 2 * kv->half + head * kv->head;
}

void *
kv_v(const struct kv_cache *kv, uint32_t layer, uint32_t slot, uint32_t head)
{
	return (uint8_t *)kv_k(kv, layer, slot, head) + kv->half;
}
