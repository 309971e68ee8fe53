/* A group of forward passes in one process, each in its own thread: sums are added in the order of
 * ranks. */
#ifndef TESTS_SUPPORT_THREAD_COLLECTIVE_H
#define TESTS_SUPPORT_THREAD_COLLECTIVE_H

#include "model/collective.h"

struct thread_group;

struct thread_group *thread_group_new(uint32_t n);
void thread_group_free(struct thread_group *g);
/* Sums of steps with several rows go by rows. */
void thread_group_go_by_rows(struct thread_group *g);
uint32_t thread_group_made(const struct thread_group *g); /* how many did, of all members */
struct collective *thread_group_member(struct thread_group *g, uint32_t rank);

/* Waits for all members; -1 when the group is broken. */
int thread_group_wait(struct thread_group *g);
/* A member is lost: every wait, of now and later, ends with -1. */
void thread_group_break(struct thread_group *g);

#endif
