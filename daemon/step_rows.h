/* The rows of a step as a STEP frame carries them: 12 bytes each (slot, position, flags), before their
 * hidden rows (proto/frame.h). What comes over a link is checked before it counts. */
#ifndef DAEMON_STEP_ROWS_H
#define DAEMON_STEP_ROWS_H

#include "model/forward.h"
#include "proto/frame.h"

#define STEP_ROW_BYTES 12

struct step_bounds {
	uint32_t embd, slots, context;
	uint32_t max_logits; /* rows of a step that want logits */
	enum frame_format format;
};

/* Whether a STEP frame that frame_read has let through is one that can be computed. */
int step_rows_check(const struct step_bounds *b, const struct frame *f, const uint8_t *payload,
	struct err *err);

/* Writes n rows and returns what is behind them. wants: the flags of those that want logits, in order;
 * *n_wants: how many these are. */
uint8_t *step_rows_write(
	const struct step_row *rows, uint32_t n, uint8_t *out, uint32_t *wants, uint32_t *n_wants);
/* The same back. */
const uint8_t *step_rows_read(
	const uint8_t *in, uint32_t n, struct step_row *rows, uint32_t *wants, uint32_t *n_wants);

#endif
