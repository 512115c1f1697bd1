package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What a rig needs: an agent takes some 200 MB of memory, and the store holds three releases and a download.
const (
	leastMemory   = 512 << 20
	leastDisk     = 1 << 30
	requiredDisk  = 128 << 20
	leastPortable = 2 // cores: one decodes while the other runs the models
)

func (d *doctor) lookMachine(context.Context) []finding {
	cores := finding{Area: "machine", What: "cores", State: stateOK, Found: fmt.Sprintf("%d, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH)}
	if runtime.NumCPU() < leastPortable {
		cores.State, cores.Mend = stateWarn, "give this machine a second core: one decodes while the other runs the models"
	}
	return []finding{cores, d.memory()}
}

func (d *doctor) memory() finding {
	f := finding{Area: "machine", What: "memory", State: stateOK}
	info, err := readMeminfo(filepath.Join(d.root, "proc", "meminfo"))
	total, available := info["MemTotal"], info["MemAvailable"]
	if err != nil || total == 0 {
		f.State, f.Found = stateWarn, "unknown: /proc/meminfo can't be read"
		return f
	}
	f.Found = fmt.Sprintf("%s, %s of it free", size(total), size(available))
	if available < leastMemory {
		f.State = stateWarn
		f.Mend = fmt.Sprintf("end other programs ('ps aux --sort=-rss | head' shows the largest): an agent wants %s", size(leastMemory))
	}
	return f
}

// readMeminfo returns the values of a meminfo file in bytes.
func readMeminfo(path string) (map[string]uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	values := map[string]uint64{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		fields := strings.Fields(rest)
		if len(fields) == 0 {
			continue
		}
		n, err := strconv.ParseUint(fields[0], 10, 54)
		if err != nil {
			continue
		}
		if len(fields) > 1 && fields[1] == "kB" {
			n <<= 10
		}
		values[name] = n
	}
	return values, lines.Err()
}

// size spells bytes in a unit that suits them.
func size(n uint64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// diskSpace is what a file system has.
type diskSpace struct {
	Free, Total uint64 // bytes, for users
	ReadOnly    bool
}

func readDisk(path string) (diskSpace, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return diskSpace{}, err
	}
	block := uint64(st.Bsize) //nolint:gosec,unconvert // its type differs between systems, and it is positive
	const readOnly = 1        // ST_RDONLY and MNT_RDONLY alike
	return diskSpace{Free: st.Bavail * block, Total: st.Blocks * block, ReadOnly: st.Flags&readOnly != 0}, nil
}

// lookDisk looks whether the agent could write its store, without writing.
func (d *doctor) lookDisk(context.Context) []finding {
	store, required := ".", false
	what := "this directory"
	if d.cfg != nil {
		store, required, what = filepath.Join(d.cfg.Store, d.cfg.Devices()[0].Device), true, "store"
	}
	f := finding{Area: "disk", What: what, State: stateOK, Required: required}
	miss := func(found, mend string) []finding {
		f.State, f.Found, f.Mend = stateMissing, found, mend
		return []finding{f}
	}
	there, info, err := nearest(store)
	switch {
	case err != nil:
		return miss(err.Error(), "sudo mkdir -p "+store+" && sudo chown $(id -un) "+store)
	case !info.IsDir():
		return miss(there+" is a file, expected a directory", "mv "+there+" elsewhere, or name another directory as store")
	}
	space, err := d.disk(there)
	if err != nil {
		return miss(fmt.Sprintf("%s: %v", there, err), "mount the disk: findmnt --target "+there)
	}
	if space.ReadOnly {
		return miss(there+" is on a read-only file system", "sudo mount -o remount,rw $(findmnt -no TARGET --target "+there+")")
	}
	if err := unix.Access(there, unix.W_OK|unix.X_OK); err != nil {
		return miss(fmt.Sprintf("%s can't be written: %v", there, err), "sudo chown $(id -un) "+there)
	}
	f.Found = fmt.Sprintf("%s, %s of %s free", store, size(space.Free), size(space.Total))
	if there != filepath.Clean(store) {
		f.Found += " (it will be made)"
	}
	clear := fmt.Sprintf("free some space ('du -xh --max-depth=2 %s | sort -h | tail' shows the largest), or put store on another disk", there)
	switch {
	case space.Free < requiredDisk:
		f.State, f.Mend = stateMissing, clear
	case space.Free < leastDisk:
		f.State, f.Mend = stateWarn, clear
	}
	return []finding{f}
}

// nearest returns the path, or the nearest of its parents that exists.
func nearest(path string) (string, os.FileInfo, error) {
	for path = filepath.Clean(path); ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err == nil {
			return path, info, nil
		}
		if parent := filepath.Dir(path); parent == path || !os.IsNotExist(err) && !strings.HasSuffix(err.Error(), "not a directory") {
			return path, nil, err
		}
	}
}
