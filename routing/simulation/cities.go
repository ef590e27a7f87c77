package simulation

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgegate/edgegate/regions/geo"
)

// maxMilliseconds is more than any round trip on earth; a value above it is a
// value in another unit.
const maxMilliseconds = 2000

// cityColumns come before the regions, in this order.
var cityColumns = []string{"city", "country", "lat", "lon"}

// City is a place whose round trips to regions were measured.
type City struct {
	Name string
	// Country is the ISO 3166-1 alpha-2 code in upper case.
	Country     string
	Coordinates geo.Coordinates
	// RTT has a round trip for every region of the file, by name.
	RTT map[string]time.Duration
}

// Client returns the city as a caller's place with its coordinates.
func (c *City) Client() geo.Client {
	return geo.Client{
		Country:        c.Country,
		Coordinates:    c.Coordinates,
		HasCoordinates: true,
		Source:         "city",
	}
}

// CSVError is an error in a file of measured cities, with its position.
type CSVError struct {
	Line   int    // from 1
	Column string // the name in the first line, empty if it is the line as a whole
	Cell   string // what is there
	Err    error  // what is wrong, and what to write instead
}

// Error implements error.
func (e *CSVError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("line %d: %v", e.Line, e.Err)
	}
	return fmt.Sprintf("line %d, column %s: %q %v", e.Line, e.Column, e.Cell, e.Err)
}

// Unwrap returns what is wrong.
func (e *CSVError) Unwrap() error { return e.Err }

// ReadCities reads measured round trips from CSV. Its first line is
//
//	city,country,lat,lon,REGION,REGION,...
//
// and every other one a city: its name, its country by ISO 3166-1 alpha-2, its
// decimal degrees, then one round trip in milliseconds a region. Lines that
// start with # are comments. The regions' names need not be known ones. An
// error about a line is a *CSVError.
func ReadCities(r io.Reader) ([]City, error) {
	reader := csv.NewReader(r)
	reader.Comment = '#'
	reader.FieldsPerRecord = -1 // counted below, with a remedy
	head, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file has no lines; write city,country,lat,lon and the regions' names in the first")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the first line: %w", err)
	}
	line, _ := reader.FieldPos(0)
	if err := checkHead(head); err != nil {
		return nil, &CSVError{Line: line, Err: err}
	}
	var cities []City
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("reading cities: %w", err) // csv's errors tell the line
		}
		line, _ := reader.FieldPos(0)
		city, problem := parseCity(head, record)
		if problem != nil {
			problem.Line = line
			return nil, problem
		}
		cities = append(cities, city)
	}
	if len(cities) == 0 {
		return nil, errors.New("the file has no cities; write one a line after the first")
	}
	return cities, nil
}

func checkHead(head []string) error {
	if len(head) <= len(cityColumns) || !slices.Equal(head[:len(cityColumns)], cityColumns) {
		return fmt.Errorf("the first line must be %s and at least one region's name", strings.Join(cityColumns, ","))
	}
	seen := make(map[string]bool, len(head))
	for _, name := range head[len(cityColumns):] {
		if name == "" || seen[name] {
			return fmt.Errorf("region %q is empty or twice there; each needs one name of its own", name)
		}
		seen[name] = true
	}
	return nil
}

// parseCity returns a CSVError that doesn't know its line.
func parseCity(head, record []string) (City, *CSVError) {
	if len(record) != len(head) {
		return City{}, &CSVError{Err: fmt.Errorf("%d values, want %d as in the first line", len(record), len(head))}
	}
	wrong := func(i int, err error) (City, *CSVError) {
		return City{}, &CSVError{Column: head[i], Cell: record[i], Err: err}
	}
	city := City{Name: record[0], Country: record[1], RTT: make(map[string]time.Duration, len(head)-len(cityColumns))}
	if city.Name == "" {
		return wrong(0, errors.New("is empty; write the city's name"))
	}
	if !isCountry(city.Country) {
		return wrong(1, errors.New("is no country; write two capital letters (ISO 3166-1 alpha-2)"))
	}
	for i, degrees := range []*float64{&city.Coordinates.Latitude, &city.Coordinates.Longitude} {
		var err error
		if *degrees, err = strconv.ParseFloat(record[2+i], 64); err != nil {
			return wrong(2+i, errors.New("is no number; write decimal degrees"))
		}
		if city.Coordinates.Valid() != nil {
			return wrong(2+i, errors.New("is not on earth; write decimal degrees, latitude before longitude"))
		}
	}
	for i := len(cityColumns); i < len(head); i++ {
		ms, err := strconv.ParseFloat(record[i], 64)
		if err != nil {
			return wrong(i, errors.New("is no number; write milliseconds"))
		}
		if !(ms >= 0 && ms <= maxMilliseconds) {
			return wrong(i, fmt.Errorf("is not within 0 to %d; write milliseconds", maxMilliseconds))
		}
		city.RTT[head[i]] = time.Duration(math.Round(ms*1000)) * time.Microsecond
	}
	return city, nil
}

func isCountry(code string) bool {
	return len(code) == 2 && code[0] >= 'A' && code[0] <= 'Z' && code[1] >= 'A' && code[1] <= 'Z'
}
