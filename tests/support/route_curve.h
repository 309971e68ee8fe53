/* What a router's scores are worth on prompts whose outcomes are known: quality against the share
 * of prompts that go to the large model, highest scores first. */
#ifndef TESTS_ROUTE_CURVE_H
#define TESTS_ROUTE_CURVE_H

#include <stddef.h>

struct route_outcome {
	double score;
	double small, large; /* how right each model was, 0 to 1 */
};

struct route_curve {
	double small, large; /* quality at share 0 and 1 */
	/* The average over all shares of the part of the gap between the two that is recovered:
	 * 0.5 at random (average performance gap recovered, Ong et al., RouteLLM, 2024). */
	double apgr;
	double cpt50, cpt80; /* the share at which so many percent of the gap are recovered */
};

/* Puts o[n] in order; equal scores keep their order. Where large is not better than small, apgr is
 * 0. */
struct route_curve route_curve(struct route_outcome *o, size_t n);
/* Quality at a share, of outcomes in order. */
double route_quality(const struct route_outcome *o, size_t n, double share);

#endif
