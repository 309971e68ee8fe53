/*
 * libcheck writes the place of every assertion that holds into a file, so that a crash can be told by its line: a system
 * call each, most of the time of tests that assert for each of a vocabulary's tokens or a matrix's values. With this,
 * which is linked before the framework (-Wl,--wrap), a test writes the first of them, then each 256th.
 */
#include <stdatomic.h>

void __real__mark_point(const char *file, int line);
void __wrap__mark_point(const char *file, int line);

enum { ALL_UP_TO = 4096, EACH = 256 };

void
__wrap__mark_point(const char *file, int line)
{
	static atomic_uint marks; /* tests assert in threads, too */
	unsigned n = atomic_fetch_add_explicit(&marks, 1, memory_order_relaxed);

	if (n < ALL_UP_TO || n % EACH == 0)
		__real__mark_point(file, line);
}
