package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"reflect"
	"strings"

	"tandem/runtime/bundle"
	"tandem/runtime/model"
	"tandem/runtime/segment"
	"tandem/stream/frame"
	"tandem/stream/wire"
)

// offer is a model that is ready to run, warmed up to a mark of the history.
type offer struct {
	m      *model.Model
	packed string // digest of the packed release, "" when it did not come from the hub
	warm   mark
	done   chan error // capacity 1: nil once the pipeline owns the model, else why it does not
}

// running describes the model that runs, for other goroutines.
type running struct {
	bundle   *bundle.Dir
	packed   string // digest of the packed release, "" when it did not come from the hub
	provider string
	selected *model.Selection // what runs on which hardware, and why
}

// swap hands a model to the pipeline, which changes to it before its next sample, or at once between two takes, and closes
// the one that ran. It returns once that has happened. On an error the model still belongs to the caller, and the one that
// ran runs on.
func (p *pipeline) swap(ctx context.Context, m *model.Model, packed string) error {
	o, err := p.offerOf(m, packed)
	if err != nil {
		return err
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return p.withdraw(ctx, o)
	}
}

// offerOf warms a model up and offers it.
func (p *pipeline) offerOf(m *model.Model, packed string) (*offer, error) {
	o := &offer{m: m, packed: packed, done: make(chan error, 1)}
	if now := p.running.Load(); now != nil && sameFeatures(now.bundle, m.Bundle) {
		rows, upTo, _ := p.history.since(mark{})
		if err := m.Segmenter.Warm(rows); err != nil {
			return nil, err
		}
		o.warm = upTo
	}
	p.next.Store(o)
	select {
	case p.offered <- struct{}{}:
	default:
	}
	return o, nil
}

// withdraw takes an offer back, unless the pipeline has taken it.
func (p *pipeline) withdraw(ctx context.Context, o *offer) error {
	if p.next.CompareAndSwap(o, nil) {
		return ctx.Err()
	}
	return <-o.done
}

// sameFeatures tells whether one release's segmenter can use the other's features: they come from the same extractor
// under the same input contract, at the same rate.
func sameFeatures(a, b *bundle.Dir) bool {
	return a.RateHz == b.RateHz && reflect.DeepEqual(a.Extractor, b.Extractor)
}

// checkModel refuses a model whose results would not fit the messages that carry them.
func checkModel(m *model.Model) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: release %s: %s", bundle.ErrInvalid, m.Bundle.Release, fmt.Sprintf(format, args...))
	}
	if d := m.Extractor.Dim(); d > wire.MaxDim {
		return bad("extractor.dim is %d, messages take at most %d", d, wire.MaxDim)
	}
	if n := len(m.Bundle.Labels); n > wire.MaxClasses {
		return bad("there are %d labels, messages take at most %d", n, wire.MaxClasses)
	}
	for i, l := range m.Bundle.Labels {
		if len(l) > wire.MaxLabel || wire.OneLine(l) != l {
			return bad("labels[%d] is %.64q, messages take one line of at most %d bytes", i, l, wire.MaxLabel)
		}
	}
	return nil
}

// offeredRate has the sampler go by the rate of the model that is offered, if any, from the next sample on.
func (p *pipeline) offeredRate() {
	o := p.next.Load()
	rate := p.model.Bundle.RateHz
	if o != nil {
		rate = o.m.Bundle.RateHz
	}
	if err := p.sampler.SetRate(rate); err != nil && o != nil && p.next.CompareAndSwap(o, nil) {
		o.done <- err
	}
	if p.sieve != nil {
		p.sieve.Rate(rate)
	}
}

// claim takes the offered model, if any.
func (p *pipeline) claim() *offer { return p.next.Swap(nil) }

// change changes to an offered model in the middle of a take, before the shot's sample. The old one's segments are closed where
// the new one's begin. If the new one cannot be brought up to the present sample, the old one goes on.
func (p *pipeline) change(s *shot) error {
	warm, err := p.warmUp(s.offer)
	if err != nil {
		return err
	}
	old := p.model
	events := old.Segmenter.Finish(segment.Swap)
	whole := s.seq-p.seq-1 <= old.Segmenter.Bridge()
	for i := range events {
		e := &events[i]
		if e.Reason != segment.Swap {
			continue
		}
		if whole || e.End > s.at.at { // stamps jitter: the next sample is not exactly one period after the last
			e.End = s.at.at
		}
		if whole {
			e.LastSeq = s.seq - 1 // lost samples are bridged
		}
	}
	p.keep(s, events)
	s.batch = p.batcher.flush(false)
	if m := s.offer.m; warm {
		p.sees = max(p.sees, s.seq-int64(p.history.kept()))
		p.history.grow(m.Segmenter.Memory())
	} else {
		p.sees, p.filled = s.seq, s.seq-1
		p.history.reset(m.Extractor.Dim(), m.Segmenter.Memory())
	}
	p.install(s.offer, slog.String("take", s.src.Take), slog.Int64("sample", s.seq), slog.Bool("warm", warm))
	return nil
}

// warmUp brings an offered model to the newest sample of the take. It reports false for a model that starts cold, since
// its features are others.
func (p *pipeline) warmUp(o *offer) (bool, error) {
	if !sameFeatures(p.model.Bundle, o.m.Bundle) {
		return false, nil
	}
	rows, _, whole := p.history.since(o.warm)
	if !whole {
		o.m.Segmenter.Finish(segment.Swap) // forgets: it was warmed with a take that has ended since
	}
	return true, o.m.Segmenter.Warm(rows)
}

// ready waits until there is a model, and changes to one that is offered.
func (p *pipeline) ready(ctx context.Context) error {
	for {
		p.adopt()
		if p.model != nil {
			return nil
		}
		select {
		case <-p.offered:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// adopt changes to the offered model, if any, between two takes.
func (p *pipeline) adopt() {
	o := p.next.Swap(nil)
	if o == nil {
		return
	}
	if err := p.setRate(o.m.Bundle.RateHz); err != nil {
		o.done <- err
		return
	}
	p.history.reset(o.m.Extractor.Dim(), o.m.Segmenter.Memory())
	p.install(o)
}

func (p *pipeline) setRate(rate float64) (err error) {
	if p.sampler == nil {
		p.sampler, err = frame.NewSampler(rate)
		return err
	}
	return p.sampler.SetRate(rate)
}

// install makes an offered model the one that runs and closes the one before.
func (p *pipeline) install(o *offer, where ...any) {
	old, before := p.model, ""
	p.model = o.m
	p.logits = make([]float32, len(o.m.Bundle.Labels))
	p.batcher.use(o.m.Bundle, labelsDigest(o.m.Bundle.Labels))
	if old != nil {
		before = old.Bundle.Release
		if err := old.Close(); err != nil {
			p.log.Warn("close the release that ran before", "release", before, "error", err)
		}
		trim()
	}
	p.health.starts(p.running.Load(), o.m.Bundle.RateHz)
	p.running.Store(&running{bundle: o.m.Bundle, packed: o.packed, provider: o.m.Segmenter.Provider(), selected: o.m.Selection})
	p.count.add("releases_adopted", 1)
	p.log.Info("release runs", append([]any{"release", o.m.Bundle.Release, "before", before}, where...)...)
	o.done <- nil
	if p.adopted != nil {
		p.adopted(o.m.Bundle.Release)
	}
}

// labelsDigest identifies an ordered label list.
func labelsDigest(labels []string) string {
	sum := sha256.Sum256([]byte(strings.Join(labels, "\n")))
	return hex.EncodeToString(sum[:])
}
