#include "client/local.h"

#include "base/file_guard.h"
#include "client/show.h"
#include "model/shard_store.h"

struct opening {
	const struct ctl *ctl;
	struct progress bar;
};

static int
on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct opening *o = arg;

	progress_set(&o->bar, done, total, "");
	return interrupted();
}

static void
on_note(void *arg, const char *text)
{
	const struct opening *o = arg;

	ctl_note(o->ctl, "shoal %s: %s", o->ctl->command, text);
}

int
ctl_open_model(const struct ctl *ctl, const char *path, const struct local_options *opt,
	bool no_shard, struct local *l, struct err *err)
{
	struct opening o = {.ctl = ctl};
	struct local_options with = *opt;
	char folder[4096];
	int rc;

	if (file_guard_start(err) != 0)
		return EXIT_FAILED;
	with.progress = on_progress;
	with.note = on_note;
	with.arg = &o;
	if (no_shard)
		with.shards = NULL;
	else if (shard_store_folder(folder, sizeof folder, err) == 0)
		with.shards = folder;
	else
		ctl_note(ctl, "shoal %s: %s", ctl->command, err->msg);
	progress_begin(&o.bar, ctl, "preparing the model (once)");
	rc = local_open(l, path, &with, err);
	progress_end(&o.bar);
	/* These ended with the start. */
	l->opt.shards = NULL;
	l->opt.progress = NULL;
	l->opt.note = NULL;
	l->opt.arg = NULL;
	if (rc == 0)
		return EXIT_DONE;
	return interrupted() ? EXIT_INTERRUPTED : ctl_file_exit(path);
}
