/* A member's engine thread: waits for a step, computes its slice, answers with its logits. */
#include "daemon/engine_int.h"

#include <stdio.h>

static int
member_step(struct engine *e, uint32_t n, struct err *err)
{
	const float *logits = NULL;

	if (engine_forward(e, n, &logits, err) == 0)
		return star_answer(e->star, logits, err);
	if (!star_broken(e->star))
		star_void(e->star);
	return -1;
}

static void
group_broken(struct engine *e)
{
	const char *who = star_broken_who(e->star);
	char why[600];

	snprintf(why, sizeof why, "%s%s%s", who, who[0] != '\0' ? " was lost: " : "",
		star_broken_why(e->star));
	if (!atomic_load(&e->broken))
		star_close(e->star);
	engine_post_broken(e, who, why);
}

void
member_run(struct engine *e)
{
	uint32_t n;
	struct err err = {""};

	while (!atomic_load(&e->stopping)) {
		if (star_broken(e->star)) {
			group_broken(e);
			uv_run(&e->loop, UV_RUN_ONCE);
		} else if (star_next(e->star, e->rows, e->x, &n)) {
			if (member_step(e, n, &err) != 0)
				star_break(e->star, "", err.msg);
			engine_publish(e);
		}
	}
}
