package capture

import (
	"fmt"

	"gocv.io/x/gocv"
)

// sifted is a video file whose pictures are made only where they are wanted: a frame is decoded, its stamp is read, and only
// then the picture is brought to BGR.
type sifted struct {
	*video
	grabber
}

// grabber is gocv's VideoCapture in two steps.
type grabber interface {
	Grab(n int) error
	Retrieve(m *gocv.Mat) bool
}

// newSifted returns nil if nobody says what is wanted, or this kind of source can't tell a frame's stamp before its picture.
func newSifted(in input, cfg Config, kind Kind) *sifted {
	v, ok := in.(*video)
	if !ok || cfg.Wants == nil || kind != KindFile {
		return nil
	}
	g, ok := v.vc.(grabber)
	if !ok {
		return nil
	}
	return &sifted{v, g}
}

// grab decodes the next frame. Its errors are those of input.read.
func (s *sifted) grab() (rawStamp, error) {
	lost, err := s.advance(s.grabbed)
	if err != nil {
		return rawStamp{}, err
	}
	return s.stamp(lost), nil
}

// grabbed decodes a frame. gocv doesn't say whether it could; OpenCV counts those that it could.
func (s *sifted) grabbed() bool {
	before := s.vc.Get(gocv.VideoCapturePosFrames)
	return s.Grab(1) == nil && s.vc.Get(gocv.VideoCapturePosFrames) != before
}

// picture makes the picture of the frame that was grabbed. errDecode: it is lost. Other errors are final.
func (s *sifted) picture(m *gocv.Mat) error {
	if !s.Retrieve(m) || m.Empty() {
		return fmt.Errorf("%w: it was decoded, and can't be brought to BGR", errDecode)
	}
	return checkPixels(m)
}
