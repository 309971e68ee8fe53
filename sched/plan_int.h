/* Inside of sched/plan: plan.c (checks, the list of alternatives), plan_search.c and plan_group.c
 * (candidates), plan_eval.c (a candidate's time), plan_stage.c (its hubs and messages), plan_deal.c
 * (layers of its stages), plan_share.c (shares within one), plan_refine.c (both improved),
 * plan_memory.c (what fits and what streams), plan_time.c (computing), plan_net.c (links),
 * plan_words.c (reasons). */
#ifndef SCHED_PLAN_INT_H
#define SCHED_PLAN_INT_H

#include "sched/plan.h"

#include <math.h>
#include <string.h>

enum phase { ATTN, FFN, HEAD, PHASES };

/* --- messages (plan_net.c) --- */

const struct swarm_plan_link *plan_link(const struct swarm_plan_input *in, uint32_t i, uint32_t j);
/* The round trip that who waits for the slowest of `waits` such links sees. */
double plan_wait(const struct swarm_plan_link *l, uint32_t waits);
/* The way by which a sum goes, of those that there are. */
enum swarm_way plan_way(const struct swarm_plan_input *in, const uint32_t *who, uint32_t n,
	const struct swarm_plan_sum *sum);
/* What a reduction adds to each member's computing, off[n] in seconds: see "The model of time". */
void plan_delays(const struct swarm_plan_input *in, enum swarm_way way, const uint32_t *who,
	uint32_t n, const struct swarm_plan_sum *sum, double *off);
/* One message of `bytes` from a peer to each of these, those that are itself left out. */
double plan_spread(const struct swarm_plan_input *in, uint32_t from, const uint32_t *who,
	uint32_t n, double bytes);
/* From each of these, bytes[i], to one. */
double plan_gather(const struct swarm_plan_input *in, uint32_t to, const uint32_t *who, uint32_t n,
	const double *bytes);

/* --- memory (plan_memory.c) --- */

/* What a whole model (or the layers of a stage) takes, for a share of 1, in bytes. */
struct load {
	double part[PHASES], weights; /* that are cut, and their sum */
	double fixed;                 /* that each member holds whole */
	double cache;
	double ring;  /* what streaming needs of memory, however large the share */
	double least; /* and what it needs beside, cache included, fixed not */
	double used;  /* the part of missing bytes that a step reads: 1 without experts */
};
struct load plan_load(const struct swarm_plan_input *in, uint32_t layers, bool head);
/* Bytes for weights and cache. Negative: not even its overhead fits. */
double plan_room(const struct swarm_plan_input *in, uint32_t peer);
/* The largest share of the load that this peer can hold with `seconds` for its disk. */
double plan_share_cap(const struct swarm_plan_input *in, const struct load *l, uint32_t peer,
	bool stream, double seconds);
/* Bytes of its ring when it streams such a share of the load. */
double plan_ahead(const struct load *l, double share, double room);
/* Fills bytes of a member whose slice is set: in memory or streamed. -1: does not fit. */
int plan_hold(const struct swarm_plan_input *in, uint32_t layers, bool stream,
	struct swarm_plan_member *m);
/* The load of a slice. */
struct load plan_slice_load(
	const struct swarm_plan_input *in, uint32_t layers, const struct slice *sl);

/* --- time of parts (plan_time.c) --- */

/* Part of a mixture's experts that a step of so many rows uses; 1 without experts. */
double plan_used(const struct swarm_plan_input *in, double rows);
struct step {
	double rows, logits; /* rows, and how many of them want logits */
	double caches;       /* sessions whose cache is read */
};
struct step plan_token_step(const struct swarm_plan_input *in, uint32_t n_stages);
struct step plan_prompt_step(const struct swarm_plan_input *in, uint32_t n_stages);
/* Seconds of a layer that no share makes less, of one of n members. */
double plan_fixed_seconds(const struct swarm_plan_input *in, uint32_t peer, uint32_t n);
/* Seconds of one KV head, one feed-forward column (of a layer), one vocabulary row on a peer. */
void plan_unit_seconds(const struct swarm_plan_input *in, uint32_t peer, const struct step *st,
	double out[PHASES]);
/* The same for what the plan should make small: a token's step and prompt_ratio of a prompt's. */
void plan_goal_seconds(
	const struct swarm_plan_input *in, uint32_t peer, uint32_t n_stages, double out[PHASES]);
/* Both together, of seconds of a token's and a prompt's step. */
double plan_goal(
	const struct swarm_plan_input *in, uint32_t n_stages, double token_s, double prompt_s);
/* Of so many layers, with or without the head, from seconds of units. */
double plan_whole_seconds(
	const struct swarm_plan_input *in, uint32_t layers, bool head, const double unit[PHASES]);

/* --- shares (plan_share.c) --- */

struct delay {                /* seconds of messages, of a member */
	double token, prompt; /* of a reduction */
	double head;          /* of the last sum and the logits, bytes not counted */
	double head_row;      /* of each vocabulary row */
};

struct group {
	const uint32_t *who; /* hub first */
	uint32_t n, layers, n_stages;
	bool head, stream;
	double other_s;             /* seconds of a step that are none of this group's */
	const struct delay *delays; /* [n] */
};
/* Cuts a group's layers among its members (m[n]): peers, slices and bytes. -1: does not fit; 1: it
 * does, and some have less than their speed calls for, for want of memory. */
int plan_shares(
	const struct swarm_plan_input *in, const struct group *g, struct swarm_plan_member *m);
/* KV heads, columns or vocabulary rows are cut in multiples of it. */
uint32_t plan_unit(const struct swarm_plan_input *in, enum phase phase);
/* Who begins after off[i] and takes unit_s[i] for each of at most cap[i] units: divides `total` of
 * them, each to whoever has it done first. -1: too many. */
int plan_divide(double total, uint32_t n, const double *off, const double *unit_s,
	const double *cap, uint32_t *out);
/* The time at which all of them together, in parts of units too, have done `need`; INFINITY: never.
 * That is the level of water in vessels that stand at heights off[i]. */
double plan_fill(
	uint32_t n, const double *off, const double *unit_s, const double *cap, double need);

/* --- a candidate (plan_eval.c) --- */

struct candidate {
	uint32_t n, n_stages;
	uint32_t who[SWARM_PLAN_PEERS]; /* stage after stage */
	uint32_t stage_n[SWARM_PLAN_PEERS];
	bool idle;             /* some may have nothing to do */
	bool stream, free_hub; /* free_hub: any member may be the hub, not only the coordinator */
};
enum effort {
	QUICK,  /* for the search */
	SHOWN,  /* and what the time is spent on */
	REFINED /* of the best layers and shares that are found (plan_refine.c) */
};
/* -1: not possible; 0, or 1 when memory bounds shares. */
int plan_eval(const struct swarm_plan_input *in, const struct candidate *c, enum effort effort,
	struct swarm_plan_alt *out);
/* What sums of a stage's prompts were last predicted for, as many layers come again. layers 0: for nothing. */
struct prompt_sums {
	uint32_t layers;
	double largest; /* part of the rows that is one member's */
	enum swarm_way way;
};
struct eval {
	const struct swarm_plan_input *in;
	const struct candidate *c;
	bool given, bound;              /* given: layers, slices and hubs are not to be chosen */
	uint32_t who[SWARM_PLAN_PEERS]; /* hubs first */
	uint32_t first[SWARM_PLAN_PEERS], layers[SWARM_PLAN_PEERS];
	double step;                           /* seconds that layers were dealt for */
	double hops;                           /* seconds of a token's step between stages */
	struct delay delays[SWARM_PLAN_PEERS]; /* of members, as who */
	struct prompt_sums prompt_sums[SWARM_PLAN_PEERS]; /* of stages */
	struct swarm_plan_alt *out;
};

/* Who is the hub, and what messages add to a token's step (plan_stage.c). -1: some cannot reach each
 * other. */
int plan_set_stages(struct eval *e);
/* What sums add to a prompt's step, when the stage has layers. cut: its members have slices, too. */
void plan_set_prompt(struct eval *e, uint32_t stage, bool cut);
/* From the coordinator to the first stage, from each to the next. */
double plan_hop_seconds(const struct eval *e, uint32_t stage, double rows);
/* What logits take once the last member has them. */
double plan_logits_seconds(const struct eval *e, double rows);

/* Deals the layers (plan_deal.c); *step: seconds of the step that is then expected. even: for the
 * least slowest stage, else for the least sum. */
int plan_deal_stages(struct eval *e, bool even, double *step);
/* Of one layer on a stage, when memory does not bind. */
double plan_layer_seconds(const struct eval *e, uint32_t stage);

/* Predicts once more, with these layers, and with these slices. */
int plan_predict_layers(struct eval *e);
int plan_predict_slices(struct eval *e);
/* Improves a predicted plan in small steps (plan_refine.c). */
void plan_refine(struct eval *e);

/* --- search (plan_search.c, plan_group.c) --- */

struct search {
	const struct swarm_plan_input *in;
	struct swarm_plan_result *out;
	uint32_t usable[SWARM_PLAN_PEERS], n; /* peers that may hold a part */
	bool used[SWARM_PLAN_ALTS];           /* of out->alts, as slots while searching */
	bool disks;                           /* some can stream */
	bool bound;                           /* the last offer's shares were bounded by memory */
	struct candidate best[SWARM_PLAN_ALTS];
};
/* The slot of the best of a kind, with or without streaming, today or later. */
#define PLAN_SLOT(kind, streams, today)                                                            \
	((uint32_t)(kind)*4 + ((streams) ? 2u : 0u) + ((today) ? 1u : 0u))
/* Predicts it; keeps it where it is the best of its kind. Returns its score, INFINITY if none. */
double plan_offer(struct search *s, const struct candidate *c);
/* Without streaming, and where memory bounds it and there are disks, with it. */
void plan_offer_both(struct search *s, struct candidate *c);
bool plan_has(const struct candidate *c, uint32_t peer);
/* Usable peers, fastest (0) or with most memory (1) first; those that must take part before all. */
void plan_order(const struct search *s, int order, uint32_t *out);
/* Changes the best of a slot as long as that helps. stages: may also open, close and exchange
 * stages. */
void plan_improve(struct search *s, uint32_t slot, bool stages);
void plan_search_tensor(struct search *s);
void plan_search_stages(struct search *s);

/* --- words (plan_words.c) --- */

void plan_spares(struct search *s);
void plan_impossible(const struct swarm_plan_input *in, struct err *err);

#endif
