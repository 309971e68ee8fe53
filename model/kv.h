/* The KV cache of one peer: for each layer and session slot, K then V of the slice's KV heads, in
 * the layout that kernels/attention.h defines. Pages are taken from the system when they are first written.
 */
#ifndef MODEL_KV_H
#define MODEL_KV_H

#include "base/err.h"
#include "kernels/kernels.h"

struct kv_cache {
	enum kv_type type;
	uint32_t layers, slots, kv_heads, context, head_dim;
	size_t head; /* bytes of K (or V) of one head, layer and slot */
	size_t half; /* of all heads */
	uint8_t *raw;
	uint8_t *data; /* raw, aligned */
};

/* What kv_init would allocate; SIZE_MAX when the product does not fit. 0 without heads. */
size_t kv_bytes(enum kv_type type, uint32_t layers, uint32_t slots, uint32_t kv_heads,
	uint32_t context, uint32_t head_dim);
int kv_init(struct kv_cache *kv, enum kv_type type, uint32_t layers, uint32_t slots,
	uint32_t kv_heads, uint32_t context, uint32_t head_dim, struct err *err);
void kv_deinit(struct kv_cache *kv);

/* K and V of a KV head, as the kernels take them. */
void *kv_k(const struct kv_cache *kv, uint32_t layer, uint32_t slot, uint32_t head);
void *kv_v(const struct kv_cache *kv, uint32_t layer, uint32_t slot, uint32_t head);

#endif
