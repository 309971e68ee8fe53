/* Making a model file again, out of its skeleton (model/skeleton.h) and of slices that others, or this
 * disk, have: PATH.part until all is there and right. Resumable: chunks of an earlier try that are right
 * are kept.
 *
 * A chunk of the whole model may lie in no single slice: a slice ends where its device's share does. So
 * chunks are cut into pieces (rectangles too), each as large as somebody has it. Pieces cannot be checked
 * one by one: a chunk is, when its last piece is there. One thread at a time. */
#ifndef MODEL_RESTORE_H
#define MODEL_RESTORE_H

#include "model/chunk.h"
#include "model/skeleton.h"

struct restore;

/* Opens the file; k outlives the result. NULL: also when the disk has too little room. */
struct restore *restore_open(const struct skeleton *k, const char *path, struct err *err);
void restore_free(struct restore *r); /* leaves PATH.part for the next time; NULL is fine */

const struct chunk_list *restore_chunks(const struct restore *r);
bool restore_has(const struct restore *r, uint32_t chunk);
uint32_t restore_missing(const struct restore *r); /* chunks */
/* Bytes of its matrices in all, and of chunks that are there. */
uint64_t restore_total(const struct restore *r);
uint64_t restore_done(const struct restore *r);

/* The piece of a chunk that begins `from` lines into it (rows, or columns where the tensor is cut by
 * columns) and is as long as one of the slices has it; *end: where the next one begins. false: none has
 * it, and *end is where one has. */
bool restore_piece(const struct restore *r, uint32_t chunk, uint32_t from,
	const struct slice *slices, uint32_t n, struct chunk *piece, uint32_t *end);
uint32_t restore_lines(const struct restore *r, uint32_t chunk);

/* Writes a piece's bytes (chunk_bytes of them) to where they are in the file. */
int restore_put(
	struct restore *r, const struct chunk *piece, const uint8_t *bytes, struct err *err);
/* All its pieces are there: whether they are right. If not, they are to be got anew. */
bool restore_check(struct restore *r, uint32_t chunk);

/* All chunks are there: to disk, a last look at whether it is the model, and to its path. */
int restore_finish(struct restore *r, struct err *err);

#endif
