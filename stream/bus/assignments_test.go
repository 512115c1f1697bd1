package bus

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"tandem/stream/wire"
)

// TestAssignment: a device's own assignment counts, else the default's.
func TestAssignment(t *testing.T) {
	_, _, r := openReleases(t)
	ctx := testContext(t)
	if a, err := r.Assignment(ctx, "rig-1"); !errors.Is(err, ErrNoRelease) {
		t.Errorf("nothing is assigned: %v, %v", a, err)
	}
	for i, device := range []string{DefaultDevice, "rig-1"} {
		a := &wire.Assignment{Release: "r1", Sha256: put(t, r, "r1", 1).GetSha256(), IssuedNs: int64(i + 1)}
		if err := r.Assign(ctx, device, a); err != nil {
			t.Fatal(err)
		}
		if got, err := r.Assignment(ctx, "rig-1"); err != nil || !proto.Equal(got, a) {
			t.Errorf("got %v, %v, want %v", got, err, a)
		}
	}
	if got, err := r.Assignment(ctx, "rig-2"); err != nil || got.GetIssuedNs() != 1 {
		t.Errorf("got %v, %v, want the default's", got, err)
	}
	if _, err := r.Assignment(ctx, "Rig 1"); err == nil || !strings.Contains(err.Error(), "device") {
		t.Errorf("a device that is none: %v", err)
	}
}
