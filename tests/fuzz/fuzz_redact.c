/* Redaction of any bytes: what is accepted comes back as it was, in pieces too, and is redacted to
 * the same again; what is refused leaves nothing behind. */
#include "sched/redact.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/planted.h"

#include <stdlib.h>

static void
check_restored(const struct redact *r, const struct buf *redacted, const uint8_t *data, size_t size)
{
	struct redact_restore s = {.r = r};
	size_t cut = size % (redacted->len + 1);
	struct buf back;

	buf_init(&back, 0);
	require(redact_restore_push(&s, redacted->data, cut, &back) == 0);
	require(s.n < REDACT_HELD);
	require(redact_restore_push(&s, redacted->data + cut, redacted->len - cut, &back) == 0);
	require(redact_restore_end(&s, &back) == 0);
	require(back.len == size && (size == 0 || memcmp(back.data, data, size) == 0));
	buf_free(&back);
}

/* What never was redacted text is restored without harm, and no longer than its items. */
static void
check_stray(const struct redact *r, const uint8_t *data, size_t size)
{
	struct redact_restore s = {.r = r, .json = true};
	struct buf back;

	buf_init(&back, 0);
	for (size_t i = 0; i < size; i++)
		require(redact_restore_push(&s, data + i, 1, &back) == 0);
	require(redact_restore_end(&s, &back) == 0);
	buf_free(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct redact_words *words;
	struct redact *r;
	struct buf once, twice;
	struct err err = {""};

	if (words == NULL)
		words = redact_words_new(planted_words, planted_n_words, &err);
	r = redact_new(words, &(struct redact_limits){.max_items = 64});
	require(words != NULL && r != NULL);
	buf_init(&once, 0);
	buf_init(&twice, 0);
	if (redact_text(r, (const char *)data, size, &once, &err) == 0) {
		check_restored(r, &once, data, size);
		require(redact_text(r, (const char *)data, size, &twice, &err) == 0);
		require(once.len == twice.len &&
			(once.len == 0 || memcmp(once.data, twice.data, once.len) == 0));
	} else {
		require(once.len == 0 && err.msg[0] != '\0');
	}
	check_stray(r, data, size);
	redact_free(r);
	buf_free(&once);
	buf_free(&twice);
	return 0;
}

size_t
fuzz_seed(unsigned i, uint8_t *out, size_t max)
{
	static const char *const seeds[] = {"[EMAIL_1] [MARK_1][[IP_2] [PHONE_0001]",
		"a@b.c@d.e (at) f dot g ::1 1.2.3.4.5", "-----BEGIN X-----\nAAAA\n-----END X-----"};
	struct planted p;
	const char *text = p.text;
	size_t len;

	if (i >= 100 + sizeof seeds / sizeof *seeds)
		return 0;
	if (i < 100)
		planted_make(i, &p);
	else
		text = seeds[i - 100];
	len = strlen(text) < max ? strlen(text) : max;
	memcpy(out, text, len);
	return len;
}
