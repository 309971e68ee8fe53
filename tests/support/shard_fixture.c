#include "tests/support/shard_fixture.h"

#include "tests/support/shared_dir.h"

#include <check.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

char dir[64], file[128], part[136], model[4096];
struct err err;
struct gguf *g;
struct model_shape shape;

void
use_model(const char *name)
{
	char text[64];

	if (g != NULL)
		gguf_close(g);
	snprintf(text, sizeof text, "models/%s.gguf", name);
	ck_assert_ptr_nonnull(shared_file(text));
	snprintf(model, sizeof model, "%s", shared_file(text));
	g = gguf_open(model, &err);
	ck_assert_msg(g != NULL, "%s", err.msg);
	ck_assert_msg(shape_from_gguf(g, &shape, &err) == 0, "%s", err.msg);
}

void
shard_setup(void)
{
	strcpy(dir, "/tmp/shoal-shard-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(file, sizeof file, "%s/a.shard", dir);
	snprintf(part, sizeof part, "%s.part", file);
	ck_assert_int_ge(sodium_init(), 0);
	use_model("llama-nano-q4_0");
}

void
shard_teardown(void)
{
	char command[128];

	gguf_close(g);
	g = NULL;
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

int
make(shard_progress *progress, void *arg)
{
	struct slice whole = slice_whole(&shape);

	err.msg[0] = '\0';
	return shard_make(g, &shape, &whole, file, progress, arg, &err);
}

struct shard *
open_shard(void)
{
	struct shard *s = shard_open(file, true, &err);

	ck_assert_msg(s != NULL, "%s", err.msg);
	return s;
}
