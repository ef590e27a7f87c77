package locate

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/edgegate/edgegate/regions/geo"
)

// Status is the state of a database.
type Status struct {
	Path string
	// Type and Built describe the database in use; zero if there is none.
	Type  string
	Built time.Time
	// Err is the error of the last reading of the file, nil if the file is in use.
	Err error
}

// database is an MMDB file that is read again when it changes.
type database struct {
	path   string
	source string
	reader atomic.Pointer[maxminddb.Reader]

	mu   sync.Mutex // guards the fields below; held during a reload
	seen os.FileInfo
	err  error
}

func newDatabase(path string) *database {
	return &database{path: path, source: "mmdb:" + filepath.Base(path)}
}

func (d *database) status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	status := Status{Path: d.path, Err: d.err}
	if reader := d.reader.Load(); reader != nil {
		status.Type, status.Built = reader.Metadata.DatabaseType, reader.Metadata.BuildTime()
	}
	return status
}

// refresh reads the file if it is another than the one that was read last.
func (d *database) refresh() {
	d.mu.Lock()
	defer d.mu.Unlock()
	info, err := os.Stat(d.path)
	if err == nil && same(d.seen, info) {
		return
	}
	// The state before reading is kept: a change in between is noticed next time.
	reader, err := read(d.path)
	d.seen, d.err = info, err
	if err == nil {
		d.reader.Store(reader)
	}
}

func same(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// read opens a database in memory. It is not mapped: a file that is overwritten in
// place would change under a lookup, and one that shrinks would kill the process.
func read(path string) (*maxminddb.Reader, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the client database: %w", err)
	}
	reader, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("reading the client database %s: %w", path, err)
	}
	return reader, nil
}

// client looks an address up. A broken entry counts as none.
func (d *database) client(ip netip.Addr) (geo.Client, bool) {
	reader := d.reader.Load()
	if reader == nil || ip.Is6() && reader.Metadata.IPVersion == 4 {
		return geo.Client{}, false
	}
	result := reader.Lookup(ip)
	if !result.Found() {
		return geo.Client{}, false
	}
	var r record
	if err := result.Decode(&r); err != nil {
		return geo.Client{}, false
	}
	return r.client(d.source)
}
