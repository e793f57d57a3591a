//go:build !race

package diagnosis_test

const slack = 1
