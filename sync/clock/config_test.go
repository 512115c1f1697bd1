package clock

import (
	"strings"
	"testing"
	"time"
)

func TestConfigNamesWhatIsWrong(t *testing.T) {
	hub := NTPConfig{Servers: []string{"hub"}}
	for want, c := range map[string]Config{
		"ntp.servers: missing":                {},
		`sources: "gps"`:                      {Sources: []string{"gps"}},
		"sources: ntp is listed twice":        {Sources: []string{"ntp", "ntp"}, NTP: hub},
		"phc.device: missing":                 {Sources: []string{"phc"}},
		"phc.bound: -1ns":                     {Sources: []string{"phc"}, PHC: PHCConfig{Device: "eth0", Bound: -1}},
		"chrony.address":                      {Sources: []string{"chrony"}, Chrony: ChronyConfig{Address: "here"}},
		`ntp.servers: "hub:x"`:                {NTP: NTPConfig{Servers: []string{"hub:x"}}},
		`ntp.servers: "a b"`:                  {NTP: NTPConfig{Servers: []string{"a b"}}},
		`ntp.servers: ""`:                     {NTP: NTPConfig{Servers: []string{""}}},
		"ntp.servers: hub:123 is listed":      {NTP: NTPConfig{Servers: []string{"hub", "hub:123"}}},
		"ntp.poll: 3s, expected 100ms to 2s":  {NTP: NTPConfig{Servers: []string{"hub"}, Poll: 3 * time.Second}},
		"ntp.burst: 17, expected 1 to 16":     {NTP: NTPConfig{Servers: []string{"hub"}, Burst: 17}},
		"ntp.timeout: 2s, expected 1ms to 1s": {NTP: NTPConfig{Servers: []string{"hub"}, Timeout: 2 * time.Second}},
		"limits.max_drift: -1":                {NTP: hub, Limits: Limits{MaxDrift: -1}},
	} {
		if _, err := New(c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, expected %q", c, err, want)
		}
	}
	for _, s := range []string{"hub", "hub.site:1123", "10.0.0.1", "::1", "[fe80::1]:123"} {
		if _, err := New(Config{NTP: NTPConfig{Servers: []string{s}}}, nil); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}
