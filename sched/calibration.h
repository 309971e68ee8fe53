/* Whether probabilities mean what they say: of the prompts of which a head says 0.8, are eight of ten answered
 * right? The expected calibration error (Naeini, Cooper and Hauskrecht, AAAI 2015): predictions are put into bins,
 * and the distance between the mean of what was said in a bin and of what was the case there is weighed by how many
 * are in it. What is said may also be a difference of two probabilities, as a gain is, and what was the case any
 * number of that range.
 *
 * Older predictions count less and less: it is the error of about the last CALIBRATION_WINDOW. Of few it is mostly
 * chance, and too large: with perfect heads about 0.25 of ten, 0.1 of a hundred, 0.06 of a full window. Pure. */
#ifndef SCHED_CALIBRATION_H
#define SCHED_CALIBRATION_H

#define CALIBRATION_BINS   20 /* of a tenth each, from -1 to 1 */
#define CALIBRATION_WINDOW 256

/* All zero: nothing was said. */
struct calibration {
	struct calibration_bin {
		float weight, said, was; /* how many, and sums over them */
	} bin[CALIBRATION_BINS];
};

/* Each is brought into [-1, 1]; what is no number does not count. */
void calibration_add(struct calibration *c, float said, float was);
/* Of how many predictions it is. */
float calibration_weight(const struct calibration *c);
/* 0 to 2; below 0: there were none. */
float calibration_error(const struct calibration *c);

#endif
