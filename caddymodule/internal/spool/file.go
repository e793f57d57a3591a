package spool

import (
	"errors"
	"os"
	"syscall"
)

// Try creates a temporary file and removes it. It fails as every body on disk would.
func Try() error {
	file, path, err := createIn(os.TempDir())
	if err != nil {
		return err
	}
	remove(file, path)
	return nil
}

// IsFull reports whether err means a full disk or quota, which may pass by itself. A
// missing or unwritable folder does not.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota)
}

// createIn creates a file in dir that only this process can open. The file has no name,
// or path is what remove has to delete.
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

// createNamed creates a file of mode 0600 and unlinks it at once. A process that is
// killed between the two leaves an empty file behind, because nothing is written yet.
// Windows cannot unlink an open file, so there path is its name.
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

// remove closes a file and deletes its name, if it has one. It ignores errors: nobody
// needs the file any more, and a file that cannot be deleted stays in the system's
// temporary folder.
func remove(file *os.File, path string) {
	_ = file.Close()
	if path != "" {
		_ = os.Remove(path)
	}
}
