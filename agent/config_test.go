package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tandem/stream/bus"
	"tandem/stream/capture"
)

// exoConfig is the least that an exo camera has to say; each line can be replaced by a test.
var exoConfig = []string{
	"site: plant",
	"cell: cell-1",
	"device: exo1",
	"role: exo",
	"store: data",
	"nats: {urls: ['nats://127.0.0.1:4222']}",
	"camera: {source: video.mp4}",
}

var egoConfig = []string{
	"site: plant",
	"cell: cell-1",
	"device: rig-1",
	"role: ego",
	"store: data",
	"nats: {urls: ['nats://127.0.0.1:4222']}",
	"camera: {source: video.mp4}",
	"pair: {exo: [exo1, exo2]}",
}

// with replaces the lines of a configuration that set the same fields, and appends the others.
func with(base []string, lines ...string) string {
	out := append([]string(nil), base...)
next:
	for _, line := range lines {
		key, _, _ := strings.Cut(line, ":")
		for i := range out {
			if strings.HasPrefix(out[i], key+":") {
				out[i] = line
				continue next
			}
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n") + "\n"
}

func TestBadConfigurations(t *testing.T) {
	const want = "configuration bad.yaml: "
	for name, c := range map[string]struct{ text, want string }{
		"empty":          {"", "it is empty, expected site, cell, device, role, store, nats, camera, cameras, clock, bundle, pair, runtime, status_every"},
		"comments only":  {"# later\n", "it is empty, expected site, cell, device, role, store, nats, camera, cameras, clock, bundle, pair, runtime, status_every"},
		"two documents":  {with(exoConfig) + "---\nsite: b\n", "a second document begins at a line ---, expected one"},
		"not a mapping":  {"- site\n", "line 1: sequence was used where mapping is expected"},
		"broken yaml":    {"site: [a\n", "line 1: sequence end token ']' not found"},
		"broken library": {"nats: {urls:! 0}", "it can't be read as YAML (runtime error: invalid memory address or nil pointer dereference)"},
		"unknown field":  {with(exoConfig, "sight: plant"), `line 8: unknown field "sight"`},
		"unknown inside": {with(exoConfig, "camera: {\n  source: a.mp4,\n  sauce: b}"), `line 9: unknown field "sauce"`},
		"twice":          {with(exoConfig) + "role: ego\n", `line 8: mapping key "role" already defined at [4:1]`},
		"wrong type":     {with(exoConfig, "camera: {source: a.mp4, width: wide}"), "line 7: found text, expected a whole number"},
		"list expected":  {with(exoConfig, "nats: {urls: 'nats://a:1'}"), "line 6: string was used where sequence is expected"},

		"token":          {with(exoConfig, "cell: Cell_1"), `cell: "Cell_1" is not a token: expected 1 to 32 of the characters a-z, 0-9 and '-'`},
		"no site":        {with(exoConfig, "site: ''"), `site: "" is not a token: expected 1 to 32 of the characters a-z, 0-9 and '-'`},
		"default device": {with(exoConfig, "device: default"), `device is "default", expected another name: this one stands for all devices without a release of their own`},
		"role":           {with(exoConfig, "role: teacher"), `role is "teacher", expected exo or ego`},
		"store":          {with(exoConfig, "store: ''"), `store is "", expected a directory`},
		"no urls":        {with(exoConfig, "nats: {urls: []}"), "nats.urls is empty, expected the hub's address, nats://HOST:4222"},
		"no nats":        {with(exoConfig, "nats:"), "nats.urls is empty, expected the hub's address, nats://HOST:4222"},
		"url scheme": {with(exoConfig, "nats: {urls: ['nats://a:4222', 'http://user:secret@b']}"),
			"nats.urls[1] is not an address of a server, expected nats://HOST:4222 (or tls, ws, wss)"},
		"url":           {with(exoConfig, "nats: {urls: ['nats://']}"), "nats.urls[0] is not an address of a server, expected nats://HOST:4222 (or tls, ws, wss)"},
		"two keys":      {with(exoConfig, "nats: {urls: [a], credentials: c, nkey: k}"), "nats.nkey is set beside nats.credentials, expected one of the two"},
		"half a tls":    {with(exoConfig, "nats: {urls: [a], tls_cert: c}"), `nats.tls_key is "", expected the key of nats.tls_cert`},
		"other half":    {with(exoConfig, "nats: {urls: [a], tls_key: c}"), `nats.tls_cert is "", expected the certificate of nats.tls_key`},
		"no camera":     {with(exoConfig, "camera: {pace: fast}"), `camera.source is "", expected a camera or recording (or camera.takes, a list of recordings)`},
		"two cameras":   {with(exoConfig, "camera: {source: a, takes: [{name: b, source: b}]}"), "camera.takes is set beside camera.source, expected one of the two"},
		"pace":          {with(exoConfig, "camera: {source: a, pace: slow}"), `camera.pace is "slow", expected fast or stamps`},
		"fps":           {with(exoConfig, "camera: {source: a, fps: .nan}"), "camera.fps is NaN, expected more than 0 and at most 1000"},
		"height":        {with(exoConfig, "camera: {source: a, height: -1}"), "camera.height is -1, expected pixels, more than 0"},
		"width":         {with(exoConfig, "camera: {source: a, width: -2}"), "camera.width is -2, expected pixels, more than 0"},
		"bound":         {with(exoConfig, "camera: {source: a, clock_bound: -1ms}"), "camera.clock_bound is -1ms, expected more than 0"},
		"bool":          {with(exoConfig, "bundle: {follow: maybe}"), "line 8: found text, expected true or false"},
		"float":         {with(exoConfig, "camera: {source: a, fps: [1]}"), "line 7: found a list, expected a number"},
		"bound of 0":    {with(exoConfig, "camera: {source: a, clock_bound: 0s}"), "line 7: camera.clock_bound is 0s, expected more than 0"},
		"latency":       {with(exoConfig, "camera: {source: a, latency: 40}"), "line 7: camera.latency is 40, expected a time with its unit such as 250ms"},
		"duration word": {with(exoConfig, "status_every: often"), "line 8: status_every is often, expected a time with its unit such as 250ms"},
		"take name":     {with(exoConfig, "camera: {takes: [{name: T1, source: a}]}"), `camera.takes[0].name: "T1" is not a token: expected 1 to 32 of the characters a-z, 0-9 and '-'`},
		"take twice": {with(exoConfig, "camera: {takes: [{name: t1, source: a}, {name: t2, source: b}, {name: t1, source: c}]}"),
			`camera.takes[2].name is "t1", expected a name of its own: camera.takes[0] has it`},
		"take source": {with(exoConfig, "camera: {takes: [{name: t1, source: a}, {name: t2}]}"), `camera.takes[1].source is "", expected a recording`},
		"take time":   {with(exoConfig, "camera: {takes: [{name: t1, source: a, start: noon}]}"), `camera.takes[0].start is "noon", expected a time such as 2026-03-02T07:00:00Z`},
		"take year":   {with(exoConfig, "camera: {takes: [{name: t1, source: a, start: '0001-03-02T07:00:00Z'}]}"), `camera.takes[0].start is "0001-03-02T07:00:00Z", expected a time such as 2026-03-02T07:00:00Z`},
		"no model":    {with(exoConfig, "bundle: {follow: false}"), "bundle.follow is false, expected a bundle.dir, or releases are followed: there is no model otherwise"},
		"status":      {with(exoConfig, "status_every: 1ms"), "status_every is 1ms, expected at least 100ms"},

		"exo pairs":      {with(exoConfig, "pair: {exo: [exo2]}"), "pair.exo is [exo2], expected nothing: only rigs make pairs"},
		"nothing to":     {with(egoConfig, "pair: {wait: 1s}"), "pair.exo is empty, expected the exo devices of the cell"},
		"duplicate exo":  {with(egoConfig, "pair: {exo: [exo1, exo2, exo1]}"), "pair.exo[2] is exo1, expected each device once"},
		"itself":         {with(egoConfig, "pair: {exo: [rig-1]}"), "pair.exo[0] is rig-1, expected another device than this one"},
		"exo token":      {with(egoConfig, "pair: {exo: [exo 1]}"), `pair.exo[0]: "exo 1" is not a token: expected 1 to 32 of the characters a-z, 0-9 and '-'`},
		"max_dt":         {with(egoConfig, "pair: {exo: [exo1], max_dt: 2s}"), "pair.max_dt is 2s, expected 1ms to 1s"},
		"max_dt no unit": {with(egoConfig, "pair:\n  exo: [exo1]\n  max_dt: 100"), "line 10: pair.max_dt is 100, expected a time with its unit such as 250ms"},
		"wait":           {with(egoConfig, "pair: {exo: [exo1], wait: -1s}"), "pair.wait is -1s, expected at least 1ms"},
		"wait of 0":      {with(egoConfig, "pair: {exo: [exo1], wait: 0}"), "line 8: pair.wait is 0, expected a time with its unit such as 250ms"},
		"buffer":         {with(egoConfig, "pair: {exo: [exo1], buffer: 1}"), "pair.buffer is 1, expected at least 2 samples"},
		"content":        {with(egoConfig, "pair: {exo: [exo1], content: maybe}"), `pair.content is "maybe", expected off, report, correct or reject`},

		"threads":  {with(exoConfig, "runtime: {threads: -1}"), "runtime.threads is -1, expected 0 (one) or more"},
		"provider": {with(exoConfig, "runtime: {providers: [cpu, gpu]}"), `runtime.providers[1] is "gpu", expected one of tensorrt, cuda, openvino, coreml, qnn, xnnpack, cpu`},
		"options":  {with(exoConfig, "runtime: {provider_options: {cuda: {device_id: '1'}}}"), `runtime.provider_options is of "cuda", expected those of runtime.providers only`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("bad.yaml", []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadConfig("bad.yaml")
			if err == nil || err.Error() != want+c.want || !errors.Is(err, ErrConfig) {
				t.Errorf("got  %v\nwant %s%s", err, want, c.want)
			}
		})
	}
}

func TestConfigThatIsNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no.yaml")
	_, err := LoadConfig(path)
	if want := "configuration: open " + path + ": no such file or directory"; err == nil || err.Error() != want || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestConfigDefaults(t *testing.T) {
	for name, text := range map[string]string{
		"left out":     with(exoConfig),
		"named, empty": with(exoConfig, "pair:", "bundle:", "runtime:", "status_every:"),
	} {
		c, err := ParseConfig([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want := Config{
			Site: "plant", Cell: "cell-1", Device: "exo1", Role: RoleExo, Store: "data", StatusEvery: 5 * time.Second,
			NATS:   bus.Client{URLs: []string{"nats://127.0.0.1:4222"}},
			Camera: CameraConfig{Source: "video.mp4", Pace: "stamps"},
			Pair:   PairConfig{MaxDt: 100 * time.Millisecond, Wait: 10 * time.Second, Buffer: 4096, Content: ContentReport},
		}
		if !reflect.DeepEqual(c, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, c, want)
		}
		if !c.follow() {
			t.Errorf("%s: releases aren't followed", name)
		}
	}
}

func TestConfigTakesEveryField(t *testing.T) {
	c, err := ParseConfig([]byte(with(egoConfig,
		"nats: {urls: [a, 'tls://b:1'], credentials: c.creds, tls_cert: c.pem, tls_key: k.pem, tls_ca: ca.pem, domain: leaf}",
		"camera: {pace: fast, latency: 20ms, latency_error: 1ms, clock_bound: 2ms, fps: 25, width: 640, height: 480, takes: [{name: a, source: a.mp4, start: '2026-03-02T07:00:00.5+01:00'}]}",
		"bundle: {dir: b, follow: false}", "pair: {exo: [exo1], max_dt: 50ms, wait: 1m, buffer: 9, lateness: 1s, interpolate: true}",
		"clock: {sources: [phc, chrony, adjtimex, ntp], phc: {device: /dev/ptp0, offset: 37s, bound: 1us}, chrony: {address: 'a:323'}, "+
			"ntp: {servers: [hub, 'b:1123'], poll: 1s, burst: 8, timeout: 100ms}, limits: {max_skew: 100, max_drift: 0.1, max_wander: 5, "+
			"window: 64, min_bursts: 4, min_span: 2s, holdover_after: 3s, max_bound: 100ms}}",
		"runtime: {threads: 2, providers: [cuda, cpu], provider_options: {cuda: {device_id: '1'}}, require: true}", "status_every: 1s")))
	if err != nil {
		t.Fatal(err)
	}
	checkSet(t, "", reflect.ValueOf(c))
	list, err := c.Sources(time.Now())
	if err == nil || !strings.Contains(err.Error(), "camera.takes[0].source") || !errors.Is(err, ErrConfig) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a recording that is not there gives %v, %v", list, err)
	}
}

// checkSet fails for fields that hold their zero value: the test above has to set all there are.
func checkSet(t *testing.T, name string, v reflect.Value) {
	t.Helper()
	if v.Kind() == reflect.Struct {
		for i := range v.NumField() {
			checkSet(t, name+"."+v.Type().Field(i).Name, v.Field(i))
		}
		return
	}
	switch name {
	case ".Camera.Source", ".NATS.NKey", ".Cameras":
		return // can't be set beside others
	}
	if v.IsZero() {
		t.Errorf("Config%s is not set", name)
	}
}

func TestSources(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a.mp4", "b.mp4", "video.mp4"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Date(2026, 3, 2, 7, 8, 9, 0, time.FixedZone("CET", 3600))
	sources := func(lines ...string) string {
		t.Helper()
		c, err := ParseConfig([]byte(with(exoConfig, lines...)))
		if err != nil {
			t.Fatal(err)
		}
		list, err := c.Sources(now)
		if err != nil {
			return err.Error()
		}
		var out []string
		for _, s := range list {
			out = append(out, fmt.Sprintf("%s=%s pace %d start %d", s.Take, s.Capture.Source, s.Capture.Pace, s.Capture.Start))
		}
		return strings.Join(out, "; ")
	}
	for _, c := range []struct{ camera, want string }{
		{"{source: video.mp4}", "20260302-060809=video.mp4 pace 1 start 0"},
		{"{source: video.mp4, pace: fast}", "20260302-060809=video.mp4 pace 0 start 0"},
		{"{source: 'v4l2:0'}", "20260302-060809=v4l2:0 pace 0 start 0"},
		{"{takes: [{name: one, source: a.mp4}, {name: two, source: b.mp4, start: '1970-01-01T00:00:01Z'}]}",
			"one=a.mp4 pace 1 start 0; two=b.mp4 pace 1 start 1000000000"},
		{"{source: no.mp4}", "configuration: camera.source: source no.mp4: file does not exist; check the path"},
		{"{takes: [{name: one, source: a.mp4}, {name: two, source: no.mp4}]}",
			"configuration: camera.takes[1].source: source no.mp4: file does not exist; check the path"},
		{"{takes: [{name: one, source: /dev/video0}]}",
			"configuration: camera.takes[0].source: a live camera has no end: put it into camera.source"},
	} {
		if got := sources("camera: " + c.camera); got != c.want {
			t.Errorf("%s gives\n%s\nwant\n%s", c.camera, got, c.want)
		}
	}
	if capture.AsFast != 0 || capture.ByStamps != 1 {
		t.Error("the table's paces have other numbers")
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(with(exoConfig)))
	f.Add([]byte(with(egoConfig, "camera: {takes: [{name: a, source: b, start: '2026-03-02T07:00:00Z'}]}", "pair: {exo: [a], max_dt: 5ms}")))
	f.Add([]byte("site: &a [*a]\ncamera: {latency: 1s}\n"))
	f.Add([]byte("nats: {urls: [\"\x00\"]}\npair: {wait: !!int 3}\n? x\n: y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			if !errors.Is(err, ErrConfig) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Fatalf("%q", err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("parsed, yet %v", err)
		}
		before := fmt.Sprintf("%+v", c)
		if c.setDefaults(); fmt.Sprintf("%+v", c) != before {
			t.Fatal("parsed without all defaults")
		}
	})
}
