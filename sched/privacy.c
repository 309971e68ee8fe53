#include "sched/privacy.h"

#include <string.h>

static const char *const names[] = {"device", "home", "redact", "cloud"};

int
privacy_parse(const char *word, enum privacy *out, struct err *err)
{
	for (unsigned i = 0; i < PRIVACY_POLICIES; i++) {
		if (strcmp(word, names[i]) == 0) {
			*out = (enum privacy)i;
			return 0;
		}
	}
	return err_set(err,
		"privacy is '%.32s': it must be device (nothing leaves this device), home (nothing "
		"leaves the swarm), redact (a cloud may get it with personal data taken out) or "
		"cloud (a cloud may get it as it is)",
		word);
}

static enum privacy
known(enum privacy p)
{
	return (unsigned)p < PRIVACY_POLICIES ? p : PRIVACY_DEVICE;
}

const char *
privacy_name(enum privacy p)
{
	return names[known(p)];
}

enum privacy
privacy_stricter(enum privacy a, enum privacy b)
{
	a = known(a);
	b = known(b);
	return a < b ? a : b;
}

enum privacy
privacy_effective(const struct privacy_voices *v)
{
	return privacy_stricter(
		privacy_stricter(v->daemon, v->key), privacy_stricter(v->session, v->request));
}

const char *
privacy_whose(const struct privacy_voices *v)
{
	enum privacy p = privacy_effective(v);

	if (known(v->daemon) == p)
		return "the daemon";
	if (known(v->key) == p)
		return "the API key";
	return known(v->session) == p ? "the session" : "the request";
}
