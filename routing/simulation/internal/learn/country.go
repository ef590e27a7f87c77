package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"

	"github.com/edgegate/edgegate/regions/geo"
)

// country is a line of the file of populations.
type country struct {
	Code       string
	Population int64
	Centroid   geo.Coordinates
	// CentroidSource is the project that Centroid comes from.
	CentroidSource string
}

// readCountries reads iso2,iso3,name,population,lat,lon,source, after one line
// of names. Lines that start with # are comments.
func readCountries(r io.Reader) ([]country, error) {
	reader := csv.NewReader(r)
	reader.Comment = '#'
	reader.FieldsPerRecord = 7
	records, err := reader.ReadAll()
	if err != nil {
		return nil, err
	}
	if len(records) < 2 {
		return nil, fmt.Errorf("no countries: want a line of names and a line per country")
	}
	countries := make([]country, 0, len(records)-1)
	seen := make(map[string]bool, len(records))
	for _, record := range records[1:] {
		c := country{Code: record[0], CentroidSource: record[6]}
		if len(c.Code) != 2 || seen[c.Code] {
			return nil, fmt.Errorf("country %q is no code of two letters, or repeated", c.Code)
		}
		seen[c.Code] = true
		if c.Population, err = strconv.ParseInt(record[3], 10, 64); err != nil {
			return nil, fmt.Errorf("population of %s: %w", c.Code, err)
		}
		for i, degrees := range []*float64{&c.Centroid.Latitude, &c.Centroid.Longitude} {
			if *degrees, err = strconv.ParseFloat(record[4+i], 64); err != nil {
				return nil, fmt.Errorf("centroid of %s: %w", c.Code, err)
			}
		}
		if err := c.Centroid.Valid(); err != nil {
			return nil, fmt.Errorf("centroid of %s: %w", c.Code, err)
		}
		countries = append(countries, c)
	}
	return countries, nil
}
