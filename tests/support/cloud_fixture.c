#include "tests/support/cloud_fixture.h"

#include "base/file.h"
#include "tests/support/patience.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
become_server(const struct cloud_server *s, const char *tls, int in, int out)
{
	const char *top = getenv("SHOAL_SRCDIR");
	char path[512];

	snprintf(path, sizeof path, "%s/tests/support/cloud_server.py", top != NULL ? top : ".");
	dup2(in, 0);
	dup2(out, 1);
	if (tls == NULL)
		execlp("python3", "python3", path, s->dir, (char *)NULL);
	else
		execlp("python3", "python3", path, s->dir, "--tls", tls, "--ca", s->ca,
			(char *)NULL);
	_exit(127);
}

void
cloud_server_start(struct cloud_server *s, const char *tls)
{
	int in[2], out[2];
	FILE *said;

	strcpy(s->dir, "/tmp/shoal-cloud-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(s->dir));
	snprintf(s->ca, sizeof s->ca, "%s.ca", s->dir);
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	s->pid = fork();
	ck_assert_int_ge(s->pid, 0);
	if (s->pid == 0)
		become_server(s, tls, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	s->in = in[1];
	said = fdopen(out[0], "r");
	ck_assert_ptr_nonnull(said);
	ck_assert_msg(fscanf(said, "port %d", &s->port) == 1, "the server does not start");
	fclose(said);
}

void
cloud_server_stop(struct cloud_server *s)
{
	char path[400];

	close(s->in);
	waitpid(s->pid, NULL, 0);
	for (unsigned i = cloud_server_connections(s); i-- > 0;) {
		snprintf(path, sizeof path, "%s/%04u", s->dir, i);
		unlink(path);
		strcat(path, ".end");
		unlink(path);
	}
	unlink(s->ca);
	rmdir(s->dir);
}

unsigned
cloud_server_connections(const struct cloud_server *s)
{
	DIR *d = opendir(s->dir);
	unsigned n = 0;

	ck_assert_ptr_nonnull(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		n += strchr(e->d_name, '.') == NULL;
	closedir(d);
	return n;
}

bool
cloud_server_ended(const struct cloud_server *s, unsigned i)
{
	char path[400];

	snprintf(path, sizeof path, "%s/%04u.end", s->dir, i);
	return access(path, F_OK) == 0;
}

bool
cloud_server_heard(const struct cloud_server *s, unsigned i)
{
	char path[400];
	struct stat st;

	snprintf(path, sizeof path, "%s/%04u", s->dir, i);
	return stat(path, &st) == 0 && st.st_size > 0;
}

void
cloud_server_received(const struct cloud_server *s, unsigned i, struct buf *out)
{
	char path[400];
	struct err err;

	snprintf(path, sizeof path, "%s/%04u", s->dir, i);
	buf_clear(out);
	ck_assert_msg(file_read(path, out, &err) == 0, "%s", err.msg);
}

void
cloud_server_endpoint(const struct cloud_server *s, const char *faults, struct endpoint *e)
{
	*e = (struct endpoint){.key = "sk-secret-1234",
		.price = {150000, 600000},
		.context = 8192,
		.max_tokens = 1024,
		.timeout = 20,
		.quality = -1};
	strcpy(e->name, "test");
	strcpy(e->model, "big-1");
	snprintf(e->url, sizeof e->url, "http://127.0.0.1:%d/%s/v1", s->port, faults);
}

/* --- outcomes ------------------------------------------------------------------------------------ */

static void
on_heard(void *arg)
{
	struct outcome *o = arg;

	ck_assert_uint_eq(o->ended + o->failed + o->texts, 0);
	o->heard++;
}

static void
on_text(void *arg, const char *delta, size_t len)
{
	struct outcome *o = arg;

	ck_assert_uint_eq(o->heard, 1);
	ck_assert_uint_eq(o->ended + o->failed, 0);
	ck_assert_uint_gt(len, 0);
	if (o->texts++ == 0)
		o->first = uv_now(o->loop);
	buf_append(&o->text, delta, len);
	if (o->then != NULL)
		o->then(o);
}

static void
on_end(void *arg, const char *finish, const struct cloud_usage *usage)
{
	struct outcome *o = arg;

	ck_assert_uint_eq(o->ended + o->failed, 0);
	o->ended++;
	o->over = uv_now(o->loop);
	o->usage = *usage;
	snprintf(o->finish, sizeof o->finish, "%s", finish);
}

static void
on_error(void *arg, const struct cloud_error *e)
{
	struct outcome *o = arg;

	ck_assert_uint_eq(o->ended + o->failed, 0);
	o->failed++;
	o->over = uv_now(o->loop);
	o->error = *e;
}

struct cloud_events
outcome_events(struct outcome *o, uv_loop_t *loop)
{
	o->loop = loop;
	o->began = uv_now(loop);
	return (struct cloud_events){on_heard, on_text, on_end, on_error, o};
}

void
outcome_free(struct outcome *o)
{
	buf_free(&o->text);
}

void
outcome_wait(struct outcome *o, unsigned n)
{
	uint64_t until;
	unsigned over = 0;

	uv_update_time(o->loop);
	until = uv_now(o->loop) + PATIENCE_MS;
	while (over < n) {
		ck_assert_uint_lt(uv_now(o->loop), until);
		uv_run(o->loop, UV_RUN_ONCE);
		over = 0;
		for (unsigned i = 0; i < n; i++)
			over += o[i].ended + o[i].failed > 0;
	}
}
