package wire

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// checker collects the first problem of a message; later checks are skipped.
type checker struct {
	message string
	err     error
}

func (c *checker) failf(field, format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s.%s: %s", ErrInvalid, c.message, field, fmt.Sprintf(format, args...))
	}
}

// wrap takes over an error that names its field.
func (c *checker) wrap(err error) {
	if c.err == nil && err != nil {
		c.err = fmt.Errorf("%w: %s.%w", ErrInvalid, c.message, err)
	}
}

func (c *checker) token(field, s string) { c.wrap(CheckToken(field, s)) }

func (c *checker) tokenOrEmpty(field, s string) {
	if s != "" {
		c.token(field, s)
	}
}

func (c *checker) digest(field, s string) { c.wrap(CheckDigest(field, s)) }

// length checks a list that goes with n samples.
func (c *checker) length(field string, got, n int) {
	if got != n {
		c.failf(field, "%d elements, expected %d", got, n)
	}
}

func (c *checker) enum(field string, got int32, names map[int32]string) {
	if got == 0 {
		c.failf(field, "missing")
	} else if _, ok := names[got]; !ok {
		c.failf(field, "unknown value %d: is the sender newer?", got)
	}
}

func (c *checker) rate(field string, hz float64) {
	if !(hz > 0 && hz <= maxRate) {
		c.failf(field, "%g, expected more than 0 and at most %d", hz, maxRate)
	}
}

func (c *checker) bound(field string, ns int64) {
	if ns < 0 || ns >= maxTime {
		c.failf(field, "%d ns, expected 0 or more", ns)
	}
}

// time checks a single site time.
func (c *checker) time(field string, ns int64) {
	if ns < 0 || ns >= maxTime {
		c.failf(field, "%d ns is not a time: expected nanoseconds since 1970", ns)
	}
}

// stamps checks that delta-coded times are in (-maxTime, maxTime), and from 0 on where they are site times.
func (c *checker) stamps(field string, deltas []int64, site bool) {
	lowest := int64(-maxTime)
	if site {
		lowest = 0
	}
	var v int64
	for i, d := range deltas {
		v += d
		if v < lowest || v >= maxTime {
			c.failf(field, "element %d is %d ns, out of range", i, v)
			return
		}
	}
}

// atMost checks that no delta-coded number is above most.
func (c *checker) atMost(field string, deltas []int64, most int64) {
	var v int64
	for i, d := range deltas {
		if v += d; v > most {
			c.failf(field, "element %d is %d ns, expected at most %d", i, v, most)
			return
		}
	}
}

// sequence checks that delta-coded sequence numbers increase strictly and stay below end.
func (c *checker) sequence(field string, deltas []int64, end uint64) {
	v := int64(-1)
	for i, d := range deltas {
		next := d
		if i > 0 {
			next = v + d
		}
		if next <= v {
			c.failf(field, "element %d is %d, not above the one before", i, next)
			return
		}
		v = next
	}
	if v >= 0 && uint64(v) >= end {
		c.failf(field, "%d is beyond the end, %d", v, end)
	}
}

// vectors checks fp16 [rows, columns].
func (c *checker) vectors(field string, data []byte, rows, columns int) {
	if want := F16Size * rows * columns; len(data) != want {
		c.failf(field, "%d bytes, expected %d (%d × %d in fp16)", len(data), want, rows, columns)
		return
	}
	if i := F16Finite(data); i >= 0 {
		c.failf(field, "number %d of row %d is not finite", i%columns, i/columns)
	}
}

// count checks a dimension.
func (c *checker) count(field string, got, least, most int) {
	if got < least || got > most {
		c.failf(field, "%d, expected %d to %d", got, least, most)
	}
}

// text checks a text of bounded length on one line.
func (c *checker) text(field, s string, most int) {
	if len(s) > most {
		c.failf(field, "%d bytes, the limit is %d", len(s), most)
	} else if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		c.failf(field, "%s is not one line of UTF-8 text", quote(s))
	}
}

// names checks the keys of a map: names of printable ASCII without spaces.
func names[V any](c *checker, field string, m map[string]V) {
	if len(m) > MaxNames {
		c.failf(field, "%d entries, the limit is %d", len(m), MaxNames)
		return
	}
	for k := range m {
		ok := len(k) >= 1 && len(k) <= 128
		for i := 0; ok && i < len(k); i++ {
			ok = k[i] > ' ' && k[i] < 0x7f
		}
		if !ok {
			c.failf(field, "%s is not a name: expected 1 to 128 printable ASCII characters without spaces", quote(k))
			return
		}
	}
}
