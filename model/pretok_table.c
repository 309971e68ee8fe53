/* The names that tokenizer.ggml.pre can have and the patterns they stand for. The patterns are
 * those of the models' own tokenizer.json files, in the grouping by name that converters to GGUF
 * use. Where a pattern there says (?i:...), both cases are written out, since case folding would
 * let more characters in than the models saw. */
#include "model/pretok.h"

/* White space as the models' tokenizers count it: \s of PCRE2 also takes U+180E, which is none since Unicode
 * 6.3. WHITE is for within a class. */
#define WHITE                                                                                      \
	"\\t-\\r "                                                                                 \
	"\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define SPACE    "[" WHITE "]"
#define NO_SPACE "[^" WHITE "]"

#define CONTRACTION   "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define SPACES        SPACE "+(?!" NO_SPACE ")|" SPACE "+"
#define OR_SPACES(n)  "|" SPACE "{" n "}(?!" NO_SPACE ")"
#define GPT2          "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WHITE "\\p{L}\\p{N}]+|" SPACES
#define PUNCT_LINES   " ?[^" WHITE "\\p{L}\\p{N}]+[\\r\\n]*|" SPACE "*[\\r\\n]+"
#define WORD          "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define UPPER         "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER         "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define LEAD          "[^\\r\\n\\p{L}\\p{N}]?"
#define CASED(suffix) LEAD UPPER "*" LOWER "+" suffix "|" LEAD UPPER "+" LOWER "*" suffix
#define PUNCT_SLASH   " ?[^" WHITE "\\p{L}\\p{N}]+[\\r\\n/]*|" SPACE "*[\\r\\n]+|" SPACES
#define ASCII_PUNCT   "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
#define DEEPSEEK_MAIN                                                                              \
	ASCII_PUNCT "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "                      \
		    "?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACE "*[\\r\\n]+|" SPACES

/* Script=Han, as ranges: \p{Han} of newer PCRE2 also has characters shared between scripts. */
#define HAN_RANGES                                                                                 \
	"\\x{2E80}-\\x{2E99}\\x{2E9B}-\\x{2EF3}\\x{2F00}-\\x{2FD5}\\x{3005}\\x{3007}"              \
	"\\x{3021}-\\x{3029}\\x{3038}-\\x{303B}\\x{3400}-\\x{4DBF}\\x{4E00}-\\x{9FFF}"             \
	"\\x{F900}-\\x{FA6D}\\x{FA70}-\\x{FAD9}\\x{16FE2}\\x{16FE3}\\x{16FF0}\\x{16FF1}"           \
	"\\x{20000}-\\x{2A6DF}\\x{2A700}-\\x{2B739}\\x{2B740}-\\x{2B81D}\\x{2B820}-\\x{2CEA1}"     \
	"\\x{2CEB0}-\\x{2EBE0}\\x{2EBF0}-\\x{2EE5D}\\x{2F800}-\\x{2FA1D}\\x{30000}-\\x{3134A}"     \
	"\\x{31350}-\\x{323AF}"
#define KIMI_UPPER "(?:(?![" HAN_RANGES "])" UPPER ")"
#define KIMI_LOWER "(?:(?![" HAN_RANGES "])" LOWER ")"

static const char *const gpt2[] = {GPT2, NULL};
static const char *const digit_gpt2[] = {"\\p{N}", GPT2, NULL};
static const char *const llama3[] = {
	CONTRACTION "|" WORD "|\\p{N}{1,3}|" PUNCT_LINES "|" SPACES, NULL};
static const char *const qwen2[] = {CONTRACTION "|" WORD "|\\p{N}|" PUNCT_LINES "|" SPACES, NULL};
static const char *const qwen35[] = {CONTRACTION
	"|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
	"| ?[^" WHITE "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACE "*[\\r\\n]+|" SPACES,
	NULL};
static const char *const jais2[] = {CONTRACTION
	"|" WORD "|\\p{N}{1,3}|" PUNCT_LINES OR_SPACES("512") OR_SPACES("256") OR_SPACES("128")
		OR_SPACES("64") OR_SPACES("32") OR_SPACES("16") OR_SPACES("8") OR_SPACES("4")
			OR_SPACES("1,2") "|" SPACE "{1}",
	NULL};
static const char *const deepseek_llm[] = {
	"[\\r\\n]",
	SPACE "?[A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}"
	      "\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}"
	      "\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}"
	      "\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}"
	      "\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}"
	      "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}"
	      "\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}"
	      "\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}"
	      "\\x{1FBE}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}"
	      "\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}"
	      "\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}"
	      "\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}"
	      "\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}"
	      "\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}"
	      "\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}"
	      "\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}"
	      "\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}"
	      "\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}]+",
	SPACE
	"?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+",
	/* The look-behind keeps a long run of spaces from costing its square. */
	"(?<!" SPACE ")" SPACE "+$",
	"[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+",
	"\\p{N}+",
	NULL,
};
static const char *const deepseek_coder[] = {"[\\r\\n]", SPACE "?\\p{L}+", SPACE "?\\p{P}+",
	"[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+", "\\p{N}", NULL};
static const char *const deepseek_v3[] = {"\\p{N}{1,3}",
	"[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+", DEEPSEEK_MAIN, NULL};
static const char *const youtu[] = {
	"[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+|[\\x{FF01}\\x{2026}\\x{201C}\\x{201D}\\x{2018}"
	"\\x{2019}\\x{2014}\\x{FF1A}\\x{FF1B}\\x{FF0C}\\x{3001}-\\x{303F}\\x{FE30}-\\x{FE4F}]+|["
	"\\x{3105}-\\x{312F}]+|[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+",
	CASED(CONTRACTION "?") "|\\p{N}|" PUNCT_SLASH, NULL};
static const char *const falcon[] = {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]", NULL};
static const char *const poro[] = {
	" ?[^(" WHITE "|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+", NULL};
static const char *const viking[] = {
	" ?[^(" WHITE "|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+",
	"\\p{N}", NULL};
static const char *const tekken[] = {CASED("") "|\\p{N}|" PUNCT_SLASH, NULL};
static const char *const gpt4o[] = {CASED(CONTRACTION "?") "|\\p{N}{1,3}|" PUNCT_SLASH, NULL};
static const char *const tiny_aya[] = {
	"\\p{N}+", CASED(CONTRACTION "?") "|\\p{N}{1,3}|" PUNCT_SLASH, NULL};
static const char *const chameleon[] = {"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z",
	"[\\t\\n]|    |  ", "\\p{N}", "[\\p{P}!-/:-@\\[-`{-~]", GPT2, NULL};
static const char *const kimi[] = {"[" HAN_RANGES "]+|" LEAD KIMI_UPPER "*" KIMI_LOWER
				   "+" CONTRACTION "?|" LEAD KIMI_UPPER "+" KIMI_LOWER
				   "*" CONTRACTION "?|\\p{N}{1,3}|" PUNCT_LINES "|" SPACES,
	NULL};
static const char *const superbpe[] = {"\\p{N}+", NULL};
static const char *const bailing[] = {"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" WORD
				      "|\\p{N}| ?[^" WHITE "\\p{L}\\p{N}]++[\\r\\n]*|" SPACE
				      "*[\\r\\n]|" SPACES,
	NULL};
static const char *const seed_coder[] = {CONTRACTION
	"|" WORD "|\\p{N}| ?[^" WHITE "\\p{L}\\p{N}\\r\\n]+|" SPACE "*[\\r\\n]+|" SPACES,
	NULL};
static const char *const afmoe[] = {"\\p{N}+",
	"[\\x{4E00}-\\x{9FFF}\\x{3400}-\\x{4DBF}\\x{F900}-\\x{FAFF}\\x{3040}-\\x{309F}\\x{30A0}-"
	"\\x{30FF}\\x{FF65}-\\x{FF9F}\\x{2F00}-\\x{2FDF}"
	"\\x{E00}-\\x{E7F}\\x{E80}-\\x{EFF}\\x{1780}-\\x{17FF}\\x{1000}-\\x{109F}"
	"\\x{AA60}-\\x{AA7F}\\x{A9E0}-\\x{A9FF}\\x{AC00}-\\x{D7AF}\\x{1100}-\\x{11FF}]+",
	DEEPSEEK_MAIN, NULL};
static const char *const laguna[] = {
	"[^\\n]+|[\\n]+", CONTRACTION "|" WORD "|\\p{N}|" PUNCT_LINES "|" SPACES, NULL};
static const char *const exaone_moe[] = {CONTRACTION
	"|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*+(?: \\p{L}\\p{M}*+)*+)++|\\p{N}"
	"| ?[^" WHITE "\\p{L}\\p{N}]+[\\r\\n/]?|" SPACE "*[\\r\\n]|" SPACES,
	NULL};
static const char *const minicpm5[] = {
	"\\p{N}{1,3}", CONTRACTION "|" WORD "|\\p{N}+|" PUNCT_LINES "|" SPACES, NULL};
static const char *const fallback[] = {
	"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]", NULL};
static const char *const none[] = {NULL};

#define LLAMA3_FLAGS (PRETOK_IGNORE_MERGES | PRETOK_BOS)

static const struct pretok_rule rules[] = {
	{"default", fallback, 0},
	{"llama3", llama3, LLAMA3_FLAGS},
	{"llama-v3", llama3, LLAMA3_FLAGS},
	{"llama-bpe", llama3, LLAMA3_FLAGS},
	{"falcon3", llama3, LLAMA3_FLAGS},
	{"falcon-h1", llama3, LLAMA3_FLAGS},
	{"pixtral", llama3, LLAMA3_FLAGS},
	{"midm-2.0", llama3, LLAMA3_FLAGS},
	{"lfm2", llama3, LLAMA3_FLAGS},
	{"jina-v5-nano", llama3, LLAMA3_FLAGS},
	{"dbrx", llama3, 0},
	{"smaug-bpe", llama3, 0},
	{"chatglm-bpe", llama3, PRETOK_NO_BOS},
	{"glm4", llama3, PRETOK_NO_BOS},
	{"jais-2", jais2, PRETOK_WIDE_WINDOW},
	{"minicpm5", minicpm5, PRETOK_IGNORE_MERGES},
	{"deepseek-llm", deepseek_llm, 0},
	{"deepseek-coder", deepseek_coder, 0},
	{"deepseek-v3", deepseek_v3, 0},
	{"hunyuan-dense", deepseek_v3, 0},
	{"joyai-llm", deepseek_v3, 0},
	{"youtu", youtu, PRETOK_IGNORE_MERGES},
	{"falcon", falcon, 0},
	{"gpt-2", gpt2, 0},
	{"gpt2", gpt2, 0},
	{"mpt", gpt2, 0},
	{"olmo", gpt2, 0},
	{"jais", gpt2, 0},
	{"phi-2", gpt2, 0},
	{"jina-es", gpt2, 0},
	{"jina-de", gpt2, 0},
	{"jina-v1-en", gpt2, 0},
	{"jina-v2-es", gpt2, 0},
	{"jina-v2-de", gpt2, 0},
	{"jina-v2-code", gpt2, 0},
	{"roberta-bpe", gpt2, 0},
	{"gigachat", gpt2, 0},
	{"a.x-4.0", gpt2, 0},
	{"mellum", gpt2, 0},
	{"modern-bert", gpt2, 0},
	{"exaone4", gpt2, 0},
	{"trillion", gpt2, 0},
	{"granite-docling", gpt2, 0},
	{"starcoder", digit_gpt2, 0},
	{"refact", digit_gpt2, 0},
	{"command-r", digit_gpt2, 0},
	{"smollm", digit_gpt2, 0},
	{"codeshell", digit_gpt2, 0},
	{"exaone", digit_gpt2, 0},
	{"minerva-7b", digit_gpt2, 0},
	{"mellum2", digit_gpt2, 0},
	{"qwen2", qwen2, 0},
	{"deepseek-r1-qwen", qwen2, 0},
	{"kormo", qwen2, 0},
	{"f2llmv2", qwen2, 0},
	{"megrez", qwen2, 0},
	{"stablelm2", qwen2, 0},
	{"hunyuan", qwen2, 0},
	{"solar-open", qwen2, 0},
	{"grok-2", qwen2, 0},
	{"qwen35", qwen35, 0},
	{"laguna", laguna, 0},
	{"poro-chat", poro, 0},
	{"bloom", poro, 0},
	{"gpt3-finnish", poro, 0},
	{"viking", viking, 0},
	{"tekken", tekken, PRETOK_IGNORE_MERGES | PRETOK_BOS},
	{"gpt-4o", gpt4o, 0},
	{"o200k", gpt4o, 0},
	{"llama4", gpt4o, 0},
	{"kanana2", gpt4o, 0},
	{"talkie", gpt4o, 0},
	{"minimax-m2", gpt4o, 0},
	{"granite-embed-multi-97m", gpt4o, PRETOK_IGNORE_MERGES},
	{"tiny_aya", tiny_aya, PRETOK_GROUP3},
	{"cohere2moe", tiny_aya, PRETOK_GROUP3},
	{"chameleon", chameleon, PRETOK_BOS},
	{"kimi-k2", kimi, 0},
	{"superbpe", superbpe, PRETOK_GROUP3},
	{"bailingmoe", bailing, 0},
	{"bailingmoe2", bailing, 0},
	{"llada-moe", bailing, 0},
	{"seed-coder", seed_coder, 0},
	{"afmoe", afmoe, PRETOK_GROUP3},
	{"exaone-moe", exaone_moe, 0},
	{"gemma4", none, PRETOK_UNSUPPORTED},
	{"granite-embed-multi-311m", none, PRETOK_UNSUPPORTED},
	{"sarvam-moe", none, PRETOK_UNSUPPORTED},
	{"whitespace", none, PRETOK_UNSUPPORTED},
};

#define N_RULES (sizeof(rules) / sizeof(rules[0]))

size_t
pretok_n_rules(void)
{
	return N_RULES;
}

const struct pretok_rule *
pretok_rule_at(size_t i)
{
	return i < N_RULES ? &rules[i] : NULL;
}

const struct pretok_rule *
pretok_find(const char *name, size_t len)
{
	for (size_t i = 0; i < N_RULES; i++)
		if (strlen(rules[i].name) == len && memcmp(rules[i].name, name, len) == 0)
			return &rules[i];
	return NULL;
}

/* Edit distance; both texts are short. */
static unsigned
distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned row[64];

	for (size_t j = 0; j <= nb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[nb];
}

void
pretok_near(const char *name, size_t len, struct buf *out)
{
	unsigned d[N_RULES];

	if (len > 40)
		len = 40;
	for (size_t i = 0; i < N_RULES; i++)
		d[i] = distance(name, len, rules[i].name, strlen(rules[i].name));
	for (unsigned n = 0; n < 4; n++) {
		size_t best = 0;

		for (size_t i = 1; i < N_RULES; i++)
			if (d[i] < d[best])
				best = i;
		buf_printf(out, "%s%s", n > 0 ? ", " : "", rules[best].name);
		d[best] = UINT32_MAX;
	}
}
