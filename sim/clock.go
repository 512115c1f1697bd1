package sim

import (
	"math"
	"math/rand/v2"
)

// shot is one capture of a camera.
type shot struct {
	index int   // of the capture, counting those that were lost
	at    int64 // true instant, site time
}

// record returns all captures of a camera within [start, start+length) and the truth about the frames that the device got of them.
func record(cfg *Config, cam *Camera, take int, start, length int64) ([]shot, TakeCamera) {
	tc := TakeCamera{
		ID: cam.ID, Kind: "exo", Video: cam.ID + ".mp4", Stamps: cam.ID + ".stamps.csv",
		Width: cam.Width, Height: cam.Height, FPS: cam.FPS,
		LatencyNS: cam.Latency.Nanoseconds(), OffsetNS: cam.Offset.Nanoseconds(), SkewPPM: cam.SkewPPM,
		JitterSDNS: cam.Jitter.Nanoseconds(), DropRate: cam.Drop, DoubleRate: cam.Double,
		Dropped: []int{}, Doubled: []int{},
	}
	if cam.ID == "ego" {
		tc.Kind, tc.Mono = "ego", true
	}
	period := 1e9 / cam.FPS
	rng := newRand(cfg.Seed, take, "phase "+cam.ID)
	tc.PhaseNS = int64(period * rng.Float64())
	if cam.Genlock {
		tc.PhaseNS = 0
	}
	noise := newRand(cfg.Seed, take, "jitter "+cam.ID)
	faults := newRand(cfg.Seed, take, "faults "+cam.ID)
	redelivery := int64(period / 3)
	var shots []shot
	last := int64(math.MinInt64)
	for k := 0; ; k++ {
		since := tc.PhaseNS + int64(math.Round(float64(k)*period))
		if since >= length {
			break
		}
		lost, twice := faults.Float64() < cam.Drop, faults.Float64() < cam.Double
		jitter := [2]int64{gauss(noise, cam), gauss(noise, cam) + redelivery}
		// A take without any frame is no take: the first one always arrives.
		if lost && k > 0 {
			tc.Dropped = append(tc.Dropped, k)
			continue
		}
		shots = append(shots, shot{k, start + since})
		copies := 1
		if twice {
			tc.Doubled = append(tc.Doubled, k)
			copies = 2
		}
		for c := range copies {
			exact := start + since + tc.LatencyNS + tc.OffsetNS + skewed(since, cam.SkewPPM)
			// A device hands frames over one after the other: noise never turns the order of stamps round.
			raw := max(exact+jitter[c], last+1000)
			last = raw
			tc.CaptureNS = append(tc.CaptureNS, start+since)
			tc.JitterNS = append(tc.JitterNS, raw-exact)
		}
	}
	return shots, tc
}

func gauss(rng *rand.Rand, cam *Camera) int64 {
	return int64(math.Round(rng.NormFloat64() * float64(cam.Jitter.Nanoseconds())))
}

// skewed returns by how much a clock that runs ppm fast is ahead after ns.
func skewed(ns int64, ppm float64) int64 {
	return int64(math.Round(float64(ns) * ppm / 1e6))
}
