/* A member's engine thread: waits for a step, computes its slice, answers with its logits. */
#include "daemon/engine_int.h"

#include <stdio.h>

static int
member_step(struct engine *e, uint32_t n, uint32_t first, struct err *err)
{
	const float *logits = NULL;

	if (engine_forward(e, n, first, &logits, err) == 0)
		return star_answer(e->star, logits, err);
	if (!star_broken(e->star))
		star_void(e->star);
	return -1;
}

void
member_is_cut(struct engine *e, const char *who, const char *why)
{
	char news[600];

	snprintf(news, sizeof news, "%s%s%s", who, who[0] != '\0' ? " was lost: " : "", why);
	if (!atomic_load(&e->broken))
		engine_unlink(e);
	engine_post_broken(e, who, news);
}

void
member_run(struct engine *e)
{
	uint32_t n, first;
	struct err err = {""};
	const char *who, *why;

	while (!atomic_load(&e->stopping)) {
		if (engine_is_cut(e, &who, &why)) {
			member_is_cut(e, who, why);
			uv_run(&e->loop, UV_RUN_ONCE);
		} else if (star_next(e->star, e->rows, e->x, &n, &first)) {
			if (member_step(e, n, first, &err) != 0)
				star_break(e->star, "", err.msg);
			engine_publish(e);
		}
	}
}
