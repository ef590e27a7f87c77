package metering

import (
	"io/fs"
	"os"
	"slices"
	"testing"
	"time"
	"unicode"
)

// zoneNames are those of the machine's time zone database.
func zoneNames(t *testing.T) []string {
	t.Helper()
	names := []string{"UTC"}
	for _, dir := range []string{"/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo"} {
		_ = fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error { // a place that is not there has none
			if err == nil && !entry.IsDir() && unicode.IsUpper(rune(path[0])) {
				if _, err := time.LoadLocation(path); err == nil {
					names = append(names, path)
				}
			}
			return nil
		})
	}
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca"} {
		if _, err := time.LoadLocation(name); err == nil && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
