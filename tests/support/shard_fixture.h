/* A folder of its own and a model of ../shared, for tests that make shards. */
#ifndef TESTS_SUPPORT_SHARD_FIXTURE_H
#define TESTS_SUPPORT_SHARD_FIXTURE_H

#include "model/shard.h"

/* The folder, the shard in it, the shard's temporary name, and the model's path. */
extern char dir[64], file[128], part[136], model[4096];
extern struct err err;
extern struct gguf *g;
extern struct model_shape shape;

void use_model(const char *name);
void shard_setup(void);
void shard_teardown(void);

/* Makes the shard of the whole model. */
int make(shard_progress *progress, void *arg);
struct shard *open_shard(void);

#endif
