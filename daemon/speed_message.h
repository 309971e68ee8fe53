/* A device's speeds as a control message and back. */
#ifndef DAEMON_SPEED_MESSAGE_H
#define DAEMON_SPEED_MESSAGE_H

#include "model/device_speed.h"
#include "proto/control.h"

struct speed_message { /* all that `message` points to */
	Shoal__Speed message;
	Shoal__TypeSpeed types[DTYPE_COUNT];
	Shoal__TypeSpeed *list[DTYPE_COUNT];
};

void speed_message_fill(struct speed_message *m, const struct device_speed *s);

/* -1: numbers that no device has. Types that are not computed here are passed over. */
int speed_message_read(const Shoal__Speed *m, struct device_speed *s, struct err *err);

#endif
