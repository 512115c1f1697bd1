package realign

import (
	"strings"

	"tandem/stream/wire"
)

// What was done with a camera's pairs.
const (
	Kept    = "kept"      // no offset was given: as it was
	Aligned = "realigned" // paired anew
	Undone  = "undone"    // what the rig paired was put back
	Refused = "refused"   // its offset could not be told: as it was
)

// Report is what a run did.
type Report struct {
	Out   string       `json:"out"`
	Takes []TakeReport `json:"takes"`
}

// TakeReport is what became of a take.
type TakeReport struct {
	Device string `json:"device"`
	Take   string `json:"take"`
	// Samples are the rig's. They are what they were.
	Samples uint64         `json:"samples"`
	Torn    bool           `json:"torn"` // the file ended in the beginning of a record, which was left out
	Cameras []CameraReport `json:"cameras"`
}

// CameraReport is what became of the pairs with one camera.
type CameraReport struct {
	Camera string `json:"camera"`
	Action string `json:"action"`
	Note   string `json:"note,omitempty"` // what is to be known of it, such as why it was refused
	// Offset is what is applied in the archive that was written.
	OffsetMS   float64 `json:"offset_ms"`
	DriftPPM   float64 `json:"drift_ppm"`
	ErrorMS    float64 `json:"error_ms"`
	Confidence float64 `json:"confidence,omitempty"` // of an estimate
	Against    string  `json:"against,omitempty"`    // the fixed camera that it was estimated against; the rig if empty
	Before     Pairing `json:"before"`
	After      Pairing `json:"after"`
	// Samples are the camera's that are in the archive, before and after; Unpaired those that are nobody's partner now.
	Samples  uint64 `json:"samples"`
	Unpaired uint64 `json:"unpaired"`
}

// Pairing is what a take's samples have on a camera.
type Pairing struct {
	OffsetMS float64           `json:"offset_ms"` // that was applied, in the middle of the take
	Gold     uint64            `json:"gold"`
	Silver   uint64            `json:"silver"`
	Bronze   uint64            `json:"bronze"`
	Rejected map[string]uint64 `json:"rejected"` // by reason
}

func newPairing() Pairing { return Pairing{Rejected: map[string]uint64{}} }

// Pairs returns the number of pairs.
func (p *Pairing) Pairs() uint64 { return p.Gold + p.Silver + p.Bronze }

func (p *Pairing) count(g wire.Grade) {
	switch g {
	case wire.Grade_GRADE_GOLD:
		p.Gold++
	case wire.Grade_GRADE_SILVER:
		p.Silver++
	case wire.Grade_GRADE_BRONZE:
		p.Bronze++
	}
}

// rejection splits a key of PairBatch.rejected, "camera/reason".
func rejection(key string) (camera, reason string, ok bool) { return strings.Cut(key, "/") }

// Offsets returns the offsets that were applied, in a form that a later run can be given.
func (r *Report) Offsets() []Offset {
	list := []Offset{}
	for _, t := range r.Takes {
		for _, c := range t.Cameras {
			if c.Action == Aligned {
				list = append(list, Offset{
					Device: t.Device, Take: t.Take, Camera: c.Camera, OffsetMS: c.OffsetMS, DriftPPM: c.DriftPPM, ErrorMS: c.ErrorMS,
				})
			}
		}
	}
	return list
}

// names lists the cameras of the takes.
func (r *Report) names() string {
	const most = 8
	var names []string
	for _, t := range r.Takes {
		for _, c := range t.Cameras {
			if len(names) == most {
				return strings.Join(names, ", ") + ", …"
			}
			names = append(names, t.Device+"/"+t.Take+"/"+c.Camera)
		}
	}
	return strings.Join(names, ", ")
}
