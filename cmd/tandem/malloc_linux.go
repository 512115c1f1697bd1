package main

/*
#include <malloc.h>

// Other libraries than glibc have one heap for all threads, or none to set.
static void bound_arenas(int n) {
#ifdef M_ARENA_MAX
	mallopt(M_ARENA_MAX, n);
#else
	(void)n;
#endif
}
*/
import "C"

import "os"

// arenas is how many heaps glibc may spread the libraries' memory over. By itself it makes up to eight for each processor, as threads
// come, and what a decoder or a model has used in one of them is of no use in the others: an agent's memory would grow for
// hours, by an eighth, as takes begin and releases change on other threads.
const arenas = 2

func init() {
	if os.Getenv("MALLOC_ARENA_MAX") == "" {
		C.bound_arenas(arenas)
	}
}
