/* POST /v1/completions */
#include "daemon/api_generate.h"

static int
prompt(const struct api_request *r, const struct served_model *m, struct token_list *out,
	struct err *err)
{
	uint32_t vocab = tokenizer_size(m->tokenizer);

	if (r->prompt != NULL)
		return tokenize(m->tokenizer, r->prompt, r->text_bytes, TOKENIZE_BOS, out, err);
	for (size_t i = 0; i < r->n_ids; i++) {
		if (r->ids[i] >= vocab)
			return err_set(err, "prompt[%zu] is %u, and the model has %u tokens", i,
				r->ids[i], vocab);
		if (token_list_add(out, r->ids[i]) != 0)
			return err_set(err, "out of memory");
	}
	return 0;
}

static json_t *
chunk_choice(json_t *text, const char *reason)
{
	return json_pack("{s:o,s:i,s:n,s:s?}", "text", text != NULL ? text : json_string(""),
		"index", 0, "logprobs", "finish_reason", reason);
}

static const struct api_format format = {
	.kind = API_COMPLETION,
	.id_prefix = "cmpl-",
	.whole = "text_completion",
	.chunk = "text_completion",
	.prompt = prompt,
	.chunk_choice = chunk_choice,
	.whole_choice = chunk_choice,
};

void
api_completions(struct http_request *r)
{
	api_generate(r, &format);
}
