package edgebench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Memory is what of a process is in memory, in bytes; 0 where the system does not tell.
type Memory struct {
	RSS  int64 `json:"rss_bytes"`
	Peak int64 `json:"rss_peak_bytes"`
}

// resident reads this process's memory.
func resident() Memory { return memoryOf("self") }

// memoryOf reads the memory of a process by its number.
func memoryOf(pid string) Memory {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return Memory{}
	}
	return parseStatus(text)
}

func parseStatus(text []byte) Memory {
	var m Memory
	s := bufio.NewScanner(bytes.NewReader(text))
	for s.Scan() {
		key, value, _ := strings.Cut(s.Text(), ":")
		word, unit, _ := strings.Cut(strings.TrimSpace(value), " ")
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || unit != "kB" {
			continue
		}
		switch key {
		case "VmRSS":
			m.RSS = n << 10
		case "VmHWM":
			m.Peak = n << 10
		}
	}
	return m
}

// openFiles lists what this process has open, by number; nil where the system does not tell.
func openFiles() map[string]string {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	list := make(map[string]string, len(entries))
	for _, e := range entries {
		// The directory that is being read is among them, and closed by now.
		if to, err := os.Readlink(dir + "/" + e.Name()); err == nil {
			list[e.Name()] = to
		}
	}
	return list
}

// megabytes spells a number of bytes.
func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
