/* Training on the thread pool: all rows that are kept, then the knobs begin with the scores that these
 * rows got from heads that had not seen them. */
#include "daemon/route_book_int.h"

#include "daemon/log.h"

#include <stdlib.h>

struct book_job {
	uv_work_t req;
	struct route_book *book; /* main thread; NULL: given up */
	char dir[sizeof((struct route_book *)0)->dir];
	struct gain_row *new_rows; /* that come with it */
	size_t n_new;
	struct gain_row *late; /* main thread: labels that came while it runs */
	size_t n_late;
	struct lesson lesson;
	uint32_t rows;    /* in the file, afterwards */
	uint32_t learned; /* from so many */
	bool worked;
	struct err err;
};

static void
make_curve(struct book_job *j, const struct gain_row *rows, const struct gain_held *held, size_t n)
{
	struct knob_sample *samples = calloc(n + 1, sizeof *samples);
	size_t k = 0;

	for (size_t i = 0; samples != NULL && i < n; i++)
		if (rows[i].label[GAIN_SMALL] >= 0 && rows[i].label[GAIN_LARGE] >= 0)
			samples[k++] = (struct knob_sample){held[i].after,
				rows[i].label[GAIN_SMALL], rows[i].label[GAIN_LARGE]};
	knob_curve_make(&j->lesson.curve, samples, k);
	free(samples);
}

static int
begin_knob(struct knob *k, const struct gain_held *held, size_t n, bool after)
{
	float *scores = malloc((n + 1) * sizeof *scores);

	if (scores == NULL)
		return -1;
	for (size_t i = 0; i < n; i++)
		scores[i] = after ? held[i].after : held[i].before;
	knob_begin(k, scores, n);
	free(scores);
	return 0;
}

static int
learn(struct book_job *j, const struct gain_row *rows, size_t n)
{
	struct gain_held *held = calloc(n + 1, sizeof *held);
	int rc = -1;

	j->lesson.gain = gain_new(&j->err);
	if (held == NULL)
		err_set(&j->err, "not enough memory to learn");
	else if (j->lesson.gain != NULL &&
		 gain_train(j->lesson.gain, rows, n, held, &j->err) == 0 &&
		 begin_knob(&j->lesson.knobs[KNOB_OF_PROMPTS], held, n, false) == 0 &&
		 begin_knob(&j->lesson.knobs[KNOB_OF_ANSWERS], held, n, true) == 0) {
		/* Scores of parts come from the same head, and no part has a label. */
		j->lesson.knobs[KNOB_OF_PARTS] = j->lesson.knobs[KNOB_OF_ANSWERS];
		make_curve(j, rows, held, n);
		rc = 0;
	}
	free(held);
	return rc;
}

/* What came with it gets into the file when it was learned from: what fails leaves no rows behind. */
static int
keep(struct book_job *j)
{
	off_t before = rows_bytes(j->dir);

	if (j->n_new > 0 && rows_append(j->dir, j->new_rows, j->n_new, &j->err) != 0)
		return -1;
	if (lesson_save(&j->lesson, j->dir, true, &j->err) == 0)
		return 0;
	if (j->n_new > 0)
		rows_cut(j->dir, before);
	return -1;
}

/* The newest of both, the new ones last. NULL: no memory. */
static struct gain_row *
join_rows(struct book_job *j, struct gain_row *rows, size_t *n)
{
	size_t room = ROUTE_BOOK_ROWS - j->n_new, old = *n < room ? *n : room;
	struct gain_row *both = malloc((old + j->n_new) * sizeof *both);

	if (both == NULL) {
		err_set(&j->err, "not enough memory to learn");
	} else {
		memcpy(both, rows + (*n - old), old * sizeof *both);
		memcpy(both + old, j->new_rows, j->n_new * sizeof *both);
		*n = old + j->n_new;
	}
	free(rows);
	return both;
}

static void
work(uv_work_t *req)
{
	struct book_job *j = req->data;
	size_t n, all;
	struct gain_row *rows = rows_read(j->dir, ROUTE_BOOK_ROWS, &n, &all, &j->err);

	if (rows == NULL)
		return;
	j->rows = (uint32_t)all;
	if (all > 2 * n && rows_write(j->dir, rows, n, &j->err) != 0)
		log_warning("%s", j->err.msg);
	else if (all > 2 * n)
		j->rows = (uint32_t)n;
	if (j->n_new > 0)
		rows = join_rows(j, rows, &n);
	j->worked = rows != NULL && learn(j, rows, n) == 0 && keep(j) == 0;
	j->learned = (uint32_t)n;
	if (j->worked)
		j->rows += (uint32_t)j->n_new;
	free(rows);
}

static void
free_job(struct book_job *j)
{
	lesson_free(&j->lesson);
	free(j->new_rows);
	free(j->late);
	free(j);
}

static void
keep_late(struct book_job *j)
{
	struct err err;

	if (j->n_late > 0 && rows_append(j->dir, j->late, j->n_late, &err) != 0)
		log_warning("%zu labels are lost: %s", j->n_late, err.msg);
	else
		j->rows += (uint32_t)j->n_late;
}

static void
after_work(uv_work_t *req, int status)
{
	struct book_job *j = req->data;
	struct route_book *b = j->book;

	(void)status;
	keep_late(j);
	if (b != NULL) {
		b->job = NULL;
		b->rows = j->rows;
		snprintf(b->trouble, sizeof b->trouble, "%s", j->worked ? "" : j->err.msg);
		if (j->worked) {
			lesson_free(&b->lesson);
			b->lesson = j->lesson;
			j->lesson = (struct lesson){0};
			log_info("routing was learned from %u labelled queries", j->learned);
		}
		if (b->done != NULL)
			b->done(b->done_arg, b->trouble);
		b->done = NULL;
	}
	free_job(j);
}

static struct book_job *
new_job(struct route_book *b, const struct gain_row *rows, size_t n)
{
	struct book_job *j = calloc(1, sizeof *j);

	if (j == NULL)
		return NULL;
	j->new_rows = calloc(n + 1, sizeof *rows);
	if (j->new_rows == NULL) {
		free(j);
		return NULL;
	}
	j->req.data = j;
	j->book = b;
	memcpy(j->dir, b->dir, sizeof j->dir);
	j->rows = b->rows;
	j->n_new = n;
	if (n > 0)
		memcpy(j->new_rows, rows, n * sizeof *rows);
	return j;
}

int
route_book_train(struct route_book *b, const struct gain_row *rows, size_t n,
	void (*done)(void *arg, const char *trouble), void *arg, struct err *err)
{
	struct book_job *j;

	if (b->job != NULL)
		return err_set(err, "it is being trained already");
	if (n > ROUTE_BOOK_ROWS)
		return err_set(err, "%zu rows at once are more than the %d that are kept", n,
			ROUTE_BOOK_ROWS);
	j = new_job(b, rows, n);
	if (j == NULL)
		return err_set(err, "not enough memory to learn");
	if (uv_queue_work(b->loop, &j->req, work, after_work) != 0) {
		free_job(j);
		return err_set(err, "the thread pool takes no job");
	}
	b->job = j;
	b->fresh = 0;
	b->done = done;
	b->done_arg = arg;
	return 0;
}

void
route_book_unhear(struct route_book *b)
{
	b->done = NULL;
}

int
book_job_keep(struct book_job *j, const struct gain_row *row, struct err *err)
{
	struct gain_row *more;

	if (j->dir[0] == '\0')
		return err_set(err, "this daemon keeps nothing on disk");
	more = realloc(j->late, (j->n_late + 1) * sizeof *more);
	if (more == NULL)
		return err_set(err, "not enough memory to keep a label");
	j->late = more;
	j->late[j->n_late++] = *row;
	return 0;
}

void
book_job_abandon(struct book_job *j)
{
	j->book = NULL;
}
