#include "sched/calibration.h"

#include <math.h>

static float
limited(float x)
{
	return x > -1.0f ? (x < 1.0f ? x : 1.0f) : -1.0f;
}

static struct calibration_bin *
bin_of(struct calibration *c, float said)
{
	int i = (int)((said + 1.0f) * (CALIBRATION_BINS / 2.0f));

	return &c->bin[i < CALIBRATION_BINS ? i : CALIBRATION_BINS - 1];
}

/* Makes room for one more, once there are as many as a window has. */
static void
fade(struct calibration *c)
{
	float all = calibration_weight(c), keep = (CALIBRATION_WINDOW - 1) / all;

	if (keep >= 1.0f)
		return;
	for (struct calibration_bin *b = c->bin; b < c->bin + CALIBRATION_BINS; b++)
		*b = (struct calibration_bin){b->weight * keep, b->said * keep, b->was * keep};
}

void
calibration_add(struct calibration *c, float said, float was)
{
	struct calibration_bin *b;

	if (isnan(said) || isnan(was))
		return;
	fade(c);
	b = bin_of(c, limited(said));
	b->weight += 1.0f;
	b->said += limited(said);
	b->was += limited(was);
}

float
calibration_weight(const struct calibration *c)
{
	float sum = 0.0f;

	for (int i = 0; i < CALIBRATION_BINS; i++)
		sum += c->bin[i].weight;
	return sum;
}

float
calibration_error(const struct calibration *c)
{
	float weight = calibration_weight(c), sum = 0.0f;

	for (int i = 0; i < CALIBRATION_BINS; i++)
		sum += fabsf(c->bin[i].said - c->bin[i].was);
	return weight > 0.0f ? sum / weight : -1.0f;
}
