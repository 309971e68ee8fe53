/* shoal tokenize: token ids of standard input. */
#include "client/input.h"
#include "model/tokenizer.h"

#include <jansson.h>

#define MAX_INPUT (256u << 20)

/* A token's text on one line: line ends and other control bytes as \xNN. */
static void
print_piece(const struct tokenizer *t, uint32_t id)
{
	struct buf piece;

	buf_init(&piece, 0);
	token_bytes(t, id, true, false, &piece);
	printf("%7u  '", id);
	for (size_t i = 0; i < piece.len; i++) {
		if (piece.data[i] < 0x20 || piece.data[i] == 0x7f)
			printf("\\x%02x", piece.data[i]);
		else
			putchar(piece.data[i]);
	}
	printf("'\n");
	buf_free(&piece);
}

static void
print_tokens(const struct ctl *ctl, const struct tokenizer *t, const struct token_list *l, bool ids)
{
	json_t *a = json_array();

	for (size_t i = 0; i < l->n; i++) {
		if (ctl->json)
			json_array_append_new(a, json_integer(l->ids[i]));
		else if (ids)
			printf("%s%u", i > 0 ? " " : "", l->ids[i]);
		else
			print_piece(t, l->ids[i]);
	}
	if (ctl->json) {
		json_t *o = json_pack("{s:O}", "tokens", a);

		json_dumpf(o, stdout, JSON_COMPACT);
		json_decref(o);
	}
	if (ctl->json || ids)
		putchar('\n');
	json_decref(a);
}

int
cmd_tokenize(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {{"model", required_argument, NULL, 'm'},
		{"ids", no_argument, NULL, 'i'}, {"no-bos", no_argument, NULL, 'b'},
		{"no-special", no_argument, NULL, 's'}, COMMON_OPTIONS};
	static const char help[] =
		"  -m, --model MODEL  the model file whose tokenizer is used\n"
		"  --ids              ids on one line, without their texts\n"
		"  --no-bos           no token that begins a text\n"
		"  --no-special       spellings of special tokens are plain text\n";
	const char *model = NULL;
	unsigned flags = TOKENIZE_BOS | TOKENIZE_SPECIAL;
	struct token_list list = {0};
	struct tokenizer *t = NULL;
	struct gguf *g;
	struct buf text;
	struct err err;
	bool ids = false, done;
	int opt, code;

	while ((opt = getopt_long(argc, argv, "m:", table, NULL)) != -1) {
		if (ctl_option(ctl, opt, help, &done, &code)) {
			if (done)
				return code;
		} else if (opt == 'm') {
			model = optarg;
		} else if (opt == 'i') {
			ids = true;
		} else if (opt == 'b') {
			flags &= ~TOKENIZE_BOS;
		} else if (opt == 's') {
			flags &= ~TOKENIZE_SPECIAL;
		}
	}
	if (model == NULL || optind < argc)
		return ctl_fail(ctl, EXIT_USAGE, "needs -m MODEL and nothing else, see --help");
	buf_init(&text, MAX_INPUT);
	g = gguf_open(model, &err);
	if (g != NULL)
		t = tokenizer_new(g, &err);
	if (t == NULL || input_read(&text, &err) != 0 ||
		tokenize(t, (char *)text.data, text.len, flags, &list, &err) != 0) {
		code = ctl_fail(ctl, input_exit(ctl_file_exit(model)), "%s", err.msg);
	} else {
		print_tokens(ctl, t, &list, ids);
		code = EXIT_DONE;
	}
	token_list_free(&list);
	tokenizer_free(t);
	gguf_close(g);
	buf_free(&text);
	return code;
}
