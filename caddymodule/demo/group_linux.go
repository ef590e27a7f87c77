package demo

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the process into a group of its own, so that ctrl-C reaches the demo alone and whatever the process starts can be ended
// with it, and has the kernel kill it should the demo itself be killed.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
