#include "tests/bench/plain_group.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

struct plain_peer {
	const struct plain_run *run;
	uint32_t rank;
	int fds[PLAIN_MAX]; /* by rank; -1: none */
	float *rows, *sums;
	uint8_t *message, *heard;
	size_t bytes;
};

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	abort();
}

static void
write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		must(w > 0, "write");
		p += w;
		n -= (size_t)w;
	}
}

static void
read_all(int fd, uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t r = read(fd, p, n);

		must(r > 0, "read");
		p += r;
		n -= (size_t)r;
	}
}

static void
pack(struct plain_peer *p, const float *rows)
{
	const struct frame f = {.kind = FRAME_PART,
		.format = (uint8_t)p->run->format,
		.rows = p->run->rows,
		.width = p->run->width};

	frame_write(&f, p->message);
	frame_pack(p->run->format, rows, f.rows, f.width, p->message + FRAME_HEADER);
}

static void
unpack(struct plain_peer *p, const uint8_t *message, float *rows, int add)
{
	frame_unpack(
		p->run->format, message + FRAME_HEADER, p->run->rows, p->run->width, rows, add);
}

static void
star(struct plain_peer *p)
{
	if (p->rank != 0) {
		pack(p, p->rows);
		write_all(p->fds[0], p->message, p->bytes);
		read_all(p->fds[0], p->heard, p->bytes);
		unpack(p, p->heard, p->sums, 0);
		return;
	}
	memcpy(p->sums, p->rows, (size_t)p->run->rows * p->run->width * sizeof *p->sums);
	for (uint32_t i = 1; i < p->run->peers; i++) {
		read_all(p->fds[i], p->heard, p->bytes);
		unpack(p, p->heard, p->sums, 1);
	}
	pack(p, p->sums);
	for (uint32_t i = 1; i < p->run->peers; i++)
		write_all(p->fds[i], p->message, p->bytes);
}

static void
direct(struct plain_peer *p)
{
	pack(p, p->rows);
	for (uint32_t i = 0; i < p->run->peers; i++)
		if (i != p->rank)
			write_all(p->fds[i], p->message, p->bytes);
	for (uint32_t i = 0; i < p->run->peers; i++) {
		if (i != p->rank)
			read_all(p->fds[i], p->heard, p->bytes);
		unpack(p, i == p->rank ? p->message : p->heard, p->sums, i > 0);
	}
}

static void
run_peer(void *arg)
{
	struct plain_peer *p = arg;

	for (uint32_t i = 0; i < p->run->reductions; i++) {
		if (p->run->way == WAY_STAR)
			star(p);
		else
			direct(p);
		if (p->rank == 0)
			p->run->done[i] = uv_hrtime();
	}
}

static void
connect_pair(int *near, int *far)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof sa;
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	must(listener >= 0 && bind(listener, (struct sockaddr *)&sa, len) == 0 &&
			listen(listener, 1) == 0 &&
			getsockname(listener, (struct sockaddr *)&sa, &len) == 0,
		"listen");
	*far = socket(AF_INET, SOCK_STREAM, 0);
	must(*far >= 0 && connect(*far, (struct sockaddr *)&sa, len) == 0, "connect");
	*near = accept(listener, NULL, NULL);
	must(*near >= 0, "accept");
	setsockopt(*near, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(*far, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	close(listener);
}

static void
open_peer(struct plain_peer *p, const struct plain_run *run, uint32_t rank)
{
	size_t n = (size_t)run->rows * run->width;

	*p = (struct plain_peer){.run = run, .rank = rank};
	p->bytes = FRAME_HEADER + frame_payload(run->format, run->rows, run->width);
	p->rows = calloc(n, sizeof *p->rows);
	p->sums = calloc(n, sizeof *p->sums);
	p->message = calloc(1, p->bytes);
	p->heard = calloc(1, p->bytes);
	must(p->rows != NULL && p->sums != NULL && p->message != NULL && p->heard != NULL,
		"memory");
	for (size_t i = 0; i < n; i++)
		p->rows[i] = (float)(i % 101) - 50.0f;
}

void
plain_group_run(const struct plain_run *run)
{
	struct plain_peer peers[PLAIN_MAX];
	uv_thread_t threads[PLAIN_MAX];

	for (uint32_t i = 0; i < run->peers; i++)
		open_peer(&peers[i], run, i);
	for (uint32_t i = 0; i < run->peers; i++)
		for (uint32_t k = i + 1; k < run->peers; k++)
			connect_pair(&peers[i].fds[k], &peers[k].fds[i]);
	for (uint32_t i = 0; i < run->peers; i++)
		must(uv_thread_create(&threads[i], run_peer, &peers[i]) == 0, "thread");
	for (uint32_t i = 0; i < run->peers; i++)
		uv_thread_join(&threads[i]);
	for (uint32_t i = 0; i < run->peers; i++) {
		for (uint32_t k = 0; k < run->peers; k++)
			if (k != i)
				close(peers[i].fds[k]);
		free(peers[i].rows);
		free(peers[i].sums);
		free(peers[i].message);
		free(peers[i].heard);
	}
}
