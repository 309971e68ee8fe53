/* What a reduction costs with nothing around it: the same frames over loopback as a star or a direct
 * exchange sends, in clear and by blocking system calls. Only to compare with. */
#ifndef TESTS_BENCH_PLAIN_GROUP_H
#define TESTS_BENCH_PLAIN_GROUP_H

#include "model/collective.h"
#include "proto/frame.h"

#define PLAIN_MAX 8

struct plain_run {
	uint32_t peers, rows, width, reductions;
	enum frame_format format;
	enum collective_way way; /* star or direct */
	uint64_t *done;          /* [reductions] uv_hrtime when rank 0 had each sum */
};

void plain_group_run(const struct plain_run *run);

#endif
