/* Inside the route book: what is in memory (route_book.c), on disk (route_book_file.c), how it is trained
 * (route_book_train.c) and how well it does (route_book_figures.c). */
#ifndef DAEMON_ROUTE_BOOK_INT_H
#define DAEMON_ROUTE_BOOK_INT_H

#include "daemon/route_book.h"
#include "sched/calibration.h"

/* What training makes, and what is saved as one. */
struct lesson {
	struct gain *gain;
	struct knob knobs[KNOBS]; /* the scores of each */
	struct knob_curve curve;  /* of answers */
};

/* How well it does, of queries since the start. */
struct book_figures {
	struct knob_share queries, knobs[KNOBS];
	struct calibration heads[GAIN_CLOUD], gain;
};
/* What was said of a row, which has its labels now. */
void book_figures_met(
	struct book_figures *f, const struct gain_row *row, const struct gain_estimate *said);

struct book_job;
/* Keeps the row when the job has ended: until then it may write the file anew, and what was appended would be lost. */
int book_job_keep(struct book_job *j, const struct gain_row *row, struct err *err);
void book_job_abandon(struct book_job *j); /* ends soon, and says nothing any more */

struct route_book {
	uv_loop_t *loop;
	char dir[4096 + 16];
	struct lesson lesson;
	struct book_figures figures;
	uint32_t fresh; /* labels since the last training */
	uint32_t rows;  /* in the file */
	struct book_job *job;
	void (*done)(void *arg, const char *trouble);
	void *done_arg;
	char trouble[512]; /* of the last training; "": none */
};

/* --- files (route_book_file.c) --- */

/* The lesson that is on disk, or one that knows nothing. -1 without memory. before: the one that was
 * replaced last, which must be there. */
int lesson_load(struct lesson *l, const char *dir, bool before, struct err *err);
/* keep: the one that is there stays as the one before. */
int lesson_save(const struct lesson *l, const char *dir, bool keep, struct err *err);
void lesson_free(struct lesson *l);

/* The file of rows belongs to a job while there is one, else to the main thread. */

/* All of them, or none. */
int rows_append(const char *dir, const struct gain_row *rows, size_t n, struct err *err);
/* To take rows back: how long the file was before, and that length again. */
off_t rows_bytes(const char *dir);
void rows_cut(const char *dir, off_t bytes);
/* The newest at most `max` rows; *n is their number, *all that of all in the file. NULL: no memory, or the
 * file cannot be read. */
struct gain_row *rows_read(const char *dir, size_t max, size_t *n, size_t *all, struct err *err);
/* Cuts off what cannot be read, as the end of a row that a power cut left, and returns how many rows there are. */
uint32_t rows_mend(const char *dir);
/* Rewrites the file with these. */
int rows_write(const char *dir, const struct gain_row *rows, size_t n, struct err *err);
int book_forget_files(const char *dir, struct err *err);

#endif
