package spool

import (
	"errors"
	"os"
	"syscall"
)

// oTmpfile is O_TMPFILE, which package syscall lacks. It combines __O_TMPFILE, which is
// the same on all of Go's architectures, and O_DIRECTORY, which is not.
const oTmpfile = 0x400000 | syscall.O_DIRECTORY

// createUnnamed creates a file that never has a name, so that it disappears with the
// process whenever that dies. O_EXCL keeps anyone from linking it to a name later.
func createUnnamed(dir string) (*os.File, error) {
	return os.OpenFile(dir, os.O_RDWR|os.O_EXCL|oTmpfile, 0o600) //nolint:gosec // the temporary folder
}

// lacksUnnamed reports whether err means that the file system (such as NFS, FAT and
// some of FUSE) or the kernel has no unnamed files. After any other error, such as a
// full disk or a missing folder, a named file would fail too.
func lacksUnnamed(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || // EOPNOTSUPP, ENOSYS
		errors.Is(err, syscall.EISDIR) || // from a kernel that does not know the flag
		errors.Is(err, syscall.EINVAL)
}
