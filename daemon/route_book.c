#include "daemon/route_book_int.h"

#include "daemon/log.h"

#include <stdio.h>
#include <stdlib.h>

/* A prompt is clear when the knob would say the same at the half of the way to all, or to none. */
#define CLEAR 0.5f

/* --- decisions ---------------------------------------------------------------------------------- */

static bool
learned(const struct route_book *b)
{
	struct gain_facts f;

	gain_facts(b->lesson.gain, &f);
	return f.rows > 0;
}

void
route_book_prompt(const struct route_book *b, const struct route_text *t,
	const struct route_wish *w, struct route_view *v)
{
	const struct knob *k = &b->lesson.knobs[KNOB_OF_PROMPTS];
	float q = w->quality;
	struct knob_decision d;

	*v = (struct route_view){0};
	gain_estimate(b->lesson.gain, t, NULL, &v->estimate);
	d = knob_decide(k, q, v->estimate.gain);
	v->known = v->estimate.reason == GAIN_TEXT;
	v->up = d.up;
	v->threshold = d.threshold;
	v->clear = d.up ? knob_decide(k, q * CLEAR, v->estimate.gain).up
			: !knob_decide(k, 1 - (1 - q) * CLEAR, v->estimate.gain).up;
	/* All or nothing is clear whatever the prompt is; a promise is kept by what answers show. */
	if (w->at_least >= 0)
		v->clear = false;
	else if (q <= 0 || q >= 1)
		v->known = v->clear = true;
}

static void
view_answer(const struct route_book *b, enum route_knob of, const struct route_text *t,
	const float *figures, const struct route_wish *w, struct route_view *v)
{
	struct knob_decision d;
	struct knob_promise p;

	*v = (struct route_view){0};
	gain_estimate(b->lesson.gain, t, figures, &v->estimate);
	v->known = learned(b);
	if (w->at_least >= 0) {
		p = knob_at_least(&b->lesson.curve, w->at_least);
		v->promised = v->known && p.kept;
		v->threshold = p.threshold;
		v->up = v->estimate.gain >= p.threshold;
	}
	if (!v->promised) {
		d = knob_decide(&b->lesson.knobs[of], w->quality, v->estimate.gain);
		v->threshold = d.threshold;
		v->up = d.up;
	}
}

void
route_book_answer(const struct route_book *b, const struct route_text *t, const float *figures,
	const struct route_wish *w, struct route_view *v)
{
	view_answer(b, KNOB_OF_ANSWERS, t, figures, w, v);
}

void
route_book_part(const struct route_book *b, const struct route_text *t, const float *figures,
	const struct route_wish *w, struct route_view *v)
{
	view_answer(b, KNOB_OF_PARTS, t, figures, w, v);
}

void
route_book_done(struct route_book *b, enum route_knob of, const struct route_wish *w,
	const struct route_view *v, bool decided, bool up)
{
	struct knob *k = &b->lesson.knobs[of];

	if (!decided || w->quality <= 0 || w->quality >= 1 || v->promised) {
		knob_saw(k, v->estimate.gain);
		return;
	}
	knob_learn(k, w->quality, v->estimate.gain, up);
	knob_share_add(&b->figures.knobs[of], w->quality, up);
}

void
route_book_answered(struct route_book *b, const struct route_wish *w, bool up)
{
	if (w->at_least < 0) /* else a quality was wanted, and no share */
		knob_share_add(&b->figures.queries, w->quality, up);
}

/* --- labels ------------------------------------------------------------------------------------- */

static int
keep_row(struct route_book *b, const struct gain_row *row, struct err *err)
{
	return b->job != NULL ? book_job_keep(b->job, row, err) : rows_append(b->dir, row, 1, err);
}

int
route_book_label(struct route_book *b, const struct gain_row *row, const struct gain_estimate *said,
	struct err *err)
{
	struct err why;

	if (keep_row(b, row, err) != 0)
		return -1;
	b->fresh++;
	b->rows++;
	book_figures_met(&b->figures, row, said);
	if (b->fresh >= ROUTE_BOOK_RETRAIN && b->rows >= GAIN_LEAST_ROWS && b->job == NULL &&
		route_book_train(b, NULL, 0, NULL, NULL, &why) != 0)
		log_warning("routing is not learned anew: %s", why.msg);
	return 0;
}

int
route_book_undo(struct route_book *b, struct err *err)
{
	struct lesson old;

	if (b->job != NULL)
		return err_set(err, "it is being trained: try again in a moment");
	if (lesson_load(&old, b->dir, true, err) != 0)
		return -1;
	if (lesson_save(&old, b->dir, false, err) != 0) {
		lesson_free(&old);
		return -1;
	}
	lesson_free(&b->lesson);
	b->lesson = old;
	return 0;
}

int
route_book_forget(struct route_book *b, struct err *err)
{
	struct lesson none = {0};

	if (b->job != NULL)
		return err_set(err, "it is being trained: try again in a moment");
	none.gain = gain_new(err);
	if (none.gain == NULL || book_forget_files(b->dir, err) != 0) {
		lesson_free(&none);
		return -1;
	}
	lesson_free(&b->lesson);
	b->lesson = none;
	b->figures = (struct book_figures){0};
	b->rows = b->fresh = 0;
	b->trouble[0] = '\0';
	return 0;
}

double
route_book_quality(const struct route_book *b, enum gain_model m)
{
	const struct knob_curve *c = &b->lesson.curve;

	if (c->n == 0 || m == GAIN_CLOUD)
		return -1;
	return (double)(m == GAIN_LARGE ? c->l : c->step[0].x);
}

/* --- life --------------------------------------------------------------------------------------- */

struct route_book *
route_book_open(uv_loop_t *loop, const char *state_dir, struct err *err)
{
	struct route_book *b = calloc(1, sizeof *b);

	if (b == NULL) {
		err_set(err, "not enough memory for routing");
		return NULL;
	}
	b->loop = loop;
	if (state_dir[0] != '\0')
		snprintf(b->dir, sizeof b->dir, "%s/route", state_dir);
	if (lesson_load(&b->lesson, b->dir, false, err) != 0) {
		free(b);
		return NULL;
	}
	b->rows = rows_mend(b->dir);
	return b;
}

void
route_book_close(struct route_book *b)
{
	struct err err;

	if (b == NULL)
		return;
	if (b->job != NULL)
		book_job_abandon(b->job);
	else if (learned(b) && lesson_save(&b->lesson, b->dir, false, &err) != 0)
		log_warning("%s", err.msg);
	lesson_free(&b->lesson);
	free(b);
}
