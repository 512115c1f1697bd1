package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gocv.io/x/gocv"
)

// Test pictures carry their number as twelve bars, black or white, that survive any codec.
const bars = 12

func bar(width, i int) (from, to int) { return i * width / bars, (i + 1) * width / bars }

func picture8(width, height, n int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	row := img.Pix[:img.Stride]
	for i := range bars {
		level := uint8(20)
		if n>>i&1 == 1 {
			level = 235
		}
		from, to := bar(width, i)
		for x := from; x < to; x++ {
			row[4*x], row[4*x+1], row[4*x+2], row[4*x+3] = level, level, level, 255
		}
	}
	for y := 1; y < height; y++ {
		copy(img.Pix[y*img.Stride:], row)
	}
	return img
}

// numbered is the same picture as a Mat; the caller closes it.
func numbered(width, height, n int) (gocv.Mat, error) {
	row := make([]byte, 3*width)
	for i := range bars {
		level := byte(20)
		if n>>i&1 == 1 {
			level = 235
		}
		from, to := bar(width, i)
		for x := 3 * from; x < 3*to; x++ {
			row[x] = level
		}
	}
	return gocv.NewMatFromBytes(height, width, gocv.MatTypeCV8UC3, bytes.Repeat(row, height))
}

func numberIn(t testing.TB, m gocv.Mat) int {
	t.Helper()
	n := 0
	pix, err := m.DataPtrUint8()
	if err != nil {
		t.Fatal(err)
	}
	for i := range bars {
		from, to := bar(m.Cols(), i)
		x, y := (from+to)/2, m.Rows()/2
		if pix[(y*m.Cols()+x)*m.Channels()] > 127 {
			n |= 1 << i
		}
	}
	return n
}

// writeVideo writes n numbered frames by gocv, at 30 frames a second; the ending of path and codec choose the format.
func writeVideo(t testing.TB, path, codec string, width, height, n int) string {
	t.Helper()
	w, err := gocv.VideoWriterFileWithAPI(path, gocv.VideoCaptureFFmpeg, codec, 30, width, height, true)
	if err != nil || !w.IsOpened() {
		t.Fatalf("write %s: %v", path, err)
	}
	for i := range n {
		m, err := numbered(width, height, i)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(m); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// movie is an mp4 put together here, box by box, for what gocv's writer can't do: variable frame rate, odd sizes,
// rotation, the index in front. Pictures are JPEGs, numbered.
type movie struct {
	width, height int
	ticks         []uint32 // how long each frame lasts, in 1/90000 s
	indexFirst    bool
	quarterTurn   bool // to be shown turned by 90° clockwise, as phones write it
	edited        bool // an edit list that begins at the second frame
	handler       string
}

const ticksPerSecond = 90_000

func (v movie) write(t testing.TB, path string) string {
	t.Helper()
	if err := os.WriteFile(path, v.bytes(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (v movie) bytes(t testing.TB) []byte {
	t.Helper()
	var data []byte
	sizes := make([]uint32, len(v.ticks))
	for i := range v.ticks {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, picture8(v.width, v.height, i), &jpeg.Options{Quality: 90}); err != nil {
			t.Fatal(err)
		}
		sizes[i] = uint32(b.Len())
		data = append(data, b.Bytes()...)
	}
	head := mp4box("ftyp", []byte("isom"), u32(0x200), []byte("isomiso2mp41"))
	dataAt := uint32(len(head)) + 8
	if v.indexFirst {
		dataAt += uint32(len(v.index(sizes, 0)))
		return slicesConcat(head, v.index(sizes, dataAt), mp4box("mdat", data))
	}
	return slicesConcat(head, mp4box("mdat", data), v.index(sizes, dataAt))
}

func (v movie) index(sizes []uint32, dataAt uint32) []byte {
	var length uint32
	var stts, stsz []byte
	for i, d := range v.ticks {
		length += d
		stts = append(append(stts, u32(1)...), u32(d)...)
		stsz = append(stsz, u32(sizes[i])...)
	}
	n := u32(uint32(len(v.ticks)))
	matrix := u32(1<<16, 0, 0, 0, 1<<16, 0, 0, 0, 1<<30)
	if v.quarterTurn {
		matrix = u32(0, 1<<16, 0, 0xFFFF0000, 0, 0, uint32(v.height)<<16, 0, 1<<30)
	}
	handler := v.handler
	if handler == "" {
		handler = "vide"
	}
	var edits []byte
	if v.edited {
		edits = mp4box("edts", mp4box("elst", u32(0, 1, length-v.ticks[0], v.ticks[0], 1<<16)))
	}
	entry := mp4box("jpeg", make([]byte, 6), u16(1), make([]byte, 16), u16(uint16(v.width), uint16(v.height)),
		u32(72<<16, 72<<16, 0), u16(1), make([]byte, 32), u16(24, 0xFFFF))
	return mp4box("moov",
		mp4box("mvhd", u32(0, 0, 0, ticksPerSecond, length, 1<<16), u16(0x100, 0), u32(0, 0), u32(1<<16, 0, 0, 0, 1<<16, 0, 0, 0, 1<<30), make([]byte, 24), u32(2)),
		mp4box("trak",
			mp4box("tkhd", u32(3, 0, 0, 1, 0, length, 0, 0, 0, 0), matrix, u32(uint32(v.width)<<16, uint32(v.height)<<16)),
			edits,
			mp4box("mdia",
				mp4box("mdhd", u32(0, 0, 0, ticksPerSecond, length), u16(0x55C4, 0)),
				mp4box("hdlr", u32(0, 0), []byte(handler), make([]byte, 12), []byte("test\x00")),
				mp4box("minf",
					mp4box("vmhd", u32(1, 0, 0)),
					mp4box("dinf", mp4box("dref", u32(0, 1), mp4box("url ", u32(1)))),
					mp4box("stbl",
						mp4box("stsd", u32(0, 1), entry),
						mp4box("stts", u32(0), n, stts),
						mp4box("stsc", u32(0, 1, 1), n, u32(1)),
						mp4box("stsz", u32(0, 0), n, stsz),
						mp4box("stco", u32(0, 1, dataAt)))))))
}

func mp4box(kind string, parts ...[]byte) []byte {
	body := slicesConcat(parts...)
	return slicesConcat(u32(uint32(8+len(body))), []byte(kind), body)
}

func slicesConcat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func u32(v ...uint32) (b []byte) {
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, x)
	}
	return b
}

func u16(v ...uint16) (b []byte) {
	for _, x := range v {
		b = binary.BigEndian.AppendUint16(b, x)
	}
	return b
}

// evenTicks is n frames at 30 a second.
func evenTicks(n int) []uint32 {
	ticks := make([]uint32, n)
	for i := range ticks {
		ticks[i] = ticksPerSecond / 30
	}
	return ticks
}

func writePicture(t testing.TB, path string, img image.Image) {
	t.Helper()
	var b bytes.Buffer
	var err error
	if strings.HasSuffix(path, ".jpg") {
		err = jpeg.Encode(&b, img, nil)
	} else {
		err = png.Encode(&b, img)
	}
	if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// writeStamps writes a sidecar beside video.
func writeStamps(t testing.TB, video string, stamps ...int64) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("frame,raw_ns\n")
	for i, s := range stamps {
		fmt.Fprintf(&b, "%d,%d\n", i, s)
	}
	path := strings.TrimSuffix(video, filepath.Ext(video)) + ".stamps.csv"
	writeFile(t, path, b.String())
	return path
}

func writeFile(t testing.TB, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// retime shows the frames of an mp4 that gocv wrote, all of them one step of its clock apart, at times of its own choice
// instead: at[i] is when frame i, in the order of showing, is due.
func retime(t testing.TB, path string, step uint32, at []uint32) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Frames stand in the order of decoding. What ctts adds to their decoding time gives the order of showing.
	var delays []uint32
	rebox(data, map[string]func([]byte) []byte{"ctts": func(b []byte) []byte {
		for entry := b[8:]; len(entry) >= 8; entry = entry[8:] {
			delays = append(delays, slices.Repeat([]uint32{binary.BigEndian.Uint32(entry[4:])}, int(binary.BigEndian.Uint32(entry)))...)
		}
		return b
	}})
	if len(delays) != len(at) {
		t.Fatalf("%s has %d frames with a delay, want %d", path, len(delays), len(at))
	}
	n, lead := uint32(len(at)), at[4]-at[0]
	var stts, ctts []byte
	for k := range n {
		decoded, shown := at[k], at[int(k)+(int(delays[k])-int(delays[0]))/int(step)]
		duration := step
		if k+1 < n {
			duration = at[k+1] - decoded
		}
		stts = append(stts, u32(1, duration)...)
		ctts = append(ctts, u32(1, shown+lead-decoded)...)
	}
	data = rebox(data, map[string]func([]byte) []byte{
		"stts": func([]byte) []byte { return slicesConcat(u32(0, n), stts) },
		"ctts": func([]byte) []byte { return slicesConcat(u32(0, n), ctts) },
		"elst": func([]byte) []byte { return u32(0, 1, at[n-1]+step, lead, 1<<16) }, // long enough to cut nothing
	})
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// rebox copies boxes, changing the content of some. The index must come last, as nothing that it points to may move.
func rebox(data []byte, change map[string]func([]byte) []byte) (out []byte) {
	for len(data) >= 8 {
		size, kind := binary.BigEndian.Uint32(data), string(data[4:8])
		body := data[8:size]
		switch kind {
		case "moov", "trak", "edts", "mdia", "minf", "stbl":
			body = rebox(body, change)
		default:
			if f := change[kind]; f != nil {
				body = f(body)
			}
		}
		out = append(out, mp4box(kind, body)...)
		data = data[size:]
	}
	return out
}
