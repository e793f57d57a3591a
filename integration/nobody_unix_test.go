//go:build unix

package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// becomeNobody has cmd run as a user who owns nothing but the gateway's folder.
func becomeNobody(t *testing.T, cmd *exec.Cmd, g *gateway) {
	t.Helper()
	const nobody = 65534
	copied := filepath.Join(g.dir, "caddy")
	data, err := os.ReadFile(binary)
	if err == nil {
		err = os.WriteFile(copied, data, 0o755)
	}
	for _, path := range []string{g.dir, g.file} {
		if err == nil {
			err = os.Chown(path, nobody, nobody)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd.Path = copied
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}
