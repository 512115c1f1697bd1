package agent

import (
	"maps"

	"tandem/stream/wire"
)

// show puts into a status message what the release runs on: requested and actual execution providers, why they differ, and what a
// run takes.
func (r *running) show(m *wire.Status) {
	m.ReleaseRunning = r.bundle.Release
	m.Versions["provider"] = r.provider
	if r.selected == nil {
		return
	}
	for k, v := range r.selected.Versions() {
		m.Versions[k] = wire.OneLine(v)
	}
	maps.Copy(m.Gauges, r.selected.Gauges())
}
