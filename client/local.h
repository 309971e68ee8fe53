/* A model in this process, with what people see of its start: a bar while its shard is made, the
 * reason when none can be. */
#ifndef CLIENT_LOCAL_H
#define CLIENT_LOCAL_H

#include "client/client.h"
#include "model/generate.h"

/* As local_open, with the user's folder of shards unless `no_shard`. Returns an exit code. */
int ctl_open_model(const struct ctl *ctl, const char *path, const struct local_options *opt,
	bool no_shard, struct local *l, struct err *err);

#endif
