/* What a router has learned, as bytes: rows, models, knobs and curves, each behind a byte that says which.
 * What is accepted is written as the same bytes, and says finite numbers of any prompt. */
#include "sched/gain.h"
#include "sched/knob.h"
#include "tests/fuzz/fuzz.h"

#include <math.h>

enum part { ROW, KNOB, CURVE, MODEL, PARTS };

static void
check_same(const uint8_t *data, size_t size, const struct buf *again)
{
	require(again->len == size && memcmp(again->data, data, size) == 0);
}

static void
try_row(const uint8_t *data, size_t size)
{
	struct rd in = rd_init(data, size);
	struct gain_row r;
	struct err err = {""};
	struct buf again;

	buf_init(&again, GAIN_ROW_BYTES);
	while (rd_left(&in) > 0 && gain_row_read(&r, &in, &err) == 0) {
		size_t before = again.len;

		buf_clear(&again);
		require(r.n <= ROUTE_FEATURES && gain_row_write(&r, &again) == 0);
		check_same(data + in.pos - again.len, again.len, &again);
		(void)before;
	}
	buf_free(&again);
}

static void
try_knob(const uint8_t *data, size_t size)
{
	struct rd in = rd_init(data, size);
	struct err err = {""};
	struct buf again;
	struct knob k;

	if (knob_read(&k, &in, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	buf_init(&again, 0);
	require(knob_write(&k, &again) == 0);
	check_same(data, in.pos, &again);
	buf_free(&again);
	for (int i = 0; i < 300; i++) {
		float q = (float)(i % 11) / 10.0f, score = (float)(i % 7) / 7.0f;
		struct knob_decision d = knob_decide(&k, q, score);

		knob_learn(&k, q, score, d.up);
		require(k.n <= KNOB_WINDOW && k.next < KNOB_WINDOW && isfinite(k.shift));
	}
}

static void
try_curve(const uint8_t *data, size_t size)
{
	struct rd in = rd_init(data, size);
	struct knob_promise p;
	struct knob_curve c;
	struct err err = {""};
	struct buf again;

	if (knob_curve_read(&c, &in, &err) != 0) {
		require(err.msg[0] != '\0');
		return;
	}
	buf_init(&again, 0);
	require(knob_curve_write(&c, &again) == 0);
	check_same(data, in.pos, &again);
	buf_free(&again);
	for (float r = 0; r <= 1; r += 0.25f) {
		p = knob_at_least(&c, r);
		require(p.share >= 0 && p.share <= 1);
	}
}

static void
check_estimate(const struct gain *g, const char *text, const float *figures)
{
	struct gain_estimate e;
	struct route_text t;
	char name[ROUTE_NAME];

	route_text(&t, text, strlen(text));
	gain_estimate(g, &t, figures, &e);
	require(isfinite(e.gain) && fabsf(e.gain) <= 1 && e.known >= 0 && e.known <= 1);
	for (int m = 0; m < GAIN_MODELS; m++)
		require(e.p[m] >= 0 && e.p[m] <= 1);
	for (uint32_t i = 0; i < e.n_why; i++)
		gain_why_name(&e.why[i], &t, text, strlen(text), name);
}

static void
try_model(const uint8_t *data, size_t size)
{
	static const float figures[TOKEN_FIGURES] = {-1, -5, -2, 1, 2, 3, 0.5f, -1, 1, 2, 5};
	struct err err = {""};
	struct gain *g = gain_read(data, size, &err);
	struct buf again;

	if (g == NULL) {
		require(err.msg[0] != '\0');
		return;
	}
	buf_init(&again, GAIN_BYTES);
	require(gain_write(g, &again) == 0);
	check_estimate(g, "Turn the lights in the kitchen off", NULL);
	check_estimate(g, "What is 17 times 23?", figures);
	gain_free(g);
	buf_free(&again);
}

/* FNV-1a, as gain_write puts it behind a model. */
static void
try_sealed_model(const uint8_t *data, size_t size)
{
	uint8_t *sealed = malloc(size + 1);
	uint64_t hash = 14695981039346656037u;

	require(sealed != NULL);
	memcpy(sealed, data, size);
	for (size_t i = 0; i + 8 < size; i++)
		hash = (hash ^ data[i]) * 1099511628211u;
	if (size > 8)
		put_le64(sealed + size - 8, hash);
	try_model(sealed, size);
	free(sealed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	switch ((enum part)(data[0] % PARTS)) {
	case ROW:
		try_row(data + 1, size - 1);
		break;
	case KNOB:
		try_knob(data + 1, size - 1);
		break;
	case CURVE:
		try_curve(data + 1, size - 1);
		break;
	default:
		try_model(data + 1, size - 1);
		try_sealed_model(data + 1, size - 1);
	}
	return 0;
}

/* --- seeds -------------------------------------------------------------------------------------- */

enum { ROWS = 60 };

static void
make_rows(struct gain_row rows[ROWS])
{
	static const char *const words[] = {"light", "door", "seven", "heat", "song"};
	float figures[TOKEN_FIGURES] = {0};
	struct route_text t;
	char text[64];

	for (unsigned i = 0; i < ROWS; i++) {
		const float label[GAIN_MODELS] = {i % 3 == 0, i % 4 != 0, GAIN_UNKNOWN};
		size_t len = 0;

		for (unsigned k = 0; k < 4; k++) {
			memcpy(text + len, words[(i + k * i) % 5], strlen(words[(i + k * i) % 5]));
			len += strlen(words[(i + k * i) % 5]);
			text[len++] = ' ';
		}
		figures[TOKEN_MEAN_LOGP] = -(float)(i % 3);
		route_text(&t, text, len);
		gain_row_make(&rows[i], &t, i % 2 == 0 ? figures : NULL, label);
	}
}

static void
put_seed(enum part part, const struct gain_row *rows, struct buf *b)
{
	struct knob_sample samples[ROWS];
	struct gain_held held[ROWS];
	struct gain *g;
	struct knob k = {0};
	struct knob_curve c;
	struct err err = {""};

	g = gain_new(&err);
	require(g != NULL && gain_train(g, rows, ROWS, held, &err) == 0);
	for (unsigned i = 0; i < ROWS; i++) {
		knob_saw(&k, held[i].before);
		samples[i] = (struct knob_sample){
			held[i].after, rows[i].label[GAIN_SMALL], rows[i].label[GAIN_LARGE]};
	}
	knob_curve_make(&c, samples, ROWS);
	for (unsigned i = 0; part == ROW && i < 3; i++)
		gain_row_write(&rows[i], b);
	if (part == KNOB)
		knob_write(&k, b);
	else if (part == CURVE)
		knob_curve_write(&c, b);
	else if (part == MODEL)
		gain_write(g, b);
	gain_free(g);
}

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	static struct gain_row rows[ROWS];
	struct buf b;
	size_t len;

	if (i >= PARTS)
		return 0;
	make_rows(rows);
	buf_init(&b, 0);
	buf_u8(&b, (uint8_t)i);
	put_seed((enum part)i, rows, &b);
	require(b.len <= max);
	len = b.len;
	memcpy(out, b.data, len);
	buf_free(&b);
	return len;
}
