//go:build race

package diagnosis_test

// slack is how much more is allocated under the race detector, where sync.Pool drops a
// part of what it is given on purpose. .ci/run runs the tests that use it without as well.
const slack = 16
