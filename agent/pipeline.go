package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync/atomic"

	"tandem/runtime/model"
	"tandem/runtime/segment"
	"tandem/stream/capture"
	"tandem/stream/frame"
	"tandem/stream/wire"
)

// Source is one take of a camera.
type Source struct {
	Take    string // token, unique for the device
	Capture capture.Config
	// NoPairs keeps the take's samples on the rig: it is segmented, not paired.
	NoPairs bool
	// Stop ends the take before its source does, when it is closed. Nil never does.
	Stop <-chan struct{}
}

// output receives what the pipeline makes. Its methods are called by the pipeline's goroutine and may block: that is how
// a recording is read no faster than it can be used.
type output interface {
	// batch takes a finished batch of samples of the running take.
	batch(ctx context.Context, src *Source, b *wire.SampleBatch) error
	// events takes segment events; the slice is valid during the call.
	events(ctx context.Context, src *Source, m *model.Model, list []segment.Event) error
}

// pipeline is one camera's way from pictures to segments. run is called by one goroutine; offer and the counters by any.
type pipeline struct {
	device string
	scores bool // teacher: batches carry class scores
	bound  int64
	out    output
	count  *counters
	log    *slog.Logger

	offered chan offer // capacity 1: the next model to change to
	history history
	running atomic.Pointer[running]
	adopted func(release string) // may be nil

	// Owned by run.
	model    *model.Model
	sampler  *frame.Sampler
	batcher  batcher
	features []float32
	logits   []float32
	seq      int64 // newest sample of the take, -1 before the first
}

// offer is a model that is ready to run, warmed up to a mark of the history.
type offer struct {
	m     *model.Model
	warm  mark
	rows  bool          // the model was warmed; else it starts cold (another extractor)
	taken chan struct{} // closed once the pipeline owns the model
}

// swap hands a model to the pipeline, which changes to it before its next sample and closes the one that ran. It returns
// once that has happened; on a cancelled context the model still belongs to the caller.
func (p *pipeline) swap(ctx context.Context, m *model.Model) error {
	o := offer{m: m, taken: make(chan struct{})}
	if now := p.running.Load(); now != nil && now.id == idOf(m) {
		var rows []float32
		rows, o.warm = p.history.since(mark{})
		if err := m.Segmenter.Warm(rows); err != nil {
			return err
		}
		o.rows = true
	}
	select {
	case p.offered <- o:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-o.taken:
		return nil
	case <-ctx.Done():
		select {
		case <-p.offered: // taken back
			return ctx.Err()
		case <-o.taken:
			return nil
		}
	}
}

// extractorID tells whether features of two models can be used for one another.
type extractorID struct {
	sha256 string
	rate   float64
}

func idOf(m *model.Model) extractorID {
	if m == nil {
		return extractorID{}
	}
	return extractorID{m.Bundle.Extractor.SHA256, m.Bundle.RateHz}
}

// running describes the model that runs, for other goroutines.
type running struct {
	release  string
	provider string
	id       extractorID
}

// ready changes to a model that is offered between two takes, and waits for the first one.
func (p *pipeline) ready(ctx context.Context) error {
	if p.model != nil {
		select {
		case o := <-p.offered:
			return p.adopt(ctx, nil, o)
		default:
			return nil
		}
	}
	select {
	case o := <-p.offered:
		return p.adopt(ctx, nil, o)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// adopt changes to an offered model: the old one's segments are closed, the new one is brought up to the present sample
// and takes over with the next.
func (p *pipeline) adopt(ctx context.Context, src *Source, o offer) error {
	defer close(o.taken)
	old := p.model
	if old != nil && src != nil {
		if err := p.out.events(ctx, src, old, old.Segmenter.Finish(segment.Swap)); err != nil {
			return err
		}
		if b := p.batcher.flush(false); b != nil {
			if err := p.out.batch(ctx, src, b); err != nil {
				return err
			}
		}
	}
	from := ""
	if old != nil {
		from = old.Bundle.Release
	}
	same := idOf(old) == idOf(o.m)
	p.model = o.m
	p.features = make([]float32, o.m.Extractor.Dim())
	p.logits = make([]float32, len(o.m.Bundle.Labels))
	if p.sampler == nil {
		s, err := frame.NewSampler(o.m.Bundle.RateHz)
		if err != nil {
			return err
		}
		p.sampler = s
	} else if err := p.sampler.SetRate(o.m.Bundle.RateHz); err != nil {
		return err
	}
	if same && o.rows {
		rows, now := p.history.since(o.warm)
		if now.epoch != o.warm.epoch {
			o.m.Segmenter.Finish(segment.Swap) // warmed with a take that has ended since
		}
		if err := o.m.Segmenter.Warm(rows); err != nil {
			return err
		}
	}
	if !same || p.history.cap < o.m.Segmenter.Memory() {
		p.history.reset(o.m.Extractor.Dim(), o.m.Segmenter.Memory())
	}
	if src != nil {
		p.batcher.begin(src.Take, o.m.Bundle, labelsDigest(o.m.Bundle.Labels))
	}
	p.log.Info("release runs", "release", o.m.Bundle.Release, "before", from, "sample", p.seq+1, "warm", same && o.rows)
	if old != nil {
		if err := old.Close(); err != nil {
			p.log.Warn("close the release that ran before", "release", from, "error", err)
		}
	}
	p.count.add("releases_adopted", 1)
	p.running.Store(&running{o.m.Bundle.Release, o.m.Segmenter.Provider(), idOf(o.m)})
	if p.adopted != nil {
		p.adopted(o.m.Bundle.Release)
	}
	return nil
}

// take runs one take from its first frame to its last. A source that cannot be opened or breaks is an error; what was
// made until then has been handed on.
func (p *pipeline) take(ctx context.Context, src *Source) (err error) {
	if err := p.ready(ctx); err != nil {
		return err
	}
	cam, err := capture.Open(ctx, src.Capture)
	if err != nil {
		return fmt.Errorf("take %s: %w", src.Take, err)
	}
	defer func() {
		p.count.capture(cam.Stats())
		if e := cam.Close(); err == nil {
			err = e
		}
	}()
	p.sampler.Reset()
	p.seq = -1
	p.history.reset(p.model.Extractor.Dim(), p.model.Segmenter.Memory())
	p.batcher.begin(src.Take, p.model.Bundle, labelsDigest(p.model.Bundle.Labels))
	p.log.Info("take begins", "take", src.Take, "source", src.Capture.Source)
	for {
		f, err := cam.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			p.log.Warn("take breaks off", "take", src.Take, "error", err)
			return errors.Join(fmt.Errorf("take %s: %w", src.Take, err), p.end(ctx, src))
		}
		select {
		case <-src.Stop:
			cam.Release(f)
			return p.end(ctx, src)
		case o := <-p.offered:
			if err := p.adopt(ctx, src, o); err != nil {
				cam.Release(f)
				return fmt.Errorf("take %s: change release: %w", src.Take, err)
			}
		default:
		}
		err = p.frame(ctx, src, f)
		cam.Release(f)
		if err != nil {
			return fmt.Errorf("take %s: %w", src.Take, err)
		}
	}
	return p.end(ctx, src)
}

// frame takes one frame of the camera. What is wrong with a single frame is counted, and the stream goes on.
func (p *pipeline) frame(ctx context.Context, src *Source, f *frame.Frame) error {
	p.count.add("frames", 1)
	before := p.sampler.Stats()
	seq, skipped, ok := p.sampler.Take(f.Time)
	if !ok {
		if p.sampler.Stats().Back > before.Back {
			p.count.drop("time_went_back", 1)
		} else {
			p.count.add("frames_surplus", 1)
		}
		return nil
	}
	if skipped > 0 {
		p.count.drop("no_frame_for_tick", uint64(skipped))
	}
	if err := p.model.Extractor.Extract(f.Mat, p.features); err != nil {
		p.count.drop("extractor", 1)
		p.log.Error("frame dropped", "take", src.Take, "frame", f.Index, "error", err)
		return nil
	}
	events, err := p.model.Segmenter.Push(seq, f.Time, p.features)
	if err != nil {
		p.count.drop("segmenter", 1)
		p.log.Error("sample dropped", "take", src.Take, "sample", seq, "error", err)
		return nil
	}
	p.history.add(p.features)
	p.seq = seq
	p.count.add("samples", 1)
	if err := p.out.events(ctx, src, p.model, events); err != nil {
		return err
	}
	s := sample{seq: seq, raw: f.Raw, site: f.Time, kind: f.RawKind, features: p.features}
	if p.scores {
		p.score(&s)
	}
	done, overflow := p.batcher.add(&s)
	if overflow {
		p.count.drop("fp16_overflow", 1)
	}
	if done != nil {
		return p.out.batch(ctx, src, done)
	}
	return nil
}

// score adds the teacher's scores of the sample that the committed head has just seen the future of.
func (p *pipeline) score(s *sample) {
	lag := int64(p.model.Segmenter.Lag())
	if s.seq < lag {
		return
	}
	for i, v := range p.model.Segmenter.Scores(len(p.model.Bundle.Segmenter.Heads) - 1) {
		p.logits[i] = float32(math.Log(math.Max(float64(v), 1e-12)))
	}
	s.scores, s.scoreSeq = p.logits, s.seq-lag
}

// end closes the take.
func (p *pipeline) end(ctx context.Context, src *Source) error {
	if err := p.out.events(ctx, src, p.model, p.model.Segmenter.Finish(segment.EndOfTake)); err != nil {
		return err
	}
	p.log.Info("take ends", "take", src.Take, "samples", p.seq+1)
	return p.out.batch(ctx, src, p.batcher.end(p.seq+1))
}

// close frees the running model.
func (p *pipeline) close() error {
	if p.model == nil {
		return nil
	}
	return p.model.Close()
}

// labelsDigest identifies an ordered label list.
func labelsDigest(labels []string) string {
	sum := sha256.Sum256([]byte(strings.Join(labels, "\n")))
	return hex.EncodeToString(sum[:])
}
