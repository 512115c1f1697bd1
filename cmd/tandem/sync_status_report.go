package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"tandem/stream/bus"
	"tandem/stream/wire"
)

// statusReport is how a site is synchronized.
type statusReport struct {
	Hub     string         `json:"hub"`
	Time    time.Time      `json:"time"` // by the hub's clock
	OK      bool           `json:"ok"`
	Why     string         `json:"why,omitempty"` // it isn't
	Devices []statusDevice `json:"devices"`
	Next    string         `json:"next"`

	site string
}

// statusDevice is how a device is. Times are in seconds; null is unknown.
type statusDevice struct {
	Site    string         `json:"site"`
	Cell    string         `json:"cell"`
	Device  string         `json:"device"`
	Role    string         `json:"role"`
	Host    string         `json:"host,omitempty"`
	State   string         `json:"state"`
	Age     float64        `json:"age_s"` // of what it said last
	Source  string         `json:"source,omitempty"`
	Offset  *float64       `json:"offset_s"`
	Bound   *float64       `json:"bound_s"`
	Skew    *float64       `json:"skew_ppm"`
	SkewErr *float64       `json:"skew_error_ppm"`
	Steps   uint64         `json:"steps"`
	Problem string         `json:"problem,omitempty"`
	Sources []statusSource `json:"sources,omitempty"`
	Pairs   []statusPairs  `json:"pairs,omitempty"`

	clashes bool // another device has its name
}

// statusSource is one of where a device's time comes from.
type statusSource struct {
	Name      string   `json:"name"`
	State     string   `json:"state"`
	Offset    float64  `json:"offset_s"`
	Bound     *float64 `json:"bound_s"`
	Skew      float64  `json:"skew_ppm"`
	SkewErr   float64  `json:"skew_error_ppm"`
	RoundTrip float64  `json:"round_trip_s"`
	Heard     *float64 `json:"heard_s"` // how long ago, when the device said so
	Steps     uint64   `json:"steps"`
	Problems  uint64   `json:"problems"`
	Problem   string   `json:"problem,omitempty"`
}

// statusPairs is what became of a rig's samples on one fixed camera.
type statusPairs struct {
	Exo      string            `json:"exo"`
	Gold     uint64            `json:"gold"`
	Silver   uint64            `json:"silver"`
	Bronze   uint64            `json:"bronze"`
	Rejected map[string]uint64 `json:"rejected"`
}

// States that a device doesn't tell of itself.
const (
	stateSilent     = "silent"
	stateStopped    = "stopped"
	stateUnreadable = "unreadable"
	stateUnknown    = "unknown" // an agent of an older version
)

func newStatusDevice(at bus.Subject, s *wire.Status, age time.Duration) statusDevice {
	d := statusDevice{Site: at.Site, Cell: at.Cell, Device: at.Device, Role: s.Role, Host: s.Host, Age: age.Seconds(), State: stateUnknown}
	if k := s.Clock; k != nil {
		d.time(k)
	}
	d.Problem = cmp.Or(d.Problem, s.Error)
	for _, p := range s.Pairs {
		d.Pairs = append(d.Pairs, statusPairs{Exo: p.Exo, Gold: p.Gold, Silver: p.Silver, Bronze: p.Bronze, Rejected: p.Rejected})
	}
	switch {
	case s.State == wire.DeviceState_DEVICE_STATE_STOPPING:
		d.State = stateStopped
	case age > silentAfter(time.Duration(s.EveryNs)):
		d.State = stateSilent
		d.Problem = "nothing was heard for " + rough(age.Seconds()) + "; is its agent running, and does it reach the hub?"
	case strings.HasPrefix(s.Error, "another agent runs under the name"):
		d.clashes, d.Problem = true, s.Error
	}
	return d
}

// silentAfter is how old a status may get: the next two may be lost.
func silentAfter(every time.Duration) time.Duration {
	const usual = 5 * time.Second // from older agents
	return 3*max(cmp.Or(every, usual), time.Second) + time.Second
}

func (d *statusDevice) time(k *wire.ClockStatus) {
	d.State = strings.ToLower(strings.TrimPrefix(k.State.String(), "CLOCK_STATE_"))
	d.Source, d.Problem = k.Source, k.Problem
	if k.BoundNs < wire.UnknownBound {
		d.Bound = seconds(k.BoundNs)
	}
	if k.Source != "" {
		d.Offset = seconds(k.OffsetNs)
	}
	for _, x := range k.Sources {
		s := statusSource{
			Name: x.Name, State: strings.ToLower(strings.TrimPrefix(x.State.String(), "CLOCK_STATE_")), Offset: float64(x.OffsetNs) / 1e9,
			Skew: x.SkewPpm, SkewErr: x.SkewErrorPpm, RoundTrip: float64(x.RoundTripNs) / 1e9, Steps: x.Steps, Problems: x.Problems, Problem: x.Problem,
		}
		if x.BoundNs > 0 {
			s.Bound = seconds(x.BoundNs)
		}
		if x.HeardNs >= 0 {
			s.Heard = seconds(x.HeardNs)
		}
		d.Steps += x.Steps
		if x.Name == k.Source && x.SkewErrorPpm > 0 {
			d.Skew, d.SkewErr = &s.Skew, &s.SkewErr
		}
		d.Sources = append(d.Sources, s)
	}
}

func seconds(ns int64) *float64 {
	v := float64(ns) / 1e9
	return &v
}

// good reports whether a device needs nobody's attention.
func (d *statusDevice) good() bool {
	return !d.clashes && slices.Contains([]string{"locked", "recorded", stateStopped}, d.State)
}

// judge finds out whether all is well, and what to do next.
func (r *statusReport) judge() {
	var wrong []string
	for i := range r.Devices {
		if d := &r.Devices[i]; !d.good() {
			wrong = append(wrong, d.Device)
		}
	}
	switch {
	case len(r.Devices) == 0 && r.site != "":
		r.Why = "no device of site " + r.site + " has reported"
		r.Next = "tandem sync status"
	case len(r.Devices) == 0:
		r.Why = "no device has reported"
		r.Next = "tandem agent --config agent.yaml"
	case len(wrong) > 0:
		r.Why = fmt.Sprintf("%d of %d devices are not synchronized: %s", len(wrong), len(r.Devices), strings.Join(wrong, ", "))
		r.Next = "tandem sync status --watch"
	default:
		r.OK = true
		r.Next = "tandem sync check EGO EXO...: what clocks can't see, such as a camera's latency, recordings of the same take show"
	}
}

func (r *statusReport) print(w io.Writer, watched bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "DEVICE\tROLE\tSTATE\tOFFSET\tBOUND\tSKEW\tSTEPS\tAGE\tSOURCE")
	for i := range r.Devices {
		d := &r.Devices[i]
		skew := "-"
		if d.Skew != nil {
			skew = fmt.Sprintf("%+.2f ± %.2f ppm", *d.Skew, *d.SkewErr)
		}
		bound := "-"
		if d.Bound != nil {
			bound = "± " + rough(*d.Bound)
		}
		offset := "-"
		if d.Offset != nil {
			offset = signed(*d.Offset)
		}
		fmt.Fprintf(t, "%s/%s/%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", d.Site, d.Cell, d.Device, cmp.Or(d.Role, "-"), d.State, offset, bound,
			skew, d.Steps, rough(d.Age), cmp.Or(d.Source, "-"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	r.printPairs(w)
	for i := range r.Devices {
		if d := &r.Devices[i]; d.Problem != "" && d.State != stateStopped {
			fmt.Fprintf(w, "%s/%s/%s: %s\n", d.Site, d.Cell, d.Device, d.Problem)
		}
	}
	if r.Why != "" {
		fmt.Fprintln(w, r.Why)
	}
	if watched && !r.OK {
		return nil
	}
	_, err := fmt.Fprintf(w, "next: %s\n", r.Next)
	return err
}

func (r *statusReport) printPairs(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	some := false
	for i := range r.Devices {
		d := &r.Devices[i]
		for _, p := range d.Pairs {
			if !some {
				fmt.Fprintln(t, "\nPAIRS OF\tWITH\tGOLD\tSILVER\tBRONZE\tREJECTED")
				some = true
			}
			var total uint64
			var why []string
			for _, reason := range slices.Sorted(maps.Keys(p.Rejected)) {
				total += p.Rejected[reason]
				why = append(why, fmt.Sprintf("%s %d", reason, p.Rejected[reason]))
			}
			rejected := fmt.Sprint(total)
			if total > 0 {
				rejected += " (" + strings.Join(why, ", ") + ")"
			}
			fmt.Fprintf(t, "%s/%s/%s\t%s\t%d\t%d\t%d\t%s\n", d.Site, d.Cell, d.Device, p.Exo, p.Gold, p.Silver, p.Bronze, rejected)
		}
	}
	if some {
		fmt.Fprintln(t)
		_ = t.Flush() // the next line meets the same error
	}
}

// rough shows a length of time in seconds by three digits.
func rough(s float64) string {
	switch d := max(s, -s); {
	case d < 1e-3:
		return fmt.Sprintf("%.3g µs", s*1e6)
	case d < 1:
		return fmt.Sprintf("%.3g ms", s*1e3)
	case d < 120:
		return fmt.Sprintf("%.3g s", s)
	}
	return time.Duration(s * 1e9).Round(time.Second).String()
}

func signed(s float64) string {
	if s < 0 {
		return rough(s)
	}
	return "+" + rough(s)
}
