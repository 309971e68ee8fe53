#include "daemon/star_queue.h"

#include <stdlib.h>
#include <string.h>

size_t
star_queue_room(size_t waiting, size_t longest)
{
	return waiting + longest;
}

int
star_queue_init(struct star_queue *q, uint32_t most, size_t room)
{
	*q = (struct star_queue){.most = most, .room = room, .data = malloc(room + 1)};
	return q->data != NULL ? 0 : -1;
}

void
star_queue_deinit(struct star_queue *q)
{
	free(q->data);
	q->data = NULL;
}

/* Where a frame of so many bytes can lie; SIZE_MAX: nowhere. What waits lies in a circle. */
static size_t
place(const struct star_queue *q, size_t bytes)
{
	size_t head, tail;

	if (q->n == 0)
		return bytes <= q->room ? 0 : SIZE_MAX;
	head = q->list[0].at;
	tail = q->list[q->n - 1].at + q->list[q->n - 1].bytes;
	if (tail <= head)
		return bytes <= head - tail ? tail : SIZE_MAX;
	if (bytes <= q->room - tail)
		return tail;
	return bytes <= head ? 0 : SIZE_MAX;
}

int
star_queue_put(struct star_queue *q, const struct frame *f, const uint8_t *payload, size_t bytes)
{
	size_t at = q->n < q->most && bytes > 0 ? place(q, bytes) : SIZE_MAX;

	if (at == SIZE_MAX)
		return -1;
	memcpy(q->data + at, payload, bytes);
	q->list[q->n++] = (struct star_message){*f, at, bytes};
	return 0;
}

const uint8_t *
star_queue_first(const struct star_queue *q)
{
	return q->data + q->list[0].at;
}

void
star_queue_drop(struct star_queue *q)
{
	memmove(q->list, q->list + 1, --q->n * sizeof *q->list);
}
