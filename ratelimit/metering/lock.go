package metering

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrLocked says that another process has the lock.
var ErrLocked = errLocked

// Lock takes the lock of a file, which is made if need be. It ends when it is
// closed, and with the process.
func Lock(path string) (io.Closer, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return file, nil
}
