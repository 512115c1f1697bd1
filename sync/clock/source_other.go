//go:build !linux

package clock

import "errors"

var errLinuxOnly = errors.New("only known on Linux; take it out of sources")

func newAdjtimexSource(Limits) (*hostSource, error) { return nil, errLinuxOnly }

func newPHCSource(PHCConfig, Limits) (*ntpSource, error) { return nil, errLinuxOnly }
