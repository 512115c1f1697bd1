package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// container is what a look at a file's own structure tells. OpenCV says no more than that it can't open a file, and
// ends silently where a file breaks off; this look finds the reason.
type container struct {
	format    string // "mp4", "avi", "matroska", or "" for any other
	truncated bool   // a part says that it is longer than the file
	exact     bool   // the container's frame count is a count and not an estimate
	index     bool   // mp4: the moov box is there
	fragments bool   // mp4: samples are described in fragments
	samples   int64  // mp4: samples of all video tracks in moov
	codec     string // mp4: four-letter code of the first video track
	head      []byte // how the file begins
	size      int64
	looks     int // boxes looked at, bounded by maxBoxes
}

// A box can hold boxes, and a file millions of them: what is looked at is bounded, whatever the file says.
const (
	maxBoxes = 1 << 20
	maxDepth = 8
)

// inspect reads the structure of the file at path, a few bytes of each of its parts.
func inspect(path string) (container, error) {
	f, err := os.Open(path)
	if err != nil {
		return container{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return container{}, err
	}
	return inspectBytes(f, st.Size())
}

func inspectBytes(r io.ReaderAt, size int64) (container, error) {
	c := container{size: size, head: make([]byte, min(size, 16))}
	if _, err := r.ReadAt(c.head, 0); err != nil && !errors.Is(err, io.EOF) {
		return container{}, err
	}
	switch {
	case isMP4(c.head):
		c.format = "mp4"
		c.mp4(r)
	case len(c.head) >= 12 && string(c.head[:4]) == "RIFF" && string(c.head[8:12]) == "AVI ":
		c.format, c.exact = "avi", true
		c.avi(r)
	case bytes.HasPrefix(c.head, []byte{0x1A, 0x45, 0xDF, 0xA3}):
		c.format = "matroska"
		c.matroska(r)
	}
	return c, nil
}

// problem explains why a file that OpenCV can't open, or finds no frame in, isn't a video, and what to do.
func (c container) problem() error {
	switch {
	case c.size == 0:
		return fmt.Errorf("%w: the file is empty (0 bytes); record or copy it again", ErrNoFrames)
	case c.format == "mp4" && !c.index && !c.fragments:
		return fmt.Errorf("%w: an mp4 without its index (moov box), as a recording or copy that was cut off leaves it; stop the recorder properly, copy it again, or repair it", ErrNotVideo)
	case c.format == "mp4" && !c.fragments && c.samples == 0:
		return fmt.Errorf("%w: an mp4 without a single picture; record it again", ErrNoFrames)
	case c.format == "mp4" && c.codec != "":
		return fmt.Errorf("%w: an mp4 with codec %s, which is damaged or which this OpenCV can't decode; convert it to H.264", ErrNotVideo, quote([]byte(c.codec)))
	case c.format != "":
		return fmt.Errorf("%w: the %s file is damaged, or its codec is one that this OpenCV can't decode; copy it again or convert it to H.264", ErrNotVideo, c.format)
	default:
		return fmt.Errorf("%w: it begins with %s; want mp4, avi, mkv or another container that FFmpeg reads", ErrNotVideo, quote(c.head))
	}
}

// The boxes that a file of the ISO base media family (ISO/IEC 14496-12) begins with.
func isMP4(head []byte) bool {
	if len(head) < 8 {
		return false
	}
	switch string(head[4:8]) {
	case "ftyp", "moov", "mdat", "moof", "styp", "sidx", "free", "skip", "wide", "pnot":
		return true
	}
	return false
}

func (c *container) mp4(r io.ReaderAt) {
	c.truncated = !c.boxes(r, 0, c.size, func(kind string, start, end int64) {
		switch kind {
		case "moov":
			c.index = true
			c.boxes(r, start, end, func(kind string, start, end int64) {
				switch kind {
				case "trak":
					c.track(r, start, end)
				case "mvex":
					c.fragments = true
				}
			})
		case "moof":
			c.fragments = true
		}
	})
	c.exact = c.index && !c.fragments
}

// track reads one trak box: whether it is video, how many samples it has and which codec.
func (c *container) track(r io.ReaderAt, start, end int64) {
	video, depth := false, 0
	var visit func(kind string, start, end int64)
	visit = func(kind string, start, end int64) {
		var b [16]byte
		switch kind {
		case "mdia", "minf", "stbl":
			if depth++; depth <= maxDepth {
				c.boxes(r, start, end, visit)
			}
			depth--
		case "hdlr": // version and flags, zero, handler type
			if end-start >= 12 && readFull(r, b[:12], start) {
				video = string(b[8:12]) == "vide"
			}
		case "stsd": // version and flags, entry count, then the first entry: size, code
			if video && end-start >= 16 && readFull(r, b[:16], start) && c.codec == "" {
				c.codec = string(b[12:16])
			}
		case "stsz", "stz2": // version and flags, sample size, sample count
			if video && end-start >= 12 && readFull(r, b[:12], start) {
				c.samples += int64(binary.BigEndian.Uint32(b[8:12]))
			}
		}
	}
	c.boxes(r, start, end, visit)
}

// boxes calls visit with the kind and the content's bounds of each box in [start, end). It reports false when the last
// one claims to reach beyond end, or when less than a box's header is left.
func (c *container) boxes(r io.ReaderAt, start, end int64, visit func(kind string, start, end int64)) bool {
	for start < end {
		if c.looks++; c.looks > maxBoxes {
			return true
		}
		var head [16]byte
		if end-start < 8 || !readFull(r, head[:8], start) {
			return false
		}
		size, content := int64(binary.BigEndian.Uint32(head[:4])), start+8
		switch size {
		case 0: // to the end of the file
			size = end - start
		case 1: // 64-bit size follows
			if end-start < 16 || !readFull(r, head[8:], start+8) {
				return false
			}
			large := binary.BigEndian.Uint64(head[8:])
			if large > 1<<62 {
				return false
			}
			size, content = int64(large), start+16
		}
		if size < content-start {
			return true // not a box: something was appended to the file
		}
		if size > end-start {
			visit(string(head[4:8]), content, end)
			return false
		}
		visit(string(head[4:8]), content, start+size)
		start += size
	}
	return true
}

// avi walks the RIFF chunks that follow one another in an AVI file of any length.
func (c *container) avi(r io.ReaderAt) {
	for pos := int64(0); pos+8 <= c.size; {
		var head [8]byte
		if !readFull(r, head[:], pos) || string(head[:4]) != "RIFF" {
			return
		}
		n := binary.LittleEndian.Uint32(head[4:])
		if n == 0 || n == 1<<32-1 {
			return // written as a stream: length unknown
		}
		pos += 8 + int64(n) + int64(n&1)
		c.truncated = pos > c.size+int64(n&1)
	}
}

// matroska compares the length of the first segment with the file's.
func (c *container) matroska(r io.ReaderAt) {
	pos := int64(4)
	n, width, ok := vint(r, pos)
	if !ok {
		return
	}
	pos += int64(width) + n
	var id [4]byte
	if pos < 0 || pos > c.size || !readFull(r, id[:], pos) || !bytes.Equal(id[:], []byte{0x18, 0x53, 0x80, 0x67}) {
		return
	}
	pos += 4
	if n, width, ok = vint(r, pos); ok {
		c.truncated = n > c.size-pos-int64(width)
	}
}

// vint reads an EBML length (RFC 8794, section 4); ok is false for one that is unknown or broken.
func vint(r io.ReaderAt, pos int64) (n int64, width int, ok bool) {
	var b [8]byte
	if !readFull(r, b[:1], pos) || b[0] == 0 {
		return 0, 0, false
	}
	for width = 1; b[0]&(0x80>>(width-1)) == 0; width++ {
	}
	if !readFull(r, b[1:width], pos+1) {
		return 0, 0, false
	}
	n = int64(b[0] &^ (0x80 >> (width - 1)))
	for _, x := range b[1:width] {
		n = n<<8 | int64(x)
	}
	return n, width, n != 1<<(7*width)-1
}

func readFull(r io.ReaderAt, b []byte, pos int64) bool {
	n, _ := r.ReadAt(b, pos)
	return n == len(b)
}
