//go:build !windows && !plan9

package spool

import "syscall"

// errQuota is a user's share of a disk that is used up.
const errQuota = syscall.EDQUOT
