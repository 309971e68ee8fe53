/* Copies of KV rows (`kv_copies = 1`), so that sessions go on with another plan without computing their
 * rows again: after a loss, with a newcomer, when shares change.
 *
 * The coordinator is every member's buddy: members send it what they have computed, over a bulk link
 * that they open when their engine runs, and it puts this and its own rows into a vault (model/kv_vault.h)
 * that outlives plans. When the next plan's engines are there, each loads the rows of its slice out of the
 * vault: a member asks for them, piece by piece. Then the coordinator's engine lets the requests go on
 * in the slots they had, at the first position that is not covered. The coordinator's loss is not covered: it
 * ends the sessions' connections too.
 *
 * Whatever is missing is computed again: rows that had not come yet, those of led requests, everything
 * when a member does not load what there is within a few seconds. Main thread. */
#ifndef DAEMON_SERVE_KV_H
#define DAEMON_SERVE_KV_H

#include "daemon/serve_int.h"

/* --- coordinator (serve_kv.c) ------------------------------------------------------------------- */

/* What the vault may come to take of the memory budget beyond what it has taken; 0: there is none. */
uint64_t copies_more_bytes(
	const struct serve *s, const struct model_shape *shape, uint32_t context);

/* The plan's engine is there; it is held until rows are loaded, or will not be. */
void copies_began(struct plan *p);
/* Its engine is about to be stopped: what it has computed is taken first. */
void copies_end(struct serve *s);
void copies_tick(struct serve *s);
/* The engine has news (engine_kv.h). */
void copies_news(struct serve *s);
/* A message of a member on a bulk link. -1: it is wrong, and the link closes. */
int copies_control(struct serve *s, struct swarm_peer *p, struct link *l, const Shoal__Envelope *e,
	struct err *err);
bool copies_is_message(const Shoal__Envelope *e);
void copies_link_closed(struct serve *s, const struct link *l, const char *why);
void copies_free(struct serve *s);
json_t *copies_json(struct serve *s); /* {"bytes": n}; null: none are kept. New reference. */

/* --- member (serve_kv_member.c) ----------------------------------------------------------------- */

struct copier; /* of a follow that computes */
struct copier *copier_new(
	struct follow *f); /* NULL: without memory; the plan goes on without copies */
void copier_free(struct copier *c);
void copier_news(struct copier *c);

/* --- both --------------------------------------------------------------------------------------- */

void copies_on_kv(void *arg); /* of engines: arg is the serve */
/* Rows as they travel, but for their bytes. */
struct kv_piece copies_piece(const Shoal__KvRows *m);
void copies_fill(Shoal__KvRows *m, uint64_t epoch, const struct kv_piece *p);

#endif
