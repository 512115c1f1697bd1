package sim

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
)

// newRand returns the generator for one purpose within one take. Purposes don't share random numbers: what one draws
// more or less of leaves the others alone.
func newRand(seed uint64, take int, purpose string) *rand.Rand {
	return rand.New(rand.NewPCG(seed, hash(purpose, strconv.Itoa(take))))
}

// hash returns FNV-1a over the parts with a separator.
func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p)) // never fails
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}
