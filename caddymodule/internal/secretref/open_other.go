//go:build !unix

package secretref

import "os"

// withoutWaiting is a flag for opening, where one is needed.
const withoutWaiting = 0

// openNow opens a file. On Windows that does not wait.
func openNow(path string) (*os.File, error) {
	return os.Open(path) //nolint:gosec // the operator's own path
}
