package metering

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v4"

	"github.com/edgegate/edgegate/ratelimit/metering/durable"
)

// Subject is a function with the organization that pays for it. Invocations are
// counted by subject and region.
type Subject struct {
	Organization, Project, Function string
	Cycle                           Cycle
}

// SubjectID is the number of a Subject in the dictionary of one instance log.
type SubjectID uint32

// dictionary maps the numbers in records to strings and notes. It is a file of
// lines, each a checksum and JSON, that only grows: a number never changes its
// meaning.
type dictionary struct {
	origin  atomic.Pointer[Origin] // of new subjects
	lazy    atomic.Bool            // numbers are handed out before they are on the disk; for SyncNone
	syncing sync.Mutex             // held while the file is synced: one sync serves all who wait

	mu       sync.Mutex // guards all below, and writes to latest and byRegion
	file     growing
	size     int64   // of the whole lines
	synced   int64   // how much of that is on the disk
	torn     bool    // there are bytes after the whole lines, of a line that was not written completely
	entries  []entry // the lines
	subjects []Subject
	origins  []Origin // of subjects, as they are in the file
	pinned   string   // the ledger of subjects whose origin has none
	cycles   map[subjectName][]SubjectID
	regions  []string
	latest   *xsync.Map[string, *xsync.Map[string, latestID]] // by project and function; may be read without mu
	bySub    map[subjectKey]SubjectID
	byRegion *xsync.Map[string, uint16] // may be read without mu
	notes    []note                     // the first has the number 1
	numbers  map[string]uint16          // of regions
}

// subjectName is a Subject without its cycle.
type subjectName struct{ organization, project, function string }

// latestID is the current subject of a function: a project has one organization at
// a time.
type latestID struct {
	organization string
	cycle        Cycle
	origin       *Origin
	id           SubjectID
}

// subjectKey is a Subject that can be compared.
type subjectKey struct {
	organization, project, function string
	anchor                          int64
	zone                            string
	origin                          Origin // as it is in the file
}

func keyOf(s Subject, o Origin) subjectKey {
	return subjectKey{s.Organization, s.Project, s.Function, unixOrZero(s.Cycle.Anchor), s.Cycle.zone().String(), o}
}

func unixOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// entry is a line of the file: a subject, a region, a note, or a number of a
// subject that was lost and must not be used again.
type entry struct {
	Organization string `json:"org,omitempty"`
	Project      string `json:"project,omitempty"`
	Function     string `json:"function,omitempty"`
	Anchor       int64  `json:"anchor,omitempty"`
	Zone         string `json:"zone,omitempty"`
	Region       string `json:"region,omitempty"`
	Lost         bool   `json:"lost,omitempty"`
	Note         *note  `json:"note,omitempty"`

	// Of a subject, its origin. A note with a ledger says which one subjects without are
	// of: older builds number notes and subjects as this one does.
	Ledger string `json:"ledger,omitempty"`
	Form   Form   `json:"form,omitempty"`
}

func openDictionary(path string) (*dictionary, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	d := newDictionary()
	d.file = file
	err = d.load(path)
	if err == nil && d.size == 0 {
		err = durable.SyncDirectory(filepath.Dir(path)) // the file may be new
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading the names of the ledger: %w", err), file.Close())
	}
	for name, id := range d.numbers {
		d.byRegion.Store(name, id)
	}
	return d, nil
}

func newDictionary() *dictionary {
	d := &dictionary{
		latest:   xsync.NewMap[string, *xsync.Map[string, latestID]](),
		bySub:    make(map[subjectKey]SubjectID),
		byRegion: xsync.NewMap[string, uint16](),
		numbers:  map[string]uint16{"": 0},
		cycles:   make(map[subjectName][]SubjectID),
		regions:  []string{""}, // 0: none
	}
	return d
}

// take adds a line to the maps.
func (d *dictionary) take(e entry) {
	d.entries = append(d.entries, e)
	if e.Note != nil {
		d.notes = append(d.notes, *e.Note)
		d.pinned = cmp.Or(d.pinned, e.Ledger)
		return
	}
	if e.Region != "" {
		d.numbers[e.Region] = uint16(len(d.regions))
		d.regions = append(d.regions, e.Region)
		return
	}
	s := Subject{Organization: e.Organization, Project: e.Project, Function: e.Function}
	if e.Anchor != 0 {
		s.Cycle.Anchor = time.Unix(e.Anchor, 0).UTC()
	}
	if e.Zone != "" {
		s.Cycle.Zone = zoneNamed(e.Zone)
	}
	origin := Origin{Ledger: e.Ledger, Form: max(e.Form, FormHour)}
	if !e.Lost {
		d.bySub[keyOf(s, origin)] = SubjectID(len(d.subjects))
	}
	name := subjectName{s.Organization, s.Project, s.Function}
	d.cycles[name] = append(d.cycles[name], SubjectID(len(d.subjects)))
	d.subjects, d.origins = append(d.subjects, s), append(d.origins, origin)
}

// subject returns the number of s with the origin of new subjects. It writes a new
// line if s has none.
func (d *dictionary) subject(s Subject) (SubjectID, error) {
	origin := d.origin.Load()
	functions, known := d.latest.Load(s.Project)
	if known {
		if last, ok := functions.Load(s.Function); ok && last.organization == s.Organization && last.origin == origin && last.cycle.Equal(s.Cycle) {
			return last.id, nil
		}
	} else {
		functions, _ = d.latest.LoadOrStore(s.Project, xsync.NewMap[string, latestID]())
	}
	of := Origin{}
	if origin != nil {
		of = *origin
	}
	id, err := d.subjectOf(s, of)
	if err != nil {
		return 0, err
	}
	functions.Store(s.Function, latestID{s.Organization, s.Cycle, origin, id})
	return id, nil
}

// subjectOf is subject with another origin.
func (d *dictionary) subjectOf(s Subject, of Origin) (id SubjectID, err error) {
	if id, err = d.number(s, of); err == nil {
		err = d.settle()
	}
	return id, err
}

// number is subjectOf without waiting for the disk.
func (d *dictionary) number(s Subject, of Origin) (SubjectID, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	of.Form = max(of.Form, FormHour)
	if of == (Origin{d.pinned, FormHour}) {
		of.Ledger = ""
	}
	key := keyOf(s, of)
	if id, ok := d.bySub[key]; ok {
		return id, nil
	}
	e := entry{
		Organization: s.Organization,
		Project:      s.Project,
		Function:     s.Function,
		Anchor:       key.anchor,
		Ledger:       of.Ledger,
	}
	if of.Form != FormHour {
		e.Form = of.Form
	}
	if key.zone != time.UTC.String() {
		e.Zone = key.zone
	}
	if err := d.write(e); err != nil {
		return 0, err
	}
	return d.bySub[key], nil
}

// maxRegions bounds the number of regions: records hold it in 16 bits.
const maxRegions = 1<<16 - 1

// region returns the number of a region. It writes a new line if it has none.
func (d *dictionary) region(name string) (uint16, error) {
	if id, ok := d.byRegion.Load(name); ok {
		return id, nil
	}
	id, err := d.regionNumber(name)
	if err == nil {
		err = d.settle()
	}
	if err != nil {
		return 0, err
	}
	d.byRegion.Store(name, id)
	return id, nil
}

// regionNumber is region without waiting for the disk.
func (d *dictionary) regionNumber(name string) (uint16, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id, ok := d.numbers[name]; ok {
		return id, nil
	}
	if len(d.regions) > maxRegions {
		return 0, fmt.Errorf("the dictionary of the ledger is full: it has %d regions", maxRegions)
	}
	if err := d.write(entry{Region: name}); err != nil {
		return 0, err
	}
	return d.numbers[name], nil
}

// lines returns all lines. They never change.
func (d *dictionary) lines() []entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clip(d.entries)
}

// missing says which number that a record has is not in the dictionary, "" for none.
func (d *dictionary) missing(subjects SubjectID, regions, notes uint32) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case int(subjects) > len(d.subjects):
		return fmt.Sprintf("records have functions up to number %d, and it has %d", subjects-1, len(d.subjects))
	case int(regions) > len(d.regions):
		return fmt.Sprintf("records have regions up to number %d, and it has %d", regions-1, len(d.regions)-1)
	case int(notes) > len(d.notes):
		return fmt.Sprintf("records have reasons up to number %d, and it has %d", notes, len(d.notes))
	}
	return ""
}

// lookup returns the subject of a number, the zero Subject if there is none.
func (d *dictionary) lookup(id SubjectID) Subject {
	d.mu.Lock()
	defer d.mu.Unlock()
	if int(id) < len(d.subjects) {
		return d.subjects[id]
	}
	return Subject{}
}

// originOf returns the origin of a subject.
func (d *dictionary) originOf(id SubjectID) Origin {
	d.mu.Lock()
	defer d.mu.Unlock()
	if int(id) >= len(d.origins) {
		return Origin{}
	}
	o := d.origins[id]
	o.Ledger = cmp.Or(o.Ledger, d.pinned)
	return o
}

// pin has the subjects that an older build wrote be of a ledger, for ever.
func (d *dictionary) pin(ledger string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pinned != "" || !slices.ContainsFunc(d.origins, func(o Origin) bool { return o.Ledger == "" }) {
		return nil
	}
	return d.write(entry{Note: new(note), Ledger: ledger})
}

// all returns the subjects, in the order of their numbers.
func (d *dictionary) all() []Subject {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.subjects)
}

// siblings returns the numbers of all subjects with the same names as id, id
// included: they differ in their billing cycles and origins.
func (d *dictionary) siblings(id SubjectID) []SubjectID {
	s := d.lookup(id)
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cycles[subjectName{s.Organization, s.Project, s.Function}]
}

// functions returns the names of a project's functions.
func (d *dictionary) functions(project string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for _, s := range d.subjects {
		if s.Project == project && s.Function != "" && !slices.Contains(names, s.Function) {
			names = append(names, s.Function)
		}
	}
	return names
}

func (d *dictionary) regionName(id uint16) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if int(id) < len(d.regions) {
		return d.regions[id]
	}
	return ""
}

func (d *dictionary) close() error { return errors.Join(d.sync(), d.file.Close()) }
