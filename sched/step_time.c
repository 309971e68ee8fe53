#include "sched/step_time.h"

#define KEPT         0.5 /* of what was seen before, when another step is seen */
#define MEMORY_SHARE 32

static double
larger(double a, double b)
{
	return a > b ? a : b;
}

static double
blend(double before, double now)
{
	return before > 0 ? KEPT * before + (1 - KEPT) * now : now;
}

void
step_time_took(struct step_time *t, uint32_t rows, double seconds, double disk)
{
	if (rows == 1) {
		t->once = blend(t->once, seconds);
	} else if (rows >= STEP_UNIT) {
		t->disk = disk;
		t->a_row = blend(t->a_row, larger(seconds - disk, 0) / rows);
	}
}

uint32_t
step_time_most(uint64_t memory, uint64_t more)
{
	return more > memory / MEMORY_SHARE ? STEP_FEW_ROWS : STEP_ROWS;
}

uint32_t
step_time_rows(const struct step_time *t, bool beside)
{
	double once = larger(t->once, t->disk);
	double seconds = beside ? larger(STEP_BESIDE, 2 * once) : larger(STEP_ALONE, 8 * once);

	if (!(t->a_row > 0))
		return STEP_UNKNOWN;
	if (seconds >= STEP_ROWS * t->a_row)
		return STEP_ROWS;
	return larger(STEP_UNIT, (uint32_t)(seconds / t->a_row) / STEP_UNIT * STEP_UNIT);
}

double
step_time_compute(double seconds, double waited, double cpu, double quota)
{
	double compute = larger(seconds - waited, 0);

	return quota > 0 ? larger(cpu / quota, compute) : compute;
}
