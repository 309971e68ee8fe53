/* What the router has learned at home: the predictor (sched/gain), its knobs (sched/knob), the rows
 * from which they come, all of it in STATE/route, mode 0600. Rows hold hashes and numbers, never text.
 * Main thread; training runs on libuv's thread pool. */
#ifndef DAEMON_ROUTE_BOOK_H
#define DAEMON_ROUTE_BOOK_H

#include "sched/gain.h"
#include "sched/knob.h"

#include <jansson.h>
#include <uv.h>

#define ROUTE_BOOK_RETRAIN 50   /* new labels after which it is trained again by itself */
#define ROUTE_BOOK_ROWS    5000 /* kept: the newest; training takes 1.1 kB of memory for each */

struct route_book;

/* state_dir "": nothing is kept. Reads what is there; damaged files are said in the log and put aside. NULL: no memory. */
struct route_book *route_book_open(uv_loop_t *loop, const char *state_dir, struct err *err);
/* Saves. A training under way is given up; memory is freed once the loop has run on. */
void route_book_close(struct route_book *b);

/* How much a request lets go up: a share, or the quality that is to be kept. */
struct route_wish {
	float quality;  /* 0..1 */
	float at_least; /* 0..1 of the large model's; below 0: quality counts */
};

/* What is known of one prompt, before or after the small model has answered it. */
struct route_view {
	struct gain_estimate estimate;
	bool known;      /* learned, and the prompt is like what it was learned from */
	bool up, clear;  /* the knob's word (sched/route.h) */
	float threshold; /* the gain that was needed */
	bool promised;   /* at_least: the labels show that it is kept; else quality was used */
};
void route_book_prompt(const struct route_book *b, const struct route_text *t,
	const struct route_wish *w, struct route_view *v);
/* figures: of the small model's answer (model/token_signal.h). */
void route_book_answer(const struct route_book *b, const struct route_text *t, const float *figures,
	const struct route_wish *w, struct route_view *v);
/* The same of a reply about a part of a document: a document has hundreds, so they have a knob of their own. */
void route_book_part(const struct route_book *b, const struct route_text *t, const float *figures,
	const struct route_wish *w, struct route_view *v);

enum route_knob { KNOB_OF_PROMPTS, KNOB_OF_ANSWERS, KNOB_OF_PARTS, KNOBS };
/* What v is of went up or it did not; decided: by the knob, at this wish. */
void route_book_done(struct route_book *b, enum route_knob of, const struct route_wish *w,
	const struct route_view *v, bool decided, bool up);
/* A whole query was answered, whoever decided by whom: for the figures. */
void route_book_answered(struct route_book *b, const struct route_wish *w, bool up);

/* Keeps the labelled row of a query that was asked here and, when enough are new, trains. said: what its labels were
 * expected to be, before anybody knew them. -1: it could not be written. */
int route_book_label(struct route_book *b, const struct gain_row *row,
	const struct gain_estimate *said, struct err *err);
/* Trains now on all rows that are kept and on these, which are copied, and kept when it has worked. done (may be NULL)
 * hears how it went, "" or what was wrong. -1: a training is under way, or they are too many. */
int route_book_train(struct route_book *b, const struct gain_row *rows, size_t n,
	void (*done)(void *arg, const char *trouble), void *arg, struct err *err);
void route_book_unhear(struct route_book *b); /* done is not called any more */
/* Goes back to what was there before the last training. */
int route_book_undo(struct route_book *b, struct err *err);
/* Removes rows and what was learned, also from the disk. */
int route_book_forget(struct route_book *b, struct err *err);

/* How right that model was on the labelled prompts, in the mean; below 0: not known. */
double route_book_quality(const struct route_book *b, enum gain_model m);
/* For `shoal route status`. Since the start, of the last ones: "shares", a list of {name, n, wanted, real}, of all
 * queries and of what each knob decided; "calibration", of {name, labels, error}, of each head and of the gain; only
 * what there is something of. New reference. (route_book_figures.c) */
json_t *route_book_status(const struct route_book *b);

#endif
