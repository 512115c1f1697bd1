package bus

import (
	"fmt"
	"testing"

	"tandem/stream/wire"
)

// BenchmarkPublish publishes seconds of a camera at 10 samples of 512 dimensions, until they are stored.
func BenchmarkPublish(b *testing.B) {
	for _, always := range []bool{false, true} {
		b.Run(fmt.Sprintf("sync_always=%t", always), func(b *testing.B) {
			const size = 10 << 10
			ctx := b.Context()
			s, err := StartServer(ctx, ServerConfig{StoreDir: b.TempDir(), Listen: "127.0.0.1:0", SyncAlways: always, Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			c, err := Connect(ctx, Config{URLs: []string{s.URL()}, Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if err := EnsureStreams(ctx, c.JetStream(), StreamsConfig{Pairs: Limits{MaxBytes: 256 << 20}}); err != nil {
				b.Fatal(err)
			}
			p, err := NewPublisher(c, PublisherConfig{Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			n := uint64(0)
			for b.Loop() {
				if err := p.Publish(ctx, pairSubject, wire.MessageID("rig-1", "take-1", n), make([]byte, size)); err != nil {
					b.Fatal(err)
				}
				n++
			}
			if err := p.Flush(ctx); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := p.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
