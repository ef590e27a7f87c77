package cli

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// The CLI tries --address, then the socket of packages, then localhost:2019.
func TestUsualAddress(t *testing.T) {
	dir, err := os.MkdirTemp("", "edgegate") // the names of t.TempDir are too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "admin.sock")
	if got := usualAddress(socket); got != "localhost:2019" {
		t.Errorf("without a socket: %s", got)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if got := usualAddress(socket); got != "unix/"+socket {
		t.Errorf("with a gateway at it: %s", got)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	listener.Close()
	if got := usualAddress(socket); got != "localhost:2019" {
		t.Errorf("left over by a gateway that is gone: %s", got)
	}
}
