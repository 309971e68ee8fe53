/* From the answers of two models to one prompt to labels for the gain predictor (gain.h), with nobody
 * there who knows the right answer. Pure.
 *
 * What is sought is the gain, P(large right) - P(small right), so it need not be known whether an answer
 * is right, only how much more likely one of the two is:
 *
 *   same    Both said the same. Whether that was right or wrong, the gain is 0: both get 0.5.
 *   voted   They differ: the large model answers LABEL_VOTES more times at temperature 1, and the
 *           label of each of the two is the share of these that agree with it. How often a model comes to the
 *           same answer is the best signal there is without labels (self-consistency: Wang et al.,
 *           ICLR 2023; ROUTING.md, section 4). With an answer that it gives with probability p,
 *           right as often as it is given, the expected difference of the labels is
 *           p * (P(large right) - P(small right)): of the right sign, smaller where the large model is
 *           unsure itself, and negative where it does harm. Where the votes settle on a third answer, both
 *           are labelled wrong.
 *   judged  No two votes agree, as with free text: the large model is shown both answers and says which
 *           is better, twice, in both orders. Only a word that names the same answer whichever comes first
 *           counts, as judges prefer the first or the last one they see (Zheng et al., NeurIPS 2023);
 *           "equal" twice is a gain of 0.
 *   none    Else there is no label: a guess would teach what is not known.
 *
 * What none of these sees is a large model that is sure and wrong, and its liking for its own words: the
 * gain is overstated there. People's words (`shoal route feedback`) are not labels of this kind.
 *
 * With the pair that comes with Shoal 300 of these took a router from an APGR of 0.736, that of no labels, to
 * 0.777, and 300 true ones to 0.809 (make bench-labels; 800 commands, one seed).
 *
 * Answers agree when they are the same text but for white space, the case of A-Z, and marks at their
 * end. */
#ifndef SCHED_LABEL_H
#define SCHED_LABEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LABEL_VOTES = 4 };

enum label_how { LABEL_SAME, LABEL_VOTED, LABEL_JUDGED, LABEL_NONE, LABEL_HOWS };
const char *label_how_name(enum label_how h); /* "same", "voted", "judged", "none" */

/* An answer's name: equal for answers that agree (and by chance for two in 2^64). */
uint64_t label_name(const char *text, size_t len);

struct label_pair {
	float small, large; /* how right each one is taken to be, 0 to 1 */
};

/* small, large: names of the two answers, which differ. false: no two votes agree, they say nothing. */
bool label_by_votes(const uint64_t vote[static LABEL_VOTES], uint64_t small, uint64_t large,
	struct label_pair *out);

/* A judge's word. */
enum label_word { LABEL_A, LABEL_B, LABEL_EQUAL, LABEL_NO_WORD };
/* Of an answer that should be A, B or =, with whatever blanks and marks around it. */
enum label_word label_word(const char *text, size_t len);
/* small_first: its word when the small model's answer was A and the large one's B; large_first: when it
 * was the other way round. false: it is no verdict. */
bool label_by_words(
	enum label_word small_first, enum label_word large_first, struct label_pair *out);

#endif
