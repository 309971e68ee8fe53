/* What holds where neither the file nor an option says otherwise. */
#include "daemon/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
config_defaults(struct config *c)
{
	const char *state = getenv("XDG_STATE_HOME"), *run = getenv("XDG_RUNTIME_DIR"),
		   *home = getenv("HOME");
	bool root = geteuid() == 0;

	*c = (struct config){.parallel = 4,
		.queue = 64,
		.wait_for_peers = 60,
		.stop_timeout = 10,
		.elect_after = 30,
		.discovery = 8643};
	strcpy(c->http, "127.0.0.1:8642");
	strcpy(c->listen, "[::]:8643");
	strcpy(c->payload, "auto");
	strcpy(c->collective, "auto");
	strcpy(c->overlap, "auto");
	strcpy(c->guess, "on");
	strcpy(c->coordinator, "fixed");
	strcpy(c->kv, "f16");
	strcpy(c->pin, "no");
	strcpy(c->log_level, "info");
	strcpy(c->memory, "auto");
	strcpy(c->plan, "auto");
	strcpy(c->spare_disk, "auto");
	strcpy(c->upload, "auto");
	strcpy(c->weights, "auto");
	strcpy(c->privacy, "home");
	c->quality = 0.4f;
	c->token_threshold = 0.98f;
	strcpy(c->labels, "off");
	c->label_share = 0.1f;
	c->label_after = 60;
	strcpy(c->label_hours, "any");
	c->hot = 80;
	c->low_battery = 20;
	strcpy(c->sysfs, "/sys");
	strcpy(c->state_dir, "/var/lib/shoal");
	strcpy(c->socket, "/run/shoal/shoald.sock");
	/* Under systemd the user is not root, but the folders are made for it. */
	if (getenv("STATE_DIRECTORY") != NULL)
		snprintf(c->state_dir, sizeof c->state_dir, "%s", getenv("STATE_DIRECTORY"));
	else if (!root && state != NULL)
		snprintf(c->state_dir, sizeof c->state_dir, "%s/shoal", state);
	else if (!root && home != NULL)
		snprintf(c->state_dir, sizeof c->state_dir, "%s/.local/state/shoal", home);
	if (!root && getenv("RUNTIME_DIRECTORY") == NULL && run != NULL)
		snprintf(c->socket, sizeof c->socket, "%s/shoal/shoald.sock", run);
}
