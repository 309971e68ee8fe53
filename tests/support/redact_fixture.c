#include "tests/support/redact_fixture.h"

#include "tests/support/planted.h"

#include <check.h>

struct redact_words *words;
struct redact *r;
struct buf out, back;
struct err err;

void
redact_setup(void)
{
	words = redact_words_new(planted_words, planted_n_words, &err);
	r = redact_new(words, NULL);
	ck_assert(words != NULL && r != NULL);
	buf_init(&out, 0);
	buf_init(&back, 0);
}

void
redact_cleanup(void)
{
	redact_free(r);
	redact_words_free(words);
	buf_free(&out);
	buf_free(&back);
}

const char *
redacted(const char *text)
{
	buf_clear(&out);
	err.msg[0] = '\0';
	if (redact_text(r, text, strlen(text), &out, &err) != 0)
		ck_abort_msg("'%s': %s", text, err.msg);
	buf_u8(&out, 0);
	out.len--;
	return (const char *)out.data;
}

void
restore(size_t cut)
{
	struct redact_restore s = {.r = r};
	size_t step = cut == SIZE_MAX ? 1 : cut;

	buf_clear(&back);
	for (size_t at = 0; at < out.len;) {
		size_t n = step > 0 && step < out.len - at ? step : out.len - at;

		if (at == 0 && cut == 0)
			redact_restore_push(&s, "", 0, &back);
		ck_assert_int_eq(redact_restore_push(&s, out.data + at, n, &back), 0);
		at += n;
		if (cut != SIZE_MAX)
			step = out.len;
	}
	ck_assert_int_eq(redact_restore_end(&s, &back), 0);
}

void
expect(const char *text, const char *want)
{
	ck_assert_str_eq(redacted(text), want);
	restore(SIZE_MAX);
	ck_assert_uint_eq(back.len, strlen(text));
	ck_assert_mem_eq(back.data, text, back.len);
}
