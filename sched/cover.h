/* Whether slices that are on the disks of several devices make the whole model together, and what is
 * missing if not: what decides whether a device without the model's file can coordinate. Pure. */
#ifndef SCHED_COVER_H
#define SCHED_COVER_H

#include "model/slice.h"

#include <stdbool.h>

/* Every layer's KV heads and feed-forward columns, and the vocabulary, are in one of the slices each, or
 * in several that meet or overlap. The slices have passed slice_check. */
bool cover_is_whole(const struct model_shape *s, const struct slice *slices, uint32_t n);

/* What is missing, in words: "layers 2-4: KV heads 1-1, feed-forward columns 256-511; vocabulary rows
 * 0-99"; of each dimension the first gap. Cut to size; empty: nothing is. */
void cover_words(const struct model_shape *s, const struct slice *slices, uint32_t n, char *out,
	size_t size);

#endif
