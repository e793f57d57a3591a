//go:build unix

package integration_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// becomeNobody makes cmd run as a user who owns only the gateway's folder.
//
// It runs the binary in place, which is why everyone may enter the binary's folder. A
// copy could fail with "text file busy", because a process that another test forks while
// the copy is written holds it open until its own exec.
func becomeNobody(t *testing.T, cmd *exec.Cmd, g *gateway) {
	t.Helper()
	const nobody = 65534
	for _, path := range []string{g.dir, g.file} {
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

// ownGroup puts cmd into a process group of its own, which killGroup kills.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// abort ends a process. A Go process prints its stacks first.
func abort(p *os.Process) error { return p.Signal(syscall.SIGABRT) }

// freeze suspends a process, and thaw resumes it.
func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func thaw(p *os.Process) error   { return p.Signal(syscall.SIGCONT) }

// askToReload makes Caddy read its Caddyfile again.
func askToReload(p *os.Process) error { return p.Signal(syscall.SIGUSR1) }
