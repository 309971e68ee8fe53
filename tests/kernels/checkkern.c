/* Every kernel of every set that this CPU runs, against plain C: the bits must be equal. Random shapes, odd sizes,
 * extreme scales, subnormals; inputs end where their memory ends, outputs have guards around them. With --bench the
 * same program says how fast each is.
 *
 *   checkkern [--seed N] [--bench [--set NAME] [--type NAME]] */
#include "kernels/block.h"
#include "kernels/codes.h"
#include "kernels/cpu.h"
#include "kernels/plain.h"
#include "kernels/roof.h"
#include "kernels/sets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define GUARD 64 /* floats on both sides of an output */

static uint64_t state; /* of rnd() */
static unsigned passed, failed;

static uint32_t
rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16);
}

static uint32_t
between(uint32_t low, uint32_t high)
{
	return low + rnd() % (high - low + 1);
}

static float
rnd_float(float scale)
{
	return ((float)(rnd() & 0xffffff) / (float)0x800000 - 1.0f) * scale;
}

/* Memory that ends at a page that cannot be read. */
struct edge {
	uint8_t *map, *data;
	size_t len, map_len;
};

static struct edge
edge_new(size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct edge e = {.len = len};

	e.map_len = (len + page - 1) / page * page + page;
	e.map = mmap(NULL, e.map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (e.map == MAP_FAILED || mprotect(e.map + e.map_len - page, page, PROT_NONE) != 0) {
		perror("mmap");
		exit(2);
	}
	e.data = e.map + e.map_len - page - len;
	return e;
}

static void
edge_free(struct edge *e)
{
	munmap(e->map, e->map_len);
}

/* An output between guards. */
static float *
guarded_new(size_t n)
{
	float *p = malloc((n + 2 * GUARD) * sizeof *p);

	if (p == NULL)
		exit(2);
	memset(p, 0x5a, (n + 2 * GUARD) * sizeof *p);
	return p + GUARD;
}

static bool
guarded_ok(const float *p, size_t n)
{
	const uint8_t *before = (const uint8_t *)(p - GUARD), *after = (const uint8_t *)(p + n);

	for (size_t i = 0; i < GUARD * sizeof *p; i++)
		if (before[i] != 0x5a || after[i] != 0x5a)
			return false;
	return true;
}

static void
report(const char *set, const char *kernel, const char *trouble)
{
	if (trouble == NULL) {
		passed++;
		printf("ok   %-8s %s\n", set, kernel);
	} else {
		failed++;
		printf("FAIL %-8s %s: %s\n", set, kernel, trouble);
	}
}

/* --- inputs --- */

static void
fill_floats(float *x, size_t n)
{
	static const float scales[] = {1.0f, 1e-3f, 1e4f, 1e-30f, 1e-42f, 0.0f};
	float scale = scales[rnd() % 6];

	for (size_t i = 0; i < n; i++)
		x[i] = rnd_float(rnd() % 50 == 0 ? scale * 100 : scale);
}

/* Weights: any bytes, with scales that are finite. */
static void
fill_weights(uint32_t dtype, uint8_t *data, size_t bytes)
{
	const struct dtype_info *info = dtype_info(dtype);

	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)rnd();
	for (size_t at = 0; at + info->bytes <= bytes; at += info->bytes) {
		float scale = rnd() % 20 == 0 ? 1e-6f : 0.1f, value = rnd_float(1.0f);
		uint16_t half = f32_to_f16(value);
		struct codes c;

		if (dtype == DTYPE_F32) {
			memcpy(data + at, &value, 4);
		} else if (dtype == DTYPE_BF16) {
			data[at + 1] = (uint8_t)((data[at + 1] & 0x80) | 0x3e);
		} else if (dtype == DTYPE_F16) {
			memcpy(data + at, &half, 2);
		} else {
			codes_read(dtype, data + at, &c);
			c.d = dtype == DTYPE_MXFP4
				      ? (uint16_t)(rnd() % 20 == 0 ? rnd() % 4 : between(110, 130))
				      : f32_to_f16(rnd_float(scale));
			c.m = f32_to_f16(rnd_float(scale));
			codes_write(dtype, &c, data + at);
		}
	}
}

/* --- the kernels --- */

static const char *
check_matmul(const struct kernels *k, uint32_t dtype)
{
	static char trouble[160];
	const char *result = NULL;

	for (int turn = 0; turn < 24 && result == NULL; turn++) {
		uint32_t block = dtype_info(dtype)->block;
		uint32_t rows = between(1, 67), n = turn < 8 ? 1 : between(1, 40);
		uint32_t cols =
			block == 1 ? between(1, 300) : block * between(1, block == 256 ? 5 : 40);
		size_t row_bytes = dtype_row_bytes(dtype, cols);
		struct edge w = edge_new(row_bytes * rows),
			    f = edge_new((size_t)n * cols * sizeof(float));
		struct matrix m = {dtype, rows, cols, row_bytes, w.data, LAYOUT_ROWS};
		size_t group = tile_group_bytes(dtype, cols);
		struct edge tiles = edge_new(tile_matrix_bytes(dtype, rows, cols));
		struct matrix mt = {dtype, rows, cols, group, tiles.data, LAYOUT_TILES};
		float *want = guarded_new((size_t)rows * n), *got = guarded_new((size_t)rows * n);
		struct act act = {0};
		struct err err;

		fill_weights(dtype, w.data, w.len);
		fill_floats((float *)(void *)f.data, (size_t)n * cols);
		if (act_init(&act, n, cols, &err) != 0)
			exit(2);
		act.rows = n;
		act.cols = cols;
		act.f = (const float *)(const void *)f.data;
		kernels_plain.quantize(&act, 0, n);
		for (uint32_t r = 0; r < rows; r += TILE_ROWS)
			tile_pack(dtype, cols, w.data + r * row_bytes, row_bytes,
				rows - r < TILE_ROWS ? rows - r : TILE_ROWS,
				tiles.data + r / TILE_ROWS * group);
		plain_matmul(&m, 0, rows, &act, want, rows);
		/* In two tiles, as the pool hands them out. */
		uint32_t middle = rows > 16 ? 16 : rows;

		k->matmul[dtype](&mt, 0, middle, &act, got, rows);
		if (middle < rows)
			k->matmul[dtype](&mt, middle, rows, &act, got, rows);
		for (size_t i = 0; i < (size_t)rows * n && result == NULL; i++) {
			if (float_to_bits(want[i]) != float_to_bits(got[i]) &&
				!(want[i] != want[i] && got[i] != got[i])) {
				snprintf(trouble, sizeof trouble,
					"%u x %u times %u, value %zu: %a instead of %a", rows, cols,
					n, i, (double)got[i], (double)want[i]);
				result = trouble;
			}
		}
		if (result == NULL && !guarded_ok(got, (size_t)rows * n))
			result = "it wrote outside of its output";
		act_deinit(&act);
		free(want - GUARD);
		free(got - GUARD);
		edge_free(&w);
		edge_free(&tiles);
		edge_free(&f);
	}
	return result;
}

static const char *
check_quantize(const struct kernels *k)
{
	for (int turn = 0; turn < 40; turn++) {
		uint32_t n = between(1, 5), cols = between(1, 300), blocks = block_count(cols);
		struct edge f = edge_new((size_t)n * cols * sizeof(float));
		struct act a = {0}, b = {0};
		bool same;
		struct err err;

		fill_floats((float *)(void *)f.data, (size_t)n * cols);
		if (act_init(&a, n, cols, &err) != 0 || act_init(&b, n, cols, &err) != 0)
			exit(2);
		a.rows = b.rows = n;
		a.cols = b.cols = cols;
		a.f = b.f = (const float *)(const void *)f.data;
		kernels_plain.quantize(&a, 0, n);
		k->quantize(&b, 0, n);
		same = memcmp(a.q, b.q, (size_t)n * blocks * BLOCK) == 0 &&
		       memcmp(a.d, b.d, (size_t)n * blocks * sizeof *a.d) == 0 &&
		       memcmp(a.sum, b.sum, (size_t)n * blocks * sizeof *a.sum) == 0 &&
		       memcmp(a.half, b.half, (size_t)n * blocks * sizeof *a.half) == 0;
		act_deinit(&a);
		act_deinit(&b);
		edge_free(&f);
		if (!same)
			return "other bits than plain C";
	}
	return NULL;
}

enum vector_kernel { RMSNORM, ADD, SILU_MUL, ROPE, ROPE_INTERLEAVED };

static void
run_vector(const struct kernels *k, enum vector_kernel which, float *x, const float *y,
	const float *z, uint32_t n)
{
	switch (which) {
	case RMSNORM:
		k->rmsnorm(x, x, y, n, 1e-5f);
		break;
	case ADD:
		k->add(x, y, n);
		break;
	case SILU_MUL:
		k->silu_mul(x, y, n);
		break;
	case ROPE:
		k->rope(x, y, z, n, false);
		break;
	case ROPE_INTERLEAVED:
		k->rope(x, y, z, n, true);
		break;
	}
}

static const char *
check_vector(const struct kernels *k, enum vector_kernel which)
{
	for (int turn = 0; turn < 60; turn++) {
		uint32_t n = which >= ROPE ? 2 * between(1, 130) : between(1, 700);
		struct edge y = edge_new(n * sizeof(float)), z = edge_new(n * sizeof(float));
		float *a = guarded_new(n), *b = guarded_new(n);
		const float *fy = (const float *)(const void *)y.data,
			    *fz = (const float *)(const void *)z.data;
		bool same;

		fill_floats(a, n);
		if (which == SILU_MUL)
			for (uint32_t i = 0; i < n; i++)
				a[i] = rnd_float(rnd() % 9 == 0 ? 200.0f : 8.0f);
		memcpy(b, a, n * sizeof *a);
		fill_floats((float *)(void *)y.data, n);
		fill_floats((float *)(void *)z.data, n);
		run_vector(&kernels_plain, which, a, fy, fz, n);
		run_vector(k, which, b, fy, fz, n);
		same = memcmp(a, b, n * sizeof *a) == 0 && guarded_ok(b, n);
		free(a - GUARD);
		free(b - GUARD);
		edge_free(&y);
		edge_free(&z);
		if (!same)
			return "other bits than plain C";
	}
	return NULL;
}

static const char *
check_attend(const struct kernels *k, enum kv_type type)
{
	static const uint32_t head_dims[] = {8, 16, 20, 32, 64, 80, 128, 256};

	for (int turn = 0; turn < 40; turn++) {
		uint32_t dim = head_dims[rnd() % 8], kv_heads = between(1, 4),
			 group = between(1, 8);
		uint32_t context = between(1, 150), n = between(1, context),
			 heads = kv_heads * group;
		struct attention a = {
			heads, kv_heads, dim, context, 1.0f / sqrtf((float)dim), type};
		size_t values = (size_t)kv_heads * context * dim, size = type == KV_F16 ? 2 : 4;
		struct edge kc = edge_new(values * size), vc = edge_new(values * size);
		struct edge q = edge_new((size_t)heads * dim * sizeof(float));
		float *x = malloc(values * sizeof *x), *want = guarded_new((size_t)heads * dim);
		float *got = guarded_new((size_t)heads * dim);
		const float *fq = (const float *)(const void *)q.data;
		bool same;

		for (size_t i = 0; i < values; i++)
			x[i] = rnd_float(2.0f);
		kernels_plain.kv_store(type, kc.data, x, (uint32_t)values);
		k->kv_store(type, vc.data, x, (uint32_t)values);
		same = memcmp(kc.data, vc.data, values * size) == 0;
		for (uint32_t i = 0; i < heads * dim; i++)
			((float *)(void *)q.data)[i] = rnd_float(turn % 5 == 0 ? 50.0f : 2.0f);
		kernels_plain.attend(&a, fq, kc.data, vc.data, n, 0, kv_heads, want);
		for (uint32_t h = 0; h < kv_heads; h++)
			k->attend(&a, fq, kc.data, vc.data, n, h, h + 1, got);
		same = same && memcmp(want, got, (size_t)heads * dim * sizeof *got) == 0 &&
		       guarded_ok(got, (size_t)heads * dim);
		free(x);
		free(want - GUARD);
		free(got - GUARD);
		edge_free(&kc);
		edge_free(&vc);
		edge_free(&q);
		if (!same)
			return "other bits than plain C";
	}
	return NULL;
}

/* The loops that measure roofs do what they count: read all, and so many products a turn. */
static const char *
check_roof(const struct kernels *k)
{
	_Alignas(64) int8_t q[ROOF_ACTIVATIONS] = {1};
	uint8_t *data = aligned_alloc(64, ROOF_UNIT);
	const char *trouble = NULL;
	uint64_t one = k->roof_products(q, 1);

	if (data == NULL)
		exit(2);
	for (int turn = 0; turn < 64 && trouble == NULL; turn++) {
		uint64_t want = (uint64_t)1 << turn;

		memset(data, 0, ROOF_UNIT);
		memcpy(data + rnd() % (ROOF_UNIT / 8) * 8, &want, sizeof want);
		if (k->roof_read(data, ROOF_UNIT) != want)
			trouble = "it has not read all";
	}
	free(data);
	if (trouble == NULL && (one == 0 || k->roof_products(q, 1000) != 1000 * one))
		trouble = "its products do not grow with its turns";
	return trouble;
}

static void
check_set(const struct kernels *k)
{
	static const char *const names[] = {
		"rmsnorm", "add", "silu_mul", "rope", "rope interleaved"};
	char name[32];

	report(k->name, "quantize", check_quantize(k));
	for (uint32_t t = 0; t < DTYPE_COUNT; t++) {
		if (kernels_plain.matmul[t] == NULL)
			continue;
		snprintf(name, sizeof name, "matmul %s", dtype_name(t));
		report(k->name, name, k->matmul[t] == NULL ? "is missing" : check_matmul(k, t));
	}
	for (int i = RMSNORM; i <= ROPE_INTERLEAVED; i++)
		report(k->name, names[i], check_vector(k, (enum vector_kernel)i));
	report(k->name, "attend f32", check_attend(k, KV_F32));
	report(k->name, "attend f16", check_attend(k, KV_F16));
	report(k->name, "roof", check_roof(k));
}

/* The values a type defines: plain C's product with unit vectors is what dequantize says. */
static void
check_meaning(void)
{
	for (uint32_t t = 0; t < DTYPE_COUNT; t++) {
		uint32_t cols = 256;
		size_t bytes = dtype_computed(t) ? dtype_row_bytes(t, cols) : 0;
		const char *trouble = NULL;
		uint8_t row[2048];
		float want[256], x[256], got;
		struct act act;
		struct err err;
		char name[32];

		if (bytes == 0)
			continue;
		fill_weights(t, row, bytes);
		dequantize(t, row, want, cols);
		if (act_init(&act, 1, cols, &err) != 0)
			exit(2);
		for (uint32_t i = 0; i < cols && trouble == NULL; i++) {
			struct matrix m = {t, 1, cols, bytes, row};

			memset(x, 0, sizeof x);
			x[i] = 127.0f; /* quantises to 127 times a scale of one */
			act.rows = 1;
			act.cols = cols;
			act.f = x;
			kernels_plain.quantize(&act, 0, 1);
			kernels_plain.matmul[t](&m, 0, 1, &act, &got, 1);
			if (fabsf(got - 127.0f * want[i]) > 1e-5f * fabsf(got))
				trouble = "its product is not what it decodes to";
		}
		act_deinit(&act);
		snprintf(name, sizeof name, "decode %s", dtype_name(t));
		report("plain", name, trouble);
	}
}

/* --- speed --- */

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Best of several turns, in seconds. */
static double
time_matmul(const struct kernels *k, const struct matrix *m, struct act *act, float *out)
{
	double best = 1e9;

	for (int turn = 0; turn < 7; turn++) {
		double start = now();

		for (uint32_t r = 0; r < m->rows; r += 64)
			k->matmul[m->dtype](m, r, r + 64, act, out, m->rows);
		if (now() - start < best)
			best = now() - start;
	}
	return best;
}

/* Fills a matrix in tiles with the first row group, again and again. */
static void
fill_tiles(const struct matrix *m, uint8_t *data)
{
	size_t row = dtype_row_bytes(m->dtype, m->cols);
	uint8_t *rows = malloc(row * TILE_ROWS);

	if (rows == NULL)
		exit(2);
	fill_weights(m->dtype, rows, row * TILE_ROWS);
	tile_pack(m->dtype, m->cols, rows, row, TILE_ROWS, data);
	for (uint32_t g = 1; g < m->rows / TILE_ROWS; g++)
		memcpy(data + g * m->stride, data, m->stride);
	free(rows);
}

/* Decode: a matrix that no cache holds. Prefill: 256 rows. Both of 4096 columns. */
static void
bench_type(const struct kernels *k, uint32_t type, float *x, float *out, double roof)
{
	enum { COLS = 4096, MOST = 512, BYTES = 192 << 20 };
	static const uint32_t counts[] = {2, 4, 8, 16, 64, 512};
	size_t group = tile_group_bytes(type, COLS);
	struct matrix m = {
		type, (uint32_t)(BYTES / group / 4 * 64), COLS, group, NULL, LAYOUT_TILES};
	uint8_t *data = aligned_alloc(64, group * m.rows / TILE_ROWS);
	struct act act;
	struct err err;
	double speed;

	if (data == NULL || act_init(&act, MOST, COLS, &err) != 0)
		exit(2);
	fill_tiles(&m, data);
	m.data = data;
	act.cols = COLS;
	act.f = x;
	act.rows = 1;
	k->quantize(&act, 0, 1);
	speed = (double)group * m.rows / TILE_ROWS / time_matmul(k, &m, &act, out);
	printf("%-8s %-7s %7.2f %5.2f", k->name, dtype_name(type), speed / 1e9, speed / roof);
	m.rows = 256;
	printf(" %7.2f ", (double)group * m.rows / TILE_ROWS / time_matmul(k, &m, &act, out) / 1e9);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		act.rows = counts[i];
		k->quantize(&act, 0, act.rows);
		printf(" %7.1f", 256.0 * COLS * counts[i] / time_matmul(k, &m, &act, out) / 1e9);
		fflush(stdout);
	}
	printf("\n");
	act_deinit(&act);
	free(data);
}

static void
bench(const char *only_set, const char *only_type)
{
	const char *const *names = kernels_names();
	size_t n = (size_t)4096 * 512;
	float *x = malloc(n * sizeof *x), *out = malloc(((size_t)8 << 20) * sizeof *out);
	struct err err;
	struct roof *memory = roof_new((size_t)256 << 20, &err);
	struct pool *one = pool_new(1, &err);

	if (x == NULL || out == NULL || memory == NULL || one == NULL)
		exit(2);
	for (size_t i = 0; i < n; i++)
		x[i] = rnd_float(1.0f);
	printf("set      type    from memory  in cache   GMAC/s with rows of activations:\n");
	printf("                  GB/s share      GB/s         2       4       8      16      64"
	       "     512\n");
	for (size_t i = 0; names[i] != NULL; i++) {
		const struct kernels *k = kernel_set_find(names[i]);
		double roof;

		if (strcmp(k->name, "plain") == 0 ||
			(only_set != NULL && strcmp(only_set, k->name) != 0))
			continue;
		roof = roof_bandwidth(memory, k, one);
		printf("%-8s roofs   %7.2f GB/s read, %.1f GMAC/s, one thread\n", k->name,
			roof / 1e9, roof_operations(k, one) / 2e9);
		for (uint32_t t = 0; t < DTYPE_COUNT; t++)
			if (k->matmul[t] != NULL &&
				(only_type == NULL || strcmp(only_type, dtype_name(t)) == 0))
				bench_type(k, t, x, out, roof);
	}
	roof_free(memory);
	pool_free(one);
	free(x);
	free(out);
}

int
main(int argc, char **argv)
{
	const char *const *names = kernels_names();
	const char *set = NULL, *type = NULL;
	bool speed = false;

	state = (uint64_t)time(NULL);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--bench") == 0)
			speed = true;
		else if (strcmp(argv[i], "--set") == 0 && i + 1 < argc)
			set = argv[++i];
		else if (strcmp(argv[i], "--type") == 0 && i + 1 < argc)
			type = argv[++i];
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			state = strtoull(argv[++i], NULL, 10);
		else
			return fprintf(stderr, "usage: checkkern [--seed N] [--bench [--set NAME] "
					       "[--type NAME]]\n"),
			       2;
	}
	printf("seed %llu, %s\n", (unsigned long long)state, cpu_model());
	state = state * 6364136223846793005u + 1442695040888963407u;
	if (speed) {
		bench(set, type);
		return 0;
	}
	check_meaning();
	for (size_t i = 0; names[i] != NULL; i++)
		check_set(kernel_set_find(names[i]));
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
