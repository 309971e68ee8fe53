#include "proto/frame.h"

#include "proto/frame_q8.h"

#define STEP_ROW 12 /* bytes of a step row */

void
frame_write(const struct frame *f, uint8_t out[FRAME_HEADER])
{
	memset(out, 0, FRAME_HEADER);
	put_le64(out, f->epoch);
	put_le32(out + 8, f->step);
	out[12] = (uint8_t)f->layer;
	out[13] = (uint8_t)(f->layer >> 8);
	out[14] = f->kind;
	out[15] = f->format;
	put_le32(out + 16, f->rows);
	put_le32(out + 20, f->width);
	put_le32(out + 24, f->extra);
}

static const char *const format_names[FRAME_FORMATS] = {
	[FRAME_F32] = "f32", [FRAME_F16] = "f16", [FRAME_Q8] = "q8"};

const char *
frame_format_name(enum frame_format f)
{
	return format_names[f];
}

int
frame_format_find(const char *name)
{
	for (int f = 0; f < FRAME_FORMATS; f++)
		if (strcmp(format_names[f], name) == 0)
			return f;
	return -1;
}

int
sum_format_find(
	const char *word, bool wide, bool quantised, uint32_t stages, struct sum_format *out)
{
	int format = frame_format_find(word);

	if (format < 0 && strcmp(word, "auto") != 0)
		return -1;
	if (format >= 0)
		out->token = out->prompt = (enum frame_format)format;
	else if (wide || stages > 1)
		out->token = out->prompt = FRAME_F32;
	else
		*out = (struct sum_format){FRAME_F16, quantised ? FRAME_Q8 : FRAME_F16};
	return 0;
}

size_t
frame_payload(enum frame_format f, uint32_t rows, uint32_t width)
{
	size_t blocks = ((size_t)width + Q8_BLOCK - 1) / Q8_BLOCK;

	switch (f) {
	case FRAME_F32:
		return (size_t)rows * width * 4;
	case FRAME_F16:
		return (size_t)rows * width * 2;
	case FRAME_Q8:
		return (size_t)rows * blocks * Q8_BYTES;
	case FRAME_FORMATS:
		break;
	}
	return 0;
}

size_t
frame_best(uint32_t width)
{
	return 8 + 8 * (size_t)(width < FRAME_BEST ? width : FRAME_BEST);
}

/* What has to follow a header. */
static size_t
payload_of(const struct frame *f)
{
	size_t rows = frame_payload((enum frame_format)f->format, f->rows, f->width);

	switch (f->kind) {
	case FRAME_STEP:
		return rows + (size_t)f->rows * STEP_ROW;
	case FRAME_LOGITS:
		return f->rows * frame_best(f->width) +
		       frame_payload(FRAME_F32, f->extra, f->width);
	case FRAME_ASK:
		return (size_t)f->rows * 4;
	default:
		return rows;
	}
}

int
frame_read(const void *msg, size_t len, uint32_t max_rows, uint32_t max_width, struct frame *f,
	const uint8_t **payload, struct err *err)
{
	struct rd r = rd_init(msg, len);
	size_t want;

	f->epoch = rd_u64(&r);
	f->step = rd_u32(&r);
	f->layer = rd_u16(&r);
	f->kind = rd_u8(&r);
	f->format = rd_u8(&r);
	f->rows = rd_u32(&r);
	f->width = rd_u32(&r);
	f->extra = rd_u32(&r);
	if (rd_u32(&r) != 0 || r.failed)
		return err_set(err, "a tensor frame of %zu bytes has no whole header", len);
	if (f->kind < FRAME_STEP || f->kind > FRAME_ASK || f->format > FRAME_Q8)
		return err_set(err, "a tensor frame of kind %u and format %u is not known", f->kind,
			f->format);
	if (f->rows > max_rows || f->width > max_width)
		return err_set(err, "a tensor frame of %u x %u is over the plan's %u x %u", f->rows,
			f->width, max_rows, max_width);
	if (f->kind == FRAME_LOGITS && f->extra > max_rows)
		return err_set(err, "a tensor frame has %u whole rows instead of at most %u",
			f->extra, max_rows);
	want = payload_of(f);
	if (len - FRAME_HEADER != want)
		return err_set(err, "a tensor frame has %zu bytes of rows instead of %zu",
			len - FRAME_HEADER, want);
	*payload = (const uint8_t *)msg + FRAME_HEADER;
	return 0;
}
