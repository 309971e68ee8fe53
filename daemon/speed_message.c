#include "daemon/speed_message.h"

void
speed_message_fill(struct speed_message *m, const struct device_speed *s)
{
	size_t n = 0;

	shoal__speed__init(&m->message);
	for (uint32_t i = 0; i < DTYPE_COUNT && n < CONTROL_MAX_LIST; i++) {
		Shoal__TypeSpeed *t = &m->types[n];

		if (s->types[i].bytes_per_s == 0)
			continue;
		shoal__type_speed__init(t);
		t->type = i;
		t->bytes_per_s = s->types[i].bytes_per_s;
		t->ops_per_s = s->types[i].ops_per_s;
		m->list[n++] = t;
	}
	m->message.n_types = n;
	m->message.types = m->list;
	m->message.read_bytes_per_s = s->read_bytes_per_s;
	m->message.disk_bytes_per_s = s->disk_bytes_per_s;
	m->message.threads = s->threads;
	m->message.undisturbed = s->undisturbed;
}

int
speed_message_read(const Shoal__Speed *m, struct device_speed *s, struct err *err)
{
	*s = (struct device_speed){.read_bytes_per_s = m->read_bytes_per_s,
		.disk_bytes_per_s = m->disk_bytes_per_s,
		.threads = m->threads,
		.undisturbed = m->undisturbed};
	for (size_t i = 0; i < m->n_types; i++) {
		const Shoal__TypeSpeed *t = m->types[i];

		if (dtype_computed(t->type))
			s->types[t->type] = (struct type_speed){t->bytes_per_s, t->ops_per_s};
	}
	if (s->threads > 0 && device_speed_sane(s))
		return 0;
	*s = (struct device_speed){0};
	return err_set(err, "it says speeds that no device has");
}
