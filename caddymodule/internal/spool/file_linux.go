package spool

import (
	"errors"
	"os"
	"syscall"
)

// oTmpfile is O_TMPFILE, which package syscall lacks: __O_TMPFILE, which is the same
// on all of Go's architectures, and O_DIRECTORY, which is not.
const oTmpfile = 0x400000 | syscall.O_DIRECTORY

// createUnnamed makes a file that never has a name, so that it ends with the process
// at any moment. O_EXCL keeps anyone from giving it one later.
func createUnnamed(dir string) (*os.File, error) {
	return os.OpenFile(dir, os.O_RDWR|os.O_EXCL|oTmpfile, 0o600) //nolint:gosec // the temporary folder
}

// lacksUnnamed reports whether a file system (NFS, FAT and some of FUSE, for example)
// or a kernel has no files without a name. Any other error stands: with a full disk
// or without a folder, a file with a name fails too.
func lacksUnnamed(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || // EOPNOTSUPP, ENOSYS
		errors.Is(err, syscall.EISDIR) || // a kernel that does not know the flag
		errors.Is(err, syscall.EINVAL)
}
