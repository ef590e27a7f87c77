package logs

import (
	"bytes"
	"log"
	"strings"
	"testing"
)

// Contract 8.27: net/http quotes what a backend sent unasked, and that may be anybody's.
func TestBackendBytesAreCutFromTheLog(t *testing.T) {
	var out bytes.Buffer
	before := log.Writer()
	t.Cleanup(func() { log.SetOutput(before) })
	log.SetOutput(&out)
	HideBackendBytes()
	HideBackendBytes() // each configuration calls it
	log.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "sb_secret_x", nil)
	log.Print("another line with a word")
	got := out.String()
	if strings.Contains(got, "sb_secret_x") || strings.Count(got, unsolicited) != 1 {
		t.Errorf("the quotation is still there, or the line is not: %q", got)
	}
	if !strings.Contains(got, "another line with a word\n") || strings.Count(got, "\n") != 2 {
		t.Errorf("other lines do not pass as they are: %q", got)
	}
}
