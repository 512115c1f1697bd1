package agent

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"tandem/runtime/model/modeltest"
	"tandem/stream/bus"
	"tandem/stream/wire"
)

// rawPairs returns what the hub holds of a rig's pairs, byte for byte, with the messages' ids.
func rawPairs(s *site, device string) (ids []string, data [][]byte) {
	s.t.Helper()
	err := bus.Read(limit(s.t), s.conn.JetStream(), bus.ReadConfig{
		Stream: bus.StreamPairs, Filters: []bus.Subject{{Site: "plant", Cell: "cell-1", Device: device, Kind: bus.Pairs}},
	}, func(_ context.Context, m *bus.Message) error {
		ids, data = append(ids, m.ID), append(data, m.Data)
		return nil
	})
	must(s.t, err)
	return ids, data
}

// A rig pairs with what the hub retained as it would have online: the messages are the same to the byte, whether both played at
// once, the rig came after a restart of the hub to what the exo cameras had sent long before, the hub was away while all
// played, or the rig ran twice.
func TestCatchingUpGivesTheSamePairs(t *testing.T) {
	t.Parallel()
	const n = 45
	small := clip{width: 64, height: 48, frames: n, stamps: even(0)}
	odd := clip{width: 65, height: 49, frames: n, seed: 5, stamps: even(12e6)}
	jittered := func(c clip, seed, gap int64) clip { // pairs of all grades and rejected ones, and lost samples
		c.stamps = func(i int) int64 {
			return clipStart + 20e9 + int64(i)*clipPeriod + (int64(i)*7919*seed)%60*1e6 + int64(i/20)*gap*1e6
		}
		return c
	}
	exo := map[string][2]string{
		"exo1": {small.write(t, "a.mp4"), jittered(small, 1, 300).write(t, "b.mp4")},
		"exo2": {small.write(t, "c.mp4"), jittered(small, 2, 450).write(t, "d.mp4")},
	}
	// The rig's takes end first: only what a camera is given up for depends on the clock on the wall.
	rig := [2]string{odd.write(t, "e.mp4"), jittered(odd, 3, 150).write(t, "f.mp4")}
	play := func(d *device, takes [2]string) {
		for i, path := range takes {
			d.play(fast(fmt.Sprint("t", i+1), path))
		}
	}
	begin := func(t *testing.T) (*site, *device, *device, Config) {
		s := newSite(t)
		s.assign(bus.DefaultDevice, s.release(modeltest.New(t, older)))
		c := s.config("rig-1", "exo1", "exo2")
		c.Pair.Wait = time.Minute // nobody is silent, however busy the machine is
		return s, s.run(s.config("exo1")), s.run(s.config("exo2")), c
	}
	type held struct {
		ids  []string
		data [][]byte
	}
	got := map[string]held{}
	keep := func(name string, s *site) {
		eventually(t, "the hub", func() bool { return s.conn.Stats().Connected })
		ids, data := rawPairs(s, "rig-1")
		got[name] = held{ids, data}
	}

	t.Run("online", func(t *testing.T) {
		s, exo1, exo2, c := begin(t)
		d := s.run(c)
		for _, ready := range []*device{exo1, exo2, d} {
			ready.wait(ready.adopted, "r1")
		}
		go play(exo1, exo["exo1"])
		go play(exo2, exo["exo2"])
		play(d, rig)
		for _, each := range []*device{exo1, exo2, d} {
			each.wait(each.done, "t2")
			must(t, each.finish())
		}
		keep("online", s)
	})
	t.Run("later", func(t *testing.T) {
		s, exo1, exo2, c := begin(t)
		play(exo2, exo["exo2"])
		play(exo1, exo["exo1"])
		must(t, exo1.finish())
		must(t, exo2.finish())
		s.stop()()
		for range 2 { // and once more
			d := s.run(c)
			play(d, rig)
			must(t, d.finish())
			keep("later", s)
		}
	})
	t.Run("hub away", func(t *testing.T) {
		s, exo1, exo2, c := begin(t)
		d := s.run(c)
		for _, ready := range []*device{exo1, exo2, d} {
			ready.wait(ready.adopted, "r1")
		}
		comes := s.stop()
		go play(exo1, exo["exo1"])
		go play(exo2, exo["exo2"])
		rigDone := make(chan struct{})
		go func() {
			defer close(rigDone)
			play(d, rig)
		}()
		eventually(t, "the rig's first take", func() bool { return d.agent.Counters()["samples"] >= n })
		comes()
		<-rigDone
		for _, each := range []*device{exo1, exo2, d} {
			each.wait(each.done, "t2")
			must(t, each.finish())
		}
		keep("hub away", s)
	})

	want := got["online"]
	if len(want.ids) < 8 {
		t.Fatalf("%d messages are too few to say anything", len(want.ids))
	}
	rejected, grades := uint64(0), map[wire.Grade]int{}
	for _, data := range want.data {
		p, err := wire.DecodePairBatch(data)
		must(t, err)
		for _, k := range p.Rejected {
			rejected += k
		}
		for _, x := range p.Exo {
			for _, g := range x.Grade {
				grades[g]++
			}
		}
	}
	if rejected == 0 || len(grades) < 3 {
		t.Errorf("%d pairs are rejected, grades %v: too even to say anything", rejected, grades)
	}
	for _, name := range []string{"later", "hub away"} {
		other := got[name]
		if fmt.Sprint(other.ids) != fmt.Sprint(want.ids) {
			t.Errorf("%s: messages %v, online they are %v", name, other.ids, want.ids)
			continue
		}
		for i := range want.ids {
			if !bytes.Equal(other.data[i], want.data[i]) {
				a, _ := wire.DecodePairBatch(want.data[i])
				b, _ := wire.DecodePairBatch(other.data[i])
				t.Errorf("%s: message %s differs: %d and %d bytes, partners %s and %s, rejected %v and %v", name, want.ids[i],
					len(want.data[i]), len(other.data[i]), partners(a), partners(b), a.Rejected, b.Rejected)
			}
		}
	}
}
