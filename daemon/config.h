/* shoald's configuration: built-in values, then the file (INI, see shoald.conf(5)), then long
 * options. Each key of the file is also an option with '-' for '_'. One table says name, type,
 * range, help. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_MAX_SHARES 64

struct config {
	char name[64];          /* "": from the key */
	char state_dir[4096];   /* /var/lib/shoal, or $XDG_STATE_HOME/shoal when not root */
	char socket[100];       /* unix socket of the API; /run/shoal/shoald.sock or
				 $XDG_RUNTIME_DIR/shoal/shoald.sock */
	char http[128];         /* "127.0.0.1:8642"; "" or "off": no TCP */
	char listen[128];       /* peers: "[::]:8643" */
	uint32_t discovery;     /* UDP port of beacons; 0: none */
	char advertise[128];    /* address put into invites; "": found out */
	char model[4096];       /* coordinator: the model to serve; "": none yet */
	char small_model[4096]; /* that this device runs by itself, for `auto`; "": none */
	float shares[CONFIG_MAX_SHARES]; /* in order: the coordinator, then members as they joined;
					    0 of them: equal */
	uint32_t n_shares;
	uint32_t
		stages[CONFIG_MAX_SHARES]; /* devices of each, in that order; 0 of them: no pipeline
					       unless the plan is one */
	uint32_t n_stages;
	char plan[8];    /* auto, all */
	uint32_t peers;  /* devices the first plan waits for, coordinator included; 0: all that are
			    paired, for a few seconds */
	char payload[8]; /* f32, f16, q8 */
	char collective[8];      /* auto, star, direct, scatter, rows (model/collective.h) */
	char overlap[8];         /* auto, on, off (sched/overlap.h) */
	char guess[4];           /* on, off (sched/guess.h) */
	char kv[8];              /* f32, f16, q8_0 */
	uint32_t kv_copies;      /* of its rows: 0 or 1 (daemon/serve_kv.h) */
	uint32_t context;        /* per session; 0: the model's, at most 4096 */
	char coordinator[8];     /* fixed, auto (daemon/elect.h) */
	uint32_t elect_after;    /* seconds without a coordinator, until another is elected: 30 */
	uint32_t parallel;       /* sessions at once: 4 */
	uint32_t batch;          /* rows in a step, at most; 0: auto */
	uint32_t queue;          /* requests that may wait: 64 */
	uint32_t wait_for_peers; /* seconds that requests wait when too few devices are left: 60 */
	uint32_t stop_timeout;   /* seconds that what runs gets when the daemon is stopped: 10 */
	uint32_t threads;        /* of generation; 0: auto */
	uint32_t threads_batch;  /* of prompts; 0: auto */
	char pin[4];             /* no, yes */
	char memory[24];         /* of the whole process: "auto", "600M" (model/memory.h) */
	char upload[24];         /* of slices, a second: "auto" (no limit of its own), "5M" */
	char spare_disk[24];     /* of slices for other plans: "auto", "off", "20G" */
	char weights[8];         /* auto, mapped, copied (model/weights_copied.h) */
	char cpu[16];            /* "": the best kernels */
	char privacy[8];         /* device, home, redact, cloud (sched/privacy.h) */
	char redact_words[4096]; /* a file of words that no cloud may see */
	float quality;           /* share of queries that may go to a larger model */
	char labels[8];          /* off, idle (daemon/labels.h) */
	float label_share;       /* of the queries for `auto` that may get one */
	uint32_t label_after;    /* seconds without a request before one is made: 60 */
	char label_hours[8];     /* "any", "22-6" (sched/idle.h) */
	uint32_t hot;            /* degrees Celsius from which on this device is spared; 0: never */
	uint32_t low_battery;    /* percent, likewise */
	uint32_t small_watts,
		large_watts;   /* that it draws while each model computes; 0: not known */
	char sysfs[256];       /* where the kernel tells of power and temperature: "/sys" */
	float token_threshold; /* how sure the small model has to be of a token, 0 to 1 */
	char log_level[8];     /* error warning info debug */
	char api_keys[4096];   /* a file of keys, one a line; needed when http is not on loopback */
	char cloud[4096];      /* a file of cloud endpoints (daemon/endpoints.h); "": no cloud */
	uint32_t request_timeout; /* seconds that a request may take; 0: as long as it needs */
};

/* Fills c from argv. Returns 0, 1 when all was said already (--help, --version; exit 0), -1 on an
 * error (exit 78). print: --check-config was given. */
int config_load(struct config *c, int argc, char **argv, bool *check_only, struct err *err);

/* Whether the daemon would take them: addresses, and the files that they name. The start asks as --check-config does.
 * (config_check.c) */
int config_check(const struct config *c, struct err *err);

/* The built-in values. */
void config_defaults(struct config *c);

/* The effective values in the file's own form. */
void config_print(const struct config *c, FILE *out);

/* "host:port", "[v6]:port" to parts. */
int config_address(const char *text, char *host, size_t host_size, uint16_t *port, struct err *err);

#endif
