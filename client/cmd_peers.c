/* shoal peers: how fast the devices of the swarm are, and the links between them. */
#include "client/api.h"
#include "client/show.h"

#include <stdlib.h>

static const char *
text(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL && s[0] != '\0' ? s : "-";
}

/* A number in other units, or "-" where it is not known. */
static void
number_cell(struct table *t, json_t *v, double unit, int digits)
{
	if (json_is_number(v) && json_number_value(v) > 0)
		table_cell(t, "%.*f", digits, json_number_value(v) / unit);
	else
		table_cell(t, "-");
}

static void
rtt_cell(struct table *t, json_t *p)
{
	json_t *median = json_object_get(p, "rtt_median_ms"),
	       *p99 = json_object_get(p, "rtt_p99_ms");

	if (json_is_number(median) && json_is_number(p99))
		table_cell(t, "%.2f / %.2f", json_number_value(median), json_number_value(p99));
	else
		table_cell(t, "-");
}

static void
print_peer(struct table *t, json_t *p)
{
	json_t *speed = json_object_get(p, "speed"), *memory = json_object_get(p, "memory_bytes");
	json_t *q4 = json_object_get(json_object_get(speed, "types"), "Q4_0");
	char size[24];

	table_cell(t, "%s", text(p, "name"));
	table_cell(t, "%s", text(p, "address"));
	table_cell(t, "%s", text(p, "cpu"));
	table_cell(t, "%s", text(p, "kernels"));
	number_cell(t, json_object_get(p, "threads"), 1, 0);
	table_cell(t, "%s",
		json_is_integer(memory) ? show_bytes((uint64_t)json_integer_value(memory), size)
					: "-");
	number_cell(t, json_object_get(q4, "bytes_per_second"), 1e9, 2);
	number_cell(t, json_object_get(q4, "operations_per_second"), 1e9, 0);
	number_cell(t, json_object_get(speed, "disk_bytes_per_second"), 1e9, 2);
	rtt_cell(t, p);
	number_cell(t, json_object_get(p, "link_bytes_per_second"), 1e6, 1);
	table_cell(t, "%s%s", text(p, "state"), show_strain(json_object_get(p, "energy")));
}

static void
print_table(json_t *peers)
{
	static const char *const headings[] = {"<peer", "<address", "<cpu", "<kernels", "threads",
		"memory", "Q4_0 GB/s", "prompt GOP/s", "disk GB/s", "rtt ms / p99", "link MB/s",
		"<state", NULL};
	struct table *t = table_new(headings);
	json_t *p;
	size_t i;

	json_array_foreach(peers, i, p) print_peer(t, p);
	table_print(t, stdout);
	table_free(t);
}

int
cmd_peers(struct ctl *ctl, int argc, char *argv[])
{
	static const struct option table[] = {COMMON_OPTIONS};
	json_t *answer;
	struct err err;
	bool done;
	int opt, code, status;

	while ((opt = getopt_long(argc, argv, "", table, NULL)) != -1)
		if (ctl_option(ctl, opt, "", &done, &code) && done)
			return code;
	if (optind != argc)
		return ctl_fail(ctl, EXIT_USAGE, "takes no argument, see --help");
	status = api_call(ctl, "/shoal/v1/peers", NULL, &answer, &err);
	if (status != 200)
		return ctl_fail(ctl, api_exit(status), "%s", err.msg);
	if (ctl->json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		print_table(json_object_get(answer, "peers"));
	}
	json_decref(answer);
	return EXIT_DONE;
}
