//go:build !windows && !plan9

package spool

import "syscall"

// errQuota means that the user's disk quota is used up.
const errQuota = syscall.EDQUOT
