/* What serving hears of the swarm, and of who coordinates it. */
#include "daemon/gather.h"
#include "daemon/log.h"
#include "daemon/serve_int.h"
#include "daemon/serve_skeleton.h"
#include "daemon/serve_upload.h"

#include <stdio.h>

#define ELECTED_GATHER 2000 /* ms that one who was elected waits for members at first */

/* --- swarm -------------------------------------------------------------------------------------- */

static void
on_peer_up(void *arg, struct swarm_peer *p)
{
	struct serve *s = arg;

	if (!swarm_is_member(s->swarm))
		plan_peer_up(s, p);
	fellows_tell(s);
	serve_advance(s);
}

static void
on_peer_down(void *arg, struct swarm_peer *p, const char *why)
{
	struct serve *s = arg;
	char text[512];

	snprintf(text, sizeof text, "%s was lost: %s", p->known->name,
		why[0] != '\0' ? why : "its link was closed");
	asks_peer_down(s, p, text);
	if (swarm_is_member(s->swarm) || s->follow != NULL) /* one that left a moment ago follows */
		follow_drop(s, text);
	else
		plan_peer_down(s, p, text);
	fellows_tell(s);
	uploads_check(s->uploads);
	serve_advance(s);
}

static void
on_speed(void *arg, struct swarm_peer *p)
{
	struct serve *s = arg;

	stock_told(s, p);
	speeds_news(s->speeds);
	choices_news(s);
}

static void
on_members(void *arg)
{
	struct serve *s = arg;

	elect_sync(s->elect);
	speeds_news(s->speeds);
	choices_forget(s); /* they name devices that are gone, even if they are paired again */
	serve_advance(s);
}

static int
may_change(void *arg, struct err *err)
{
	struct serve *s = arg;

	return elect_may_change(s->elect, err);
}

static int
on_vote(void *arg, const uint8_t key[32], struct link *l, const struct link_events **ev,
	void **ev_arg, size_t *max_message, struct err *err)
{
	struct serve *s = arg;

	return elect_admit(s->elect, key, l, ev, ev_arg, max_message, err);
}

static int
on_control(void *arg, struct swarm_peer *p, const Shoal__Envelope *e, struct err *err)
{
	struct serve *s = arg;

	if (e->body_case == SHOAL__ENVELOPE__BODY_BEAT ||
		e->body_case == SHOAL__ENVELOPE__BODY_HEARD)
		return elect_control(s->elect, p, e, err);
	if (s->ending_now)
		return 0;
	if (e->body_case == SHOAL__ENVELOPE__BODY_ASK ||
		e->body_case == SHOAL__ENVELOPE__BODY_TOLD ||
		e->body_case == SHOAL__ENVELOPE__BODY_FORGET)
		return asks_control(s, p, e, err);
	return swarm_is_member(s->swarm) ? follow_control(s, p, e, err)
					 : plan_control(s, p, e, err);
}

static int
on_link(void *arg, struct swarm_peer *p, struct link *l, const struct link_events **ev,
	void **ev_arg, size_t *max_message, struct err *err)
{
	struct serve *s = arg;

	if (s->ending_now)
		return err_set(err, "this device is ending");
	return member_link_admit(s, p, l, ev, ev_arg, max_message, err);
}

static int
on_neighbour(void *arg, const uint8_t key[32], struct link *l, const struct link_events **ev,
	void **ev_arg, size_t *max_message, struct err *err)
{
	struct serve *s = arg;

	if (s->ending_now)
		return err_set(err, "this device is ending");
	if (link_purpose(l) == LINK_BULK)
		return uploads_admit(s->uploads, NULL, key, l, ev, ev_arg, max_message, err);
	return neighbours_admit(s, key, l, ev, ev_arg, max_message, err);
}

const struct swarm_events serve_swarm_events = {
	.on_peer_up = on_peer_up,
	.on_peer_down = on_peer_down,
	.on_speed = on_speed,
	.on_members = on_members,
	.may_change = may_change,
	.on_vote = on_vote,
	.on_control = on_control,
	.on_link = on_link,
	.on_neighbour = on_neighbour,
};

/* --- electing ----------------------------------------------------------------------------------- */

int
serve_load_elected(struct serve *s, const char *path, struct err *err)
{
	int rc = serve_load(s, path, err);

	s->gathering -= ROSTER_GATHER - ELECTED_GATHER;
	return rc;
}

/* Another one coordinates, or this one: with the model that was served. */
static void
on_role(void *arg)
{
	struct serve *s = arg;
	struct err err;

	fellows_drop(s);
	if (!swarm_is_member(s->swarm) && s->file == NULL && !s->closing) {
		if (elect_model(s->elect)[0] == '\0' && elect_model_id(s->elect) != NULL)
			gather_begin(s, elect_model_id(s->elect));
		else if (serve_load_elected(s, elect_model(s->elect), &err) != 0)
			log_error("%s", err.msg);
	}
	serve_advance(s);
}

static const uint8_t *
served_id(void *arg)
{
	const struct serve *s = arg;

	return s->file != NULL ? s->file->model_id : NULL;
}

static bool
skeleton(void *arg, const uint8_t model_id[32], struct skeleton_id *id)
{
	const struct serve *s = arg;

	return skeletons_have(s->skeletons, model_id, id);
}

static const uint8_t *
kept(void *arg)
{
	const struct serve *s = arg;

	return skeletons_kept(s->skeletons);
}

static void
on_skeleton(void *arg, const struct skeleton_id *id)
{
	const struct serve *s = arg;

	skeletons_heard(s->skeletons, id);
}

struct elect *
serve_elect_new(struct serve *s, struct err *err)
{
	const struct elect_host host = {on_role, served_id, skeleton, kept, on_skeleton, s};
	struct elect *e = elect_new(s->loop, s->config, s->state, s->swarm, &host);

	if (e == NULL)
		err_set(err, "not enough memory to start");
	return e;
}
