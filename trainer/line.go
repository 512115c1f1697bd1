package trainer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"tandem/learn/net"
	"tandem/runtime/bundle"
	"tandem/runtime/ort"
	"tandem/stream/bus"
	"tandem/stream/wire"
	"tandem/tas"
	"tandem/trainer/jobs"
	"tandem/trainer/method"
)

// lineTeacher is what all trainers of a line know of its teacher: a value in the bucket TRAINING. The parameters are a file
// in the object store, the extractor is in the release.
type lineTeacher struct {
	Release string        `json:"release"`
	Network StoredNetwork `json:"network"`
	Report  TeacherReport `json:"report"`
}

// StoredNetwork describes a network whose parameters lie in a checkpoint file.
type StoredNetwork struct {
	TCN        net.TCN  `json:"tcn"`
	Labels     []string `json:"labels"`
	Background []string `json:"background"`
	RateHz     float64  `json:"rate_hz"`
	MinFrames  int      `json:"min_frames"`
	// Decode is the whole decoder. It is missing of teachers that were stored when there was only MinFrames.
	Decode     *bundle.Decoding `json:"decode,omitempty"`
	Checkpoint string           `json:"checkpoint"` // name of the file
	SHA256     string           `json:"sha256"`     // of the file
}

// store keeps a network's parameters in a file below dir.
func (n *Network) store(dir, release string) (*StoredNetwork, error) {
	tcn, ok := n.TCN()
	if !ok {
		return nil, errors.New("store network: it is no plain TCN")
	}
	s := &StoredNetwork{
		TCN: tcn, Labels: n.Labels.Names(), Background: n.Background, RateHz: n.RateHz, MinFrames: n.Decode.MinFrames, Decode: &n.Decode,
		Checkpoint: release + ".checkpoint",
	}
	path := filepath.Join(dir, s.Checkpoint)
	if err := n.Params.Save(path, map[string]string{"release": release}); err != nil {
		return nil, err
	}
	var err error
	s.SHA256, err = digest(path)
	return s, err
}

// load reads a stored network.
func (s *StoredNetwork) load(dir string, opts ort.Options) (*Network, error) {
	labels, err := tas.NewLabels(s.Labels...)
	if err != nil {
		return nil, fmt.Errorf("stored network: %w", err)
	}
	params, err := s.TCN.NewParams(0)
	if err != nil {
		return nil, fmt.Errorf("stored network: %w", err)
	}
	if _, err := params.Load(filepath.Join(dir, s.Checkpoint)); err != nil {
		return nil, err
	}
	m, err := method.FromTCN(s.TCN, params, labels, s.Background, opts)
	if err != nil {
		return nil, fmt.Errorf("stored network: %w", err)
	}
	n := &Network{Model: m, RateHz: s.RateHz, Decode: bundle.Decoding{MinFrames: s.MinFrames}}
	if s.Decode != nil {
		n.Decode = *s.Decode
	}
	return n, nil
}

// fetch brings the parameters from the hub, unless they lie in dir already.
func (s *StoredNetwork) fetch(ctx context.Context, board *jobs.Board, dir string) error {
	path := filepath.Join(dir, s.Checkpoint)
	if got, err := digest(path); err == nil && got == s.SHA256 {
		return nil
	}
	if err := board.GetFile(ctx, s.Checkpoint, path); err != nil {
		return err
	}
	got, err := digest(path)
	if err == nil && got != s.SHA256 {
		err = fmt.Errorf("%s has SHA-256 %s, the line's teacher is %s", path, got, s.SHA256)
	}
	return err
}

func digest(path string) (_ string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// line is the teacher in this process's hands, with the extractor that it was released with.
type line struct {
	teacher   *Network
	extractor Extractor
	digest    string // of the extractor
	shared    lineTeacher
}

// findTeacher takes up the line's teacher, if there is one and it isn't there yet.
func (t *Trainer) findTeacher(ctx context.Context) error {
	if t.line != nil {
		return nil
	}
	var shared lineTeacher
	there, err := t.board.Teacher(ctx, &shared)
	if err != nil || !there {
		return err
	}
	if err := shared.Network.fetch(ctx, t.board, t.cfg.Store); err != nil {
		return fmt.Errorf("teacher of line %s: %w", t.cfg.Line, err)
	}
	l := &line{shared: shared}
	if l.teacher, err = shared.Network.load(t.cfg.Store, t.recipe.session()); err != nil {
		return fmt.Errorf("teacher of line %s: %w", t.cfg.Line, err)
	}
	dir, err := t.releaser.fetch(ctx, shared.Release)
	if err != nil {
		return fmt.Errorf("teacher of line %s: %w", t.cfg.Line, err)
	}
	l.extractor.Contract, l.digest = dir.Extractor, dir.Extractor.SHA256
	if l.extractor.ONNX, err = os.ReadFile(filepath.Join(dir.Path, dir.Extractor.Name)); err != nil {
		return fmt.Errorf("teacher of line %s: %w", t.cfg.Line, err)
	}
	t.line = l
	return nil
}

// fetch returns a release's bundle, from the hub unless it was fetched before.
func (r *releaser) fetch(ctx context.Context, release string) (*bundle.Dir, error) {
	info, err := r.releases.Info(ctx, release)
	if err != nil {
		return nil, err
	}
	cache := filepath.Join(r.dir, "fetched")
	dir := filepath.Join(cache, fmt.Sprintf("%s-%s", release, info.Sha256[:12]))
	if _, err := os.Stat(dir); err == nil {
		return bundle.Read(dir)
	}
	a := &wire.Assignment{Release: release, Sha256: info.Sha256, IssuedNs: r.now().UnixNano()}
	path, err := r.releases.FetchBundle(ctx, a, cache)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	d, err := bundle.Unpack(f, dir)
	return d, errors.Join(err, f.Close(), os.Remove(path))
}

// running returns which release each device shall run; devices for which there is none are left out.
func (r *releaser) running(ctx context.Context, devices []string) (map[string][]string, error) {
	by := map[string][]string{}
	for _, d := range devices {
		a, err := r.releases.Assignment(ctx, d)
		if errors.Is(err, bus.ErrNoRelease) {
			continue
		}
		if err != nil {
			return nil, err
		}
		by[a.Release] = append(by[a.Release], d)
	}
	return by, nil
}
