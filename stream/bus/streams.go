package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tandem/stream/wire"
)

// The names of a site's streams and buckets.
const (
	StreamTeacher     = "TEACHER"
	StreamPairs       = "PAIRS"
	StreamSegments    = "SEGMENTS"
	StreamStatus      = "STATUS"
	StreamJobs        = "JOBS"
	BucketBundles     = "BUNDLES"
	BucketAssignments = "ASSIGNMENTS"
	BucketTraining    = "TRAINING"
)

// Stream returns the name of the stream that holds a kind's messages.
func (k Kind) Stream() string {
	switch k {
	case Teacher:
		return StreamTeacher
	case Pairs:
		return StreamPairs
	case Segments:
		return StreamSegments
	case Status:
		return StreamStatus
	case Jobs:
		return StreamJobs
	default:
		return ""
	}
}

// Unlimited as an age or a size switches the limit off.
const Unlimited = -1

// Limits bounds a stream; what is oldest goes first. A zero field means the default for a stream that is made, and no
// change for one that exists.
type Limits struct {
	MaxAge     time.Duration
	MaxBytes   int64
	Duplicates time.Duration // how long message ids are remembered
}

// StreamsConfig says how EnsureStreams makes streams. The zero value will do on a test's server.
type StreamsConfig struct {
	// Replicas of each stream, at most the size of the cluster. 0 means 1 for what is made, no change for what exists.
	Replicas int
	// Store is the disk to share out between the streams whose MaxBytes is 0, in bytes: Server.MaxStore for an embedded
	// server. 0 leaves them without a limit of their own.
	Store int64
	// Memory makes new streams live in memory.
	Memory bool
	// The streams' own limits. Defaults: TEACHER 24 h, PAIRS 30 days, SEGMENTS 90 days, STATUS 7 days; message ids are
	// remembered for 2 h (or the stream's age where that is less).
	Teacher, Pairs, Segments, Status Limits
	// BundlesMaxBytes bounds the object store of releases.
	BundlesMaxBytes int64
}

// spec is what one stream shall be.
type spec struct {
	name        string
	description string
	subject     string  // empty for a bucket
	share       float64 // of Store
	age         time.Duration
	limits      Limits
	queue       bool // each message goes to one reader, and is gone when it is done
}

// history is how many values of each key of a bucket are kept.
const history = 16

func (cfg StreamsConfig) specs() []spec {
	const day = 24 * time.Hour
	kind := func(k Kind) string { return Subject{Kind: k}.String() }
	return []spec{
		{StreamTeacher, "features and scores of the exo cameras", kind(Teacher), 0.30, day, cfg.Teacher, false},
		{StreamPairs, "synchronized ego and exo samples", kind(Pairs), 0.40, 30 * day, cfg.Pairs, false},
		{StreamSegments, "what the rigs recognized", kind(Segments), 0.06, 90 * day, cfg.Segments, false},
		{StreamStatus, "how the devices are", kind(Status), 0.03, 7 * day, cfg.Status, false},
		{StreamJobs, "tasks of the trainers", kind(Jobs), 0.01, Unlimited, Limits{}, true},
	}
}

// EnsureStreams makes the site's streams and buckets where they are missing and brings those that exist to what cfg sets
// explicitly. It may be called again and by several processes. A stream that can't be brought there without losing what
// it holds is an error that names the stream and the setting. While JetStream isn't up, as in a cluster that is just
// starting, it keeps trying until ctx ends, or for 30 seconds where ctx has no end.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, cfg StreamsConfig) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
	}
	for _, s := range cfg.specs() {
		if err := retryJetStream(ctx, func(ctx context.Context) error { return cfg.ensureStream(ctx, js, s) }); err != nil {
			return fmt.Errorf("stream %s: %w", s.name, err)
		}
	}
	if err := retryJetStream(ctx, func(ctx context.Context) error { return cfg.ensureBundles(ctx, js) }); err != nil {
		return fmt.Errorf("object store %s: %w", BucketBundles, err)
	}
	for _, b := range []bucket{
		{BucketAssignments, "which release each device shall run", 0.01},
		{BucketTraining, "what the trainers know and do", 0.02},
	} {
		if err := retryJetStream(ctx, func(ctx context.Context) error { return cfg.ensureBucket(ctx, js, b) }); err != nil {
			return fmt.Errorf("key-value bucket %s: %w", b.name, err)
		}
	}
	return nil
}

func (cfg StreamsConfig) ensureStream(ctx context.Context, js jetstream.JetStream, s spec) error {
	for {
		stream, err := js.Stream(ctx, s.name)
		if err == nil {
			return cfg.update(ctx, js, stream.CachedInfo().Config, s)
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		_, err = js.CreateStream(ctx, cfg.create(s))
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // else another process was faster
			return explain(err)
		}
	}
}

// create is the configuration of a stream that isn't there yet.
func (cfg StreamsConfig) create(s spec) jetstream.StreamConfig {
	age := withDefault(s.limits.MaxAge, s.age)
	duplicates := withDefault(s.limits.Duplicates, 2*time.Hour)
	if age > 0 {
		duplicates = min(duplicates, age)
	}
	retention, discard := s.policy()
	return jetstream.StreamConfig{
		Name:        s.name,
		Description: s.description,
		Subjects:    []string{s.subject},
		Retention:   retention,
		Discard:     discard,
		Storage:     cfg.storage(),
		Replicas:    max(cfg.Replicas, 1),
		MaxAge:      max(age, 0),
		MaxBytes:    cfg.maxBytes(s.limits.MaxBytes, s.share),
		MaxMsgSize:  wire.MaxMessage,
		Duplicates:  max(duplicates, 0),
		AllowDirect: true,
	}
}

// policy says how long messages stay, and which goes when there is no room: never a task.
func (s spec) policy() (jetstream.RetentionPolicy, jetstream.DiscardPolicy) {
	if s.queue {
		return jetstream.WorkQueuePolicy, jetstream.DiscardNew
	}
	return jetstream.LimitsPolicy, jetstream.DiscardOld
}

// update brings an existing stream to what the configuration sets explicitly.
func (cfg StreamsConfig) update(ctx context.Context, js jetstream.JetStream, has jetstream.StreamConfig, s spec) error {
	if retention, _ := s.policy(); has.Retention != retention {
		return fmt.Errorf("exists with retention %q, expected %q: remove it (nats stream rm %s) or use another account or domain", has.Retention, retention, s.name)
	}
	want := has
	if s.subject != "" && !slices.Contains(has.Subjects, s.subject) {
		want.Subjects = append(slices.Clone(has.Subjects), s.subject)
	}
	if has.MaxMsgSize > 0 && has.MaxMsgSize < wire.MaxMessage {
		want.MaxMsgSize = wire.MaxMessage
	}
	if cfg.Replicas > 0 {
		want.Replicas = cfg.Replicas
	}
	if s.limits.MaxAge != 0 {
		want.MaxAge = max(s.limits.MaxAge, 0)
	}
	if s.limits.Duplicates != 0 {
		want.Duplicates = max(s.limits.Duplicates, 0)
	}
	if want.MaxAge > 0 && want.Duplicates > want.MaxAge {
		want.Duplicates = want.MaxAge
	}
	if s.limits.MaxBytes != 0 || cfg.Store > 0 {
		want.MaxBytes = cfg.maxBytes(s.limits.MaxBytes, s.share)
	}
	if slices.Equal(want.Subjects, has.Subjects) && want.MaxMsgSize == has.MaxMsgSize && want.Replicas == has.Replicas &&
		want.MaxAge == has.MaxAge && want.Duplicates == has.Duplicates && want.MaxBytes == has.MaxBytes {
		return nil
	}
	_, err := js.UpdateStream(ctx, want)
	return explain(err)
}

func (cfg StreamsConfig) ensureBundles(ctx context.Context, js jetstream.JetStream) error {
	const share = 0.15
	_, err := js.ObjectStore(ctx, BucketBundles)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		_, err = js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
			Bucket:      BucketBundles,
			Description: "releases: packed bundles of models",
			MaxBytes:    cfg.maxBytes(cfg.BundlesMaxBytes, share),
			Storage:     cfg.storage(),
			Replicas:    max(cfg.Replicas, 1),
		})
		if err == nil || !errors.Is(err, jetstream.ErrBucketExists) {
			return explain(err)
		}
	} else if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, "OBJ_"+BucketBundles)
	if err != nil {
		return err
	}
	return cfg.update(ctx, js, stream.CachedInfo().Config, spec{name: "OBJ_" + BucketBundles, share: share,
		limits: Limits{MaxBytes: cfg.BundlesMaxBytes}})
}

// bucket is what one key-value bucket shall be.
type bucket struct {
	name, description string
	share             float64 // of Store
}

func (cfg StreamsConfig) ensureBucket(ctx context.Context, js jetstream.JetStream, b bucket) error {
	_, err := js.KeyValue(ctx, b.name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
			Bucket:      b.name,
			Description: b.description,
			History:     history,
			MaxBytes:    cfg.maxBytes(0, b.share),
			Storage:     cfg.storage(),
			Replicas:    max(cfg.Replicas, 1),
		})
		if err == nil || !errors.Is(err, jetstream.ErrBucketExists) {
			return explain(err)
		}
	} else if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, "KV_"+b.name)
	if err != nil {
		return err
	}
	return cfg.update(ctx, js, stream.CachedInfo().Config, spec{name: "KV_" + b.name, share: b.share})
}

func (cfg StreamsConfig) storage() jetstream.StorageType {
	if cfg.Memory {
		return jetstream.MemoryStorage
	}
	return jetstream.FileStorage
}

// maxBytes is a stream's size limit: its own, or its share of the store, -1 for none.
func (cfg StreamsConfig) maxBytes(own int64, share float64) int64 {
	switch {
	case own != 0:
		return max(own, Unlimited)
	case cfg.Store > 0:
		return int64(float64(cfg.Store) * share)
	default:
		return Unlimited
	}
}

func withDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// explain adds what to do to the errors that people meet.
func explain(err error) error {
	const (
		subjectOverlap = 10065
		noStorage      = 10047
		noReplicas     = 10074
		noPeers        = 10005
	)
	var api *jetstream.APIError
	if !errors.As(err, &api) {
		return err
	}
	switch api.ErrorCode {
	case subjectOverlap:
		return fmt.Errorf("%w: another stream takes the subjects tandem.v1.…: remove it, see 'nats stream ls'", err)
	case noStorage:
		return fmt.Errorf("%w: the server's max_file_store can't hold the streams' limits: raise the one or lower the others", err)
	case noReplicas, noPeers:
		return fmt.Errorf("%w: more replicas are asked for than the cluster has servers", err)
	default:
		return err
	}
}

// retryJetStream calls f again while JetStream isn't ready, until ctx ends. A cluster without a leader doesn't answer at
// all, so no try may take long.
func retryJetStream(ctx context.Context, f func(context.Context) error) error {
	const try = 3 * time.Second
	wait := 50 * time.Millisecond
	for {
		tryCtx, cancel := context.WithTimeout(ctx, try)
		err := f(tryCtx)
		cancel()
		if err == nil || !unready(err) {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			wait = min(2*wait, 2*time.Second)
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("JetStream isn't ready: %w: does the server run with JetStream (nats-server -js), and does its cluster have a leader?", err)
		}
	}
}

// unready reports whether err may pass when JetStream has started or a cluster has elected its leaders.
func unready(err error) bool {
	const temporarilyUnavailable = 10008
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == temporarilyUnavailable {
		return true
	}
	return errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrDisconnected)
}
