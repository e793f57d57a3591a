// Package tenant finds the secrets of tenants: one file each, in one folder. Names come from
// strangers, so that none leads out of the folder, and what is kept of them is bounded.
package tenant

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/webhookauth/caddy-webhook-auth/caddymodule/internal/secretref"
)

// MaxName is the longest name of a tenant, in bytes: a label of a host has 63, a UUID 36.
const MaxName = 64

// ErrUnknown says that there is no file of that name.
var ErrUnknown = errors.New("there is no tenant of that name")

// errAway says that nobody knows which tenants there are.
var errAway = errors.New("the folder of the tenants cannot be opened")

// IsName reports whether the name may be one of a tenant. A dot or a hyphen is never first
// or last: such names are hidden, are those of Kubernetes, or look like another one.
func IsName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
	return name != "" && len(name) <= MaxName && strings.Trim(name, letters) == "" &&
		!strings.ContainsAny(name[:1]+name[len(name)-1:], ".-")
}

// A Folder is where the files are. It is opened anew for each file: an operator may put
// another folder, or another symbolic link to one, into its place.
type Folder string

// A File is what is in one of the files.
type File struct {
	Text string
	// Written is when its content was last changed. What was written just now may be one
	// half.
	Written time.Time
}

// Read returns the file of a tenant.
func (f Folder) Read(name string) (file File, err error) {
	if !IsName(name) {
		return File{}, ErrUnknown
	}
	root, err := os.OpenRoot(string(f)) // no name and no symbolic link leads out of it
	if err != nil {
		return File{}, fmt.Errorf("%w: %w", errAway, withoutPath(err))
	}
	defer root.Close() //nolint:errcheck // it was only read
	if isFolded(root, name) {
		return File{}, ErrUnknown
	}
	file.Text, file.Written, err = secretref.ReadIn(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, ErrUnknown
	}
	return file, err
}

// isFolded reports whether another spelling of the name, in lower case, leads to the same
// file. Some disks do not tell cases apart: two names of one tenant would be two tenants to
// the replay guard.
func isFolded(root *os.Root, name string) bool {
	lower := strings.ToLower(name)
	if lower == name {
		return false
	}
	as, err := root.Stat(name)
	if err != nil {
		return false
	}
	other, err := root.Stat(lower)
	return err == nil && os.SameFile(as, other)
}

// Names returns the names of all tenants, in order.
func (f Folder) Names() (names []string, err error) {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return nil, withoutPath(err)
	}
	for _, entry := range entries {
		if IsName(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return slices.Clip(names), nil
}

// Strays returns what is in the folder and is no tenant's: its name cannot be one. Those that
// begin with a dot are hidden on purpose.
func (f Folder) Strays() (names []string) {
	entries, _ := os.ReadDir(string(f))
	for _, entry := range entries {
		if name := entry.Name(); !IsName(name) && name[0] != '.' {
			names = append(names, name)
		}
	}
	return names
}

func withoutPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
