/* Keys and the files they are in. */
#include "daemon/endpoints_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct key_file {
	char path[512];
	/* In messages. A value that is no path may be the key itself, by mistake: it is not shown. */
	const char *name;
	/* In the directory that systemd made for this service alone; the modes of its files show an
	 * access list's mask, and say nothing. */
	bool trusted;
};

static int
locate(const char *file, struct key_file *k, struct err *err)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	size_t len = dir != NULL ? strlen(dir) : 0;

	*k = (struct key_file){.name = file[0] == '/' ? k->path : "the credential"};
	if (strlen(file) >= 256 || len >= 250)
		return err_set(err, "key_file: the path is too long");
	if (file[0] != '/') {
		if (len == 0 || strchr(file, '/') != NULL)
			return err_set(err,
				"key_file: is neither an absolute path nor the name of a systemd "
				"credential%s",
				len == 0 ? " ($CREDENTIALS_DIRECTORY is not set)" : "");
		snprintf(k->path, sizeof k->path, "%s/%s", dir, file);
		k->trusted = true;
		return 0;
	}
	snprintf(k->path, sizeof k->path, "%s", file);
	k->trusted = len > 0 && strncmp(file, dir, len) == 0 && file[len] == '/' &&
		     strchr(file + len + 1, '/') == NULL;
	return 0;
}

static int
check_file(int fd, const struct key_file *k, struct err *err)
{
	const char *path = k->name;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_errno(err, errno, "key_file: %s: cannot look at", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, "key_file: %s is not a regular file", path);
	if (k->trusted)
		return 0;
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(err, "key_file: %s belongs to user %u: chown %u %s", path,
			(unsigned)st.st_uid, (unsigned)geteuid(), path);
	if ((st.st_mode & 077) != 0)
		return err_set(err, "key_file: others can use %s (mode %04o): chmod 600 %s", path,
			(unsigned)st.st_mode & 07777, path);
	return 0;
}

/* One line without blanks around it; what could end a header line is refused. */
static int
trim(char *key, size_t len, const char *path, struct err *err)
{
	size_t skip = 0;

	while (len > 0 && strchr(" \t\r\n", key[len - 1]) != NULL)
		len--;
	while (skip < len && (key[skip] == ' ' || key[skip] == '\t'))
		skip++;
	memmove(key, key + skip, len - skip);
	len -= skip;
	key[len] = '\0';
	if (len == 0)
		return err_set(err, "key_file: %s is empty", path);
	for (size_t i = 0; i < len; i++)
		if (key[i] <= ' ' || key[i] > '~')
			return err_set(err,
				"key_file: %s holds more than a key of visible characters in one "
				"line",
				path);
	return 0;
}

static int
read_key(int fd, char *key, const char *path, struct err *err)
{
	size_t len = 0;
	ssize_t n = 1;

	while (n != 0 && len < ENDPOINT_KEY_MOST) {
		n = read(fd, key + len, ENDPOINT_KEY_MOST - len);
		if (n < 0 && errno != EINTR)
			return err_errno(err, errno, "key_file: %s: cannot read", path);
		len += n > 0 ? (size_t)n : 0;
	}
	if (len == ENDPOINT_KEY_MOST)
		return err_set(err, "key_file: %s is longer than a key (%d bytes)", path,
			ENDPOINT_KEY_MOST - 1);
	return trim(key, len, path, err);
}

char *
endpoint_read_key(const char *file, struct err *err)
{
	struct key_file k;
	char *key;
	int fd, rc;

	if (locate(file, &k, err) != 0)
		return NULL;
	fd = open(k.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		err_errno(err, errno, "key_file: %s: cannot open", k.name);
		return NULL;
	}
	key = sodium_malloc(ENDPOINT_KEY_MOST);
	rc = key == NULL ? err_set(err, "key_file: no memory can be locked for a key")
			 : check_file(fd, &k, err);
	if (rc == 0)
		rc = read_key(fd, key, k.name, err);
	close(fd);
	if (rc == 0)
		return key;
	sodium_free(key);
	return NULL;
}
