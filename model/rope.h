/* Rotary positions: the angle of each pair of a head at each position, with the scalings that files
 * ask for. Frequencies and angles are kept in double, so that the float cos and sin are the nearest
 * ones whatever the machine's libm. */
#ifndef MODEL_ROPE_H
#define MODEL_ROPE_H

#include "model/shape.h"

struct rope {
	uint32_t half; /* pairs: rope_dim / 2 */
	double *freq;  /* [half] radians from one position to the next */
	double mscale; /* yarn: cos and sin are multiplied by it; else 1 */
};

/* factors: rope_dim / 2 divisors of the frequencies (a file's rope_freqs.weight), or NULL. They
 * take the place of the llama3 parameters, which say the same. */
int rope_init(struct rope *r, const struct model_shape *s, const float *factors, struct err *err);
void rope_deinit(struct rope *r);

/* cos[half] and sin[half] of a position. */
void rope_row(const struct rope *r, uint32_t pos, float *cos_out, float *sin_out);

#endif
