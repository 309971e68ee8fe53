#include "daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static enum log_level least = LOG_LEVEL_INFO;
static int journal;

static const char *const names[] = {"error", "warning", "info", "debug"};
static const int priorities[] = {3, 4, 6, 7}; /* syslog's */

int
log_level_parse(const char *name)
{
	for (int i = 0; i < 4; i++)
		if (strcmp(name, names[i]) == 0)
			return i;
	return -1;
}

/* systemd says in JOURNAL_STREAM which file its journal reads: "device:inode". */
static int
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void
log_open(enum log_level level)
{
	least = level;
	journal = stderr_is_journal();
}

static void __attribute__((format(printf, 2, 0)))
log_line(enum log_level level, const char *fmt, va_list ap)
{
	char line[1024];
	size_t len = 0;
	int n;

	if (level > least)
		return;
	if (journal) {
		len = (size_t)snprintf(line, sizeof line, "<%d>", priorities[level]);
	} else {
		struct timespec now;
		struct tm tm;

		clock_gettime(CLOCK_REALTIME, &now);
		localtime_r(&now.tv_sec, &tm);
		len = strftime(line, sizeof line, "%H:%M:%S", &tm);
		len += (size_t)snprintf(line + len, sizeof line - len,
			".%03ld %s: ", now.tv_nsec / 1000000, names[level]);
	}
	n = vsnprintf(line + len, sizeof line - len - 1, fmt, ap);
	if (n > 0)
		len += (size_t)n < sizeof line - len - 1 ? (size_t)n : sizeof line - len - 2;
	/* What came from outside may hold anything: one line stays one line. */
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	/* One write a line, so that lines of two threads never mix. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

#define LOG_FUNCTION(name, level)                                                                  \
	void name(const char *fmt, ...)                                                            \
	{                                                                                          \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, fmt);                                                                 \
		log_line(level, fmt, ap);                                                          \
		va_end(ap);                                                                        \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)
