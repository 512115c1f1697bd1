package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/runtime/bundle"
	"tandem/runtime/model/modeltest"
	"tandem/stream/bus"
	"tandem/stream/capture"
	"tandem/stream/wire"
)

// releasesIn returns what lies in a device's store of releases, and fails for anything half-done.
func releasesIn(t *testing.T, c Config) []string {
	t.Helper()
	dir := filepath.Join(c.Store, c.Device, "releases")
	var names []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch {
		case rel == ".":
		case strings.HasPrefix(e.Name(), "."):
			t.Errorf("%s is left in the store", rel)
		case filepath.Dir(rel) == packedDir:
			t.Errorf("%s is left in the store", rel)
		case filepath.Dir(rel) == "." && rel != packedDir:
			names = append(names, rel)
			if _, err := bundle.Read(path); err != nil {
				t.Errorf("%s in the store is not whole: %v", rel, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// lastStatus waits for a status that a device publishes from now on and that ok likes.
func (s *site) lastStatus(device, what string, ok func(*wire.Status) bool) *wire.Status {
	s.t.Helper()
	sub, err := s.conn.NATS().SubscribeSync(bus.Subject{Site: "plant", Cell: "cell-1", Device: device, Kind: bus.Status}.String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { must(s.t, sub.Unsubscribe()) }()
	for {
		msg, err := sub.NextMsgWithContext(limit(s.t))
		if err != nil {
			s.t.Fatalf("waiting for %s: %v", what, err)
		}
		m, err := wire.DecodeStatus(msg.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		if ok(m) {
			return m
		}
	}
}

// assignUnchecked assigns what the hub need not have.
func (s *site) assignUnchecked(device string, a *wire.Assignment) {
	s.t.Helper()
	kv, err := s.conn.JetStream().KeyValue(limit(s.t), bus.BucketAssignments)
	must(s.t, err)
	data, err := wire.Encode(a)
	must(s.t, err)
	_, err = kv.Put(limit(s.t), device, data)
	must(s.t, err)
}

func statusConfig(s *site, device string, exo ...string) Config {
	c := s.config(device, exo...)
	c.StatusEvery = 100 * time.Millisecond
	return c
}

func TestSecondReleaseTakesOverBetweenTwoFrames(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	one, two := s.release(modeltest.New(t, older)), s.release(modeltest.New(t, newer))
	s.assign("exo1", one)
	d := s.run(s.config("exo1"))
	d.wait(d.adopted, "r1")
	stop := make(chan struct{})
	d.play(Source{Take: "t1", Stop: stop, Capture: capture.Config{
		Source: clip{width: 64, height: 48, frames: 30, stamps: even(0)}.write(t, "a.mp4"), Pace: capture.ByStamps, Loop: true,
	}})
	samples := func() uint64 { return d.agent.Counters()["samples"] }
	eventually(t, "samples of the first release", func() bool { return samples() > 5 })
	s.assign("exo1", two)
	d.wait(d.adopted, "r2")
	swapped := samples()
	eventually(t, "samples of the second release", func() bool { return samples() > swapped+5 })
	close(stop)
	must(t, d.finish())

	next, releases := uint64(0), []string{}
	for _, b := range stored(s, bus.Teacher, "exo1", wire.DecodeSampleBatch) {
		if b.FirstSeq != next {
			t.Errorf("a batch begins with sample %d after sample %d", b.FirstSeq, next-1)
		}
		next += uint64(b.Len())
		releases = append(releases, b.Release)
	}
	if n := d.agent.Counters(); next != n["samples"] || n["samples"] != n["frames"] {
		t.Errorf("the stream holds %d samples; counters %v", next, n)
	}
	if got := slices.Compact(releases); !slices.Equal(got, []string{"r1", "r2"}) {
		t.Errorf("releases of the batches: %v", got)
	}
	checkCommitted(t, stored(s, bus.Segments, "exo1", wire.DecodeSegmentEvent), "t1", int64(next))
	if d.agent.Release() != "r2" {
		t.Errorf("%s runs", d.agent.Release())
	}
}

// checkCommitted fails unless a take's committed segments cover n samples without gap or overlap.
func checkCommitted(t *testing.T, events []*wire.SegmentEvent, take string, n int64) {
	t.Helper()
	var list []*wire.SegmentEvent
	for _, e := range events {
		if e.Take == take && e.Kind == wire.SegmentKind_SEGMENT_KIND_COMMITTED {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		t.Errorf("take %s has no committed segment", take)
		return
	}
	for i, e := range list {
		if i > 0 && (e.StartNs != list[i-1].EndNs || e.FirstSeq != list[i-1].LastSeq+1) {
			t.Errorf("take %s: a segment begins at sample %d, %d ns after the one that ends with sample %d", take, e.FirstSeq,
				e.StartNs-list[i-1].EndNs, list[i-1].LastSeq)
		}
	}
	if first, last := list[0], list[len(list)-1]; first.FirstSeq != 0 || int64(last.LastSeq) != n-1 || last.EndReason != wire.EndReason_END_REASON_END_OF_TAKE {
		t.Errorf("take %s: committed segments cover samples %d to %d (%v) of %d", take, first.FirstSeq, last.LastSeq, last.EndReason, n)
	}
}

// tamper packs a bundle after a change to its files; the manifest's digests follow where fix is set.
func tamper(t *testing.T, o modeltest.Options, file string, change func([]byte) []byte) []byte {
	t.Helper()
	d := modeltest.New(t, o)
	path := filepath.Join(d.Path, file)
	data, err := os.ReadFile(path)
	must(t, err)
	changed := change(bytes.Clone(data))
	must(t, os.WriteFile(path, changed, 0o600))
	if file != bundle.ManifestFile {
		before, after := sha256.Sum256(data), sha256.Sum256(changed)
		manifest, err := os.ReadFile(filepath.Join(d.Path, bundle.ManifestFile))
		must(t, err)
		manifest = bytes.ReplaceAll(manifest, []byte(hex.EncodeToString(before[:])), []byte(hex.EncodeToString(after[:])))
		must(t, os.WriteFile(filepath.Join(d.Path, bundle.ManifestFile), manifest, 0o600))
	}
	packed, _ := modeltest.Pack(t, d)
	return packed
}

func replace(old, with string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(with), 1) }
}

func TestBadReleaseIsNotUsed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign("rig-1", s.release(modeltest.New(t, older)))
	c := statusConfig(s, "rig-1", "exo1")
	d := s.run(c)
	d.wait(d.adopted, "r1")
	kept := releasesIn(t, c)
	good, _ := modeltest.Pack(t, modeltest.New(t, newer))
	bad := func(release string) modeltest.Options {
		o := newer
		o.Release = release
		return o
	}
	wrongDigest := s.put("b0", good)
	wrongDigest.Sha256 = strings.Repeat("0", 64)
	failed := uint64(0)
	for _, b := range []struct {
		name string
		a    *wire.Assignment
		want string
	}{
		{"wrong digest", wrongDigest, "digest mismatch"},
		{"not an archive", s.put("b1", []byte("not a bundle at all")), "not a packed bundle"},
		{"cut archive", s.put("b2", good[:len(good)/2]), "invalid bundle"},
		{"manifest that does not fit", s.put("b3", tamper(t, bad("b3"), bundle.ManifestFile, replace(`"pack"`, `"pack", "more"`))), "does not run on this device"},
		{"unknown field", s.put("b4", tamper(t, bad("b4"), bundle.ManifestFile, replace(`"schema"`, `"scheme": 1, "schema"`))), `unknown field "scheme"`},
		{"golden outputs", s.put("b5", tamper(t, bad("b5"), bundle.GoldenFile, replace(`"features":[`, `"features":[9`))), "golden probe failed"},
		{"broken model", s.put("b6", tamper(t, bad("b6"), bundle.SegmenterFile, func(b []byte) []byte { return b[:len(b)/3] })), "does not run on this device"},
		{"wrong file", s.put("b7", tamper(t, bad("b7"), bundle.ManifestFile, replace(`"sha256": "`, `"sha256": "0`))), "invalid bundle"},
		{"another release inside", s.put("b8", good), `it calls itself "r2", the assignment "b8"`},
	} {
		s.assignUnchecked("rig-1", b.a)
		failed++
		st := s.lastStatus("rig-1", b.name, func(m *wire.Status) bool {
			return m.Counters["updates_failed"] == failed && m.ReleaseAssigned == b.a.Release
		})
		if !strings.Contains(st.Error, "release "+b.a.Release+" is not used: ") || !strings.Contains(st.Error, b.want) ||
			st.State != wire.DeviceState_DEVICE_STATE_DEGRADED || st.ReleaseRunning != "r1" {
			t.Errorf("%s: %v, running %s, error %q; want one with %q", b.name, st.State, st.ReleaseRunning, st.Error, b.want)
		}
		if got := releasesIn(t, c); !slices.Equal(got, kept) {
			t.Errorf("%s: the store holds %v, before it held %v", b.name, got, kept)
		}
	}
	// What runs already clears the error, and a good release still comes through.
	s.assign("rig-1", s.release(modeltest.New(t, older)))
	s.lastStatus("rig-1", "the error to be cleared", func(m *wire.Status) bool { return m.Error == "" && m.ReleaseAssigned == "r1" })
	s.assign("rig-1", s.put("r2", good))
	d.wait(d.adopted, "r2")
	if n := d.agent.Counters(); n["updates_failed"] != failed || n["releases_adopted"] != 2 {
		t.Errorf("counters %v, want %d failures and 2 adoptions", n, failed)
	}
	must(t, d.finish())
}

func TestAssignmentThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := statusConfig(s, "rig-1", "exo1")
	d := s.run(c)
	kv, err := s.conn.JetStream().KeyValue(limit(t), bus.BucketAssignments)
	must(t, err)
	_, err = kv.Put(limit(t), "rig-1", []byte("\xff\xff"))
	must(t, err)
	s.lastStatus("rig-1", "the error", func(m *wire.Status) bool {
		return strings.HasPrefix(m.Error, "an assignment is not used: ") && m.Counters["updates_failed"] == 1
	})
	s.assign("rig-1", s.release(modeltest.New(t, older)))
	d.wait(d.adopted, "r1")
	must(t, d.finish())
}

func TestDamagedStoredReleaseIsFetchedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign("exo1", s.release(modeltest.New(t, older)))
	c := s.config("exo1")
	first := s.run(c)
	first.wait(first.adopted, "r1")
	must(t, first.finish())
	path := filepath.Join(c.Store, c.Device, "releases", releasesIn(t, c)[0])
	for name, spoil := range map[string]func() error{
		"changed file":     func() error { return os.WriteFile(filepath.Join(path, bundle.SegmenterFile), []byte("x"), 0o600) },
		"missing file":     func() error { return os.Remove(filepath.Join(path, bundle.GoldenFile)) },
		"missing manifest": func() error { return os.Remove(filepath.Join(path, bundle.ManifestFile)) },
	} {
		must(t, spoil())
		d := s.run(c)
		d.wait(d.adopted, "r1")
		must(t, d.finish())
		if got := releasesIn(t, c); len(got) != 1 || d.agent.Counters()["updates_failed"] != 0 {
			t.Errorf("%s: the store holds %v; counters %v", name, got, d.agent.Counters())
		}
	}
}

func TestRestartUsesTheStoredRelease(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign("exo1", s.release(modeltest.New(t, older)))
	c := s.config("exo1")
	first := s.run(c)
	first.wait(first.adopted, "r1")
	must(t, first.finish())
	objects, err := s.conn.JetStream().ObjectStore(limit(t), bus.BucketBundles)
	must(t, err)
	must(t, objects.Delete(limit(t), "r1")) // nothing can be fetched any more

	// What a killed agent has left is swept away.
	dir := filepath.Join(c.Store, c.Device, "releases")
	for _, left := range []string{".bundle-123", filepath.Join(packedDir, ".fetch-9")} {
		must(t, os.MkdirAll(filepath.Join(dir, left), 0o755))
	}
	second := s.run(c)
	second.wait(second.adopted, "r1")
	must(t, second.finish())
	if n := second.agent.Counters(); n["updates_failed"] != 0 {
		t.Errorf("counters %v", n)
	}
	if got := releasesIn(t, c); len(got) != 1 {
		t.Errorf("the store holds %v", got)
	}
}

func TestFetchIsTriedUntilItWorks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assign("exo1", s.release(modeltest.New(t, older)))
	c := statusConfig(s, "exo1")
	d := s.run(c, func(a *Agent) {
		a.patience.firstRetry, a.patience.lastRetry = 10*time.Millisecond, 200*time.Millisecond
	})
	d.wait(d.adopted, "r1")
	packed, digest := modeltest.Pack(t, modeltest.New(t, newer))
	failures := func() uint64 { return d.agent.Counters()["updates_failed"] }
	s.assignUnchecked("exo1", &wire.Assignment{Release: "r2", Sha256: digest, IssuedNs: 1})
	eventually(t, "a first failure", func() bool { return failures() > 0 })
	begin := s.stop()
	away := failures()
	eventually(t, "a failure while the hub is away", func() bool { return failures() > away })
	begin()
	eventually(t, "the test's own connection", func() bool { return s.conn.Stats().Connected })
	s.put("r2", packed)
	d.wait(d.adopted, "r2")
	s.lastStatus("exo1", "the error to be cleared", func(m *wire.Status) bool { return m.Error == "" && m.ReleaseRunning == "r2" })
	must(t, d.finish())
}

func TestNewerAssignmentDoesNotWaitForTheOlder(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.assignUnchecked("exo1", &wire.Assignment{Release: "nowhere", Sha256: strings.Repeat("0", 64), IssuedNs: 1})
	d := s.run(s.config("exo1"), func(a *Agent) { a.patience.firstRetry, a.patience.lastRetry = time.Hour, time.Hour })
	eventually(t, "a failure", func() bool { return d.agent.Counters()["updates_failed"] == 1 })
	s.assign("exo1", s.release(modeltest.New(t, older)))
	d.wait(d.adopted, "r1")
	must(t, d.finish())
}

func TestConfiguredBundleIsNotFetchedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	local := modeltest.New(t, older)
	c := statusConfig(s, "exo1")
	c.Bundle.Dir = local.Path
	s.assign("exo1", s.release(local))
	d := s.run(c)
	s.lastStatus("exo1", "the assignment", func(m *wire.Status) bool { return m.ReleaseAssigned == "r1" && m.ReleaseRunning == "r1" })
	must(t, d.finish())
	if n := d.agent.Counters(); n["releases_adopted"] != 1 {
		t.Errorf("counters %v: the same release was adopted again", n)
	}
	// The same name with other content is another release.
	other := newer
	other.Release = "r1"
	second := newSite(t)
	second.assign("exo1", second.release(modeltest.New(t, other)))
	c.NATS.URLs = []string{second.server.URL()}
	e := second.run(c)
	e.wait(e.adopted, "r1")
	e.wait(e.adopted, "r1")
	must(t, e.finish())
}

func TestOldReleasesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	s := &store{dir: dir, log: quiet}
	for i, name := range []string{"d-1", "a-2", "c-3", "b-4", packedDir, ".bundle-5"} {
		path := filepath.Join(dir, name)
		must(t, os.Mkdir(path, 0o755))
		at := time.Unix(int64(1000*(i+1)), 0)
		must(t, os.Chtimes(path, at, at))
	}
	must(t, s.prune(filepath.Join(dir, "d-1")))
	entries, err := os.ReadDir(dir)
	must(t, err)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{".bundle-5", "b-4", "c-3", "d-1", packedDir}; !slices.Equal(left, want) {
		t.Errorf("%v are left, want %v: what runs and the two newest others", left, want)
	}
}
