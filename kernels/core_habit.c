#include "config.h"

#include "kernels/core_habit.h"

#include "kernels/cpu.h"

#include <pthread.h>
#include <string.h>

/* Zen 5: a little further ahead than what a core reads while memory answers (5 KB in 130 ns at 40 GB/s), and each page in
 * its turn, as much further: asked for in bursts, or when the lines are due, K-quants lose a fifth. Lines only into the
 * second-level cache, or only pages, are slower, too. */
static const struct core_habit usual = {.near = 8192, .far = 0, .page = 13312, .direct_most = 56};

/* Intel: few lines at a time are on their way into a first-level cache (16 on a Xeon with AMX), three times as many into
 * the second. There, types read by asking for the first-level cache alone lose an eighth to a quarter; with 512 instead
 * of 2048 bytes for it, up to a twenty-fifth. With 16 rows of activations, types are as fast or up to a quarter faster when
 * they are expanded once, with 24 a tenth to two fifths (the same Xeon, without its tiles). Generation in Q4_0, Q4_K, Q5_K
 * and Q6_K is 2 to 11 hundredths faster with narrow products. */
static const struct core_habit intel = {
	.near = 2048, .far = 16384, .page = 20480, .direct_most = 15, .narrow = true};

struct core_habit core_habit;

struct core_habit
core_habit_of(const char *maker)
{
	return strcmp(maker, "GenuineIntel") == 0 ? intel : usual;
}

static void
choose(void)
{
	char maker[13];

	cpu_maker(maker);
	core_habit = core_habit_of(maker);
}

void
core_habit_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, choose);
}
