/* Shards that this process need not hash again. */
#include "config.h"

#include "base/file.h"
#include "model/shard_int.h"

#include <pthread.h>

#define TRUSTED_MAX 64 /* files; the one that was entered first makes room */

static struct file_stamp list[TRUSTED_MAX];
static unsigned next;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards both */

static struct file_stamp *
find(const struct file_stamp *t)
{
	for (unsigned i = 0; i < TRUSTED_MAX; i++)
		if (file_stamp_same(&list[i], t))
			return &list[i];
	return NULL;
}

bool
shard_file_trusted(int fd)
{
	struct file_stamp t;
	bool found;

	if (file_stamp(fd, &t) != 0)
		return false;
	pthread_mutex_lock(&lock);
	found = find(&t) != NULL;
	pthread_mutex_unlock(&lock);
	return found;
}

void
shard_file_trust(int fd, bool trusted)
{
	struct file_stamp t, *known;

	if (file_stamp(fd, &t) != 0)
		return;
	pthread_mutex_lock(&lock);
	known = find(&t);
	if (!trusted && known != NULL)
		*known = (struct file_stamp){0};
	if (trusted && known == NULL)
		list[next++ % TRUSTED_MAX] = t;
	pthread_mutex_unlock(&lock);
}
