#include "tests/support/session_vocab.h"

#include "tests/support/vocab_make.h"

#include <check.h>

struct tokenizer *
session_vocab(void)
{
	static const char *const extra[] = {"<|end|>", "Hello", "ĊĊ"};
	static const int32_t types[] = {3, 1, 1};
	struct err err;
	struct tokenizer *t = vocab_with_end(extra, types, VOCAB - END, &err);

	ck_assert_msg(t != NULL, "%s", err.msg);
	return t;
}

struct session_params
session_vocab_params(void)
{
	return (struct session_params){.sampler = {.top_p = 1.0f, .repeat_penalty = 1.0f},
		.max_tokens = UINT32_MAX,
		.context = 1000};
}

struct session *
session_vocab_start(const struct tokenizer *t, const struct session_params *p)
{
	static const uint32_t prompt[] = {'a', 'b', 'c'};
	struct err err;
	struct session *s = session_new(t, p, prompt, 3, &err);

	ck_assert_msg(s != NULL, "%s", err.msg);
	return s;
}
