// Package house_test holds the rules of the repository that people would have to remember otherwise. Each failure says
// what to do.
package house_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers are the folders of the house from the top to the ground. A package imports of ours only what stands in a lower
// layer, or beside it in its own.
var layers = [][]string{
	{"cmd/tandem"},
	{"agent"},
	{"trainer"},
	{"runtime/bundle", "runtime/feature", "runtime/model", "runtime/segment"},
	{"sync"},
	{"stream"},
	{"sim"},
	{"learn"},
	{"runtime/ort"},
	{"settings"},
	{"tas"},
}

// layerOf is the layer of a package, 0 for the top; -1 if the house has no room for it.
func layerOf(dir string) int {
	return slices.IndexFunc(layers, func(layer []string) bool {
		return slices.ContainsFunc(layer, func(room string) bool { return dir == room || strings.HasPrefix(dir, room+"/") })
	})
}

func TestImportsPointDown(t *testing.T) {
	for _, f := range goFiles(t) {
		dir := path.Dir(f.path)
		if dir == "." {
			continue // these rules
		}
		layer := layerOf(dir)
		if layer < 0 {
			t.Errorf("%s: the folder %s is in no layer of the house; move it, or give it a place in `layers` of house_test.go", f.path, dir)
			continue
		}
		if strings.HasSuffix(f.path, "_test.go") {
			continue // a test may need a part that stands above, to build its input
		}
		for _, spec := range f.imports() {
			below, ours := strings.CutPrefix(spec, "tandem/")
			if !ours {
				continue
			}
			if dir == "tas" {
				t.Errorf("%s imports %s: tas imports nothing of ours; move what needs it to a package above", f.path, below)
			}
			if to := layerOf(below); to >= 0 && to < layer {
				t.Errorf("%s imports %s, which stands above it: %s; turn the dependency round, with an interface in %s if need be",
					f.path, below, order(), dir)
			}
		}
	}
}

// order spells the layers.
func order() string {
	var names []string
	for _, layer := range layers {
		names = append(names, strings.Join(layer, ", "))
	}
	return strings.Join(names, " > ")
}

func TestGroupFoldersHoldOnlyPackages(t *testing.T) {
	std := standardNames(t)
	for _, f := range goFiles(t) {
		dir := path.Dir(f.path)
		if dir == "sync" || dir == "runtime" {
			t.Errorf("%s: %s/ holds packages, not files, since a package of that name would hide the standard one; put the file into one of its packages", f.path, dir)
		}
		if group := path.Dir(dir); (group == "sync" || group == "runtime") && std[f.ast.Name.Name] {
			t.Errorf("%s: the package %s has the name of a standard one; give it another", f.path, f.ast.Name.Name)
		}
	}
}

// standardNames are the last elements of the standard library's import paths.
func standardNames(t *testing.T) map[string]bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "std").Output()
	if err != nil {
		t.Skipf("go list std: %v", err)
	}
	names := make(map[string]bool)
	for spec := range strings.FieldsSeq(string(out)) {
		names[path.Base(spec)] = true
	}
	return names
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := make(map[string]bool)
	dirs := make(map[string]string)
	for _, f := range goFiles(t) {
		if strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		dir, name := path.Dir(f.path), f.ast.Name.Name
		dirs[dir] = name
		if f.ast.Doc == nil {
			continue
		}
		start := "Package " + name + " "
		if name == "main" {
			start = "Command " + path.Base(dir) + " "
		}
		if text := f.ast.Doc.Text(); !strings.HasPrefix(text, start) && !ast.IsGenerated(f.ast) {
			t.Errorf("%s: the package comment begins %.30q; begin it with %q", f.path, text, start)
		}
		said[dir] = true
	}
	for dir, name := range dirs {
		if !said[dir] {
			t.Errorf("%s: no file has a package comment; write above one `package %s` what the package's one idea is", dir, name)
		}
	}
}

func TestFilesHoldOneIdea(t *testing.T) {
	const most = 500
	for _, f := range goFiles(t) {
		if n := bytes.Count(f.text, []byte("\n")); n > most && !ast.IsGenerated(f.ast) {
			t.Errorf("%s has %d lines, at most %d are allowed; give each type a file of its own", f.path, n, most)
		}
	}
}

// machinePath is a path that exists on somebody's machine only. What stands before the slash keeps parts of longer
// paths, URLs and shell variables out. The words are split so that this file doesn't match.
var machinePath = regexp.MustCompile(`(?:^|[^\w.~$)}\]/-])(/(?:wo` + `rk|ro` + `ot|ho` + `me|t` + `mp|Us` + `ers)/[\w./-]+)`)

// docPath is what documents may show as an example of such a path.
var docPath = regexp.MustCompile(`^/(?:ho` + `me|t` + `mp)/`)

func TestNoPathOfOneMachine(t *testing.T) {
	for _, p := range tree(t) {
		text, ok := readText(t, p)
		if !ok {
			continue
		}
		for i, line := range strings.Split(text, "\n") {
			for _, found := range machinePath.FindAllStringSubmatch(line, -1) {
				if path.Ext(p) == ".md" && docPath.MatchString(found[1]) {
					continue
				}
				t.Errorf("%s:%d holds the path of one machine, %s; use a path relative to the module, t.TempDir(), mktemp or a setting", p, i+1, found[1])
			}
		}
	}
}

func TestMachinePathSeesPathsAndNothingElse(t *testing.T) {
	for text, want := range map[string]bool{
		`open("/wo` + `rk/data/x")`:          true,
		`/t` + `mp/out.png`:                  true,
		`dir: /ho` + `me/anna/videos`:        true,
		`https://example.com/ho` + `me/page`: false,
		`"$base/t` + `mp/x"`:                 false,
		`$(pwd)/wo` + `rk/x`:                 false,
		`../wo` + `rk/x`:                     false,
		`a/wo` + `rk/x`:                      false,
		`net/wo` + `rking`:                   false,
		`the /t` + `mp folder`:               false,
	} {
		if got := machinePath.MatchString(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestNothingBuiltIsCommitted(t *testing.T) {
	const most = 1 << 20
	for _, p := range tree(t) {
		info, err := os.Stat(p)
		if err != nil || info.IsDir() {
			continue
		}
		if info.Size() > most {
			t.Errorf("%s has %d bytes; take it out of git (git rm --cached %s) and build it under build/, or make tests render what they need", p, info.Size(), p)
		}
	}
}

// A make command as a document names it: in a code span of a sentence, or at the start of a line of code.
var (
	makeSpan = regexp.MustCompile("`make ([a-z][a-z-]*)")
	makeLine = regexp.MustCompile(`^\s*(?:\$ )?make ([a-z][a-z-]*)`)
)

// makeTargets are the targets that a document tells its reader to make.
func makeTargets(markdown string) []string {
	var targets []string
	fenced := false
	for line := range strings.Lines(markdown) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		command := makeSpan
		if fenced || strings.HasPrefix(line, "    ") {
			command = makeLine
		}
		for _, m := range command.FindAllStringSubmatch(line, -1) {
			targets = append(targets, m[1])
		}
	}
	return targets
}

func TestMakeTargetsOfADocument(t *testing.T) {
	text := "Run `make demo` and\nmake sure of it:\n\n```sh\n$ make test\nmake build-all # all\n```\n    make bench\n    echo make no\n"
	if got, want := makeTargets(text), []string{"demo", "test", "build-all", "bench"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDocumentsNameTargetsThatExist(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllSubmatch(makefile, -1) {
		targets[string(m[1])] = true
	}
	named := make(map[string][]string) // by document
	for _, p := range tree(t) {
		if path.Ext(p) != ".md" {
			continue
		}
		text, _ := readText(t, p)
		named[p] = makeTargets(text)
		for _, target := range named[p] {
			if !targets[target] {
				t.Errorf("%s says `make %s`, which the Makefile doesn't have; mend one of them", p, target)
			}
		}
	}
	for _, command := range []string{"demo", "test"} {
		if !slices.Contains(named["README.md"], command) {
			t.Errorf("README.md doesn't show `make %s`; it is one of the two commands that a newcomer needs", command)
		}
	}
}

// dependencyRow is a row of docs/dependencies.md: the module and its version in code spans, and two cells of text.
var dependencyRow = regexp.MustCompile("(?m)^\\| *`([^`]+)` *\\| *`([^`]+)` *\\|([^|\n]*)\\|([^|\n]*)\\|")

func TestEveryDependencyHasAReason(t *testing.T) {
	const doc = "docs/dependencies.md"
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatalf("%v; write a table with a row for each direct dependency: module, version, why, instead of what", err)
	}
	required := requirements(t)
	listed := make(map[string]bool)
	for _, m := range dependencyRow.FindAllStringSubmatch(string(text), -1) {
		module, version := m[1], m[2]
		listed[module] = true
		switch want, ok := required[module]; {
		case !ok:
			t.Errorf("%s lists %s, which go.mod doesn't require; take the row away", doc, module)
		case version != want:
			t.Errorf("%s says %s %s, go.mod says %s; correct the row", doc, module, version, want)
		}
		if strings.TrimSpace(m[3]) == "" || strings.TrimSpace(m[4]) == "" {
			t.Errorf("%s: the row of %s has an empty cell; say why it is there and instead of what", doc, module)
		}
	}
	importers := make(map[string]string) // a file that imports it, by module
	for _, f := range goFiles(t) {
		for _, spec := range f.imports() {
			if module := moduleOf(spec, required); module != "" {
				importers[module] = f.path
			}
		}
	}
	for module, file := range importers {
		if !listed[module] {
			t.Errorf("%s has no row for %s %s (imported by %s); add | `module` | `version` | why | instead of what |", doc, module, required[module], file)
		}
	}
	for module := range listed {
		if importers[module] == "" {
			t.Errorf("%s lists %s, which no Go file imports; take the row away", doc, module)
		}
	}
}

// requirements are the modules of go.mod and their versions.
func requirements(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	required := make(map[string]string)
	for _, m := range regexp.MustCompile(`(?m)^(?:require)?[ \t]+(\S+\.\S+) (v\S+)`).FindAllSubmatch(text, -1) {
		required[string(m[1])] = string(m[2])
	}
	if len(required) == 0 {
		t.Fatal("go.mod requires nothing; does this test still understand its format?")
	}
	return required
}

// moduleOf is the required module that holds a package, "" for our own and the standard library's.
func moduleOf(spec string, required map[string]string) string {
	for dir := spec; dir != "."; dir = path.Dir(dir) {
		if _, ok := required[dir]; ok {
			return dir
		}
	}
	return ""
}

// goFile is a parsed source file.
type goFile struct {
	path string
	text []byte
	ast  *ast.File
}

// imports are the import paths of the file.
func (f goFile) imports() []string {
	var specs []string
	for _, s := range f.ast.Imports {
		if spec, err := strconv.Unquote(s.Path.Value); err == nil {
			specs = append(specs, spec)
		}
	}
	return specs
}

// goFiles parses all Go files of the tree that a build could take.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	var files []goFile
	for _, p := range tree(t) {
		if path.Ext(p) != ".go" || strings.Contains(p, "testdata/") {
			continue
		}
		text, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, text, parser.ParseComments|parser.SkipObjectResolution|parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, goFile{p, text, parsed})
	}
	if len(files) == 0 {
		t.Fatal("there is no Go file in the tree; does this test run at the module's root?")
	}
	return files
}

// readText reads a text file of the tree; false if it holds anything else.
func readText(t *testing.T, p string) (string, bool) {
	t.Helper()
	text, err := os.ReadFile(p)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", false
		}
		t.Fatal(err)
	}
	return string(text), !bytes.Contains(text[:min(len(text), 8000)], []byte{0})
}

// tree lists the files that belong to the repository, with slashes: what git holds or would add. Where there is no git,
// as in a released archive, it is all that isn't built.
func tree(t *testing.T) []string {
	t.Helper()
	var files []string
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err == nil && len(out) > 0 {
		for p := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
			files = append(files, p)
		}
		return files
	}
	err = fs.WalkDir(os.DirFS("."), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("list the tree: %w", err)
		}
		if d.IsDir() && (p == "build" || strings.HasPrefix(d.Name(), ".") && p != ".") {
			return fs.SkipDir
		}
		if d.Type().IsRegular() {
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
