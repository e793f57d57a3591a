//go:build unix

package secretref

import (
	"os"
	"syscall"
)

// withoutWaiting is a flag for opening. To open a named pipe waits for a writer otherwise.
const withoutWaiting = syscall.O_NONBLOCK

// openNow opens a file without waiting.
func openNow(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|withoutWaiting, 0) //nolint:gosec // the operator's own path
}
