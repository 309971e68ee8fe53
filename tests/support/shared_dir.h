/* Where the files are that tests share between projects: ../shared beside the source folder. */
#ifndef TESTS_SUPPORT_SHARED_DIR_H
#define TESTS_SUPPORT_SHARED_DIR_H

#include <stddef.h>

#define TEST_SKIPPED 77

/* "DIR/name", good until the next call; NULL where there is no such file. */
const char *shared_file(const char *name);

#endif
