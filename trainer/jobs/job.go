package jobs

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// TeacherCell stands in the place of the cell in the job that makes a line's teacher. No cell may be called so.
const TeacherCell = "teacher"

// Status is how far a job has come.
type Status string

// The statuses. Released, Rejected and Failed are final: the job is closed.
const (
	Queued   Status = "queued"   // waits for a trainer, or for what Error says
	Running  Status = "running"  // Owner works on it
	Released Status = "released" // Release is assigned to Devices
	Rejected Status = "rejected" // the gate did not let the candidate pass; Report says why
	Failed   Status = "failed"   // given up; Error says why. New takes make a new job
)

// Job is a piece of work for one trainer: a student for a cell, or the line's teacher.
type Job struct {
	Line    string    `json:"line"`
	Cell    string    `json:"cell"`
	Number  int       `json:"number"` // counts the cell's jobs from 1
	Takes   []Take    `json:"takes,omitempty"`
	Created time.Time `json:"created"`

	Status   Status    `json:"status"`
	Owner    string    `json:"owner,omitempty"` // the trainer that has it, or had it last
	Attempts int       `json:"attempts"`        // how often it was begun
	Updated  time.Time `json:"updated"`
	Error    string    `json:"error,omitempty"`
	// Release is the name that was reserved for what comes of it, and Devices are those that shall run it.
	Release string          `json:"release,omitempty"`
	Devices []string        `json:"devices,omitempty"`
	Report  json.RawMessage `json:"report,omitempty"` // what was compared, and the verdict
}

// Take is a paired take that a job is for. A trainer begins only when its archive holds all batches.
type Take struct {
	Device  string `json:"device"`
	Take    string `json:"take"`
	Batches int    `json:"batches"`
}

// ID names the job.
func (j *Job) ID() string { return fmt.Sprintf("%s/%s/%d", j.Line, j.Cell, j.Number) }

// Closed tells whether nothing is left to do.
func (j *Job) Closed() bool {
	return j.Status == Released || j.Status == Rejected || j.Status == Failed
}

// Covers reports whether each of the takes was in the job.
func (j *Job) Covers(takes []Take) bool {
	have := map[[2]string]bool{}
	for _, t := range j.Takes {
		have[[2]string{t.Device, t.Take}] = true
	}
	return !slices.ContainsFunc(takes, func(t Take) bool { return !have[[2]string{t.Device, t.Take}] })
}

// decode reads a job from the bucket.
func decode(data []byte) (*Job, error) {
	var j Job
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, err
	}
	if j.Line == "" || j.Cell == "" || j.Number < 1 {
		return nil, fmt.Errorf("%q is no job", j.ID())
	}
	switch j.Status {
	case Queued, Running, Released, Rejected, Failed:
		return &j, nil
	default:
		return nil, fmt.Errorf("the status of job %s is %q, which is unknown", j.ID(), j.Status)
	}
}
