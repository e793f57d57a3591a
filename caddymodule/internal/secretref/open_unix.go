//go:build unix

package secretref

import (
	"os"
	"syscall"
)

// openNow opens a file without waiting. To open a named pipe waits for a writer otherwise.
func openNow(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the operator's own path
}
