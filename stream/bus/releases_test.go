package bus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/proto"

	"tandem/stream/wire"
)

// packed is a bundle's worth of bytes that don't compress, larger than several of the store's chunks.
func packed(seed uint64) []byte {
	rng := rand.NewChaCha8([32]byte{byte(seed)})
	b := make([]byte, 700_001)
	_, _ = rng.Read(b)
	return b
}

func openReleases(t *testing.T) (*Server, *Conn, *Releases) {
	t.Helper()
	s, c := site(t)
	r, err := OpenReleases(testContext(t), c.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	return s, c, r
}

func put(t *testing.T, r *Releases, release string, created int64) *wire.ReleaseInfo {
	t.Helper()
	info, err := r.PutBundle(testContext(t), &wire.ReleaseInfo{Release: release, CreatedNs: created, Report: `{"f1_50":71.5}`},
		iotest.HalfReader(bytes.NewReader(packed(uint64(created)))))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestBundleRoundTrip(t *testing.T) {
	_, _, r := openReleases(t)
	ctx := testContext(t)
	second, first := put(t, r, "r2", 2), put(t, r, "r1", 1)
	sum := sha256.Sum256(packed(2))
	if second.GetSha256() != hex.EncodeToString(sum[:]) || second.GetSize() != 700_001 {
		t.Errorf("info: %v", second)
	}
	var got bytes.Buffer
	info, err := r.GetBundle(ctx, "r2", second.GetSha256(), &got)
	if err != nil || !proto.Equal(info, second) || !bytes.Equal(got.Bytes(), packed(2)) {
		t.Errorf("got %d bytes, info %v: %v", got.Len(), info, err)
	}
	list, err := r.ListReleases(ctx)
	if err != nil || len(list) != 2 || !proto.Equal(list[0], first) || !proto.Equal(list[1], second) {
		t.Errorf("list: %v, %v", list, err)
	}
	put(t, r, "r2", 2) // the same again
	_, err = r.PutBundle(ctx, &wire.ReleaseInfo{Release: "r2", CreatedNs: 2}, bytes.NewReader(packed(3)))
	if !errors.Is(err, ErrReleaseExists) {
		t.Errorf("other content under the same name: %v", err)
	}
	_, err = r.PutBundle(ctx, &wire.ReleaseInfo{Release: "r3", CreatedNs: 2, Sha256: second.GetSha256()}, bytes.NewReader(packed(3)))
	if !errors.Is(err, ErrDigest) {
		t.Errorf("content that isn't what was announced: %v", err)
	}
	broken := errors.New("disk is gone")
	if _, err = r.PutBundle(ctx, &wire.ReleaseInfo{Release: "r3", CreatedNs: 2}, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v, want the reader's error", err)
	}
	_, err = r.PutBundle(ctx, &wire.ReleaseInfo{Release: "R 3", CreatedNs: 2}, bytes.NewReader(packed(3)))
	oneLine(t, err, "ReleaseInfo.release", "not a token")
	if _, err = r.GetBundle(ctx, "r3", "", io.Discard); !errors.Is(err, ErrNoRelease) {
		t.Errorf("a release that isn't there: %v", err)
	}
	if _, err = r.GetBundle(ctx, "r1", second.GetSha256(), io.Discard); !errors.Is(err, ErrDigest) {
		t.Errorf("another release's digest: %v", err)
	}
}

func TestCorruptBundleLeavesNothingBehind(t *testing.T) {
	_, c, r := openReleases(t)
	ctx := testContext(t)
	info := put(t, r, "r1", 1)
	dir := filepath.Join(t.TempDir(), "bundles")
	a := &wire.Assignment{Release: "r1", Sha256: info.GetSha256(), IssuedNs: 5}

	// Swap a chunk of the object in the store for another one of the same size.
	stream, err := c.JetStream().Stream(ctx, "OBJ_"+BucketBundles)
	if err != nil {
		t.Fatal(err)
	}
	chunk, err := stream.GetMsg(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	chunk.Data[100] ^= 1
	for seq := uint64(1); seq <= 4; seq++ { // re-publish all chunks so that their order stays
		m, err := stream.GetMsg(ctx, seq)
		if err != nil {
			break
		}
		if m.Subject != chunk.Subject {
			continue
		}
		data := m.Data
		if seq == 2 {
			data = chunk.Data
		}
		if err := stream.DeleteMsg(ctx, seq); err != nil {
			t.Fatal(err)
		}
		if _, err := c.JetStream().Publish(ctx, m.Subject, data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.FetchBundle(ctx, a, dir); !errors.Is(err, ErrDigest) {
		t.Errorf("corrupt bundle: %v, want %v", err, ErrDigest)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFetchBundle(t *testing.T) {
	_, _, r := openReleases(t)
	ctx := testContext(t)
	info := put(t, r, "r1", 1)
	dir := filepath.Join(t.TempDir(), "bundles")
	a := &wire.Assignment{Release: "r1", Sha256: info.GetSha256(), IssuedNs: 5}
	path, err := r.FetchBundle(ctx, a, dir)
	if err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, packed(1)) {
			t.Errorf("file: %d bytes, %v", len(data), err)
		}
	}
	check()
	// A damaged file is fetched again.
	if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := r.FetchBundle(ctx, a, dir); err != nil || again != path {
		t.Errorf("second fetch: %s, %v", again, err)
	}
	check()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if again, err := r.FetchBundle(ended, a, dir); err != nil || again != path {
		t.Errorf("what is there needs no network: %s, %v", again, err)
	}
	if _, err := r.FetchBundle(ctx, &wire.Assignment{Release: "../r1", Sha256: info.GetSha256()}, dir); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("illegal release name: %v", err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("files: %v", files)
	}
}

func TestAssignments(t *testing.T) {
	_, c, r := openReleases(t)
	ctx := testContext(t)
	assignment := func(release string, n int64) *wire.Assignment {
		return &wire.Assignment{Release: release, Sha256: put(t, r, release, n).GetSha256(), IssuedNs: n}
	}
	r1, r2, r3 := assignment("r1", 1), assignment("r2", 2), assignment("r3", 3)
	w, err := r.WatchAssignment(ctx, "rig-1")
	if err != nil {
		t.Fatal(err)
	}
	next := func(want *wire.Assignment) {
		t.Helper()
		got, err := w.Next(ctx)
		if err != nil || !proto.Equal(got, want) {
			t.Fatalf("got %v, %v, want %v", got, err, want)
		}
	}
	assign := func(device string, a *wire.Assignment) {
		t.Helper()
		if err := r.Assign(ctx, device, a); err != nil {
			t.Fatal(err)
		}
	}
	assign(DefaultDevice, r1)
	next(r1)
	assign("rig-2", r3)
	assign("rig-1", r2)
	next(r2)
	assign(DefaultDevice, r3) // doesn't concern a device with its own
	if err := r.Unassign(ctx, "rig-1"); err != nil {
		t.Fatal(err)
	}
	next(r3)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(ctx); err == nil {
		t.Error("a closed watch gives assignments")
	}

	// A watch that begins later gets the newest at once, its own before the default's.
	assign("rig-1", r1)
	if w, err = r.WatchAssignment(ctx, "rig-1"); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	next(r1)

	// What isn't an assignment is an error; the next good one counts.
	kv, err := c.JetStream().KeyValue(ctx, BucketAssignments)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(ctx, "rig-1", []byte("not a message")); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Next(ctx); !errors.Is(err, wire.ErrInvalid) {
		t.Errorf("got %v, want %v", err, wire.ErrInvalid)
	}
	assign("rig-1", r2)
	next(r2)

	soon, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := w.Next(soon); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if _, err := r.WatchAssignment(ctx, DefaultDevice); err == nil {
		t.Error("a device named default was accepted")
	}
	if err := r.Assign(ctx, "rig-1", &wire.Assignment{Release: "r9", Sha256: r1.GetSha256()}); !errors.Is(err, ErrNoRelease) {
		t.Errorf("assigning what isn't there: %v", err)
	}
	if err := r.Assign(ctx, "rig-1", &wire.Assignment{Release: "r2", Sha256: r1.GetSha256()}); !errors.Is(err, ErrDigest) {
		t.Errorf("assigning another digest: %v", err)
	}
}

func TestReleasesNeedTheHub(t *testing.T) {
	s := startServer(t, ServerConfig{})
	c := connect(t, Config{InProcess: s})
	_, err := OpenReleases(testContext(t), c.JetStream())
	oneLine(t, err, BucketBundles, "has the hub made it?")
}
