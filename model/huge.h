/* Memory in huge pages. Weights are read from end to end at every token: in pages of 4 KiB the
 * processor looks up as many addresses as it reads lines of a page, and its prefetchers stop at each
 * end of one. */
#ifndef MODEL_HUGE_H
#define MODEL_HUGE_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the system gives huge pages to memory that asks for them (Linux: transparent huge pages
 * are not "never"). Where they are not offered memory has pages of the usual size. */
bool huge_offered(void);

/* `bytes` of zeros that begin on a huge page's boundary; pages come when they are first written. NULL:
 * there is no room. */
void *huge_map(size_t bytes);
void huge_unmap(void *data, size_t bytes); /* NULL is fine */

/* Waits until all that huge_map gave is given back, but for so many pieces that stay, at most so long:
 * memory is measured wrongly while weights that are not needed any more are still being let go by
 * another thread. Any thread. */
void huge_settle(unsigned milliseconds, unsigned staying);

/* Asks for huge pages for those of [data, data + bytes) that lie wholly within, so that none reaches
 * into what is beyond. */
void huge_advise(void *data, size_t bytes);

#endif
