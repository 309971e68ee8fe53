/* Copies of the KV rows of running sessions, of all layers and KV heads, in memory: one session for each
 * slot. Pieces come in any order and from several peers; what a session is covered for are the positions
 * from 0 on of which every layer and head is there. What is kept of a session never changes: its tokens
 * do not, so rows that come again are the same rows.
 *
 * Memory is taken group by group (KV_GROUP positions) as rows come, at most kv_vault_bytes(). */
#ifndef MODEL_KV_VAULT_H
#define MODEL_KV_VAULT_H

#include "model/kv_piece.h"

struct kv_vault;

struct kv_vault_config {
	enum kv_type type;
	uint32_t layers, heads, head_dim; /* of the model */
	uint32_t slots, context;
};

uint64_t kv_vault_bytes(const struct kv_vault_config *c);
/* NULL: out of memory, or pages are too long to travel. */
struct kv_vault *kv_vault_new(const struct kv_vault_config *c, struct err *err);
void kv_vault_free(struct kv_vault *v);
bool kv_vault_fits(const struct kv_vault *v, const struct kv_vault_config *c);

/* What a piece must be to be put or got: bounds of the whole model. */
struct kv_bounds kv_vault_bounds(const struct kv_vault *v);

/* Keeps a piece that kv_piece_check has let through, of the session with that number (not 0); of another
 * one that the slot had nothing is kept any more. -1: no memory, and the piece is not kept. */
int kv_vault_put(
	struct kv_vault *v, uint64_t number, const struct kv_piece *p, const uint8_t *bytes);
/* Copies a piece out. False: it is not there, or not all of it. */
bool kv_vault_get(const struct kv_vault *v, const struct kv_piece *p, uint8_t *out);

uint64_t kv_vault_number(const struct kv_vault *v, uint32_t slot);  /* 0: it holds nothing */
uint32_t kv_vault_covered(const struct kv_vault *v, uint32_t slot); /* positions */
void kv_vault_forget(struct kv_vault *v, uint32_t slot);
uint64_t kv_vault_held(const struct kv_vault *v); /* bytes that are kept now */

#endif
