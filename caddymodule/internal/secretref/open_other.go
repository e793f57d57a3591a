//go:build !unix

package secretref

import "os"

// openNow opens a file. On Windows that does not wait.
func openNow(path string) (*os.File, error) {
	return os.Open(path) //nolint:gosec // the operator's own path
}
