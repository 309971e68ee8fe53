/* What making and reading skeletons share. */
#ifndef MODEL_SKELETON_INT_H
#define MODEL_SKELETON_INT_H

#include "model/skeleton.h"
#include "model/tensors.h"

#define SKELETON_MAGIC   "SHOALSKL"
#define SKELETON_VERSION 1

/* A file of that name can be made in a folder, and is in it then: it leads nowhere else. */
bool skeleton_name_valid(const char *name, size_t len);

#endif
