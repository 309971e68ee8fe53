#include "client/roofline.h"

#include "base/buf.h"
#include "client/show.h"
#include "kernels/cpu.h"
#include "kernels/roof.h"
#include "model/kv.h"
#include "model/memory.h"
#include "model/window.h"

#include <jansson.h>
#include <string.h>

#define READ_BYTES ((size_t)256 << 20) /* much larger than a cache */
#define MAX_ROWS   16

struct row {
	unsigned threads;
	double bandwidth, operations;
};

static size_t
bytes_to_read(void)
{
	uint64_t there = memory_available();

	return there / 4 < READ_BYTES ? (size_t)(there / 4) : READ_BYTES;
}

/* --- a model and its roof --- */

double
roof_token_bytes(const struct local *l, uint32_t positions)
{
	struct shard_header h;
	double bytes;

	if (shard_header_plan(l->gguf, &l->shape, &l->slice, &h, NULL) != 0)
		return 0;
	bytes = (double)window_weights_step(&h);
	shard_header_free(&h);
	return bytes + (double)kv_bytes(l->opt.kv, l->shape.layers, 1, l->shape.kv_heads, positions,
			       l->shape.head_dim);
}

/* The matrices of a unit, one part each; the unit stays where it is, since all are in memory. */
static int
add_unit(struct buf *parts, const struct local *l, enum unit_kind kind, uint32_t layer,
	uint32_t expert, struct err *err)
{
	const struct unit *u = l->weights->acquire(l->weights, kind, layer, expert, err);

	if (u == NULL)
		return -1;
	for (const enum tensor_role *role = unit_roles(kind); *role != TENSOR_ROLES; role++) {
		const struct matrix *m = &u->t[*role];
		size_t lines =
			m->layout == LAYOUT_TILES ? (m->rows + TILE_ROWS - 1) / TILE_ROWS : m->rows;
		struct roof_part part = {m->data, lines * m->stride};

		if (m->data != NULL)
			buf_append(parts, &part, sizeof part);
	}
	l->weights->release(l->weights, u);
	return 0;
}

/* All that rows of a step may meet. */
static int
add_units(struct buf *parts, const struct local *l, struct err *err)
{
	int rc = add_unit(parts, l, UNIT_HEAD, 0, 0, err);

	for (uint32_t layer = 0; rc == 0 && layer < l->shape.layers; layer++) {
		rc |= add_unit(parts, l, UNIT_ATTN, layer, 0, err);
		rc |= add_unit(parts, l, UNIT_FFN, layer, 0, err);
		for (uint32_t e = 0; rc == 0 && e < l->shape.experts; e++)
			rc |= add_unit(parts, l, UNIT_EXPERT, layer, e, err);
	}
	return rc;
}

double
roof_read_speed(const struct local *l, unsigned threads)
{
	struct buf parts = {0};
	struct roof *r = NULL;
	double speed = 0;
	struct err err;

	if (add_units(&parts, l, &err) == 0 && !parts.failed)
		r = roof_over((const void *)parts.data, parts.len / sizeof(struct roof_part), &err);
	if (r != NULL) {
		pool_limit(l->pool, threads); /* the next step sets it again */
		speed = roof_bandwidth(r, &l->kernels, l->pool);
	}
	roof_free(r);
	buf_free(&parts);
	return speed;
}

/* --- the machine's roofs --- */

static unsigned
measure(struct roof *roof, const struct kernels *k, struct pool *p, struct row *rows)
{
	unsigned n = 0, size = pool_size(p), step = size > 8 ? size / 8 : 1;

	for (unsigned threads = 1; threads <= size && n < MAX_ROWS && !interrupted();) {
		pool_limit(p, threads);
		rows[n++] =
			(struct row){threads, roof_bandwidth(roof, k, p), roof_operations(k, p)};
		/* 1 to 8 one by one; of more threads every eighth part. */
		if (threads < size && threads + step > size)
			threads = size;
		else
			threads += threads == 1 && step > 1 ? step - 1 : step;
	}
	return n;
}

static void
print_json(const struct kernels *k, size_t bytes, const struct row *rows, unsigned n)
{
	json_t *o = json_pack("{s:s,s:s,s:I}", "cpu_info", cpu_model(), "kernels", k->name,
		"bytes_read", (json_int_t)bytes);
	json_t *list = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(
			list, json_pack("{s:i,s:f,s:f}", "n_threads", rows[i].threads,
				      "read_bytes_per_second", rows[i].bandwidth,
				      "integer_operations_per_second", rows[i].operations));
	json_object_set_new(o, "roofs", list);
	json_dumpf(o, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(o);
}

static void
print_csv(const struct kernels *k, const struct row *rows, unsigned n)
{
	printf("kernels,n_threads,read_bytes_per_second,integer_operations_per_second\n");
	for (unsigned i = 0; i < n; i++)
		printf("%s,%u,%.0f,%.0f\n", k->name, rows[i].threads, rows[i].bandwidth,
			rows[i].operations);
}

static void
print_table(const struct kernels *k, const struct row *rows, unsigned n)
{
	static const char *const headings[] = {
		"<cpu", "<kernels", "threads", "read GB/s", "integer GOP/s", NULL};
	struct table *t = table_new(headings);

	for (unsigned i = 0; i < n; i++) {
		table_cell(t, "%s", cpu_model());
		table_cell(t, "%s", k->name);
		table_cell(t, "%u", rows[i].threads);
		table_cell(t, "%.2f", rows[i].bandwidth / 1e9);
		table_cell(t, "%.1f", rows[i].operations / 1e9);
	}
	table_print_markdown(t, stdout);
	table_free(t);
}

int
roofline(struct ctl *ctl, const struct local_options *opt, const char *format)
{
	uint32_t features = cpu_detect();
	size_t bytes = bytes_to_read();
	struct row rows[MAX_ROWS];
	struct kernels k;
	struct roof *roof;
	struct pool *p;
	struct err err;
	unsigned n;

	if (opt->cpu != NULL && cpu_parse(opt->cpu, &features, &err) != 0)
		return ctl_fail(ctl, EXIT_USAGE, "%s", err.msg);
	kernels_init(&k, features);
	roof = roof_new(bytes, &err);
	p = roof != NULL ? pool_new(opt->threads, &err) : NULL;
	if (p == NULL) {
		roof_free(roof);
		return ctl_fail(ctl, EXIT_FAILED, "%s", err.msg);
	}
	if (opt->pin && pool_pin(p, &err) != 0)
		ctl_note(ctl, "shoal %s: threads are not pinned: %s", ctl->command, err.msg);
	n = measure(roof, &k, p, rows);
	pool_free(p);
	roof_free(roof);
	if (interrupted())
		return EXIT_INTERRUPTED;
	if (strcmp(format, "json") == 0)
		print_json(&k, bytes, rows, n);
	else if (strcmp(format, "csv") == 0)
		print_csv(&k, rows, n);
	else
		print_table(&k, rows, n);
	return EXIT_DONE;
}
