//go:build unix

package integration_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// becomeNobody has cmd run as a user who owns nothing but the gateway's folder.
//
// The binary is run where it is, which is why its folder lets everyone through. A
// copy could not be run for a moment ("text file busy"): what another test forks
// while the copy is written holds it open until its own exec.
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

// ownGroup makes cmd the first of a group of processes, which killGroup ends.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func killGroup(cmd *exec.Cmd) { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

// abort ends a process. One of Go prints its stacks first.
func abort(p *os.Process) error { return p.Signal(syscall.SIGABRT) }

// freeze stops a process where it is, and thaw lets it go on.
func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
func thaw(p *os.Process) error   { return p.Signal(syscall.SIGCONT) }

// askToReload has Caddy read its Caddyfile again.
func askToReload(p *os.Process) error { return p.Signal(syscall.SIGUSR1) }
