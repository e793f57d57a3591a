//go:build !linux

package spool

import (
	"errors"
	"os"
)

// createUnnamed is there on Linux alone.
func createUnnamed(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func lacksUnnamed(error) bool { return true }
