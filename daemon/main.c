/* shoald: the daemon of one device. Reads top to bottom: configuration, state, swarm and model,
 * API, ready, run, end. */
#include <config.h>

#include "base/file_guard.h"
#include "daemon/config.h"
#include "daemon/http.h"
#include "daemon/log.h"
#include "daemon/serve.h"
#include "daemon/state.h"

#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#define END_LIMIT_MS 2000 /* from the last answer to the end of the process */
#define SAY_EVERY_MS 1000 /* how often systemd hears the state when it has changed */

static struct {
	struct config config;
	struct state state;
	uv_loop_t loop;
	struct serve *serve;
	struct http *http;
	uv_signal_t term, interrupt;
	uv_timer_t timer; /* says the state; later limits the end */
	char said[256];
	bool ending, late;
} d;

/* --- systemd ------------------------------------------------------------------------------------ */

static void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...)
{
#ifdef HAVE_SYSTEMD
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	sd_notify(0, text);
#else
	(void)fmt;
#endif
}

static void
on_say(uv_timer_t *t)
{
	json_t *status = serve_status(d.serve);
	const char *words = json_string_value(json_object_get(status, "state"));

	(void)t;
	if (words != NULL && strncmp(words, d.said, sizeof d.said - 1) != 0) {
		snprintf(d.said, sizeof d.said, "%s", words);
		say("STATUS=%s", d.said);
	}
	json_decref(status);
}

/* --- ending ------------------------------------------------------------------------------------- */

static void
on_late(uv_timer_t *t)
{
	(void)t;
	d.late = true;
	uv_stop(&d.loop);
}

/* No request runs any more and the swarm's links are closing. */
static void
on_served(void *arg)
{
	(void)arg;
	if (d.http != NULL)
		http_close(d.http);
	uv_close((uv_handle_t *)&d.term, NULL);
	uv_close((uv_handle_t *)&d.interrupt, NULL);
	uv_timer_start(&d.timer, on_late, END_LIMIT_MS, 0);
	uv_unref((uv_handle_t *)&d.timer);
}

static void
on_signal(uv_signal_t *handle, int number)
{
	(void)handle;
	if (d.ending) {
		log_info("%s again: ending at once", number == SIGTERM ? "SIGTERM" : "SIGINT");
		serve_hurry(d.serve);
		return;
	}
	d.ending = true;
	log_info("%s: ending", number == SIGTERM ? "SIGTERM" : "SIGINT");
	say("STOPPING=1\nSTATUS=finishing what runs");
	uv_timer_stop(&d.timer);
	serve_close(d.serve, on_served, NULL);
}

static int
finish(void)
{
	bool late = d.late;

	if (late) {
		/* A job on the thread pool still reads a large file. libuv would wait for it at
		 * exit; it has nothing to write that matters. */
		log_info("a file is still being read: ending without waiting for it");
		state_close(&d.state);
		_exit(EXIT_SUCCESS);
	}
	uv_close((uv_handle_t *)&d.timer, NULL);
	uv_run(&d.loop, UV_RUN_DEFAULT);
	http_free(d.http);
	serve_free(d.serve);
	state_close(&d.state);
	uv_loop_close(&d.loop);
	log_info("ended");
	return EXIT_SUCCESS;
}

/* --- starting ----------------------------------------------------------------------------------- */

static int
fail(int status, const struct err *err)
{
	log_error("%s", err->msg);
	return status;
}

/* The model of the configuration, or the one that was served last. A model that cannot be had does
 * not keep the daemon from starting: the state says why, and another one can be loaded. */
static void
load_model(void)
{
	const char *path = d.config.model[0] != '\0' ? d.config.model : d.state.model;
	struct err err = {""};

	if (path[0] == '\0')
		return;
	if (d.state.is_member)
		log_info("this device is a member: its own model (%s) is not served", path);
	else if (serve_load(d.serve, path, &err) != 0)
		log_error("%s", err.msg);
}

static int
start_signals(struct err *err)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow: the write says so */
	if (file_guard_start(err) != 0)
		return -1;
	uv_signal_init(&d.loop, &d.term);
	uv_signal_init(&d.loop, &d.interrupt);
	if (uv_signal_start(&d.term, on_signal, SIGTERM) != 0 ||
		uv_signal_start(&d.interrupt, on_signal, SIGINT) != 0)
		return err_set(err, "signals cannot be handled");
	return 0;
}

int
main(int argc, char **argv)
{
	struct err err = {""};
	bool check_only = false;
	int result = config_load(&d.config, argc, argv, &check_only, &err);

	/* Large blocks go back to the system when they are freed: glibc would keep ever larger ones
	 * after it has seen some go, and `memory` is a promise. */
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	log_open(LOG_LEVEL_INFO);
	if (result > 0)
		return EXIT_SUCCESS;
	if (result < 0)
		return fail(EX_CONFIG, &err);
	if (sodium_init() < 0)
		return fail(EXIT_FAILURE, &(struct err){"libsodium does not start"});
	log_open((enum log_level)log_level_parse(d.config.log_level));
	if (config_check(&d.config, &err) != 0)
		return fail(EX_CONFIG, &err);
	if (check_only) {
		config_print(&d.config, stdout);
		return EXIT_SUCCESS;
	}

	if (state_open(&d.state, d.config.state_dir, d.config.name, &err) != 0)
		return fail(EXIT_FAILURE, &err);
	uv_loop_init(&d.loop);
	d.serve = serve_new(&d.loop, &d.config, &d.state, &err);
	if (d.serve == NULL)
		return fail(EX_CONFIG, &err);
	d.http = http_new(&d.loop, &d.config, d.serve, &err);
	if (d.http == NULL || start_signals(&err) != 0)
		return fail(EX_CONFIG, &err);
	load_model();

	uv_timer_init(&d.loop, &d.timer);
	if (getenv("NOTIFY_SOCKET") != NULL)
		uv_timer_start(&d.timer, on_say, 0, SAY_EVERY_MS);
	log_info("%s is %s: peers on port %u, HTTP on port %u", PACKAGE_STRING, d.state.name,
		swarm_port(serve_swarm(d.serve)), http_port(d.http));
	say("READY=1");
	uv_run(&d.loop, UV_RUN_DEFAULT);
	return finish();
}
