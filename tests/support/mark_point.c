/*
 * libcheck writes the place of every assertion that holds into a file, so that a crash can be told by its line: a system
 * call each, most of the time of tests that assert for each of a vocabulary's tokens or a matrix's values. With this,
 * which is linked before the framework (-Wl,--wrap), a test writes the first of them, then each 256th.
 */
void __real__mark_point(const char *file, int line);
void __wrap__mark_point(const char *file, int line);

enum { ALL_UP_TO = 4096, EACH = 256 };

void
__wrap__mark_point(const char *file, int line)
{
	static unsigned marks;

	if (marks < ALL_UP_TO || marks % EACH == 0)
		__real__mark_point(file, line);
	marks++;
}
