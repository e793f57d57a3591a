package integration_test

import (
	"errors"
	"os"
	"os/exec"
	"testing"
)

// becomeNobody does nothing, because on Windows nobody is root.
func becomeNobody(*testing.T, *exec.Cmd, *gateway) {}

func ownGroup(*exec.Cmd) {}

func killGroup(cmd *exec.Cmd) { cmd.Process.Kill() }

func abort(p *os.Process) error { return p.Kill() }

func freeze(*os.Process) error { return errors.ErrUnsupported }
func thaw(*os.Process) error   { return errors.ErrUnsupported }

func askToReload(*os.Process) error { return errors.ErrUnsupported }
