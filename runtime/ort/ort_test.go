package ort

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// helperEnv makes the test binary, run again, try the libraries that it lists: a process holds one ONNX Runtime, so
// each attempt to load something else needs a process of its own.
const helperEnv = "TANDEM_ORT_TEST_LIBRARIES"

// TestMain prints, when it runs as the helper, what Init says to each library and then the version.
func TestMain(m *testing.M) {
	list := os.Getenv(helperEnv)
	if list == "" {
		m.Run()
		return
	}
	for _, path := range filepath.SplitList(list) {
		err := Init(path)
		fmt.Fprintf(os.Stdout, "%v|%v\n", errors.Is(err, ErrLibrary), err)
	}
	fmt.Fprintf(os.Stdout, "%s|%s\n", Version(), LibraryPath())
}

// tryLibraries runs the helper and returns its lines.
func tryLibraries(t *testing.T, paths ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+strings.Join(paths, string(filepath.ListSeparator)))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("helper: %v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(paths)+1 {
		t.Fatalf("the helper printed %q, want a line for each of %q and the version", lines, paths)
	}
	return lines
}

func loaded(t *testing.T) string {
	t.Helper()
	if err := Init(""); err != nil {
		t.Fatal(err)
	}
	return LibraryPath()
}

func TestVersionIsNewEnough(t *testing.T) {
	loaded(t)
	version := strings.Split(Version(), ".")
	least := strings.Split(MinVersion, ".")
	for i := range least {
		got, err := strconv.Atoi(version[i])
		if err != nil {
			t.Fatalf("version %q: %v", Version(), err)
		}
		want, err := strconv.Atoi(least[i])
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			if got < want {
				t.Errorf("version %s, want at least %s", Version(), MinVersion)
			}
			return
		}
	}
}

func TestInitTwice(t *testing.T) {
	path := loaded(t)
	if err := Init(""); err != nil {
		t.Error(err)
	}
	if err := Init(path); err != nil {
		t.Errorf("the loaded library again: %v", err)
	}
	if filepath.IsAbs(path) {
		link := filepath.Join(t.TempDir(), "libonnxruntime.so.1")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		if err := Init(link); err != nil {
			t.Errorf("the loaded library by another name: %v", err)
		}
	}
	other := filepath.Join(t.TempDir(), "other.so")
	err := Init(other)
	if !errors.Is(err, ErrLibrary) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), other) {
		t.Errorf("a second library: got %v, want an error that names both", err)
	}
	if LibraryPath() != path {
		t.Errorf("the library is now %s", LibraryPath())
	}
}

// TestInitRefusesWhatIsNoLibrary tries a text file, a directory, a missing file and, on Linux, a library that is none of
// ONNX Runtime's; after all of them the right one still loads.
func TestInitRefusesWhatIsNoLibrary(t *testing.T) {
	dir := t.TempDir()
	textFile := filepath.Join(dir, "libonnxruntime.so.1")
	if err := os.WriteFile(textFile, []byte("not a shared library\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := []string{textFile, dir, filepath.Join(dir, "missing.so")}
	if runtime.GOOS == "linux" {
		bad = append(bad, "libm.so.6")
	}
	good := loaded(t)
	lines := tryLibraries(t, append(bad, good)...)
	for i, path := range bad {
		is, text, _ := strings.Cut(lines[i], "|")
		if is != "true" || !strings.Contains(text, path) || !strings.Contains(text, LibraryEnv) {
			t.Errorf("%s: got %q, want ErrLibrary with the path and what to do", path, lines[i])
		}
	}
	if lines[len(bad)] != "false|<nil>" {
		t.Errorf("the library after the bad ones: %s", lines[len(bad)])
	}
	if want := Version() + "|" + good; lines[len(bad)+1] != want {
		t.Errorf("loaded %s, want %s", lines[len(bad)+1], want)
	}
}

// oldLibrary is the part of an ONNX Runtime that says which versions of its interface it has: none that is new enough.
const oldLibrary = `
typedef struct { const void *(*api)(unsigned); const char *(*version)(void); } base;
static const void *api(unsigned version) { return 0; }
static const char *version(void) { return "1.16.3"; }
static const base it = {api, version};
const base *OrtGetApiBase(void) { return &it; }
`

// TestInitRefusesAnOldLibrary: a library that loads and is too old says what is needed, and the right one still loads after it.
func TestInitRefusesAnOldLibrary(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil || runtime.GOOS != "linux" {
		t.Skip("no C compiler to build a library with:", err)
	}
	dir := t.TempDir()
	source, old := filepath.Join(dir, "old.c"), filepath.Join(dir, "libonnxruntime.so.1")
	if err := os.WriteFile(source, []byte(oldLibrary), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), cc, "-shared", "-fPIC", "-o", old, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	good := loaded(t)
	lines := tryLibraries(t, old, good)
	is, text, _ := strings.Cut(lines[0], "|")
	if is != "true" || !strings.Contains(text, old) || !strings.Contains(text, "it is older than ONNX Runtime "+MinVersion) || !strings.Contains(text, LibraryEnv) {
		t.Errorf("got %q, want ErrLibrary with the path, the version that is needed and what to do", lines[0])
	}
	if lines[1] != "false|<nil>" {
		t.Errorf("the library after it: %s", lines[1])
	}
}

func TestNothingIsLoadedBeforeInit(t *testing.T) {
	if lines := tryLibraries(t, filepath.Join(t.TempDir(), "missing.so")); lines[1] != "|" {
		t.Errorf("version and path are %q before a library is loaded", lines[1])
	}
}

func TestFindLibrary(t *testing.T) {
	t.Run("the variable names a missing file", func(t *testing.T) {
		missing := filepath.Join(t.TempDir(), "lib.so")
		t.Setenv(LibraryEnv, missing)
		_, err := FindLibrary()
		if !errors.Is(err, ErrLibrary) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), LibraryEnv) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the variable names a file", func(t *testing.T) {
		dir := t.TempDir()
		t.Chdir(dir)
		if err := os.WriteFile("mine.so", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv(LibraryEnv, "mine.so")
		got, err := FindLibrary()
		if err != nil || got != filepath.Join(dir, "mine.so") {
			t.Errorf("got %s, %v; want the absolute path", got, err)
		}
	})
	t.Run("build/lib of a parent module", func(t *testing.T) {
		root := t.TempDir()
		deep := filepath.Join(root, "a", "b")
		lib := filepath.Join(root, "build", "lib")
		for _, d := range []string{deep, lib} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range []string{filepath.Join(root, "go.mod"), filepath.Join(lib, libraryNames[0])} {
			if err := os.WriteFile(f, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv(LibraryEnv, "")
		t.Chdir(deep)
		got, err := FindLibrary()
		if err != nil || got != filepath.Join(lib, libraryNames[0]) {
			t.Errorf("got %s, %v", got, err)
		}
	})
	t.Run("nowhere", func(t *testing.T) {
		t.Setenv(LibraryEnv, "")
		t.Chdir(t.TempDir())
		got, err := FindLibrary()
		if err != nil || got != libraryNames[0] {
			t.Errorf("got %s, %v; want the bare name, for the system's loader", got, err)
		}
	})
}
