package spool

import "syscall"

// errQuota is ERROR_DISK_FULL: what package syscall calls ENOSPC here is Go's own.
const errQuota = syscall.Errno(112)
