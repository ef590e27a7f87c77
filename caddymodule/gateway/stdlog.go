package gateway

import (
	"bytes"
	"io"
	"log"
)

// unsolicited is how net/http begins the line that quotes what a backend sent
// on a connection without a request: possibly somebody's secrets. It goes to
// the standard logger, and Caddy prints it.
const unsolicited = "Unsolicited response received on idle HTTP channel"

// hideBackendBytes cuts the quotation from such lines (BEHAVIOUR.md section
// 8). Caddy sets the standard logger's output anew with each configuration.
func hideBackendBytes() {
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
