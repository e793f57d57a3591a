// Package mistake words what is wrong with a configuration: which option, what is
// wrong with it, and what to write instead. It decides in one place what of a
// configuration an error may show, see [Show]: never what may be a secret.
package mistake

import (
	"errors"
	"fmt"
)

// An Error is a mistake in one option.
type Error struct {
	// Option is written as in a Caddyfile, behind the options that it is in the blocks of:
	// "max_size", "secret 2", "replay: on_duplicate".
	Option string
	// Instead are the options that may be wrong if Option is not written at all: of a
	// payload that does not fit the signature, one may be the preset's.
	Instead []string

	cause error
}

// In returns a mistake in an option.
func In(option, format string, args ...any) *Error {
	return &Error{Option: option, cause: fmt.Errorf(format, args...)}
}

// Or adds options that may be wrong instead.
func (e *Error) Or(options ...string) *Error {
	e.Instead = append(e.Instead, options...)
	return e
}

func (e *Error) Error() string { return e.Option + ": " + e.cause.Error() }

// Unwrap returns the cause, whose text says what is wrong without the option.
func (e *Error) Unwrap() error { return e.cause }

// Each returns the errors that [errors.Join] has joined, however deep.
func Each(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error }) // not what wraps joined errors: it has a text of its own
	if !ok {
		return []error{err}
	}
	var all []error
	for _, err := range joined.Unwrap() {
		all = append(all, Each(err)...)
	}
	return all
}

// At says of each error where it is: `gate "acme" (stripe): `.
func At(place string, err error) error {
	var all []error
	for _, err := range Each(err) {
		all = append(all, fmt.Errorf("%s: %w", place, err))
	}
	return errors.Join(all...)
}
