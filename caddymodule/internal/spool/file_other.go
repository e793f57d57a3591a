//go:build !linux

package spool

import (
	"errors"
	"os"
)

// createUnnamed works on Linux only.
func createUnnamed(string) (*os.File, error) { return nil, errors.ErrUnsupported }

func lacksUnnamed(error) bool { return true }
