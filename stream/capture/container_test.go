package capture

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestInspect(t *testing.T) {
	dir := t.TempDir()
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	mp4 := movie{width: 64, height: 48, ticks: evenTicks(5)}.bytes(t)
	front := movie{width: 64, height: 48, ticks: evenTicks(5), indexFirst: true}.bytes(t)
	large := slicesConcat(mp4[:28], u32(1), []byte("mdat"), u32(0, 16), mp4[28:])
	avi := read(writeVideo(t, filepath.Join(dir, "a.avi"), "MJPG", 64, 48, 5))
	mkv := read(writeVideo(t, filepath.Join(dir, "a.mkv"), "mp4v", 64, 48, 5))
	for name, c := range map[string]struct {
		data []byte
		want container
	}{
		"mp4":               {mp4, container{format: "mp4", exact: true, index: true, samples: 5, codec: "jpeg"}},
		"mp4, index first":  {front, container{format: "mp4", exact: true, index: true, samples: 5, codec: "jpeg"}},
		"mp4, 64-bit box":   {large, container{format: "mp4", exact: true, index: true, samples: 5, codec: "jpeg"}},
		"mp4, cut":          {mp4[:len(mp4)/2], container{format: "mp4", truncated: true}},
		"mp4, cut in data":  {front[:len(front)-9], container{format: "mp4", truncated: true, exact: true, index: true, samples: 5, codec: "jpeg"}},
		"mp4 and a tail":    {slicesConcat(mp4, u32(0, 0), []byte("more")), container{format: "mp4", exact: true, index: true, samples: 5, codec: "jpeg"}},
		"mp4, fragmented":   {slicesConcat(mp4box("ftyp", u32(0)), mp4box("moov", mp4box("mvex")), mp4box("moof")), container{format: "mp4", index: true, fragments: true}},
		"avi":               {avi, container{format: "avi", exact: true}},
		"avi, cut":          {avi[:len(avi)-40], container{format: "avi", exact: true, truncated: true}},
		"matroska":          {mkv, container{format: "matroska"}},
		"matroska, cut":     {mkv[:len(mkv)-40], container{format: "matroska", truncated: true}},
		"text":              {[]byte("hello"), container{}},
		"nothing":           {nil, container{}},
		"matroska's header": {[]byte{0x1A, 0x45, 0xDF, 0xA3, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, container{format: "matroska"}},
	} {
		got, err := inspectBytes(bytes.NewReader(c.data), int64(len(c.data)))
		c.want.size, c.want.head = int64(len(c.data)), c.data[:min(len(c.data), 16)]
		if err != nil || !sameContainer(got, c.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", name, got, err, c.want)
		}
	}
}

func sameContainer(a, b container) bool {
	head := bytes.Equal(a.head, b.head)
	a.head, b.head = nil, nil
	return head && a.format == b.format && a.truncated == b.truncated && a.exact == b.exact && a.index == b.index &&
		a.fragments == b.fragments && a.samples == b.samples && a.codec == b.codec && a.size == b.size
}

func TestInspectIsBoundedWhateverTheFileSays(t *testing.T) {
	deep := bytes.Repeat([]byte("\x00\x00\x00\x00mdia"), 200_000)
	for at := 0; at < len(deep); at += 8 {
		copy(deep[at:], u32(uint32(len(deep)-at)))
	}
	many := bytes.Repeat([]byte("\x00\x00\x00\x08free"), 2*maxBoxes)
	for name, data := range map[string][]byte{
		"deep": slicesConcat(mp4box("ftyp"), mp4box("moov", mp4box("trak", deep))),
		"many": slicesConcat(mp4box("ftyp"), many),
	} {
		c, err := inspectBytes(bytes.NewReader(data), int64(len(data)))
		if err != nil || c.format != "mp4" || c.looks > maxBoxes+maxDepth {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func FuzzInspect(f *testing.F) {
	mp4 := movie{width: 64, height: 48, ticks: evenTicks(2)}.bytes(f)
	f.Add(mp4)
	f.Add(mp4[:len(mp4)/2])
	f.Add([]byte("RIFF\x10\x00\x00\x00AVI LIST"))
	f.Add([]byte{0x1A, 0x45, 0xDF, 0xA3, 0x80, 0x18, 0x53, 0x80, 0x67, 0x88})
	f.Add([]byte("\x00\x00\x00\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := inspectBytes(bytes.NewReader(data), int64(len(data)))
		if err != nil || c.samples < 0 {
			t.Fatalf("%+v, %v", c, err)
		}
		if p := c.problem(); !errors.Is(p, ErrNotVideo) && !errors.Is(p, ErrNoFrames) {
			t.Fatalf("%v", p)
		}
	})
}
