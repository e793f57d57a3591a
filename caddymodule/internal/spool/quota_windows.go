package spool

import "syscall"

// errQuota is ERROR_DISK_FULL, because ENOSPC is an invented value on Windows.
const errQuota = syscall.Errno(112)
