//go:build matprofile

package capture

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"gocv.io/x/gocv"
)

// With the tag matprofile gocv keeps a list of every Mat that was made and not closed. Run as
//
//	go test -tags "$TAGS,matprofile" ./stream/capture
//
// all tests of the package must leave that list empty.
func TestMain(m *testing.M) {
	code := m.Run()
	if n := gocv.MatProfile.Count(); n != 0 {
		var b bytes.Buffer
		if err := gocv.MatProfile.WriteTo(&b, 1); err == nil {
			_, _ = b.WriteTo(os.Stderr)
		}
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // TestMain's way to report
}

func TestTheMatListWorks(t *testing.T) {
	path := writeVideo(t, filepath.Join(t.TempDir(), "a.mp4"), "mp4v", 64, 48, 3)
	before := gocv.MatProfile.Count()
	c := mustOpen(t, Config{Source: path, Ring: 2, Hold: 1})
	if got := gocv.MatProfile.Count() - before; got < 4 {
		t.Errorf("an open capture has %d Mats, want the 4 of its pool", got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if got := gocv.MatProfile.Count() - before; got != 0 {
		t.Errorf("%d Mats after Close", got)
	}
}
