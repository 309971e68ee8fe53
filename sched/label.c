#include "sched/label.h"

const char *
label_how_name(enum label_how h)
{
	static const char *const names[LABEL_HOWS] = {[LABEL_SAME] = "same",
		[LABEL_VOTED] = "voted",
		[LABEL_JUDGED] = "judged",
		[LABEL_NONE] = "none"};

	return names[h];
}

static bool
blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
end_mark(char c)
{
	return c == '.' || c == '!' || c == '?' || c == ';' || c == ',';
}

/* FNV-1a of 64 bits. */
static uint64_t
add(uint64_t h, char c)
{
	return (h ^ (uint8_t)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c)) * 0x100000001b3u;
}

uint64_t
label_name(const char *text, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;
	bool gap = false, any = false;

	while (len > 0 && (blank(text[len - 1]) || end_mark(text[len - 1])))
		len--;
	for (size_t i = 0; i < len; i++) {
		if (blank(text[i])) {
			gap = any;
			continue;
		}
		if (gap)
			h = add(h, ' ');
		h = add(h, text[i]);
		gap = false;
		any = true;
	}
	return h;
}

bool
label_by_votes(const uint64_t vote[static LABEL_VOTES], uint64_t small, uint64_t large,
	struct label_pair *out)
{
	unsigned for_small = 0, for_large = 0, agree = 0;

	for (unsigned i = 0; i < LABEL_VOTES; i++) {
		for_small += vote[i] == small;
		for_large += vote[i] == large;
		for (unsigned j = 0; j < i; j++)
			agree += vote[i] == vote[j];
	}
	*out = (struct label_pair){
		(float)for_small / (float)LABEL_VOTES, (float)for_large / (float)LABEL_VOTES};
	return agree > 0;
}

static bool
letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c & 0x80) != 0;
}

enum label_word
label_word(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && text[i] != '=' && !letter(text[i]))
		i++;
	if (i == len || (i + 1 < len && letter(text[i + 1])))
		return LABEL_NO_WORD;
	return text[i] == 'A'   ? LABEL_A
	       : text[i] == 'B' ? LABEL_B
	       : text[i] == '=' ? LABEL_EQUAL
				: LABEL_NO_WORD;
}

bool
label_by_words(enum label_word small_first, enum label_word large_first, struct label_pair *out)
{
	if (small_first == LABEL_EQUAL && large_first == LABEL_EQUAL)
		*out = (struct label_pair){0.5f, 0.5f};
	else if (small_first == LABEL_A && large_first == LABEL_B)
		*out = (struct label_pair){1, 0};
	else if (small_first == LABEL_B && large_first == LABEL_A)
		*out = (struct label_pair){0, 1};
	else
		return false;
	return true;
}
