package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// errNoProc means that the kernel does not show what a process uses.
var errNoProc = errors.New("this system has no /proc")

// hasProc reports whether this system can measure CPU time and memory.
func hasProc() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}

// cpuTime returns the processor time that a process has used so far.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return 0, err
	}
	return parseStat(stat)
}

// parseStat adds utime and stime, the fields 14 and 15 (proc_pid_stat(5)). The
// second field, the name, may hold blanks, so fields are counted from its end.
func parseStat(stat []byte) (time.Duration, error) {
	const tick = time.Second / 100 // USER_HZ, the same on every Linux
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc: stat has %d fields", len(fields))
	}
	user, userErr := strconv.ParseInt(string(fields[11]), 10, 64)
	system, systemErr := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * tick, errors.Join(userErr, systemErr)
}

// peakMemory returns the peak of the resident memory, in bytes.
func peakMemory(pid int) (int64, error) {
	value, err := procLine(procFile(pid, "status"), "VmHWM:")
	if err != nil {
		return 0, err
	}
	kib, err := strconv.ParseInt(strings.TrimSuffix(value, " kB"), 10, 64)
	return kib << 10, err
}

// threads returns how many threads a process has.
func threads(pid int) (int, error) {
	value, err := procLine(procFile(pid, "status"), "Threads:")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(value)
}

// fileLimit returns how many files a process may have open.
func fileLimit(pid int) (int, error) {
	value, err := procLine(procFile(pid, "limits"), "Max open files")
	if err != nil {
		return 0, err
	}
	soft, _, _ := strings.Cut(value, " ")
	return strconv.Atoi(soft)
}

// openFiles returns how many files a process has open, sockets included.
func openFiles(pid int) (int, error) {
	entries, err := os.ReadDir(procFile(pid, "fd"))
	return len(entries), err
}

func procFile(pid int, name string) string {
	return filepath.Join("/proc", strconv.Itoa(pid), name)
}

// procLine returns what follows name on the line that starts with it.
func procLine(file, name string) (string, error) {
	text, err := os.ReadFile(file) //nolint:gosec // below /proc
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name); found {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%s has no line %q", file, name)
}

// processorName returns the model of the CPU, or "" if it is not known.
func processorName() string {
	value, _ := procLine("/proc/cpuinfo", "model name")
	return strings.TrimSpace(strings.TrimPrefix(value, ":"))
}
