package train

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"tandem/learn/nn"
	"tandem/learn/optim"
)

// fitMeta is the key of a fitState in a state file's metadata.
const fitMeta = "tandem.fit"

// fitState is what of a Fit is not a vector.
type fitState struct {
	Run    string   `json:"run"`   // fingerprint
	Epoch  int      `json:"epoch"` // epochs done
	Step   int      `json:"step"`
	Stale  int      `json:"stale"`
	Loss   float64  `json:"loss"`
	Best   *float64 `json:"best,omitempty"`
	BestAt int      `json:"best_epoch,omitempty"`
	EMA    int      `json:"ema_steps,omitempty"`
}

// fingerprint tells one run from another: a state must not be taken for one with other data or another configuration.
func (f *fit) fingerprint(samples []Sample) string {
	h := sha256.New()
	c := f.cfg
	fmt.Fprintln(h, c.Epochs, c.Batch, c.Seed, c.Rate, c.Floor, c.Warmup, c.EMA, c.Every, c.Patience, c.Schedule != nil)
	fmt.Fprintln(h, f.t.cfg.Buckets, f.t.cfg.Rows, f.t.cfg.Adam, f.t.cfg.Clip, f.t.cfg.Seed)
	if f.t.cfg.SGD != nil {
		fmt.Fprintln(h, *f.t.cfg.SGD)
	}
	for _, s := range samples {
		fmt.Fprintln(h, s.Name, s.Frames)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// save writes the state file, if there is to be one.
func (f *fit) save(epoch, step int) error {
	if f.cfg.State == "" {
		return nil
	}
	s := fitState{Run: f.print, Epoch: epoch, Step: step, Stale: f.stale, Loss: f.result.Loss, BestAt: f.result.BestEpoch}
	if f.result.BestEpoch > 0 {
		s.Best = &f.result.Best
	}
	if f.ema != nil {
		s.EMA = f.ema[0].Steps()
	}
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	c, err := f.t.checkpoint(map[string]string{fitMeta: string(text)})
	if err != nil {
		return err
	}
	for _, v := range f.vectors() {
		if len(v.Data) > 0 {
			c.Tensors = append(c.Tensors, tensor(v.Name, v.Data))
		}
	}
	return c.Save(f.cfg.State)
}

// vectors are what a state holds besides the trainer's own.
func (f *fit) vectors() []optim.Vector {
	var list []optim.Vector
	if f.ema != nil {
		list = append(list, optim.Vector{Name: "average:weights", Data: f.shown.Weights}, optim.Vector{Name: "average:buffers", Data: f.shown.Buffers})
	}
	if f.result.BestEpoch > 0 {
		list = append(list, optim.Vector{Name: "best:weights", Data: f.best.Weights}, optim.Vector{Name: "best:buffers", Data: f.best.Buffers})
	}
	return list
}

// resume goes on from the state file, if there is one, and returns the epochs and steps that are done.
func (f *fit) resume() (epoch, step int, err error) {
	if f.cfg.State == "" {
		return 0, 0, nil
	}
	c, err := nn.ReadCheckpoint(f.cfg.State)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%w; remove it to begin anew", err)
	}
	fail := func(format string, args ...any) (int, int, error) {
		return 0, 0, fmt.Errorf("%w %s: %s; remove it to begin anew", ErrState, f.cfg.State, fmt.Sprintf(format, args...))
	}
	var s fitState
	if err := json.Unmarshal([]byte(c.Meta[fitMeta]), &s); err != nil {
		return fail("no description of a run: %v", err)
	}
	if s.Run != f.print {
		return fail("it belongs to a run with other samples or another configuration (%s, this is %s)", s.Run, f.print)
	}
	if s.Epoch < 0 || s.Epoch > f.cfg.Epochs || (s.BestAt > 0) != (s.Best != nil) {
		return fail("epoch %d of %d, best %d", s.Epoch, f.cfg.Epochs, s.BestAt)
	}
	held := map[string][]float32{}
	for _, t := range c.Tensors {
		held[t.Name] = t.Data
	}
	if s.Best != nil {
		f.result.Best, f.result.BestEpoch = *s.Best, s.BestAt
	}
	for _, v := range f.vectors() {
		if n := len(held[v.Name]); n != len(v.Data) {
			return fail("%d values of %q, expected %d", n, v.Name, len(v.Data))
		}
	}
	if err := f.t.restore(c); err != nil {
		return fail("%v", err)
	}
	for _, v := range f.vectors() {
		copy(v.Data, held[v.Name])
	}
	f.stale, f.result.Loss, f.result.Epochs, f.result.Steps = s.Stale, s.Loss, s.Epoch, s.Step
	for _, e := range f.ema {
		e.SetSteps(s.EMA)
	}
	return s.Epoch, s.Step, nil
}
