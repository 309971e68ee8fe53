/* Shared by the files that make a shape. */
#ifndef MODEL_SHAPE_INT_H
#define MODEL_SHAPE_INT_H

#include "model/shape.h"

/* Whether every number is within what can be computed; the message says which is not. */
int shape_check(const struct model_shape *s, struct err *err);

#endif
