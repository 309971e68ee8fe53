/* shoal bench --roofline: what bounds generation and prompts on this machine; and how near to it a model comes. */
#ifndef CLIENT_ROOFLINE_H
#define CLIENT_ROOFLINE_H

#include "client/client.h"
#include "model/generate.h"

/* Measures the roofs for numbers of threads up to that of `opt` (0: one per CPU) and prints them as md, json or
 * csv. Returns an exit code. */
int roofline(struct ctl *ctl, const struct local_options *opt, const char *format);

/* Bytes that generating a token reads: all weights that a row meets, and the keys and values of so many
 * positions. */
double roof_token_bytes(const struct local *l, uint32_t positions);
/* Bytes a second that so many of the model's threads read of its weights, doing nothing else with them; they all are in
 * memory. 0: there was no memory for a list of them. */
double roof_read_speed(const struct local *l, unsigned threads);

#endif
