/* What is said of the route book, and how well it does: whether as much went up as was wanted, and whether its
 * heads' words came true. */
#include "daemon/route_book_int.h"

/* Where nothing is learned yet, or of words that it does not know, no probability was said. */
static bool
is_probability(const struct gain_estimate *said)
{
	return said->reason != GAIN_NOTHING && said->reason != GAIN_MARGIN;
}

void
book_figures_met(
	struct book_figures *f, const struct gain_row *row, const struct gain_estimate *said)
{
	const float *label = row->label;

	if (!is_probability(said))
		return;
	for (int m = 0; m < GAIN_CLOUD; m++)
		if (label[m] >= 0)
			calibration_add(&f->heads[m], said->p[m], label[m]);
	if (label[GAIN_SMALL] >= 0 && label[GAIN_LARGE] >= 0)
		calibration_add(&f->gain, said->gain, label[GAIN_LARGE] - label[GAIN_SMALL]);
}

/* --- status -------------------------------------------------------------------------------------- */

static void
add_share(json_t *list, const char *name, const struct knob_share *s)
{
	if (s->n > 0)
		json_array_append_new(
			list, json_pack("{s:s,s:I,s:f,s:f}", "name", name, "n", (json_int_t)s->n,
				      "wanted", (double)s->wanted, "real", (double)s->real));
}

static json_t *
shares(const struct book_figures *f)
{
	static const char *const names[KNOBS] = {"prompts", "answers", "parts"};
	json_t *list = json_array();

	add_share(list, "queries", &f->queries);
	for (int k = 0; k < KNOBS; k++)
		add_share(list, names[k], &f->knobs[k]);
	return list;
}

static void
add_calibration(json_t *list, const char *name, const struct calibration *c)
{
	if (calibration_weight(c) > 0)
		json_array_append_new(list, json_pack("{s:s,s:f,s:f}", "name", name, "labels",
						    (double)calibration_weight(c), "error",
						    (double)calibration_error(c)));
}

static json_t *
calibrations(const struct book_figures *f)
{
	json_t *list = json_array();

	add_calibration(list, "small", &f->heads[GAIN_SMALL]);
	add_calibration(list, "large", &f->heads[GAIN_LARGE]);
	add_calibration(list, "gain", &f->gain);
	return list;
}

json_t *
route_book_status(const struct route_book *b)
{
	struct gain_facts f;

	gain_facts(b->lesson.gain, &f);
	return json_pack("{s:b,s:I,s:I,s:I,s:{s:I,s:I,s:I},s:I,s:b,s:s,s:o,s:o}", "learned",
		f.rows > 0, "rows_kept", (json_int_t)b->rows, "rows_learned", (json_int_t)f.rows,
		"rows_with_answers", (json_int_t)f.answered, "labels", "small",
		(json_int_t)f.labels[GAIN_SMALL], "large", (json_int_t)f.labels[GAIN_LARGE],
		"cloud", (json_int_t)f.labels[GAIN_CLOUD], "buckets_seen", (json_int_t)f.buckets,
		"training", b->job != NULL, "trouble", b->trouble, "shares", shares(&b->figures),
		"calibration", calibrations(&b->figures));
}
