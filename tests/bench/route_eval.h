/* Routers by what they score, and how sure one can be that one is better than another. */
#ifndef TESTS_ROUTE_EVAL_H
#define TESTS_ROUTE_EVAL_H

#include "tests/bench/route_traces.h"
#include "tests/support/route_curve.h"

/* --- scores ---------------------------------------------------------------------------------------- */

enum view { VIEW_BEFORE, VIEW_ANSWER, VIEW_BOTH }; /* what of a prompt an estimate is given */

/* A predictor trained on `labels` rows of a set, drawn by a seed; without those that have a kind
 * (NULL: of all); poison: share of rows whose labels are turned round, of the last `batch` rows.
 * held, rows: NULL or receive what gain_train says and took. Ends the program where that fails. */
struct training {
	const struct trace_set *from;
	size_t labels;
	unsigned seed;
	const char *without;
	double poison;
	size_t batch;
	struct gain_held *held;
	struct gain_row *rows;
};
struct gain *train_gain(const struct training *t);

void score_gain(double *score, const struct gain *g, const struct trace_set *s, enum view view);
/* Mean gain of the rows with the same kinds and level, from `labels` rows drawn by the seed. */
void score_table(double *score, const struct trace_set *s, const struct training *t);
void score_random(double *score, const struct trace_set *s, unsigned seed);
void score_length(double *score, const struct trace_set *s, bool longer_first);
void score_oracle(double *score, const struct trace_set *s);
/* figure: enum token_figure, or -1 - it for the opposite. */
void score_figure(double *score, const struct trace_set *s, int figure);
/* The figure (or its opposite) with the best curve on a set, no label seen by the router. */
int best_figure(const struct trace_set *s);

/* Expected calibration error of one model's head, in ten bins of equal size. */
double calibration_error(const struct gain *g, const struct trace_set *s, enum gain_model m);

/* --- curves ---------------------------------------------------------------------------------------- */

struct route_curve curve_of(const double *score, const struct trace_set *s);
/* Quality at a share. */
double quality_of(const double *score, const struct trace_set *s, double share);

enum { RESAMPLES = 400 };
/* Of n_a scores (seeds) on average: how much worse than the large model alone a share is; the
 * upper 95% bound by a paired bootstrap over the prompts. */
struct drop {
	double mean, upper;
};
struct drop drop_at(double *const *score, size_t n, const struct trace_set *s, double share);
/* APGR of a's scores less b's, seeds averaged on both sides, with its 95% interval. */
struct difference {
	double mean, low, high;
};
struct difference compare(
	double *const *a, size_t n_a, double *const *b, size_t n_b, const struct trace_set *s);

double *new_scores(const struct trace_set *s);
uint64_t next_random(uint64_t *state); /* splitmix64 */

#endif
