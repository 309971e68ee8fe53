/* What people see: aligned tables, sizes, colour where a terminal takes it, progress of long work.
 */
#ifndef CLIENT_SHOW_H
#define CLIENT_SHOW_H

#include "client/client.h"

#include <jansson.h>

/* A table: cells are added row by row; columns are as wide as their widest cell. */
struct table;
struct table *table_new(
	const char *const *headings); /* NULL at the end; "<" in front: left-aligned */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_print(const struct table *t, FILE *out);          /* plain, two blanks between */
void table_print_markdown(const struct table *t, FILE *out); /* | as llama-bench | */
void table_free(struct table *t);

/* "638 MB", "1.10 B" */
const char *show_bytes(uint64_t bytes, char out[24]);
const char *show_count(uint64_t count, char out[24]);

/* ", hot", ", battery low", or "" where a device's figures (NULL: none) say neither. */
const char *show_strain(const json_t *energy);

/* Whether stdout takes colour (a terminal, no NO_COLOR, TERM not dumb); escapes or "". */
const char *colour_bold(void);
const char *colour_dim(void);
const char *colour_off(void);

/* One line on stderr that is drawn again: a bar on a terminal (10 times a second at most), nothing
 * elsewhere, nor with --quiet or --json. */
struct progress {
	const struct ctl *ctl;
	const char *what;
	double started, drawn;
	bool terminal, any;
};
void progress_begin(struct progress *p, const struct ctl *ctl, const char *what);
void progress_set(struct progress *p, uint64_t done, uint64_t total, const char *note);
void progress_end(struct progress *p);

#endif
