#include "sched/route_prompt.h"

#include <string.h>

static const struct block {
	const char *name;
	bool result;
} blocks[] = {{"tool_response", true}, {"tool_result", true}, {"function_results", true},
	{"observation", true}, {"system-reminder", false}, {"system_reminder", false},
	{"reminder", false}, {"reminderInstructions", false}, {"environment_details", false},
	{"environment_context", false}};

static bool
blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The block whose opening tag begins here; NULL: there is none. */
static const struct block *
opens(const char *at, size_t left)
{
	for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
		size_t n = strlen(blocks[i].name);

		if (left > n + 1 && memcmp(at + 1, blocks[i].name, n) == 0 &&
			(at[n + 1] == '>' || blank(at[n + 1])))
			return &blocks[i];
	}
	return NULL;
}

/* Bytes up to and with its closing tag (the first, or of results the last one); 0: it is not closed. */
static size_t
extent(const struct block *b, const char *at, size_t left)
{
	size_t n = strlen(b->name), end = 0;

	for (size_t i = n + 2; i + n + 3 <= left; i++) {
		const char *tag = memchr(at + i, '<', left - i - n - 2);

		if (tag == NULL)
			break;
		i = (size_t)(tag - at);
		if (tag[1] != '/' || memcmp(tag + 2, b->name, n) != 0 || tag[n + 2] != '>')
			continue;
		end = i + n + 3;
		if (!b->result)
			break;
	}
	return end;
}

struct route_own
route_own(const char *text, size_t len, char *out)
{
	struct route_own own = {0, false};
	size_t kept = 0, i = 0;
	bool open[sizeof blocks / sizeof *blocks] = {false}; /* known not to be closed any more */

	while (i < len) {
		const struct block *b = text[i] == '<' ? opens(text + i, len - i) : NULL;
		size_t n = b != NULL && !open[b - blocks] ? extent(b, text + i, len - i) : 0;

		if (n > 0) {
			own.result = own.result || b->result;
			i += n;
			continue;
		}
		if (b != NULL)
			open[b - blocks] = true;
		own.len = blank(text[i]) ? own.len : kept + 1;
		out[kept++] = text[i++];
	}
	return own;
}
