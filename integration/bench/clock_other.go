//go:build !linux

package main

import (
	"errors"
	"time"
)

func processorTime(int) (time.Duration, error) {
	return 0, errors.New("the benchmark needs Linux, which shows the processor time of a process")
}

func nap(d time.Duration) { time.Sleep(d) }
