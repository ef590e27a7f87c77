//go:build unix && !linux

package demo

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the process into a group of its own, so that ctrl-C reaches the demo alone and whatever the process starts can be ended
// with it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
