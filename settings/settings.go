// Package settings reads configuration files: YAML, strictly. An unknown field is an error, since it may be a mistyped
// one, and every error is one line that says where and what was expected.
package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Duration is a field that holds one, by its path ("pair.wait"), and whether it may be nothing. YAML has no durations: a
// number without a unit would be taken for nanoseconds.
type Duration struct {
	Field   string
	Nothing bool
}

// Decode parses a YAML document into v, a pointer to a struct with yaml tags. Errors name the line.
func Decode(data []byte, v any, durations []Duration) (err error) {
	defer func() {
		// The YAML library panics on some texts that are hardly YAML, such as a tag without a name.
		if r := recover(); r != nil {
			err = fmt.Errorf("it can't be read as YAML (%s)", oneLine(fmt.Sprint(r)))
		}
	}()
	if err := checkDurations(data, durations); err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data), yaml.DisallowUnknownField())
	err = dec.Decode(v)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("it is empty, expected %s", strings.Join(required(v), ", "))
	}
	if err != nil {
		return explain(err)
	}
	if err := dec.Decode(&struct{}{}); !errors.Is(err, io.EOF) {
		return errors.New("a second document begins at a line ---, expected one")
	}
	return nil
}

// required lists the top-level fields of the struct that v points to.
func required(v any) []string {
	var names []string
	t := reflect.TypeOf(v).Elem()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		names = append(names, name)
	}
	return names
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// explain makes one line for people of what the YAML library says.
func explain(err error) error {
	var at yaml.Error
	if !errors.As(err, &at) {
		return errors.New(oneLine(err.Error()))
	}
	what := oneLine(at.GetMessage())
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) {
		what = fmt.Sprintf("found %s, expected %s", kindName(wrong.SrcType), kindName(wrong.DstType))
	}
	if token := at.GetToken(); token != nil && token.Position != nil {
		return fmt.Errorf("line %d: %s", token.Position.Line, what)
	}
	return errors.New(what)
}

// kindName is what people call a Go type.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct, reflect.Interface, reflect.Pointer:
		return "a mapping"
	}
	return "a whole number"
}

// Line returns the line on which a field of a document stands, by its path ("pair.wait"), 0 where it doesn't.
func Line(data []byte, field string) (line int) {
	defer func() {
		if recover() != nil { // see Decode
			line = 0
		}
	}()
	path, err := yaml.PathString("$." + field)
	if err != nil {
		return 0
	}
	node, err := path.ReadNode(bytes.NewReader(data))
	if err != nil || node == nil || node.GetToken() == nil || node.GetToken().Position == nil {
		return 0
	}
	return node.GetToken().Position.Line
}

// checkDurations refuses durations without a unit, and those that are written down as 0 and would be taken for the default.
// What is no YAML at all passes: the decoder says so.
func checkDurations(data []byte, durations []Duration) error {
	for _, d := range durations {
		path, err := yaml.PathString("$." + d.Field)
		if err != nil {
			return err
		}
		node, err := path.ReadNode(bytes.NewReader(data))
		if err != nil || node == nil || node.GetToken() == nil || node.Type() == ast.NullType {
			continue // not there
		}
		text, line := node.GetToken().Value, node.GetToken().Position.Line
		v, err := time.ParseDuration(text)
		switch {
		case node.Type() != ast.StringType || err != nil:
			return fmt.Errorf("line %d: %s is %s, expected a time with its unit such as 250ms", line, d.Field, oneLine(text))
		case v == 0 && !d.Nothing:
			return fmt.Errorf("line %d: %s is %s, expected more than 0", line, d.Field, text)
		}
	}
	return nil
}
