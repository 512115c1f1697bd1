package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

const benchOutput = `go: go1.99.1
cores: 12
?   	tandem/tas/none	[no test files]
goos: plan9
goarch: mips
pkg: tandem/runtime/ort
cpu: A Processor (R) @ 2.00GHz
BenchmarkRun-2   	  236763	      9327 ns/op	       0 B/op	       0 allocs/op
PASS
ok  	tandem/runtime/ort	2.301s
pkg: tandem/runtime/feature
BenchmarkPreprocess/RGB/NCHW-2         	     405	   3184756 ns/op	         1.209 ×resize	      13 B/op	       1 allocs/op
BenchmarkPreprocess/size=20
BenchmarkPreprocess/size=20-16 	 1000000000	         0.2500 ns/op	 512.5 MB/s
BenchmarkPreprocess
BenchmarkPreprocess 	       1	1234567890123 ns/op
BenchmarkZero-2 	       100	         0 ns/op
PASS
ok  	tandem/runtime/feature	5.398s
`

func number(v float64) *float64 { return &v }

func TestBenchParse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "go.txt")
	if err := os.WriteFile(path, []byte(benchOutput), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"bench", "parse", path}, &out, &errs); code != exitOK || errs.Len() > 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	var got benchReport
	dec := json.NewDecoder(&out)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := benchReport{
		Host: benchHost{Go: "go1.99.1", OS: "plan9", Arch: "mips", CPU: "A Processor (R) @ 2.00GHz", Cores: 12},
		Benchmarks: []benchResult{
			{Package: "tandem/runtime/ort", Name: "Run", Procs: 2, Iterations: 236763, NsPerOp: 9327, BytesPerOp: number(0), AllocsOp: number(0)},
			{
				Package: "tandem/runtime/feature", Name: "Preprocess/RGB/NCHW", Procs: 2, Iterations: 405, NsPerOp: 3184756,
				BytesPerOp: number(13), AllocsOp: number(1), Metrics: map[string]float64{"×resize": 1.209},
			},
			{
				Package: "tandem/runtime/feature", Name: "Preprocess/size=20", Procs: 16, Iterations: 1e9, NsPerOp: 0.25,
				Metrics: map[string]float64{"MB/s": 512.5},
			},
			{Package: "tandem/runtime/feature", Name: "Preprocess", Procs: 1, Iterations: 1, NsPerOp: 1234567890123},
			{Package: "tandem/runtime/feature", Name: "Zero", Procs: 2, Iterations: 100},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestBenchParseOfThisMachine: what the output doesn't say is this machine's, if the platform is.
func TestBenchParseOfThisMachine(t *testing.T) {
	line := "BenchmarkX-2 1 5 ns/op\n"
	got, err := parseBench("x", strings.NewReader("goos: "+runtime.GOOS+"\ngoarch: "+runtime.GOARCH+"\n"+line))
	if err != nil || got.Host.Go != runtime.Version() || got.Host.Cores != runtime.NumCPU() {
		t.Errorf("got %+v, %v", got, err)
	}
	got, err = parseBench("x", strings.NewReader("goos: plan9\ngoarch: mips\n"+line))
	if err != nil || got.Host.Go != "" || got.Host.Cores != 0 {
		t.Errorf("of another platform: %+v, %v", got, err)
	}
}

// TestBenchParseReadsWhatGoWrites parses the output of a real run.
func TestBenchParseReadsWhatGoWrites(t *testing.T) {
	r := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.ReportMetric(2.5, "rigs/op")
		}
	})
	text := "pkg: tandem/x\nBenchmarkReal-4\t" + r.String() + "\t" + r.MemString() + "\n"
	got, err := parseBench("x", strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	b := got.Benchmarks[0]
	if b.Name != "Real" || b.Iterations != r.N || *b.AllocsOp != float64(r.AllocsPerOp()) || b.Metrics["rigs/op"] != 2.5 {
		t.Errorf("got %+v of %q", b, text)
	}
}

func TestBenchParseRefuses(t *testing.T) {
	good := "BenchmarkX-2 1 5 ns/op\n"
	for name, c := range map[string]struct{ text, want string }{
		"nothing":              {"", "go.txt holds no benchmark lines; expected the output of go test -bench"},
		"no benchmarks":        {"PASS\nok  \ttandem/x\t0.1s\n", "holds no benchmark lines"},
		"names only":           {"BenchmarkX\nBenchmarkY-2\n", "holds no benchmark lines"},
		"something else":       {strings.Repeat("\x00", 1<<17), "is it the output of go test -bench?"},
		"a failed package":     {good + "FAIL\ttandem/x\t1.2s\n", "go.txt:2: FAIL tandem/x 1.2s: a benchmark failed"},
		"a failed benchmark":   {good + "--- FAIL: BenchmarkY\n", "go.txt:2: --- FAIL: BenchmarkY"},
		"a crash":              {good + "panic: oh\n", "go.txt:2: panic: oh"},
		"no count":             {"BenchmarkX-2 log line\n", "go.txt:1: parsing iteration count: invalid syntax"},
		"no measurement":       {good + "BenchmarkY-2 100\n", "go.txt:2: missing measurements"},
		"no unit":              {"BenchmarkX-2 100 5\n", "go.txt:1: missing units"},
		"not a number":         {"BenchmarkX-2 100 five ns/op\n", "go.txt:1: parsing measurement"},
		"NaN":                  {"BenchmarkX-2 100 5 ns/op NaN hits\n", "go.txt:1: benchmark X-2: NaN hits, expected a finite number"},
		"infinite":             {"BenchmarkX-2 100 +Inf ns/op\n", "+Inf ns/op"},
		"no time":              {"BenchmarkX-2 100 5 B/op\n", "benchmark X-2 has no ns/op"},
		"printed in between":   {"BenchmarkX-2\nhello\n     100\t  5 ns/op\n", "go.txt:3: measurements without a benchmark's name"},
		"two processors":       {"cpu: a\n" + good + "cpu: b\n" + good, `go.txt:4: cpu is "b" here and "a" above`},
		"two versions":         {"go: go1.26\n" + good + "go: go1.27\n" + good, `go is "go1.27" here`},
		"cores":                {"cores: many\n" + good, `go.txt:2: cores is "many", expected a number`},
		"too many processors":  {"BenchmarkX-99999999999999999999 1 5 ns/op\n", "is no number of processors"},
		"no processor":         {"BenchmarkX-0 1 5 ns/op\n", "is no number of processors"},
		"more than a megabyte": {good + "x" + strings.Repeat("y", 1<<20) + "\n", "go.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseBench("go.txt", strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %q", err, c.want)
			}
		})
	}
}

func TestBenchCommand(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.txt")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"bench", "parse", missing}, exitFailed, missing},
		{[]string{"bench", "parse", "a", "b"}, exitUsage, `unexpected argument "b"`},
		{[]string{"bench", "pares"}, exitUsage, `unknown command "pares"`},
		{[]string{"bench"}, exitOK, ""},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), c.args, &out, &errs); code != c.code || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%q: exit %d, %q", c.args, code, errs.String())
		}
	}
}

func FuzzBenchParse(f *testing.F) {
	f.Add([]byte(benchOutput))
	f.Add([]byte("BenchmarkX-2 100 NaN ns/op\n"))
	f.Add([]byte("Unit ns/op better=lower\nBenchmark-/ 1 1 ns/op\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseBench("x", bytes.NewReader(text))
		if err != nil {
			return
		}
		if len(r.Benchmarks) == 0 {
			t.Fatal("no benchmarks and no error")
		}
		for _, b := range r.Benchmarks {
			if math.IsNaN(b.NsPerOp) || b.Procs < 1 {
				t.Fatalf("got %+v", b)
			}
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}
