//go:build !unix

package metering

// freeBytes reports that it is not known how much a file in dir can still take.
func freeBytes(string) (int64, bool) { return 0, false }
