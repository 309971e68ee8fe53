#include "daemon/step_rows.h"

static bool
known_flags(uint32_t flags)
{
	if ((flags & STEP_LOGITS) != 0)
		flags &= ~STEP_GUESS;
	return flags == 0 || flags == STEP_LOGITS || flags == (STEP_LOGITS | STEP_WHOLE) ||
	       flags == (STEP_LOGITS | STEP_SUM);
}

int
step_rows_check(
	const struct step_bounds *b, const struct frame *f, const uint8_t *payload, struct err *err)
{
	uint32_t logits = 0;

	if (f->rows == 0 || f->width != b->embd || f->format != b->format)
		return err_set(err, "its step has %u rows of %u in format %u", f->rows, f->width,
			f->format);
	for (uint32_t i = 0; i < f->rows; i++, payload += STEP_ROW_BYTES) {
		uint32_t slot = get_le32(payload), pos = get_le32(payload + 4);
		uint32_t flags = get_le32(payload + 8);

		if (slot >= b->slots || pos >= b->context || !known_flags(flags))
			return err_set(err,
				"row %u of its step (slot %u, position %u, flags %u) is out of "
				"range",
				i, slot, pos, flags);
		logits += flags & STEP_LOGITS;
	}
	if (logits != f->extra || logits > b->max_logits)
		return err_set(
			err, "its step wants %u rows of logits and marks %u", f->extra, logits);
	return 0;
}

uint8_t *
step_rows_write(
	const struct step_row *rows, uint32_t n, uint8_t *out, uint32_t *wants, uint32_t *n_wants)
{
	*n_wants = 0;
	for (uint32_t i = 0; i < n; i++, out += STEP_ROW_BYTES) {
		if ((rows[i].flags & STEP_LOGITS) != 0)
			wants[(*n_wants)++] = rows[i].flags;
		put_le32(out, rows[i].slot);
		put_le32(out + 4, rows[i].pos);
		put_le32(out + 8, rows[i].flags);
	}
	return out;
}

const uint8_t *
step_rows_read(
	const uint8_t *in, uint32_t n, struct step_row *rows, uint32_t *wants, uint32_t *n_wants)
{
	*n_wants = 0;
	for (uint32_t i = 0; i < n; i++, in += STEP_ROW_BYTES) {
		rows[i] = (struct step_row){get_le32(in), get_le32(in + 4), get_le32(in + 8)};
		if ((rows[i].flags & STEP_LOGITS) != 0)
			wants[(*n_wants)++] = rows[i].flags;
	}
	return in;
}
