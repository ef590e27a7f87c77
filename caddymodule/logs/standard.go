package logs

import (
	"bytes"
	"io"
	"log"
)

// unsolicited begins the line of net/http that quotes what a backend sent on a
// connection without a request, which may be anybody's secrets. net/http writes
// it to the standard logger, whose lines Caddy logs.
const unsolicited = "Unsolicited response received on idle HTTP channel"

// HideBackendBytes removes what backends sent from the lines of the standard
// logger (contract 8.27). Caddy sets that logger's output with each configuration, so
// that it must be called with each as well.
func HideBackendBytes() {
	if _, ok := log.Writer().(backendBytesFilter); !ok {
		log.SetOutput(backendBytesFilter{log.Writer()})
	}
}

type backendBytesFilter struct{ io.Writer }

// Write implements io.Writer for one line of the standard logger.
func (f backendBytesFilter) Write(line []byte) (int, error) {
	if i := bytes.Index(line, []byte(unsolicited)); i >= 0 {
		if _, err := f.Writer.Write(append(line[:i:i], unsolicited+"\n"...)); err != nil {
			return 0, err
		}
		return len(line), nil
	}
	return f.Writer.Write(line)
}
