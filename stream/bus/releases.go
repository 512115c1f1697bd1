package bus

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"tandem/stream/wire"
)

// Errors of Releases.
var (
	// ErrNoRelease means that there is no such release, or no assignment.
	ErrNoRelease = errors.New("no such release")
	// ErrReleaseExists means that a release of this name holds something else: releases never change.
	ErrReleaseExists = errors.New("release exists with other content")
	// ErrDigest means that what arrived isn't what was released.
	ErrDigest = errors.New("digest mismatch")
)

// infoKey is the object's metadata entry that holds its wire.ReleaseInfo as JSON, readable in 'nats object info'.
const infoKey = "tandem-release"

// stall is how long a download may stand still.
const stall = 30 * time.Second

// Releases are the object store of packed bundles and the bucket that says which device shall run which.
type Releases struct {
	objects jetstream.ObjectStore
	assign  jetstream.KeyValue
}

// OpenReleases finds the store and the bucket that EnsureStreams made.
func OpenReleases(ctx context.Context, js jetstream.JetStream) (*Releases, error) {
	objects, err := js.ObjectStore(ctx, BucketBundles)
	if err != nil {
		return nil, fmt.Errorf("object store %s: %w: has the hub made it?", BucketBundles, err)
	}
	kv, err := js.KeyValue(ctx, BucketAssignments)
	if err != nil {
		return nil, fmt.Errorf("key-value bucket %s: %w: has the hub made it?", BucketAssignments, err)
	}
	return &Releases{objects: objects, assign: kv}, nil
}

// PutBundle stores a packed bundle. Release and CreatedNs of info must be set; Size and Sha256 are filled in, or compared
// when set. The content goes by way of a temporary file, never whole through memory. The same release again is fine when
// the content is the same, else ErrReleaseExists. It returns the complete info.
func (r *Releases) PutBundle(ctx context.Context, info *wire.ReleaseInfo, packed io.Reader) (*wire.ReleaseInfo, error) {
	full, err := r.put(ctx, info, packed)
	if err != nil {
		return nil, fmt.Errorf("put release %s: %w", info.GetRelease(), err)
	}
	return full, nil
}

func (r *Releases) put(ctx context.Context, info *wire.ReleaseInfo, packed io.Reader) (*wire.ReleaseInfo, error) {
	spool, err := os.CreateTemp("", "tandem-bundle-*")
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = spool.Close()
		_ = os.Remove(spool.Name())
	}()
	hash := sha256.New()
	size, err := io.Copy(io.MultiWriter(spool, hash), packed)
	if err != nil {
		return nil, err
	}
	full := proto.CloneOf(info)
	full.Size, full.Sha256 = uint64(size), hex.EncodeToString(hash.Sum(nil))
	if info.GetSha256() != "" && info.GetSha256() != full.GetSha256() {
		return nil, fmt.Errorf("%w: the content's is %s, announced is %s", ErrDigest, full.GetSha256(), info.GetSha256())
	}
	if err := full.Validate(); err != nil {
		return nil, err
	}
	there, err := r.Info(ctx, info.GetRelease())
	if err == nil {
		if there.GetSha256() != full.GetSha256() {
			return nil, fmt.Errorf("%w (%s): choose another name", ErrReleaseExists, there.GetSha256())
		}
		return there, nil
	}
	if !errors.Is(err, ErrNoRelease) {
		return nil, err
	}
	text, err := protojson.Marshal(full)
	if err != nil {
		return nil, err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	_, err = r.objects.Put(ctx, jetstream.ObjectMeta{
		Name:        full.GetRelease(),
		Description: "packed bundle (tar, zstd)",
		Metadata:    map[string]string{infoKey: string(text)},
	}, spool)
	if err != nil {
		return nil, err
	}
	return full, nil
}

// GetBundle writes a release's packed bundle to dst as it arrives and checks it against digest, or against the store's
// own record when digest is empty. Unless the error is nil, what dst got must be thrown away.
func (r *Releases) GetBundle(ctx context.Context, release, digest string, dst io.Writer) (*wire.ReleaseInfo, error) {
	info, err := r.get(ctx, release, digest, dst)
	if err != nil {
		return nil, fmt.Errorf("get release %s: %w", release, err)
	}
	return info, nil
}

func (r *Releases) get(ctx context.Context, release, digest string, dst io.Writer) (*wire.ReleaseInfo, error) {
	info, err := r.info(ctx, release)
	if err != nil {
		return nil, err
	}
	if digest == "" {
		digest = info.GetSha256()
	} else if digest != info.GetSha256() {
		return nil, fmt.Errorf("%w: the store holds %s, expected %s", ErrDigest, info.GetSha256(), digest)
	}
	// The library ends a download after its request timeout unless ctx has an end: progress is what counts.
	ctx, cancel := context.WithDeadline(ctx, farAway(ctx))
	defer cancel()
	object, err := r.objects.Get(ctx, release)
	if err != nil {
		return nil, storeError(err)
	}
	watch := time.AfterFunc(stall, func() { _ = object.Close() })
	defer watch.Stop()
	hash := sha256.New()
	n, err := io.Copy(io.MultiWriter(dst, hash, progress(func() { watch.Reset(stall) })), object)
	if closeErr := object.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	got := hex.EncodeToString(hash.Sum(nil))
	switch {
	case errors.Is(err, jetstream.ErrDigestMismatch) || err == nil && got != digest:
		return nil, fmt.Errorf("%w: %d bytes with digest %s arrived, expected %d with %s", ErrDigest, n, got, info.GetSize(), digest)
	case err != nil:
		return nil, fmt.Errorf("after %d of %d bytes: %w", n, info.GetSize(), err)
	}
	return info, nil
}

// FetchBundle downloads the assigned release's packed bundle into the directory dir, which is made if needed, and returns
// the file's path: it is there only when it is complete, has the assigned digest and is on the disk. A file that is there
// already is checked and used.
func (r *Releases) FetchBundle(ctx context.Context, a *wire.Assignment, dir string) (string, error) {
	if err := a.Validate(); err != nil {
		return "", err
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%s.tar.zst", a.GetRelease(), a.GetSha256()[:12]))
	if fileHasDigest(path, a.GetSha256()) {
		return path, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("fetch release %s: %w", a.GetRelease(), err)
	}
	f, err := os.CreateTemp(dir, ".fetch-*")
	if err != nil {
		return "", fmt.Errorf("fetch release %s: %w", a.GetRelease(), err)
	}
	_, err = r.GetBundle(ctx, a.GetRelease(), a.GetSha256(), f)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return path, nil
}

// Info describes a release, or returns ErrNoRelease.
func (r *Releases) Info(ctx context.Context, release string) (*wire.ReleaseInfo, error) {
	info, err := r.info(ctx, release)
	if err != nil {
		return nil, fmt.Errorf("release %s: %w", release, err)
	}
	return info, nil
}

func (r *Releases) info(ctx context.Context, release string) (*wire.ReleaseInfo, error) {
	if err := wire.CheckToken("release", release); err != nil {
		return nil, err
	}
	object, err := r.objects.GetInfo(ctx, release)
	if err != nil {
		return nil, storeError(err)
	}
	return parseInfo(object)
}

// ListReleases describes all releases, oldest first. Objects in the store that aren't releases are left out.
func (r *Releases) ListReleases(ctx context.Context) ([]*wire.ReleaseInfo, error) {
	objects, err := r.objects.List(ctx)
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, fmt.Errorf("list releases: %w", err)
	}
	var infos []*wire.ReleaseInfo
	for _, object := range objects {
		if object.Metadata[infoKey] == "" {
			continue
		}
		info, err := parseInfo(object)
		if err != nil {
			return nil, fmt.Errorf("list releases: %s: %w", object.Name, err)
		}
		infos = append(infos, info)
	}
	slices.SortFunc(infos, func(a, b *wire.ReleaseInfo) int {
		return cmp.Or(cmp.Compare(a.GetCreatedNs(), b.GetCreatedNs()), cmp.Compare(a.GetRelease(), b.GetRelease()))
	})
	return infos, nil
}

func parseInfo(object *jetstream.ObjectInfo) (*wire.ReleaseInfo, error) {
	text := object.Metadata[infoKey]
	if text == "" {
		return nil, fmt.Errorf("%w: the object has no entry %s", ErrNoRelease, infoKey)
	}
	info := new(wire.ReleaseInfo)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(text), info); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", wire.ErrInvalid, infoKey, err)
	}
	if err := info.Validate(); err != nil {
		return nil, err
	}
	if info.GetRelease() != object.Name {
		return nil, fmt.Errorf("%w: %s: release %s in an object named %s", wire.ErrInvalid, infoKey, info.GetRelease(), object.Name)
	}
	return info, nil
}

// storeError gives a missing object its own error.
func storeError(err error) error {
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return ErrNoRelease
	}
	return err
}

// farAway is ctx's end, or one that no download reaches.
func farAway(ctx context.Context) time.Time {
	if end, ok := ctx.Deadline(); ok {
		return end
	}
	return time.Now().Add(24 * time.Hour)
}

// progress calls a function for each piece that passes.
type progress func()

func (p progress) Write(b []byte) (int, error) {
	p()
	return len(b), nil
}

func fileHasDigest(path, digest string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return err == nil && hex.EncodeToString(hash.Sum(nil)) == digest
}

// syncDir makes a rename in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
