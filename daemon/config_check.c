/* What one value alone does not tell. Each is asked of the module that will use it. */
#include "daemon/config.h"

#include "daemon/endpoints.h"
#include "daemon/http.h"
#include "daemon/wall.h"
#include "kernels/cpu.h"

static int
check_listen(const char *text, struct err *err)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	char host[256];
	uint16_t port;

	if (config_address(text, host, sizeof host, &port, err) != 0)
		return err_prefix(err, "listen: ");
	if (uv_ip4_addr(host, port, &v4) != 0 && uv_ip6_addr(host, port, &v6) != 0)
		return err_set(err, "listen: '%s' is no numeric address", host);
	return 0;
}

static int
check_advertise(const char *text, struct err *err)
{
	char host[256];
	uint16_t port;

	if (text[0] != '\0' && config_address(text, host, sizeof host, &port, err) != 0)
		return err_prefix(err, "advertise: ");
	return 0;
}

static int
check_cpu(const char *text, struct err *err)
{
	uint32_t features;

	if (text[0] != '\0' && cpu_parse(text, &features, err) != 0)
		return err_prefix(err, "cpu: ");
	return 0;
}

static int
check_cloud(const char *path, struct err *err)
{
	struct endpoints *e = endpoints_load(path, err);

	endpoints_free(e);
	return e != NULL ? 0 : -1;
}

int
config_check(const struct config *c, struct err *err)
{
	if (check_listen(c->listen, err) != 0 || check_advertise(c->advertise, err) != 0 ||
		check_cpu(c->cpu, err) != 0 || http_check(c, err) != 0 || wall_check(c, err) != 0)
		return -1;
	return check_cloud(c->cloud, err);
}
