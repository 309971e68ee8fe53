/* What the files of shards share. */
#ifndef MODEL_SHARD_INT_H
#define MODEL_SHARD_INT_H

#include "model/shard.h"
#include "model/tensors.h"
#include "model/weights_fixed.h"

/* --- the order of use: where a tensor stands in it --- */

struct shard_place {
	enum unit_kind kind;
	uint32_t layer, expert;
	const enum tensor_role *role;
};

struct shard_place shard_first_place(const struct slice *sl);
/* Steps over the ends of units; false behind the last tensor. `role++` goes on. */
bool shard_settle(struct shard_place *p, const struct model_shape *s, const struct slice *sl);

/* --- places in the file --- */

#define SHARD_ALIGN        4096
#define SHARD_EXTENT_BYTES 72 /* of an entry of the header's table */

uint64_t shard_align_up(uint64_t n);
size_t shard_header_bytes(const struct shard_header *h);
/* Bytes of an extent of that role, type and size; 0: there cannot be such a one. */
uint64_t shard_extent_bytes(enum tensor_role role, uint32_t dtype, uint32_t rows, uint32_t cols);
/* Bytes of a row group; of a vector all of them. */
size_t shard_group_bytes(const struct shard_extent *e);

/* --- files --- */

/* Writes all of it, or says at which byte of `path` it could not. */
int shard_put_at(
	int fd, const char *path, const void *data, size_t len, uint64_t at, struct err *err);
/* To disk, and from PATH.part to PATH: all of it is as its hashes say. */
int shard_seal(int fd, const char *part, const char *path, struct err *err);
/* Opens PATH.part to write and locks it. busy: another process holds it; then -1 as well. */
int shard_open_part(const char *part, bool *busy, struct err *err);
/* Takes the name from a busy one that is only read from (a damaged shard in use, which was moved there): its readers
 * keep the file. False: it is being written, or gone. */
bool shard_leave_part(const char *part);

/* Files whose hashes this process knows to be right (shard_check), by what the system says of them. Any thread. */
bool shard_file_trusted(int fd);
void shard_file_trust(int fd, bool trusted);

/* The open file of a shard, for as long as the shard is open. */
int shard_fd(const struct shard *s);
/* Its bytes, the header first. */
const uint8_t *shard_data(const struct shard *s);

/* --- units --- */

/* The unit that a tensor of this role belongs to. */
enum unit_kind shard_unit_kind(uint32_t role);
/* Points the units of fs at extents that lie as in the file, whose byte 0 would be at base; NULL:
 * their sizes only. */
void shard_fill_units(struct fixed_source *fs, const struct shard_header *h, const uint8_t *base);

#endif
