/* Runs a fuzz target where there is no libFuzzer: first its own seed inputs, then the files given
 * (or all files of the folders given), then mutations of these. The mutation with number i depends
 * on the seed and i alone, so that one can be run again:
 *
 *   fuzz_gguf [-n COUNT] [-s SEED] [-i ONLY] [-v] [FILE or FOLDER]...
 *
 * A fault ends the program as the sanitizer sees fit; -v says each number before it is run. */
#include "base/file.h"
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_INPUTS 4096

#ifndef FUZZ_COUNT /* mutations unless -n says how many: of slow targets fewer */
#define FUZZ_COUNT 5000
#endif

struct input {
	uint8_t *data;
	size_t size;
};

static struct input inputs[MAX_INPUTS];
static unsigned n_inputs;

static uint64_t
next(uint64_t *state) /* splitmix64 */
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static size_t
below(uint64_t *state, size_t n)
{
	return n == 0 ? 0 : (size_t)(next(state) % n);
}

static void *
must(void *p)
{
	if (p == NULL) {
		fprintf(stderr, "fuzz: out of memory\n");
		exit(2);
	}
	return p;
}

/* In a block of exactly its size, so that a read past the end is seen. */
static void
run_one(const uint8_t *data, size_t size)
{
	uint8_t *copy = must(malloc(size > 0 ? size : 1));

	if (size > 0)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void
add_input(const uint8_t *data, size_t size)
{
	if (n_inputs == MAX_INPUTS)
		return;
	inputs[n_inputs].data = must(malloc(size > 0 ? size : 1));
	if (size > 0)
		memcpy(inputs[n_inputs].data, data, size);
	inputs[n_inputs++].size = size;
}

static int
add_path(const char *path)
{
	struct buf b, sub;
	struct dirent *e;
	struct err err;
	int rc = 0;
	DIR *dir = opendir(path);

	if (dir == NULL) {
		buf_init(&b, 64u << 20);
		rc = file_read(path, &b, &err);
		if (rc != 0)
			fprintf(stderr, "fuzz: %s\n", err.msg);
		else
			add_input(b.data, b.len);
		buf_free(&b);
		return rc;
	}
	buf_init(&sub, 0);
	while (rc == 0 && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		buf_clear(&sub);
		rc = buf_printf(&sub, "%s/%s", path, e->d_name);
		if (rc == 0)
			rc = add_path((const char *)sub.data);
	}
	buf_free(&sub);
	closedir(dir);
	return rc;
}

/* Numbers that sizes and counts break at. */
static uint64_t
nasty(uint64_t *state)
{
	static const uint64_t v[] = {0, 1, 2, 7, 8, 31, 32, 127, 128, 255, 256, 0x7fff, 0x8000,
		0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 1ull << 61,
		(1ull << 63) - 1, 1ull << 63, UINT64_MAX - 1, UINT64_MAX};
	uint64_t x = v[below(state, sizeof v / sizeof v[0])];

	return below(state, 4) == 0 ? x + next(state) % 17 - 8 : x;
}

static size_t
insert_bytes(uint64_t *state, uint8_t *d, size_t size)
{
	size_t at = below(state, size + 1), n = 1 + below(state, 64);

	if (n > FUZZ_MAX - size)
		n = FUZZ_MAX - size;
	memmove(d + at + n, d + at, size - at);
	for (size_t i = 0; i < n; i++)
		d[at + i] = (uint8_t)next(state);
	return size + n;
}

/* Takes a piece of another input into this one. */
static void
splice(uint64_t *state, uint8_t *d, size_t size)
{
	const struct input *in = &inputs[below(state, n_inputs)];
	size_t from = below(state, in->size), at = below(state, size);
	size_t n = below(state, 256);

	if (n > in->size - from)
		n = in->size - from;
	if (n > size - at)
		n = size - at;
	if (n > 0)
		memcpy(d + at, in->data + from, n);
}

static size_t
mutate_once(uint64_t *state, uint8_t *d, size_t size)
{
	uint8_t word[8];
	size_t at = below(state, size), n;

	if (size == 0)
		return insert_bytes(state, d, size);
	switch (below(state, 8)) {
	case 0:
		d[at] ^= (uint8_t)(1u << below(state, 8));
		return size;
	case 1:
		d[at] = (uint8_t)next(state);
		return size;
	case 2:
	case 3:
		put_le64(word, nasty(state));
		n = (size_t)1 << below(state, 4);
		memcpy(d + at, word, n < size - at ? n : size - at);
		return size;
	case 4:
		return at; /* cut */
	case 5:
		return insert_bytes(state, d, size);
	case 6:
		n = 1 + below(state, 64);
		if (n > size - at)
			n = size - at;
		memmove(d + at, d + at + n, size - at - n);
		return size - n;
	default:
		splice(state, d, size);
		return size;
	}
}

static void
run_mutation(uint64_t seed, uint64_t i)
{
	static uint8_t d[FUZZ_MAX];
	uint64_t state = seed ^ (i * 0xd1342543de82ef95u);
	const struct input *in = &inputs[below(&state, n_inputs)];
	size_t size = in->size < FUZZ_MAX ? in->size : FUZZ_MAX;
	size_t times = 1 + below(&state, 4);

	if (size > 0)
		memcpy(d, in->data, size);
	while (times-- > 0)
		size = mutate_once(&state, d, size);
	run_one(d, size);
}

int
main(int argc, char *argv[])
{
	static uint8_t seed_buf[FUZZ_MAX];
	uint64_t count = FUZZ_COUNT, seed = 1, only = UINT64_MAX;
	bool verbose = false;
	size_t size;
	int c;

	while ((c = getopt(argc, argv, "n:s:i:v")) != -1) {
		if (c == 'n')
			count = strtoull(optarg, NULL, 0);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 'i')
			only = strtoull(optarg, NULL, 0);
		else if (c == 'v')
			verbose = true;
		else
			return 2;
	}
	for (unsigned i = 0; (size = fuzz_seed(i, seed_buf, sizeof seed_buf)) > 0; i++)
		add_input(seed_buf, size);
	for (int i = optind; i < argc; i++)
		if (add_path(argv[i]) != 0)
			return 2;
	if (n_inputs == 0) {
		fprintf(stderr, "fuzz: no inputs: the target makes none and none was given\n");
		return 2;
	}
	if (only != UINT64_MAX) {
		run_mutation(seed, only);
		return 0;
	}
	for (unsigned i = 0; i < n_inputs; i++)
		run_one(inputs[i].data, inputs[i].size);
	for (uint64_t i = 0; i < count; i++) {
		if (verbose)
			fprintf(stderr, "mutation %" PRIu64 "\n", i);
		run_mutation(seed, i);
	}
	printf("%u inputs, %" PRIu64 " mutations (seed %" PRIu64 ")\n", n_inputs, count, seed);
	for (unsigned i = 0; i < n_inputs; i++)
		free(inputs[i].data);
	return 0;
}
