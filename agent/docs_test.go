package agent

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"tandem/stream/bus"
)

func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	return string(data)
}

// fields lists the paths of a configuration's fields, as `pair.exo` or `camera.takes[].name`.
func fields(t reflect.Type, prefix string) []string {
	var list []string
	for i := range t.NumField() {
		f := t.Field(i)
		name := prefix + f.Tag.Get("yaml")
		inner := f.Type
		if inner.Kind() == reflect.Struct {
			list = append(list, fields(inner, name+".")...)
			continue
		}
		list = append(list, name)
		if inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct {
			list = append(list, fields(inner.Elem(), name+"[].")...)
		}
	}
	return list
}

func TestDocumentAndExampleShowEveryField(t *testing.T) {
	doc, example := readText(t, "../docs/agent.md"), readText(t, "../deploy/agent.example.yaml")
	for _, f := range fields(reflect.TypeFor[Config](), "") {
		if strings.HasPrefix(f, "cameras[].camera.") || strings.HasPrefix(f, "cameras[].pair.") {
			continue // as without cameras
		}
		if !strings.Contains(doc, "`"+f+"`") {
			t.Errorf("docs/agent.md doesn't say what `%s` is", f)
		}
		if strings.HasPrefix(f, "cameras") {
			continue // in an example of its own
		}
		name := f[strings.LastIndex(f, ".")+1:]
		if !regexp.MustCompile(`(?m)[ {]` + name + `:|^` + name + `:`).MatchString(example) {
			t.Errorf("deploy/agent.example.yaml doesn't show %s", f)
		}
	}
}

func TestExampleIsAConfiguration(t *testing.T) {
	c, err := LoadConfig("../deploy/agent.example.yaml")
	must(t, err)
	if c.Role != RoleEgo || len(c.Pair.Exo) != 2 || !c.live() {
		t.Errorf("%+v", c)
	}
	// What is commented out must hold, too: with every comment that is a setting, and one camera.
	text := readText(t, "../deploy/agent.example.yaml")
	text = regexp.MustCompile(`(?m)^( *)# ( *(?:- \{|[a-z_]+:).*)$`).ReplaceAllString(text, "$1$2")
	text = regexp.MustCompile(`(?m)^ *(source|nkey): .*$`).ReplaceAllString(text, "")
	all, err := ParseConfig([]byte(text))
	if err != nil {
		t.Fatalf("with all that is commented out: %v\n%s", err, text)
	}
	if len(all.Camera.Takes) != 2 || all.NATS.TLSCA == "" || all.Runtime.Providers == nil || all.Bundle.Dir == "" || all.Camera.Width == 0 {
		t.Errorf("%+v", all)
	}
}

// TestEveryCounterIsExplained looks for the names that the code counts under.
func TestEveryCounterIsExplained(t *testing.T) {
	doc := readText(t, "../docs/agent.md")
	files, err := filepath.Glob("*.go")
	must(t, err)
	names := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text := readText(t, file)
		for _, m := range regexp.MustCompile(`\badd\("([a-z0-9_]+)"`).FindAllStringSubmatch(text, -1) {
			names[m[1]] = true
		}
		for _, m := range regexp.MustCompile(`\b(?:drop|lose)\("([a-z0-9_]+)"`).FindAllStringSubmatch(text, -1) {
			if strings.HasSuffix(m[1], "_") { // by kind
				for _, k := range []bus.Kind{bus.Teacher, bus.Pairs, bus.Segments} {
					names["dropped_"+m[1]+string(k)] = true
				}
				continue
			}
			names["dropped_"+m[1]] = true
		}
		for _, m := range regexp.MustCompile(`(?:Counters\[|\{|m\[)"([a-z0-9_]+)"[\],]`).FindAllStringSubmatch(text, -1) {
			names[m[1]] = true
		}
	}
	for _, table := range []map[string]string{anyKeys(gradeCounts), anyKeys(rejectedCounts)} {
		for _, name := range table {
			names[name] = true
		}
	}
	for _, reason := range []string{bus.DropRejected, bus.DropClosed} {
		names["dropped_"+reason] = true
	}
	delete(names, "release") // other texts of the same form
	delete(names, "site")
	delete(names, "cell")
	delete(names, "device")
	if len(names) < 40 {
		t.Errorf("only %d counters were found: %v", len(names), names)
	}
	for name := range names {
		if !strings.Contains(doc, "`"+name+"`") {
			t.Errorf("docs/agent.md doesn't explain the counter `%s`", name)
		}
	}
}

func anyKeys[K ~string | ~uint8](m map[K]string) map[string]string {
	out := map[string]string{}
	for _, v := range m {
		out[v] = v
	}
	return out
}
