/* Every kernel of every set that this CPU runs, against plain C: the bits must be equal. Random shapes, odd sizes,
 * extreme scales, subnormals; inputs end where their memory ends, outputs have guards around them. With --bench the
 * same program says how fast each is.
 *
 *   checkkern [--seed N] [--bench [--set NAME] [--type NAME]]
 *
 * NAME of a type: a weight type, or "attention" or "matrices" for all of one kind. */
#include "config.h"

#include "tests/kernels/check.h"

#include "kernels/cpu.h"
#include "kernels/sets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int
bench(const char *set, const char *type)
{
	size_t big = (size_t)256 << 20;
	const char *const *names = kernels_names();
	uint8_t *memory;
	double roof;

	while (set != NULL && *names != NULL && strcmp(*names, set) != 0)
		names++;
	if (*names == NULL) {
		fprintf(stderr, "checkkern: there is no set '%s' here; there are:", set);
		for (names = kernels_names(); *names != NULL; names++)
			fprintf(stderr, " %s", *names);
		fprintf(stderr, "\n");
		return 2;
	}
	memory = huge_bytes(big);
	roof = read_bandwidth(kernel_set_find(*names), memory, big);
	free(memory);
	printf("read bandwidth, one thread: %.2f GB/s\n\n", roof / 1e9);
	if (type == NULL || strcmp(type, "attention") == 0)
		bench_attention(set, roof);
	if (type == NULL || strcmp(type, "attention") != 0)
		bench_matrices(
			set, type != NULL && strcmp(type, "matrices") == 0 ? NULL : type, roof);
	return 0;
}

static void
check_set(const struct kernels *k)
{
	check_matrices(k);
	check_vectors(k);
	check_attention(k);
	check_roof(k);
}

int
main(int argc, char **argv)
{
	const char *const *names = kernels_names();
	const char *set = NULL, *type = NULL;
	bool speed = false;

	check_seed = (uint64_t)time(NULL);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--bench") == 0)
			speed = true;
		else if (strcmp(argv[i], "--set") == 0 && i + 1 < argc)
			set = argv[++i];
		else if (strcmp(argv[i], "--type") == 0 && i + 1 < argc)
			type = argv[++i];
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			check_seed = strtoull(argv[++i], NULL, 10);
		else
			return fprintf(stderr, "usage: checkkern [--seed N] [--bench [--set NAME] "
					       "[--type NAME]]\n"),
			       2;
	}
	printf("seed %llu, %s\n", (unsigned long long)check_seed, cpu_model());
	check_seed = check_seed * 6364136223846793005u + 1442695040888963407u;
	if (speed)
		return bench(set, type);
	check_meaning();
	check_attention_meaning();
	check_exp_meaning();
	for (size_t i = 0; names[i] != NULL; i++)
		check_set(kernel_set_find(names[i]));
#ifdef HAVE_AVX512
	if ((~cpu_detect() & (CPU_AVX512_VNNI | CPU_GFNI)) == 0) {
		struct kernels amx_in_c = kernels_amx_in_c;

		amx_in_c.name = "amx in C";
		check_matrices(&amx_in_c);
	}
#endif
	printf("%u passed, %u failed\n", reported_passed(), reported_failed());
	return reported_failed() != 0;
}
