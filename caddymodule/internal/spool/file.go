package spool

import (
	"errors"
	"os"
	"syscall"
)

// Try makes a temporary file and gives it back. Its error is the one that each body
// on disk would meet.
func Try() error {
	file, path, err := createIn(os.TempDir())
	if err != nil {
		return err
	}
	remove(file, path)
	return nil
}

// IsFull reports whether an error is about room on the disk, which may be there again
// soon, and not about a folder that is missing or may not be written to.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota)
}

// createIn makes a file in dir that only this process can open. It has no name, or
// else path is what is to be removed once the file is closed.
func createIn(dir string) (file *os.File, path string, err error) {
	file, err = onDisk(func() (*os.File, error) {
		file, err := createUnnamed(dir)
		if err != nil && lacksUnnamed(err) {
			file, path, err = createNamed(dir)
		}
		return file, err
	})
	return file, path, err
}

// createNamed makes a file, of mode 0600, and takes its name away at once. A process
// that is killed between the two leaves an empty file behind: nothing was written
// by then. Windows does not unlink a file that is open; there path is its name.
func createNamed(dir string) (file *os.File, path string, err error) {
	file, err = os.CreateTemp(dir, "webhook-auth-*")
	if err != nil {
		return nil, "", err
	}
	if os.Remove(file.Name()) != nil {
		path = file.Name()
	}
	return file, path, nil
}

// remove gives a file back. Nothing more is wanted of it, and the system's temporary
// folder keeps what cannot be removed.
func remove(file *os.File, path string) {
	_ = file.Close()
	if path != "" {
		_ = os.Remove(path)
	}
}
