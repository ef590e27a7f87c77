package durable

import "fmt"

// DamageError says that a file does not hold what was written to it.
type DamageError struct {
	File   string
	Offset int64  // in bytes; negative if no place can be named
	What   string // what is wrong there
	Remedy string // what mends it
}

// Mending is the Remedy of a file of the ledger.
const Mending = "nothing was changed; see \"Damaged files\" in docs/troubleshooting.md"

// Error implements error.
func (d *DamageError) Error() string {
	place := d.File
	if d.Offset >= 0 {
		place = fmt.Sprintf("%s: byte %d", d.File, d.Offset)
	}
	remedy := d.Remedy
	if remedy == "" {
		remedy = Mending
	}
	return fmt.Sprintf("%s: damaged: %s; %s", place, d.What, remedy)
}
