/* The plan of a swarm: which devices compute which part of a model so that a token takes the least
 * time, and why the others are left out. Measurements go in, a list of alternatives with predicted
 * times comes out, the best first. Pure: no clock, no file, no randomness; doubles are added in a
 * fixed order, so that the same input gives the same plan. (window_choose makes a copy for a
 * moment; nothing else allocates.) model/plan_model.h fills the model's numbers.
 *
 * Shapes of a plan
 *   one        a single device has all layers
 *   tensor     a group computes every layer together, each member its slice of unequal size
 *   pipeline   stages of one device each have some layers; rows go from stage to stage
 *   groups     a pipeline of which at least one stage is a group
 * each with all weights in memory, or with some streaming from disk. Peer 0 is the coordinator: it
 * embeds a row, hands it to the first stage, and samples from what the last stage sends.
 * It need not hold any layers.
 *
 * What the daemon can run today (alternative.today): peer 0 alone, one group with peer 0 as hub
 * and with a slice of its own, joined in one of the ways that input.ways names, or a pipeline whose
 * first stage is such a group. All else is planned and shown, so that it can be compared, and chosen once
 * it is there (input.today_only leaves it out of the choice).
 *
 * The model of time, for a step of r rows
 *   A peer's part with w bytes of weights and m multiply-adds a row takes
 *       c = max(w / read_bps, r m / macs_ps)
 *   as a row needs every weight once, read from memory, and many rows share that reading. Attention
 *   also reads the cache of `depth` positions, and each half of a layer has layer_s / 2 on top,
 *   whatever the share (norms, meeting of threads), and among several members sums_s / 2. Members
 *   add their partial sums twice a layer.
 *   Let t(i,j) be the round trip, B(i,j) the bytes a second of a pair, P those of a device's port
 *   (its fastest link), n members, b = r x row_bytes (of prompts prompt_row_bytes) a message. A half layer takes
 *       max_i(c_i + d_i)
 *   where d_i is what messages add for member i:
 *       star       hub: 2 (n-1) message_s. Others, from the sum's leaving the hub to their part's
 *                  arrival there: t + 2 max(b / B, (n-1) b / P_hub) + 2 (n-2) message_s. The hub
 *                  computes meanwhile, so it may have more to do, and who is far away less.
 *       direct     for all: max_ij(t/2 + b / B, t/2 + (n-1) b / P_i) + 2 (n-2) message_s
 *       scatter    for all: twice the direct exchange of b / n
 *       rows       for all: the direct exchange of p b, and then of p r v, where p is the largest part
 *                  of the rows that one member adds, and v the bytes of what comes back of a row
 *   By rows (model/collective.h) only steps of prompts go, of COLLECTIVE_ROWS_FROM rows or more, where each
 *   member has heads and columns (slice_goes_by_rows). Rows are divided as columns are: so p is only
 *   known when shares are cut, and until then taken for 1/n, which all members wait for alike. Who adds
 *   p of the rows hears n-1 messages of p b, and sends as many of p r v; others have less to do. v is
 *   made_row_bytes, of the last sum of a stage the 4 bytes of each float: its mean over the sums is taken.
 *   Of the ways that there are the least costly one is taken; rows also where they cost up to 0.5 ms more:
 *   adding, norming and rounding all rows at each member, which other ways do, is in no term of this model.
 *   Nor is the first step of a plan, which never goes by rows.
 *   message_s is a device's work for a message beside the one that the round trip holds already.
 *   The head is such a half too: d_i has the last sum's way out, the way of the logits to the
 *   coordinator (in a pipeline to the stage's hub, which tells it), and their bytes.
 *   Who waits for k links waits for the slowest: t = median + (p99 - median) ln((k+1)/2) / ln 50,
 *   the median of the slowest of k draws from an exponential tail with these two quantiles.
 *   A step goes to the first stage's hub, and from hub to hub, with t/2 and r embedded rows, and from
 *   each with them to its members. Reading ahead overlaps with all of it, so
 *       step = max(compute + network, max over peers(streamed bytes / disk_bps))
 *   with streamed bytes as sched/window predicts them; compute is what it would be if messages took
 *   no time and shares were cut for that, network the rest. With several sessions a pipeline
 *   holds min(sessions, stages) steps at once, of sessions/that many rows, and
 *       period = max(step, steps at once x the slowest stage).
 *   A prompt goes in chunks of `batch` rows (of several stages STEP_PIPE_ROWS, at most), one after another
 *   through the stages, which all work once it is long enough. Where the halves of a chunk take turns, c that is
 *   computed and d that messages add become max(c, c/2 + d) (sched/overlap.h).
 *
 * Shares
 *   Every member should be done at the same time: those with less delay and more speed get more, as
 *   water rises in vessels that stand at heights d_i and are as wide as their speeds. A member's
 *   memory closes its vessel (budget - overhead - cache >= weights, or, if it streams: >= ring + what
 *   its disk cannot read in a step; found by bisection over the step's time, since a longer step
 *   lets a disk read more). Shares are then cut in whole KV-head groups, blocks of feed-forward
 *   columns and vocabulary rows: each unit to whoever would have done it first, which is the least
 *   time for the slowest. So there may be more members than KV heads: some then have feed-forward
 *   columns only. Where memory binds, what is cut first may fill it: a few orders are tried.
 *
 * Search
 *   Up to SWARM_PLAN_EXACT devices every subset is tried as a group. Beyond that, for each bound on
 *   the round trip and each number n the n fastest (and the n with most memory) within the bound:
 *   where memory does not bind and links have one bandwidth this is exact, since a step then
 *   depends only on the sum of speeds, n, and the longest round trip. Stages come from devices in
 *   order of speed or memory, from clusters of near devices (single linkage by round trip), and
 *   from equal runs of them; of few devices every order is tried. The best of each kind is then improved
 *   by adding, dropping, exchanging and moving single devices, into stages and as stages anywhere
 *   between them, as long as that helps and the bounds on steps allow.
 *   Last, where memory binds, the plans that may become the best are refined: single layers move from
 *   stage to stage, heads, columns and rows from member to member, alone or in exchange, while the
 *   predicted score falls (plan_refine.c).
 *   Of plans within SWARM_PLAN_WORTH of the best the one with fewest devices is taken: each more is
 *   one more that can fail. */
#ifndef SCHED_PLAN_H
#define SCHED_PLAN_H

#include "base/err.h"
#include "model/slice.h"

#define SWARM_PLAN_PEERS SLICE_MAX_PEERS
#define SWARM_PLAN_EXACT 7
#define SWARM_PLAN_WORTH 0.02
#define SWARM_PLAN_ALTS  24
#define SWARM_PLAN_WORDS 384

/* --- what is known ------------------------------------------------------------------------------ */

struct swarm_plan_model {
	const struct model_shape *shape; /* must outlive the call */
	uint32_t kv_unit;                /* KV heads are cut in multiples of it (slice_kv_unit) */
	/* bytes of weights, averaged over layers */
	double kv_head_bytes; /* attention of a layer, for each KV head with its query heads */
	double ffn_col_bytes; /* feed-forward of a layer, for each column, of all experts together */
	double layer_bytes;   /* of a layer, that every member has: norms, router, page ends */
	double vocab_row_bytes; /* head, for each row */
	double unevenness;      /* bytes of the largest layer by the average one's, >= 1 */
	double made_row_bytes; /* of what comes back of a row's sum that goes by rows; 0: none may */
	/* bytes of KV cache of a layer, for each KV head */
	double cache_bytes;     /* all sessions, whole context */
	double cache_row_bytes; /* a position */
};

struct swarm_plan_peer {
	char name[64];
	double read_bps;   /* bytes of weights a second with one row */
	double macs_ps;    /* multiply-adds a second with many rows */
	double layer_s;    /* of each layer, whatever the share; 0 or more */
	double sums_s;     /* of each layer in a group: its sums' wait for the CPU; 0 or more */
	double disk_bps;   /* bytes a second; 0: cannot stream */
	uint64_t memory;   /* budget of the process, bytes */
	uint64_t overhead; /* of that, what it takes beside weights and KV cache */
	bool usable;       /* false: not here, or not wanted; why says it. Peer 0 may hold no
			      layers then, and still coordinates */
	bool wanted;       /* must hold a part (--with) */
	char why[96];
};

struct swarm_plan_link {
	double rtt,
		rtt99; /* seconds: median and 99th percentile of the round trip of a small message */
	double bps;    /* bytes a second; 0: these two cannot reach each other */
};

enum swarm_way { SWARM_STAR, SWARM_DIRECT, SWARM_SCATTER, SWARM_ROWS, SWARM_WAYS };
#define SWARM_ALL_WAYS ((1u << SWARM_WAYS) - 1)
enum swarm_plan_kind { SWARM_ONE, SWARM_TENSOR, SWARM_PIPELINE, SWARM_GROUPS, SWARM_KINDS };

struct swarm_plan_input {
	const struct swarm_plan_model *model;
	const struct swarm_plan_peer *peers; /* [n]; 0 is the coordinator */
	uint32_t n;
	const struct swarm_plan_link *links; /* [n][n]; of a pair i < j links[i * n + j] counts */
	uint32_t sessions;   /* that generate at once; 1: the least time per token is looked for */
	uint32_t depth;      /* positions in the cache of each when time is predicted */
	uint32_t batch;      /* rows of a prompt's step */
	uint32_t prompt;     /* tokens of a prompt */
	double prompt_ratio; /* prompt tokens that come with one generated token: 0 looks at
				    generation only */
	double row_bytes;    /* of a hidden row in a reduction (frame_payload) */
	double prompt_row_bytes; /* the same in steps of prompts; 0: as row_bytes */
	double staged_row_bytes; /* both, where there are several stages; 0: as row_bytes */
	double logit_bytes;      /* for each vocabulary row of a member: 4 where logits are sent */
	double candidates_bytes; /* for each member: where it sends candidates instead */
	unsigned ways;           /* 1 << enum swarm_way of those that there are */
	bool overlap;            /* half of a chunk may be computed while the other's sums travel */
	double message_s;
	/* steering */
	bool today_only;
	unsigned kinds;   /* 1 << enum swarm_plan_kind of those allowed; 0: all */
	uint32_t members; /* devices with a part; 0: any number */
};

/* Sets what callers rarely change: one session, chunks of 64, prompts of 512, the star with logits,
 * float32 rows of the model, 10 us a message. The rest is 0. */
void swarm_plan_input_init(struct swarm_plan_input *in, const struct swarm_plan_model *m);

/* Sets layer_s and sums_s of a device that is given this part of its CPUs' time (0 < part <= 1; 0: not known, all of
 * it): norms and the meeting of threads; and what the messages of a layer's two sums take longer there than round trips
 * show, which are too short to be held up. Both count as computing, as a quota counts them: so what is measured under
 * one agrees. */
void swarm_plan_fixed_seconds(struct swarm_plan_peer *p, double part);

/* --- what comes out ----------------------------------------------------------------------------- */

struct swarm_plan_cost { /* seconds */
	double compute, network, disk;
	double total; /* max(compute + network, disk), or what overlap makes of it */
};

struct swarm_plan_member {
	uint32_t peer;
	struct slice slice; /* of its stage's layers; rank and peers within the stage; vocabulary
			       rows only in the last stage */
	uint64_t weights;   /* bytes of its part */
	uint64_t cache;     /* bytes of KV cache */
	uint64_t held;      /* of its memory, overhead included */
	uint64_t streamed;  /* bytes of a generated token's step; 0: all in memory */
	double share;       /* of the model's weights */
	double compute_s;   /* of a generated token's step, waiting not counted */
};

struct swarm_plan_stage {
	uint32_t layer0, layers;
	uint32_t first, n; /* its members; the first one is the hub (rank 0), others follow by peer
			      number */
	enum swarm_way token_way, prompt_way;
};

struct swarm_plan_alt {
	enum swarm_plan_kind kind;
	bool streams, today;
	uint32_t n, n_stages;
	struct swarm_plan_member members[SWARM_PLAN_PEERS]; /* [n], stage after stage */
	struct swarm_plan_stage stages[SWARM_PLAN_PEERS];   /* [n_stages] */
	struct swarm_plan_cost token;  /* a step that gives each session a token */
	struct swarm_plan_cost prompt; /* for each prompt token */
	double period;                 /* seconds from one token of a session to its next */
	double tokens_ps;              /* of all sessions together */
	double score;                  /* seconds that count: period / sessions, and prompt_ratio */
};

struct swarm_plan_spare { /* a device without a part in the best plan */
	uint32_t peer;
	double with_s; /* seconds of a token with it; 0: not predicted */
	char why[SWARM_PLAN_WORDS];
};

/* Large (some 300 kB): not for the stack. */
struct swarm_plan_result {
	struct swarm_plan_alt alts[SWARM_PLAN_ALTS]; /* [n_alts], least score first */
	uint32_t n_alts;
	uint32_t best; /* of alts: what to do, within SWARM_PLAN_WORTH of the least allowed */
	struct swarm_plan_spare spares[SWARM_PLAN_PEERS];
	uint32_t n_spares;
	uint32_t tried; /* candidates that were predicted */
	struct swarm_plan_alt scratch[2];
};

/* -1: no plan is possible; *err says what it lacks. */
int swarm_plan_choose(
	const struct swarm_plan_input *in, struct swarm_plan_result *out, struct err *err);

/* Predicts one plan that is given: stages of out->stages[].n members, who they are in
 * out->members[].peer, stage after stage. Fills the rest, choosing layers and shares. stream:
 * weights may stream. -1: it does not fit, or members cannot reach each other. */
int swarm_plan_predict(const struct swarm_plan_input *in, bool stream, struct swarm_plan_alt *out);

/* Predicts a plan whose layers (stages[].layers), hubs (first of a stage) and slices are given too, as
 * one that runs: what can be compared with what is measured. */
int swarm_plan_predict_given(const struct swarm_plan_input *in, struct swarm_plan_alt *out);

/* What another plan has to save to be worth it, as a part of the score of the one that serves. */
struct swarm_plan_worth {
	double same;   /* with other slices of the same devices in the same stages */
	double others; /* with other devices */
};

/* The plan to take instead of one that serves, whose score swarm_plan_predict_given has filled (INFINITY: it is possible
 * no more): the best of r, or, where that takes other devices and does not save what those have to, other slices of the
 * same devices, in r->scratch. r as swarm_plan_choose has left it. NULL: none is worth it. */
const struct swarm_plan_alt *swarm_plan_better(const struct swarm_plan_input *in,
	struct swarm_plan_result *r, const struct swarm_plan_alt *serving,
	const struct swarm_plan_worth *worth);

struct swarm_plan_sum {
	double bytes; /* of all its rows */
	/* by rows: */
	double made;    /* bytes of what comes back of all rows; 0: they do not go so */
	double largest; /* part of the rows that one member adds */
};

/* Seconds of one reduction among members (peer numbers, the hub first) that all begin together: the
 * longest delay. INFINITY: they cannot reach each other. */
double swarm_plan_reduction(const struct swarm_plan_input *in, enum swarm_way way,
	const uint32_t *members, uint32_t n, const struct swarm_plan_sum *sum);

const char *swarm_way_name(enum swarm_way way);      /* "star" ... */
const char *swarm_kind_name(enum swarm_plan_kind k); /* "one device" ... */

#endif
