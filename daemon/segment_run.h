/* One answer that the small model of this device and a cloud write together, in segments
 * (sched/segments.h says when and how long). The small model is led by a guide (daemon/desk.h); the
 * answer, with its stop texts, its bounds and its text, is a session of the small model's vocabulary that
 * no engine sees: what the cloud says is taken apart into its tokens.
 *
 * Who asks the cloud, and whether it may be asked, is the owner's matter: nothing here knows of doors.
 * Main thread. */
#ifndef DAEMON_SEGMENT_RUN_H
#define DAEMON_SEGMENT_RUN_H

#include "daemon/serve.h"

struct segment_run;

struct segment_figures {
	uint32_t small, cloud; /* tokens of the answer, by who said them, in the small model's */
	uint32_t asked;        /* segments */
	bool alone;            /* the small one writes the rest: the cloud cannot, or may not */
};

struct segment_events {
	void (*on_text)(void *arg, const char *text, size_t len);
	/* reason: as the API says it. The last event, as on_error is: the run is gone. */
	void (*on_end)(void *arg, const char *reason, const struct usage *u,
		const struct segment_figures *f);
	void (*on_error)(void *arg, int status, const char *what);
	/* The cloud shall go on behind `said`, of so many tokens; `most` can follow. all: it is to say the
	 * rest, for the small model has failed. Whatever it says comes later, by segment_run_heard and
	 * so on. false: it does not, now or ever. */
	bool (*ask)(
		void *arg, const char *said, size_t len, uint32_t tokens, uint32_t most, bool all);
	/* It shall say no more: the answer has ended. */
	void (*enough)(void *arg);
};

/* Begins. Takes s, which is of the small model, with its prompt and nothing more. margin: by which the
 * small model is sure of a token (sched/token_mode.h). No event comes from in here. NULL: it cannot;
 * *status as desk_submit says. */
struct segment_run *segment_run_begin(const struct served_model *small, struct session *s,
	float margin, uint64_t client, const struct segment_events *ev, void *arg, int *status,
	struct err *err);
/* No event after this. */
void segment_run_cancel(struct segment_run *t);

/* What the cloud says, from `ask` to one of the two others. Each may end the answer. What repeats the text
 * that it was to continue (some endpoints give all of it back) is left out. */
void segment_run_heard(struct segment_run *t, const char *text, size_t len);
/* The segment has ended: "length": it is as long as it was to be; else the answer has, too. */
void segment_run_segment_end(struct segment_run *t, const char *finish);
/* It was cut, or there was none: the small model writes the rest. */
void segment_run_lost(struct segment_run *t);

#endif
