package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tandem/agent"
)

// fakeRoot is a file system of a rig.
func fakeRoot(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestDoctorReadsTheMachine(t *testing.T) {
	d := doctor{root: fakeRoot(t, map[string]string{
		"proc/meminfo":                      "MemTotal:        8048640 kB\nMemFree:  1 kB\nMemAvailable:     409600 kB\nHugePages_Total:       0\nodd line\n",
		"dev/video0":                        "",
		"dev/video10":                       "",
		"dev/video2":                        "",
		"dev/ptp0":                          "",
		"sys/class/video4linux/video2/name": "Arducam B0497\n",
		"sys/class/ptp/ptp0/clock_name":     "igc\n",
	})}
	list := slices.Concat(d.lookMachine(t.Context()), d.listCameras(t.Context()), d.listPTP(t.Context()))
	checkFindings(t, list)
	if f := find(t, list, "machine", "memory"); f.State != stateWarn || f.Found != "7.7 GiB, 400 MiB of it free" {
		t.Errorf("%+v", f)
	}
	if f := find(t, list, "camera", "/dev/video2"); f.Found != "Arducam B0497" {
		t.Errorf("%+v", f)
	}
	var order []string
	for _, f := range list {
		if f.Area == "camera" {
			order = append(order, f.What)
		}
	}
	if !slices.Equal(order, []string{"/dev/video0", "/dev/video2", "/dev/video10"}) {
		t.Errorf("cameras in the order %v", order)
	}
	if f := find(t, list, "clock", "ptp"); f.State != stateOK || f.Found != "/dev/ptp0 (igc)" {
		t.Errorf("%+v", f)
	}

	d.root = t.TempDir()
	list = slices.Concat(d.lookMachine(t.Context()), d.listCameras(t.Context()), d.listPTP(t.Context()))
	if f := find(t, list, "machine", "memory"); f.State != stateWarn || !strings.Contains(f.Found, "unknown") {
		t.Errorf("%+v", f)
	}
	if f := find(t, list, "camera", "/dev/video*"); f.State != stateMissing || f.Required || f.Mend == "" {
		t.Errorf("%+v", f)
	}
}

func TestDoctorLooksAtTheDisk(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	plenty := diskSpace{Free: 50 << 30, Total: 100 << 30}
	for name, c := range map[string]struct {
		store string
		space diskSpace
		err   error
		state string
		found string
	}{
		"plenty":         {dir, plenty, nil, stateOK, "50 GiB of 100 GiB free (it will be made)"},
		"little":         {dir, diskSpace{Free: 500 << 20, Total: 1 << 40}, nil, stateWarn, "500 MiB of 1024 GiB free"},
		"none":           {dir, diskSpace{Free: 1 << 20, Total: 1 << 40}, nil, stateMissing, "1 MiB of 1024 GiB free"},
		"read-only":      {dir, diskSpace{Free: 50 << 30, Total: 1 << 40, ReadOnly: true}, nil, stateMissing, "on a read-only file system"},
		"a file":         {file, plenty, nil, stateMissing, "is a file, expected a directory"},
		"not to be read": {dir, plenty, errors.New("input/output error"), stateMissing, "input/output error"},
	} {
		t.Run(name, func(t *testing.T) {
			d := doctor{cfg: &agent.Config{Store: c.store, Device: "rig-1"}, disk: func(string) (diskSpace, error) { return c.space, c.err }}
			list := d.lookDisk(t.Context())
			checkFindings(t, list)
			if f := list[0]; f.State != c.state || !strings.Contains(f.Found, c.found) || !f.Required {
				t.Errorf("%+v, want %s and %q", f, c.state, c.found)
			}
		})
	}
	space, err := readDisk(dir)
	if err != nil || space.Total == 0 || space.Free > space.Total {
		t.Errorf("this disk: %+v, %v", space, err)
	}
}

func TestDoctorOfAnOpenCVWithoutFFmpeg(t *testing.T) {
	cfg, err := agent.LoadConfig(agentFile(t, nowhere, "", take(video(t))))
	if err != nil {
		t.Fatal(err)
	}
	d := doctor{cfg: &cfg, opencv: func() opencvBuild { return opencvBuild{Version: "4.6.0", Backends: []string{"CV_IMAGES", "V4L2"}} }}
	list := d.lookOpenCV(t.Context())
	checkFindings(t, list)
	if f := find(t, list, "opencv", "FFMPEG"); f.State != stateMissing || !f.Required || !strings.Contains(f.Mend, "apt-get install") {
		t.Errorf("%+v", f)
	}
	if f := find(t, list, "opencv", "GSTREAMER"); f.State != stateMissing || f.Required {
		t.Errorf("%+v", f)
	}
	if f := find(t, list, "opencv", "V4L2"); f.State != stateOK {
		t.Errorf("%+v", f)
	}
}

func TestDoctorsTable(t *testing.T) {
	r := doctorReport{Findings: []finding{
		{Area: "machine", What: "cores", State: stateOK, Found: "2"},
		{Area: "hub", What: "NATS", State: stateMissing, Required: true, Found: "refused", Mend: "tandem hub"},
	}}
	var out bytes.Buffer
	if err := r.print(&out); err != nil {
		t.Fatal(err)
	}
	want := "STATE    AREA     WHAT   FOUND\nok       machine  cores  2\nMISSING  hub      NATS   refused\n" +
		"                         to mend it: tandem hub\nwhat is MISSING is required\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestDoctorRefusesWrongUse(t *testing.T) {
	for _, args := range [][]string{{"--timeout", "1ms"}, {"--timeout", time.Hour.String()}, {"now"}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"doctor"}, args...), &out, &errs); code != exitUsage {
			t.Errorf("%q: exit %d, %s", args, code, errs.String())
		}
	}
}
