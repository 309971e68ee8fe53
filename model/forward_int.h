/* Inside of the forward pass, shared by forward.c (a step from end to end), forward_layers.c (its way
 * through the layers), the phases of a layer, and forward_new.c (what is checked and allocated before the first
 * step). */
#ifndef MODEL_FORWARD_INT_H
#define MODEL_FORWARD_INT_H

#include "model/forward.h"
#include "model/kv.h"
#include "model/rope.h"
#include "model/thread_choice.h"

#define MOE_AT_ONCE 8 /* experts, at most */

/* What a layer of a mixture of experts needs beside the buffers of a dense one. A choice is a row
 * and one of the experts that compute it. */
struct moe {
	float *router;     /* [max_rows][experts]: the router's values */
	uint32_t *expert;  /* [max_rows][used]: chosen, in ascending order */
	float *weight;     /* [max_rows][used]: what of the expert's result is added */
	uint32_t *first;   /* [experts + 1]: where an expert's choices begin in `choices` */
	uint32_t *chosen;  /* [experts]: those that any row chose */
	uint32_t *choices; /* [max_rows * used]: row * used + place, by expert, then by row */

	/* The experts that are computed together, and the choices they have in all. */
	const struct unit *units[MOE_AT_ONCE];
	uint32_t experts[MOE_AT_ONCE], n_experts;
	uint32_t from, n;
	struct act act; /* [room]: their rows, then their feed-forward columns */
	float *rows;    /* [room][embd]: their rows, then their results */
	uint32_t room;  /* for choices */
};

/* Attention is divided among threads by positions when rows and KV heads make fewer than SPLIT_PIECES
 * pieces for each thread and a row sees more than SPLIT_FROM positions. */
enum { SPLIT_PIECES = 4, SPLIT_FROM = 4 * ATTEND_SPAN, SPLIT_ROWS = 4 };

/* Rows of a step that attend together: of one slot, at consecutive positions. */
struct run {
	uint32_t row, rows;
};

/* A sub-batch of a step. */
struct part {
	uint32_t from, n;
	bool summing; /* its sum has begun and not finished */
};

/* The halves of a layer. */
enum phase { ATTENTION, FEED_FORWARD, PHASES };

struct forward;

/* A sum that goes by rows. */
struct row_sum {
	struct forward *f;
	float *x;          /* of its rows */
	const float *norm; /* that follows; NULL: none, it is the last of the slice's layers */
	struct collective_rows made;
};

/* Steps whose sums go by rows (forward_rows.c). */
struct spread {
	float *norms;    /* [layers][PHASES][embd], or NULL: never */
	bool known;      /* they are there */
	bool barred;     /* a matrix reads what a norm makes in float */
	struct act mine; /* [max_rows][embd] this peer's rows, rounded */

	/* The step that is being computed. */
	bool on;
	bool ready;             /* f->act holds the rows that come next, normed and rounded */
	uint32_t to;            /* where the sub-batch's rows lie there */
	struct row_sum sums[2]; /* of sub-batches */
};

struct forward {
	struct forward_config c; /* c.shape and c.slice point at the copies below */
	struct model_shape shape;
	struct slice slice;

	uint32_t group;    /* query heads of a KV head */
	uint32_t q_width;  /* of the slice: query heads * head_dim */
	uint32_t kv_width; /* KV heads * head_dim */
	struct attention attention;
	uint32_t split_rows; /* of steps whose attention is divided among threads by positions */
	struct rope rope;
	struct kv_cache kv;
	struct thread_choice threads;
	uint32_t divide;  /* rows of steps' first sub-batch, from the next step on */
	uint32_t *filled; /* [slots] positions a slot holds */
	uint32_t *next;   /* [slots] while rows are checked: the position that must follow */

	/* Rows of activations; everything lies in one block. */
	uint8_t *block;
	struct act act;
	float *all_cos, *all_sin; /* [max_rows][rope.half] */
	float *norm;              /* [max_rows][embd] */
	float *q;                 /* [max_rows][q_width] */
	float *k, *v;             /* [max_rows][kv_width] */
	float *attended;          /* [max_rows][q_width] */
	float *gate, *up;         /* [max_rows, or moe.room][slice.ffn] */
	float *all_partial;       /* [max_rows][embd] */
	float *logits;            /* [max_rows][slice.vocab] */
	uint32_t *wanted;         /* [max_rows] rows whose logits are wanted */
	struct moe moe;
	struct spread spread;
	struct run *runs; /* [max_rows] */
	uint8_t *scratch; /* [threads][scratch_bytes] of attention */
	size_t scratch_bytes;
	float *partials; /* [spans of the context][KV heads][split_rows][group] (attention.h) */
	uint64_t macs_at_once; /* of many rows, between two looks at the links; 0: not known */

	/* The step that is being computed. */
	const struct step_row *all_rows;
	uint32_t all_n, n_wanted;
	float *all_x;
	bool chained;         /* a slot has more than one row */
	uint32_t first;       /* rows of the first sub-batch; 0: the step is not divided */
	struct part parts[2]; /* sub-batches */
	uint32_t layer;
	const struct unit *unit;
	double waited; /* seconds of the step that were not this peer's arithmetic */

	/* Those of its rows that are being computed: all, or a sub-batch (forward_use_rows). */
	const struct step_row *rows;
	uint32_t n;
	float *x, *partial, *cos, *sin;
	uint32_t n_runs;
	uint32_t spans; /* that the longest row sees */
	bool split;     /* spans are computed apart */
};

/* --- rows (forward_unit.c) --- */

/* Items of work over the pool; a single one is not worth waking threads for. */
void forward_run(struct forward *f, void (*fn)(void *arg, uint32_t item, unsigned thread),
	void *arg, uint32_t n);
/* Norms n rows of x (those in `which`, or NULL: all) into f->norm, ready for the matrices that read
 * them; nothing, where the group has done so (forward_rows.c). */
void forward_norm_rows(struct forward *f, enum tensor_role weight, const uint32_t *which,
	uint32_t n, bool quantised);
/* This peer has no part in the layer's sum. */
void forward_no_partial(struct forward *f);

/* Between two pieces of arithmetic: looks after the links, on which sums may travel. */
void forward_tend(struct forward *f);

/* --- layers (forward_layers.c) --- */

/* What is computed from now on are rows [from, from + n) of the step. */
void forward_use_rows(struct forward *f, uint32_t from, uint32_t n);
/* Takes the step's rows through the layers of the slice: f->x becomes what these make of it. */
int forward_layers(struct forward *f, struct err *err);

/* --- steps whose sums go by rows (forward_rows.c) --- */

/* Whether steps of a slice can. */
bool forward_may_spread(const struct model_shape *s, const struct slice *sl);
/* With a layer's unit taken. */
void forward_learn_norm(struct forward *f, enum phase phase);
/* Of a step: decides, sets f->spread.on; it has succeeded. */
void forward_spread_begin(struct forward *f);
void forward_spread_end(struct forward *f);
/* Begins the sum of f->partial by rows. When it has finished, f->act holds what comes of it (or x, at the end). */
int forward_begin_rows(struct forward *f, const struct collective_label *label, struct err *err);
/* Whether f->act holds these n rows; they are then ready for the matrices that read them. */
bool forward_take_made(struct forward *f, uint32_t n);

/* --- units (forward_unit.c) --- */

/* Takes the layer's unit as f->unit when `check` finds it as the shape says. */
int forward_acquire(struct forward *f, enum unit_kind kind,
	int (*check)(const struct forward *f, struct err *err), struct err *err);
void forward_release(struct forward *f); /* nothing, when there is none */
int forward_check_tensor(
	const struct unit *u, enum tensor_role r, uint32_t rows, uint32_t cols, struct err *err);
int forward_check_matrix(
	const struct forward *f, enum tensor_role r, uint32_t rows, uint32_t cols, struct err *err);
int forward_check_vector(
	const struct forward *f, enum tensor_role r, uint32_t cols, struct err *err);
bool forward_quantised(const struct forward *f, enum tensor_role r);

/* The rows in f->act times a matrix of f->unit, to out[rows][the matrix's rows]. */
struct product {
	enum tensor_role role;
	float *out;
};
enum { FORWARD_PRODUCTS = 3 }; /* of one input, at most */
/* In the order of roles: where the unit comes in parts they are waited for in this order. -1: the
 * weights cannot be had; the caller releases the unit. */
int forward_multiply(struct forward *f, const struct product *p, uint32_t n, struct err *err);

/* How the rows attend, the same in all layers (forward_attn.c). */
void forward_plan_attention(struct forward *f);

/* --- phases --- */

/* Take the layer's unit, if this peer has a part of it. */
int forward_take_attention(struct forward *f, struct err *err); /* forward_attn.c */
int forward_take_ffn(struct forward *f, struct err *err);       /* forward_ffn.c */
/* With the unit taken: leave the peer's part of the rows' sum in f->partial. */
int forward_attention(struct forward *f, struct err *err); /* forward_attn.c */
int forward_ffn(struct forward *f, struct err *err);       /* forward_ffn.c */
int forward_moe(struct forward *f, struct err *err); /* forward_moe.c; takes its units itself */

/* gate = silu(gate) * up for n rows (forward_ffn.c). */
void forward_silu(struct forward *f, uint32_t n);

#endif
