package secretref

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// maxFile is the most that a file may hold, in bytes. The largest is a certificate, with
// some 4 KiB.
const maxFile = 64 << 10

var (
	errFolder     = errors.New("is a directory")
	errNotRegular = errors.New("is not a regular file")
	errTooLong    = errors.New("has more than 64 KiB")
)

// ReadFile returns the content of a file without one line break at its end. It does not
// wait and does not read without end: where a named pipe or a device is in the place of
// the file, a configuration would never finish loading. No error shows the path.
func ReadFile(path string) (string, error) {
	file, err := openNow(path)
	if err != nil {
		return "", withoutPath(err)
	}
	text, _, err := regular(file)
	return text, err
}

// ReadIn does the same with a file in a folder, and says when it was last written.
func ReadIn(folder *os.Root, name string) (string, time.Time, error) {
	file, err := folder.OpenFile(name, os.O_RDONLY|withoutWaiting, 0)
	if err != nil {
		return "", time.Time{}, withoutPath(err)
	}
	return regular(file)
}

// regular reads a file to its end, if it has one, and closes it.
func regular(file *os.File) (string, time.Time, error) {
	defer file.Close() //nolint:errcheck // it was only read
	info, err := file.Stat()
	switch {
	case err != nil:
		return "", time.Time{}, withoutPath(err)
	case info.IsDir():
		return "", time.Time{}, errFolder
	case !info.Mode().IsRegular():
		return "", time.Time{}, errNotRegular
	}
	text, err := content(file)
	return text, info.ModTime(), err
}

// ReadArgument returns the content of a file that a user names on the command line, as
// [ReadFile] does. It may be a pipe, such as a shell makes of <(command): that is waited
// for, and can be read only once.
func ReadArgument(path string) (string, error) {
	file, err := os.Open(path) //nolint:gosec // the operator's own path
	if err != nil {
		return "", withoutPath(err)
	}
	defer file.Close() //nolint:errcheck // it was only read
	return content(file)
}

// content reads what file holds. It does not ask for the size: some files change, and
// those of /proc have none.
func content(file *os.File) (string, error) {
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return "", withoutPath(err)
	case len(text) > maxFile:
		return "", errTooLong
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil // as Caddy's {file.}
}

func withoutPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
