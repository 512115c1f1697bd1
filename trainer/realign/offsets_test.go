package realign

import (
	"slices"
	"strings"
	"testing"
)

func TestParseOffset(t *testing.T) {
	for text, want := range map[string]Offset{
		"exo1=5":               {Camera: "exo1", OffsetMS: 5},
		"rig-1/exo1=-0.5":      {Device: "rig-1", Camera: "exo1", OffsetMS: -0.5},
		"rig-1/t-7/exo1=1e3±8": {Device: "rig-1", Take: "t-7", Camera: "exo1", OffsetMS: 1000, ErrorMS: 8},
		"exo1=-40+-2.5":        {Camera: "exo1", OffsetMS: -40, ErrorMS: 2.5},
	} {
		if got, err := ParseOffset(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "expected [DEVICE", "exo1": "expected [DEVICE", "a/b/c/d=1": "expected [DEVICE", "exo1=x": "is no number", "exo1=1±": "is no number",
		"=1": "camera is missing", "rig_1/exo1=1": "device: ", "exo1=inf": "at most a day", "exo1=1±-1": "an error of -1 ms", "exo1=1±nan": "an error of NaN ms",
	} {
		if _, err := ParseOffset(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestReadOffsets(t *testing.T) {
	one := Offset{Device: "rig-1", Take: "a", Camera: "exo1", OffsetMS: 120, DriftPPM: -3, ErrorMS: 8}
	for text, want := range map[string][]Offset{
		`[{"device": "rig-1", "take": "a", "camera": "exo1", "offset_ms": 120, "drift_ppm": -3, "error_ms": 8}]`: {one},
		`{"out": "x", "takes": [], "offsets": [{"camera": "exo1", "offset_ms": 1}]}`:                             {{Camera: "exo1", OffsetMS: 1}},
		// as sync check prints it
		`{"band_ms": 5000, "ego": {"name": "ego"}, "cameras": [
		   {"name": "exo1", "verdict": "shifted", "offset_ms": 800.5, "error_ms": 12, "drift_ppm": 0, "confidence": null},
		   {"name": "exo2", "verdict": "ok", "offset_ms": 3}, {"name": "exo3", "verdict": "unsure", "offset_ms": 77}]}`: {{Camera: "exo1", OffsetMS: 800.5, ErrorMS: 12}},
	} {
		if got, err := ReadOffsets(strings.NewReader(text)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "not the JSON of offsets", "[1]": "not the JSON of offsets", "[null]": "element 1 is null", "{}": "no offset in it",
		`{"cameras": [{"name": "exo1", "verdict": "ok"}]}`:   "no camera that is shifted",
		`[{"camera": "exo1"}, {"take": "a", "camera": "x"}]`: "element 2: take a without a device",
		`[{"camera": "exo1", "drift_ppm": 1e9}]`:             "a drift of 1e+09 ppm",
	} {
		if _, err := ReadOffsets(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	if _, err := newOffsets([]Offset{one, {Device: "rig-1", Take: "a", Camera: "exo1", OffsetMS: 5}}); err == nil || !strings.Contains(err.Error(), "two offsets for rig-1/a/exo1") {
		t.Errorf("two for one camera: %v", err)
	}
}

func FuzzReadOffsets(f *testing.F) {
	f.Add(`[{"camera": "exo1", "offset_ms": 1}]`)
	f.Add(`{"cameras": [{"name": "exo1", "verdict": "shifted", "offset_ms": 800.5}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ReadOffsets(strings.NewReader(text))
		if err != nil {
			return
		}
		if _, err := newOffsets(list); err != nil && !strings.Contains(err.Error(), "two offsets") {
			t.Fatal(err)
		}
	})
}
