#include "sched/gain_int.h"

#include <math.h>
#include <string.h>

enum { MOST = 20 + 1, ROUNDS = 12 };

/* Solves a x = b for a symmetric, positive a[n][n] (Cholesky); b becomes x. False: it is not. */
static bool
solve(double a[MOST][MOST], double b[MOST], uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t j = 0; j <= i; j++) {
			double sum = a[i][j];

			for (uint32_t k = 0; k < j; k++)
				sum -= a[i][k] * a[j][k];
			if (i == j && !(sum > 1e-12))
				return false;
			a[i][j] = i == j ? sqrt(sum) : sum / a[j][j];
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < i; k++)
			b[i] -= a[i][k] * b[k];
		b[i] /= a[i][i];
	}
	for (uint32_t i = n; i-- > 0;) {
		for (uint32_t k = i + 1; k < n; k++)
			b[i] -= a[k][i] * b[k];
		b[i] /= a[i][i];
	}
	return true;
}

/* Adds one row to the gradient and to the lower half of the curvature. */
static void
add_row(const float *x, double y, uint32_t n, const double *w, double a[MOST][MOST], double b[MOST])
{
	double z = w[n], p, h;

	for (uint32_t i = 0; i < n; i++)
		z += w[i] * (double)x[i];
	p = gain_odds_to_p(z);
	h = p * (1.0 - p);
	for (uint32_t i = 0; i <= n; i++) {
		double xi = i < n ? (double)x[i] : 1.0;

		b[i] += (y - p) * xi;
		for (uint32_t j = 0; j <= i; j++)
			a[i][j] += h * xi * (j < n ? (double)x[j] : 1.0);
	}
}

void
gain_logistic(const struct logistic *l, float *weight)
{
	double a[MOST][MOST], b[MOST], w[MOST];
	uint32_t n = l->n;

	for (uint32_t i = 0; i <= n; i++)
		w[i] = i < n ? l->towards : 0.0;
	for (int round = 0; round < ROUNDS; round++) {
		double most = 0.0;

		memset(a, 0, sizeof a);
		for (uint32_t i = 0; i <= n; i++) {
			/* The constant is held back only as far as keeps it finite. */
			a[i][i] = i < n ? l->ridge : 1e-2;
			b[i] = i < n ? l->ridge * (l->towards - w[i]) : -1e-2 * w[i];
		}
		for (size_t r = 0; r < l->rows; r++) {
			double y = (double)l->y[r * l->y_stride];

			if (y >= 0.0 && (l->fold == NULL || l->fold[r] != l->skip))
				add_row(l->x + r * l->stride, y, n, w, a, b);
		}
		if (!solve(a, b, n + 1))
			break;
		for (uint32_t i = 0; i <= n; i++) {
			w[i] += b[i] > 4.0 ? 4.0 : b[i] < -4.0 ? -4.0 : b[i];
			most = fabs(b[i]) > most ? fabs(b[i]) : most;
		}
		if (most < 1e-6)
			break;
	}
	for (uint32_t i = 0; i <= n; i++)
		weight[i] = (float)w[i];
}
