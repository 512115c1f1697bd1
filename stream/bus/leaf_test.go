package bus

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"tandem/stream/wire"
)

// A rig's own server keeps what the rig publishes, and is a way to the hub's streams, each in its domain.
func TestLeafNode(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "hub.conf")
	port := freePort(t)
	text := fmt.Sprintf("listen: \"127.0.0.1:-1\"\nleafnodes { listen: \"127.0.0.1:%d\" }\n", port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	hub := startServer(t, ServerConfig{Name: "hub", ConfigFile: conf, Domain: "hub", MaxStore: 1 << 28})
	rig := startServer(t, ServerConfig{Name: "rig-1", Domain: "rig-1", SyncAlways: true, MaxStore: 1 << 28,
		Leaf: []LeafRemote{{URLs: []string{fmt.Sprintf("nats-leaf://127.0.0.1:%d", port)}}}})
	ctx := testContext(t)
	local := connect(t, Config{InProcess: rig, Domain: "rig-1"})
	remote := connect(t, Config{InProcess: rig, Domain: "hub"})
	direct := connect(t, Config{URLs: []string{hub.URL()}})
	if err := EnsureStreams(ctx, remote.JetStream(), StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, remote, PublisherConfig{})
	publish(t, p, 0, 20)
	flush(t, p)
	if n := pairsStored(t, direct); n != 20 {
		t.Errorf("the hub has %d messages, want 20", n)
	}
	r, err := OpenReleases(ctx, remote.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	info := put(t, r, "r1", 1)
	path, err := r.FetchBundle(ctx, &wire.Assignment{Release: "r1", Sha256: info.GetSha256()}, t.TempDir())
	if err != nil {
		t.Errorf("fetch through the leaf: %s, %v", path, err)
	}
	if list := local.JetStream().StreamNames(ctx); list != nil {
		for name := range list.Name() {
			t.Errorf("the rig has a stream %s of its own", name)
		}
	}
}
