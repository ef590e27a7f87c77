package redistest

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel kill the server should the test be killed.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
