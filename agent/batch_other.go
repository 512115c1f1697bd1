//go:build !linux

package agent

// AsBatch does nothing: only Linux tells batch work from other work.
func AsBatch(bool) error { return nil }
