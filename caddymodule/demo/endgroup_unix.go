//go:build unix

package demo

import (
	"os/exec"
	"syscall"
)

// endGroup signals the process and what it has started: SIGTERM, or SIGKILL with force. A group that is gone is no error.
func endGroup(cmd *exec.Cmd, force bool) {
	signal := syscall.SIGTERM
	if force {
		signal = syscall.SIGKILL
	}
	_ = syscall.Kill(-cmd.Process.Pid, signal)
}
