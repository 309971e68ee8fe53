# What kernels/ builds and what tests it.
