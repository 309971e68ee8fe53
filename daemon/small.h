/* The second, smaller model that this device runs by itself (`small_model`), beside whatever its
 * swarm serves: it answers what needs no swarm. Coordinators and members may have one. All of it
 * lies in memory. Main thread, but for what a job on libuv's thread pool holds. */
#ifndef DAEMON_SMALL_H
#define DAEMON_SMALL_H

#include "daemon/serve.h"
#include "kernels/kernels.h"

struct small;

/* Begins to load config's small_model; a file that cannot be used is a reason in small_model(), not an
 * error here. changed: called when loading has ended, well or not. NULL: out of memory. */
struct small *small_new(uv_loop_t *loop, const struct config *c, const struct kernels *k,
	void (*changed)(void *arg), void *arg, struct err *err);
/* Ends its requests with an error. done is called once nothing of it runs any more; then small_free. */
void small_close(struct small *s, const char *why, void (*done)(void *arg), void *arg);
void small_free(struct small *s);

/* NULL with the reason: it is being loaded, or cannot be. */
const struct served_model *small_model(struct small *s, struct err *why);
/* Now and then: whether its file is still what was opened; else it is opened anew. */
void small_tick(struct small *s);
bool small_loading(const struct small *s);
/* Memory that its engine may come to use (KV cache, buffers) beside the weights, which are there from
 * the start. 0: it has none. */
uint64_t small_buffers(const struct small *s);
unsigned small_pieces(const struct small *s); /* of huge_map that it holds */
uint32_t small_requests(struct small *s);     /* that have not ended */
/* Its figures since the start. */
void small_figures(struct small *s, struct engine_stats *sum);

#endif
