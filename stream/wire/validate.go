package wire

import (
	"encoding/json"
	"fmt"
	"math"
)

// What a message may hold at most. The limits bound what a decoder's caller must allocate; they are far above what a
// cell makes.
const (
	MaxSamples = 1 << 14 // samples in a batch
	MaxDim     = 1 << 15 // numbers in a feature vector
	MaxClasses = 1 << 12 // classes of a label list
	MaxExo     = 64      // exo tracks in a batch
	MaxNames   = 1 << 10 // entries in a map of counts
	MaxLabel   = 256     // bytes of a label
	MaxReport  = 1 << 20 // bytes of an evaluation report
	MaxText    = 4 << 10 // bytes of an error text or a version

	// UnknownBound is the bound of what has no site time: a device that doesn't know the site's time yet.
	UnknownBound = int64(1) << 61

	maxRate = 1000    // samples a second
	maxTime = 1 << 62 // nanoseconds; the year 2116

	maxDriftPpm = 1e5 // a tenth faster or slower
)

// Validate implements Message.
func (b *SampleBatch) Validate() error {
	c := checker{message: "SampleBatch"}
	b.check(&c)
	return c.err
}

func (b *SampleBatch) check(c *checker) {
	n := b.Len()
	c.token("device", b.GetDevice())
	c.token("take", b.GetTake())
	c.token("release", b.GetRelease())
	c.digest("extractor", b.GetExtractor())
	c.rate("rate_hz", b.GetRateHz())
	c.count("site_ns", n, 0, MaxSamples)
	if n == 0 && !b.GetLast() {
		c.failf("site_ns", "no samples in a batch that isn't the take's last")
	}
	if b.GetFirstSeq() >= maxTime {
		c.failf("first_seq", "%d is beyond the end, %d", b.GetFirstSeq(), uint64(maxTime))
	}
	c.length("raw_ns", len(b.GetRawNs()), n)
	c.stamps("raw_ns", b.GetRawNs(), false)
	c.stamps("site_ns", b.GetSiteNs(), true)
	c.enum("stamp_kind", int32(b.GetStampKind()), StampKind_name)
	c.enum("clock_source", int32(b.GetClockSource()), ClockSource_name)
	c.bound("bound_ns", b.GetBoundNs())
	if own := b.GetSampleBoundNs(); len(own) > 0 {
		c.length("sample_bound_ns", len(own), n)
		c.stamps("sample_bound_ns", own, true)
		c.atMost("sample_bound_ns", own, b.GetBoundNs())
	}
	if n > 0 || b.GetDim() > 0 {
		c.count("dim", int(b.GetDim()), 1, MaxDim)
	}
	if c.err == nil {
		c.vectors("features", b.GetFeatures(), n, int(b.GetDim()))
	}
	b.checkScores(c)
	names(c, "skipped", b.GetSkipped())
}

func (b *SampleBatch) checkScores(c *checker) {
	m := len(b.GetScoreSeq())
	if m == 0 && len(b.GetScores()) == 0 {
		if b.GetClasses() > 0 || b.GetLabels() != "" {
			c.count("classes", int(b.GetClasses()), 1, MaxClasses)
			c.digest("labels", b.GetLabels())
		}
		return
	}
	c.count("classes", int(b.GetClasses()), 1, MaxClasses)
	c.digest("labels", b.GetLabels())
	c.count("score_seq", m, 1, MaxSamples)
	c.sequence("score_seq", b.GetScoreSeq(), b.GetFirstSeq()+uint64(b.Len()))
	if c.err == nil {
		c.vectors("scores", b.GetScores(), m, int(b.GetClasses()))
	}
}

// Validate implements Message.
func (p *PairBatch) Validate() error {
	c := checker{message: "PairBatch"}
	if p.GetEgo() == nil {
		c.failf("ego", "missing")
		return c.err
	}
	c.message = "PairBatch.ego"
	p.GetEgo().check(&c)
	if len(p.GetEgo().GetScoreSeq()) > 0 {
		c.failf("scores", "present, but pairs carry no scores")
	}
	c.message = "PairBatch"
	n := p.GetEgo().Len()
	if n == 0 && !p.GetLast() {
		c.failf("ego", "no samples in a batch that isn't the take's last")
	}
	c.count("exo", len(p.GetExo()), 0, MaxExo)
	names(&c, "rejected", p.GetRejected())
	if c.err != nil {
		return c.err
	}
	c.bound("max_dt_ns", p.GetMaxDtNs())
	tracks(&c, "PairBatch.exo", p.GetExo(), n, (*ExoTrack).checkSamples)
	if r := p.GetRig(); r != nil {
		r.check(&c, n)
	}
	return c.err
}

// tracks checks the exo tracks of a batch of n ego samples, and with samples what they hold of their own ones.
func tracks(c *checker, field string, list []*ExoTrack, n int, samples func(*ExoTrack, *checker)) {
	seen := make(map[[3]string]bool, len(list))
	for i, t := range list {
		c.message = fmt.Sprintf("%s[%d]", field, i)
		t.check(c, n)
		if c.err == nil {
			samples(t, c)
		}
		if key := [3]string{t.GetDevice(), t.GetTake(), t.GetRelease()}; seen[key] {
			c.failf("device", "two tracks of device %s, take %s, release %s", key[0], key[1], key[2])
		} else {
			seen[key] = true
		}
	}
}

func (r *RigPairs) check(c *checker, n int) {
	c.message = "PairBatch.rig"
	c.count("cameras", len(r.GetCameras()), 1, MaxExo)
	for i, name := range r.GetCameras() {
		c.token("cameras", name)
		if i > 0 && name <= r.Cameras[i-1] {
			c.failf("cameras", "%s does not come after %s", name, r.Cameras[i-1])
		}
	}
	c.count("exo", len(r.GetExo()), 0, MaxExo)
	names(c, "rejected", r.GetRejected())
	tracks(c, "PairBatch.rig.exo", r.GetExo(), n, (*ExoTrack).checkNoSamples)
}

// checkSamples checks what is stored of the exo samples.
func (t *ExoTrack) checkSamples(c *checker) {
	m := t.Len()
	c.length("raw_ns", len(t.GetRawNs()), m)
	c.stamps("raw_ns", t.GetRawNs(), false)
	c.length("site_ns", len(t.GetSiteNs()), m)
	c.stamps("site_ns", t.GetSiteNs(), true)
	if c.err == nil {
		c.vectors("features", t.GetFeatures(), m, int(t.GetDim()))
	}
}

// checkNoSamples checks that nothing is.
func (t *ExoTrack) checkNoSamples(c *checker) {
	c.length("raw_ns", len(t.GetRawNs()), 0)
	c.length("site_ns", len(t.GetSiteNs()), 0)
	c.length("features", len(t.GetFeatures()), 0)
}

func (t *ExoTrack) check(c *checker, n int) {
	m := t.Len()
	c.token("device", t.GetDevice())
	c.token("take", t.GetTake())
	c.token("release", t.GetRelease())
	c.digest("extractor", t.GetExtractor())
	c.rate("rate_hz", t.GetRateHz())
	c.enum("stamp_kind", int32(t.GetStampKind()), StampKind_name)
	c.enum("clock_source", int32(t.GetClockSource()), ClockSource_name)
	c.count("seq", m, 0, MaxSamples)
	c.sequence("seq", t.GetSeq(), maxTime)
	if m > 0 || t.GetDim() > 0 {
		c.count("dim", int(t.GetDim()), 1, MaxDim)
	}
	if len(t.GetSampleBoundNs()) > 0 {
		c.length("sample_bound_ns", len(t.GetSampleBoundNs()), m)
		c.stamps("sample_bound_ns", t.GetSampleBoundNs(), true)
	}
	c.length("index", len(t.GetIndex()), n)
	c.length("dt_ns", len(t.GetDtNs()), n)
	c.length("bound_ns", len(t.GetBoundNs()), n)
	c.length("grade", len(t.GetGrade()), n)
	if len(t.GetOther()) > 0 || len(t.GetWeight()) > 0 {
		c.length("other", len(t.GetOther()), n)
		c.length("weight", len(t.GetWeight()), n)
	}
	for i := 0; i < n && c.err == nil; i++ {
		t.checkPair(c, i)
	}
	t.GetContentOffset().check(c, "content_offset")
	c.stamps("correction_ns", []int64{t.GetCorrectionNs()}, false)
	c.stamps("correction_ref_ns", []int64{t.GetCorrectionRefNs()}, false)
	c.bound("correction_error_ns", t.GetCorrectionErrorNs())
	if v := t.GetCorrectionDriftPpm(); !(math.Abs(v) <= maxDriftPpm) {
		c.failf("correction_drift_ppm", "%g, expected at most %d", v, int(maxDriftPpm))
	}
}

func (o *ContentOffset) check(c *checker, field string) {
	if o == nil {
		return
	}
	c.stamps(field+".offset_ns", []int64{o.GetOffsetNs()}, false)
	if v := o.GetConfidence(); !(v >= 0 && v <= math.MaxFloat64) {
		c.failf(field+".confidence", "%g, expected 0 or more", v)
	}
	c.bound(field+".error_ns", o.GetErrorNs())
}

// checkPair checks what belongs to ego sample i.
func (t *ExoTrack) checkPair(c *checker, i int) {
	index, dt, bound, grade := t.GetIndex()[i], t.GetDtNs()[i], t.GetBoundNs()[i], t.GetGrade()[i]
	c.enum(fmt.Sprintf("grade[%d]", i), int32(grade), Grade_name)
	c.bound(fmt.Sprintf("bound_ns[%d]", i), bound)
	switch {
	case index < -1 || int(index) >= t.Len():
		c.failf("index", "element %d is %d, expected -1 to %d", i, index, t.Len()-1)
	case dt <= -maxTime || dt >= maxTime:
		c.failf("dt_ns", "element %d is %d ns, out of range", i, dt)
	case index < 0 && grade != Grade_GRADE_REJECTED:
		c.failf("grade", "element %d is %s without an exo sample", i, grade)
	case index < 0 && (dt != 0 || bound != 0):
		c.failf("dt_ns", "element %d has a difference without an exo sample", i)
	}
	if c.err != nil || len(t.GetOther()) == 0 {
		return
	}
	other, weight := t.GetOther()[i], t.GetWeight()[i]
	switch {
	case other < -1 || int(other) >= t.Len() || other >= 0 && (index < 0 || other == index):
		c.failf("other", "element %d is %d beside index %d, expected another of %d samples or -1", i, other, index, t.Len())
	case !(weight >= 0 && weight <= 0.5) || other < 0 && weight != 0:
		c.failf("weight", "element %d is %g beside other %d, expected 0 to 0.5, 0 for none", i, weight, other)
	}
}

// Validate implements Message.
func (e *SegmentEvent) Validate() error {
	c := checker{message: "SegmentEvent"}
	c.token("device", e.GetDevice())
	c.token("take", e.GetTake())
	c.token("release", e.GetRelease())
	c.text("label", e.GetLabel(), MaxLabel)
	if e.GetLabel() == "" {
		c.failf("label", "missing")
	}
	c.time("start_ns", e.GetStartNs())
	c.time("end_ns", e.GetEndNs())
	if e.GetEndNs() <= e.GetStartNs() {
		c.failf("end_ns", "%d is not after the start, %d", e.GetEndNs(), e.GetStartNs())
	}
	if v := e.GetConfidence(); !(v >= 0 && v <= 1) {
		c.failf("confidence", "%g, expected 0 to 1", v)
	}
	c.enum("kind", int32(e.GetKind()), SegmentKind_name)
	switch {
	case e.GetKind() == SegmentKind_SEGMENT_KIND_CONFIRMED && e.GetEndReason() != 0:
		c.failf("end_reason", "%s, but a confirmed segment has not ended", e.GetEndReason())
	case e.GetEndReason() != 0 || e.GetKind() == SegmentKind_SEGMENT_KIND_COMMITTED:
		c.enum("end_reason", int32(e.GetEndReason()), EndReason_name)
	}
	if e.GetDecidedNs() != 0 {
		c.time("decided_ns", e.GetDecidedNs())
	}
	c.bound("bound_ns", e.GetBoundNs())
	if e.GetLastSeq() < e.GetFirstSeq() {
		c.failf("last_seq", "%d is before the first, %d", e.GetLastSeq(), e.GetFirstSeq())
	} else if n, of := e.GetLastSeq()-e.GetFirstSeq(), max(e.GetBridged(), e.GetRushed()); of > 0 && of-1 > n {
		c.failf("bridged", "%d bridged and %d rushed of the samples %d to %d", e.GetBridged(), e.GetRushed(), e.GetFirstSeq(), e.GetLastSeq())
	}
	return c.err
}

// Validate implements Message.
func (s *Status) Validate() error {
	c := checker{message: "Status"}
	c.token("device", s.GetDevice())
	c.token("role", s.GetRole())
	c.time("site_ns", s.GetSiteNs())
	c.tokenOrEmpty("release_running", s.GetReleaseRunning())
	c.tokenOrEmpty("release_assigned", s.GetReleaseAssigned())
	c.enum("state", int32(s.GetState()), DeviceState_name)
	names(&c, "counters", s.GetCounters())
	names(&c, "gauges", s.GetGauges())
	for k, v := range s.GetGauges() {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			c.failf("gauges", "%s is %g", k, v)
		}
	}
	c.text("error", s.GetError(), MaxText)
	names(&c, "versions", s.GetVersions())
	for k, v := range s.GetVersions() {
		c.text("versions["+k+"]", v, MaxText)
	}
	s.checkTime(&c)
	return c.err
}

// Validate implements Message.
func (a *Assignment) Validate() error {
	c := checker{message: "Assignment"}
	c.token("release", a.GetRelease())
	c.digest("sha256", a.GetSha256())
	c.time("issued_ns", a.GetIssuedNs())
	return c.err
}

// Validate implements Message.
func (r *ReleaseInfo) Validate() error {
	c := checker{message: "ReleaseInfo"}
	c.token("release", r.GetRelease())
	c.tokenOrEmpty("parent", r.GetParent())
	if r.GetParent() != "" && r.GetParent() == r.GetRelease() {
		c.failf("parent", "%s is its own parent", r.GetParent())
	}
	c.time("created_ns", r.GetCreatedNs())
	c.digest("sha256", r.GetSha256())
	if r.GetSize() == 0 || r.GetSize() >= maxTime {
		c.failf("size", "%d bytes", r.GetSize())
	}
	if n := len(r.GetReport()); n > MaxReport {
		c.failf("report", "%d bytes, the limit is %d", n, MaxReport)
	} else if n > 0 && !json.Valid([]byte(r.GetReport())) {
		c.failf("report", "not valid JSON")
	}
	return c.err
}

// Len returns the number of samples, N.
func (b *SampleBatch) Len() int { return len(b.GetSiteNs()) }

// Len returns the number of exo samples, M.
func (t *ExoTrack) Len() int { return len(t.GetSeq()) }
