package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// used returns the processor time that processes have used so far.
func used(pids ...int) (sum time.Duration) {
	for _, pid := range pids {
		t, _ := processorTime(pid) // of one that has ended: nothing
		sum += t
	}
	return sum
}

// procNumber returns the number behind name in the status of a process.
func procNumber(pid int, name string) (int, error) {
	value, err := procLine(fmt.Sprintf("/proc/%d/status", pid), name)
	if err != nil {
		return 0, err
	}
	number, _, _ := strings.Cut(value, " ")
	return strconv.Atoi(number)
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
