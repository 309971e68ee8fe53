#include "config.h"

#include "kernels/core_habit.h"
#include "kernels/sets.h"

#include <pthread.h>
#include <string.h>

/* Best first. */
static const struct kernels *const sets[] = {
#ifdef HAVE_AMX
	&kernels_amx,
#endif
#ifdef HAVE_AVX512
	&kernels_avx512,
#endif
#ifdef HAVE_AVXVNNI
	&kernels_avxvnni,
#endif
#ifdef HAVE_AVX2
	&kernels_avx2,
#endif
#ifdef HAVE_I8MM
	&kernels_i8mm,
#endif
#ifdef HAVE_DOTPROD
	&kernels_dotprod,
#endif
#ifdef HAVE_NEON
	&kernels_neon,
#endif
	&kernels_plain,
};

#define N_SETS (sizeof(sets) / sizeof(*sets))

static const char *names[N_SETS + 1];

void
kernels_init(struct kernels *k, uint32_t features)
{
	size_t i = 0;

	core_habit_init();
	while ((sets[i]->features & ~features) != 0)
		i++; /* plain needs nothing, so this ends */
	*k = *sets[i];
}

const struct kernels *
kernel_set_find(const char *name)
{
	core_habit_init();
	for (size_t i = 0; i < N_SETS; i++)
		if (strcmp(sets[i]->name, name) == 0)
			return sets[i];
	return NULL;
}

const struct kernels *
kernel_set_at(size_t i)
{
	return i < N_SETS ? sets[i] : NULL;
}

static void
list_names(void)
{
	uint32_t features = cpu_detect();
	size_t n = 0;

	for (size_t i = 0; i < N_SETS; i++)
		if ((sets[i]->features & ~features) == 0)
			names[n++] = sets[i]->name;
}

const char *const *
kernels_names(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, list_names);
	return names;
}
