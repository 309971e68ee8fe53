/* Measuring this device, on libuv's thread pool. */
#include "daemon/speeds.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct measure_job {
	uv_work_t req;
	struct device_test test;
	char folder[4096];
	atomic_bool stop;
	int result;
	struct device_speed speed;
	struct err err;
	void (*done)(void *arg, const struct device_speed *s, const struct err *err);
	void *arg;
};

static bool
is_stopped(void *arg)
{
	struct measure_job *j = arg;

	return atomic_load(&j->stop);
}

static void
work(uv_work_t *req)
{
	struct measure_job *j = req->data;

	j->result = device_speed_measure(&j->test, &j->speed, &j->err);
}

static void
after_work(uv_work_t *req, int status)
{
	struct measure_job *j = req->data;

	(void)status;
	j->done(j->arg, j->result == 0 ? &j->speed : NULL, &j->err);
	free(j);
}

struct measure_job *
measure_job_start(uv_loop_t *loop, const struct device_test *test,
	void (*done)(void *arg, const struct device_speed *s, const struct err *err), void *arg)
{
	struct measure_job *j = calloc(1, sizeof *j);

	if (j == NULL)
		return NULL;
	j->req.data = j;
	j->test = *test;
	snprintf(j->folder, sizeof j->folder, "%s", test->folder);
	j->test.folder = j->folder;
	j->test.stop = is_stopped;
	j->test.arg = j;
	j->done = done;
	j->arg = arg;
	if (uv_queue_work(loop, &j->req, work, after_work) != 0) {
		free(j);
		return NULL;
	}
	return j;
}

void
measure_job_stop(struct measure_job *j)
{
	atomic_store(&j->stop, true);
}
