//go:build !unix

package demo

import "os/exec"

// ownGroup does nothing where there are no process groups.
func ownGroup(*exec.Cmd) {}

// endGroup kills the process: there is no gentler signal here.
func endGroup(cmd *exec.Cmd, _ bool) { _ = cmd.Process.Kill() }
