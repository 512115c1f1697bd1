package agent

/*
#include <malloc.h>

// Other libraries than glibc give memory back by themselves, or not at all.
static void trim(void) {
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
*/
import "C"

// trim gives the memory back to the system that decoders and models have freed. glibc keeps it, in pieces that the next ones fill
// differently: over a day of takes and releases that adds up to some per cent. It takes a few milliseconds.
func trim() { C.trim() }
