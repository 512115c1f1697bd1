package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gocv.io/x/gocv"
)

// ErrExists says that a take's directory is already there. Nothing has been changed.
var ErrExists = errors.New("the directory already exists")

// Render renders a take into dir and returns its truth. It works in a directory of its own beside dir, which gets the
// name dir when all is complete; after an error or when ctx ends nothing of it is left. progress, if not nil, is told how many more
// pictures are done, from the calling goroutine. The parent directory is made if it doesn't exist; a dir that exists is [ErrExists].
func Render(ctx context.Context, cfg Config, spec TakeSpec, dir string, progress func(pictures int)) (*Take, error) {
	s, err := NewScene(cfg, spec)
	if err != nil {
		return nil, err
	}
	return s.Render(ctx, dir, progress)
}

// Render renders the scene as the function [Render] does.
func (s *Scene) Render(ctx context.Context, dir string, progress func(pictures int)) (_ *Take, err error) {
	if progress == nil {
		progress = func(int) {}
	}
	if _, err := os.Lstat(dir); err == nil {
		return nil, fmt.Errorf("render take %s: %w; remove it or choose another place", dir, ErrExists)
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return nil, fmt.Errorf("render take %s: %w", s.spec.Name, err)
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".part-")
	if err != nil {
		return nil, fmt.Errorf("render take %s: %w", s.spec.Name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	scene := *s
	scene.animate()
	c := newCell(s.vocab, &s.worker)
	for i := range s.cfg.Cameras {
		if err := scene.film(ctx, tmp, i, c, progress); err != nil {
			return nil, fmt.Errorf("render take %s, camera %s: %w", s.spec.Name, s.cfg.Cameras[i].ID, err)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("render take %s: %w", s.spec.Name, err)
	}
	if err := s.writeTruth(tmp); err != nil {
		return nil, fmt.Errorf("render take %s: %w", s.spec.Name, err)
	}
	// MkdirTemp's directory is private; a take is as open as any other directory here.
	if err := os.Chmod(tmp, 0o755); err != nil {
		return nil, fmt.Errorf("render take %s: %w", s.spec.Name, err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return nil, fmt.Errorf("render take %s: %w", s.spec.Name, err)
	}
	return &s.take, nil
}

// film renders the video of one camera.
func (s *Scene) film(ctx context.Context, dir string, i int, c *cell, progress func(int)) error {
	cam := &s.cfg.Cameras[i]
	tc := &s.take.Cameras[i]
	path := filepath.Join(dir, tc.Video)
	w, err := gocv.VideoWriterFile(path, "mp4v", cam.FPS, cam.Width, cam.Height, true)
	if err != nil {
		return fmt.Errorf("create video: %w", err)
	}
	if !w.IsOpened() {
		return errors.Join(errors.New("create video: OpenCV can't write mp4v; is its FFmpeg backend there?"), w.Close())
	}
	if err := errors.Join(s.expose(ctx, i, c, w, progress), w.Close()); err != nil {
		return err
	}
	return checkVideo(path, len(tc.CaptureNS))
}

// expose takes all pictures of a camera and writes those that its device got.
func (s *Scene) expose(ctx context.Context, i int, c *cell, w *gocv.VideoWriter, progress func(int)) error {
	cam := &s.cfg.Cameras[i]
	sn, err := newSensor(s, cam)
	if err != nil {
		return err
	}
	defer sn.Close()
	st := newStudio(s, c, cam, sn.pix)
	doubled := s.take.Cameras[i].Doubled
	const report = 30
	for n, shot := range s.shots[i] {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := float64(shot.at-s.take.StartNS) / 1e9
		dx, dy := st.shoot(t, sn.gain, egoExposure)
		if err := sn.develop(t, shot.index, dx, dy); err != nil {
			return err
		}
		copies := 1
		if len(doubled) > 0 && doubled[0] == shot.index {
			copies, doubled = 2, doubled[1:]
		}
		for range copies {
			if err := w.Write(sn.frame); err != nil {
				return fmt.Errorf("write frame %d: %w", n, err)
			}
		}
		if (n+1)%report == 0 {
			progress(report)
		}
	}
	progress(len(s.shots[i]) % report)
	return nil
}

// checkVideo reads a finished video's head. OpenCV doesn't say when a disk is full, but then the head is missing or counts fewer frames.
func checkVideo(path string, frames int) error {
	v, err := gocv.VideoCaptureFile(path)
	if v != nil {
		defer v.Close()
	}
	if err != nil {
		return fmt.Errorf("write video: it can't be read again, is the disk full? %w", err)
	}
	if n := int(v.Get(gocv.VideoCaptureFrameCount)); n != frames {
		return fmt.Errorf("write video: %d of %d frames arrived, is the disk full?", n, frames)
	}
	return nil
}

// writeTruth writes all files of a take that aren't video.
func (s *Scene) writeTruth(dir string) error {
	for i := range s.take.Cameras {
		tc := &s.take.Cameras[i]
		var b strings.Builder
		b.WriteString("frame,raw_ns\n")
		for k, raw := range s.take.RawNS(tc) {
			b.WriteString(strconv.Itoa(k))
			b.WriteByte(',')
			b.WriteString(strconv.FormatInt(raw, 10))
			b.WriteByte('\n')
		}
		if err := writeSynced(filepath.Join(dir, tc.Stamps), b.String()); err != nil {
			return err
		}
	}
	if err := writeSynced(filepath.Join(dir, LabelsFile), strings.Join(s.take.FrameLabels(), "\n")+"\n"); err != nil {
		return err
	}
	truth, err := json.Marshal(&s.take)
	if err != nil {
		return fmt.Errorf("encode truth: %w", err)
	}
	return writeSynced(filepath.Join(dir, TruthFile), string(truth)+"\n")
}

// writeSynced writes a file and waits until the disk has it.
func writeSynced(path, text string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	if _, err := w.WriteString(text); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}
