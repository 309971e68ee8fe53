#include "daemon/cuts_message.h"

size_t
cuts_message_fill(struct cuts_message *m, const struct slice *slices, uint32_t n)
{
	for (uint32_t i = 0; i < n && i < SHELF_MAX; i++) {
		const struct slice *sl = &slices[i];
		Shoal__Cut *c = &m->cuts[i];

		shoal__cut__init(c);
		c->layer_first = sl->layer0;
		c->layers = sl->layers;
		c->kv_head_first = sl->kv_head0;
		c->kv_heads = sl->kv_heads;
		c->ffn_first = sl->ffn0;
		c->ffn = sl->ffn;
		c->vocab_first = sl->vocab0;
		c->vocab = sl->vocab;
		m->pointers[i] = c;
	}
	return n < SHELF_MAX ? n : SHELF_MAX;
}

uint32_t
cuts_message_read(
	Shoal__Cut *const *cuts, size_t n, const struct model_shape *s, struct slice out[SHELF_MAX])
{
	uint32_t m = 0;

	for (size_t i = 0; i < n && m < SHELF_MAX; i++) {
		const Shoal__Cut *c = cuts[i];

		out[m] = (struct slice){0, 1, c->layer_first, c->layers, c->kv_head_first,
			c->kv_heads, c->ffn_first, c->ffn, c->vocab_first, c->vocab};
		m += slice_check(s, &out[m], NULL) == 0;
	}
	return m;
}

uint32_t
cuts_of_folder(const char *folder, const uint8_t model_id[SHARD_HASH], struct slice out[SHELF_MAX])
{
	struct shelf *shelf = shelf_open(folder, model_id, false, NULL);
	uint32_t n = 0;

	for (; shelf != NULL && n < shelf_size(shelf); n++)
		out[n] = *shelf_slice(shelf, n);
	shelf_close(shelf);
	return n;
}
