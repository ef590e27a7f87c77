//go:build !unix

package bbolt

import (
	"os"
	"time"
)

// lock does nothing: files are not shared on this system.
func lock(*os.File, time.Duration) error { return nil }

// unlock does nothing.
func unlock(*os.File) error { return nil }
