package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte(err.Error())
	}
	return b
}

// schema lists every field and enum value with its number and type, one a line.
func schema() []string {
	var lines []string
	messages := File_tandem_proto.Messages()
	for i := range messages.Len() {
		m := messages.Get(i)
		for j := range m.Fields().Len() {
			lines = append(lines, fieldLine(m, m.Fields().Get(j)))
		}
	}
	enums := File_tandem_proto.Enums()
	for i := range enums.Len() {
		values := enums.Get(i).Values()
		for j := range values.Len() {
			lines = append(lines, fmt.Sprintf("%s = %d", values.Get(j).Name(), values.Get(j).Number()))
		}
	}
	return lines
}

func fieldLine(m protoreflect.MessageDescriptor, f protoreflect.FieldDescriptor) string {
	kind := f.Kind().String()
	switch {
	case f.IsMap():
		kind = fmt.Sprintf("map<%s,%s>", f.MapKey().Kind(), f.MapValue().Kind())
	case f.Message() != nil:
		kind = string(f.Message().Name())
	case f.Enum() != nil:
		kind = string(f.Enum().Name())
	}
	if f.IsList() {
		kind = "repeated " + kind
	}
	return fmt.Sprintf("%s.%s = %d %s", m.Name(), f.Name(), f.Number(), kind)
}

// Messages wait for hours on rigs and for days in streams: what was sent under a number must be read under it for ever. A
// new field is added to testdata/fields.txt; no line there ever changes, and one goes only when tandem.proto reserves the
// field's number and name.
func TestFieldsAreNeverRenumbered(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "fields.txt"))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(schema(), "\n") + "\n"
	if got != string(golden) {
		t.Errorf("tandem.proto differs from testdata/fields.txt; it now says:\n%s", got)
	}
}

func TestGeneratedCodeIsUpToDate(t *testing.T) {
	if _, err := exec.LookPath("protoc"); err != nil {
		t.Skip("protoc isn't installed (protobuf-compiler)")
	}
	if testing.Short() {
		t.Skip("builds the plugin")
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "./generate.sh", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want, err := os.ReadFile(filepath.Join(dir, "tandem.pb.go"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("tandem.pb.go")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^// \tprotoc .*$`) // another protoc writes the same code
	if !bytes.Equal(version.ReplaceAll(want, nil), version.ReplaceAll(got, nil)) {
		t.Error("tandem.pb.go isn't what tandem.proto gives: run 'make generate'")
	}
}
