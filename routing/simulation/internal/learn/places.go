package main

import (
	"maps"

	"github.com/edgegate/edgegate/regions/geo"
)

// capitals stand in for centroids: of places that the population file
// doesn't have, and of those whose centroid there comes under the ODbL, which
// asks more of a derived table than this repository's licence gives. They are
// plain facts, to two decimals.
var capitals = map[string]geo.Coordinates{
	"AI": {Latitude: 18.22, Longitude: -63.05},   // The Valley
	"AS": {Latitude: -14.28, Longitude: -170.70}, // American Samoa's capital
	"AW": {Latitude: 12.52, Longitude: -70.03},   // Oranjestad
	"AX": {Latitude: 60.10, Longitude: 19.94},    // Mariehamn
	"BM": {Latitude: 32.29, Longitude: -64.78},   // Hamilton
	"BQ": {Latitude: 12.15, Longitude: -68.28},   // Kralendijk
	"CK": {Latitude: -21.21, Longitude: -159.78}, // Avarua
	"CW": {Latitude: 12.11, Longitude: -68.93},   // Willemstad
	"EH": {Latitude: 27.15, Longitude: -13.20},   // Laayoune
	"FK": {Latitude: -51.70, Longitude: -57.85},  // Stanley
	"FO": {Latitude: 62.01, Longitude: -6.77},    // Torshavn
	"GF": {Latitude: 4.92, Longitude: -52.31},    // Cayenne
	"GG": {Latitude: 49.46, Longitude: -2.54},    // Saint Peter Port
	"GI": {Latitude: 36.14, Longitude: -5.35},    // Gibraltar
	"GP": {Latitude: 16.00, Longitude: -61.73},   // Basse-Terre
	"GU": {Latitude: 13.47, Longitude: 144.75},   // Hagatna
	"HK": {Latitude: 22.32, Longitude: 114.17},   // Hong Kong
	"IM": {Latitude: 54.15, Longitude: -4.48},    // Douglas
	"JE": {Latitude: 49.19, Longitude: -2.11},    // Saint Helier
	"KY": {Latitude: 19.29, Longitude: -81.37},   // George Town
	"MF": {Latitude: 18.07, Longitude: -63.08},   // Marigot
	"MO": {Latitude: 22.20, Longitude: 113.54},   // Macau
	"MP": {Latitude: 15.19, Longitude: 145.75},   // Saipan
	"MQ": {Latitude: 14.61, Longitude: -61.08},   // Fort-de-France
	"NC": {Latitude: -22.28, Longitude: 166.46},  // Noumea
	"PF": {Latitude: -17.54, Longitude: -149.57}, // Papeete
	"PM": {Latitude: 46.78, Longitude: -56.18},   // Saint-Pierre
	"PR": {Latitude: 18.47, Longitude: -66.11},   // San Juan
	"PS": {Latitude: 31.90, Longitude: 35.20},    // Ramallah
	"RE": {Latitude: -20.88, Longitude: 55.45},   // Saint-Denis
	"SH": {Latitude: -15.92, Longitude: -5.72},   // Jamestown
	"SX": {Latitude: 18.03, Longitude: -63.05},   // Philipsburg
	"TC": {Latitude: 21.46, Longitude: -71.14},   // Cockburn Town
	"TW": {Latitude: 25.03, Longitude: 121.57},   // Taipei
	"VA": {Latitude: 41.90, Longitude: 12.45},    // Vatican City
	"VG": {Latitude: 18.43, Longitude: -64.62},   // Road Town
	"VI": {Latitude: 18.34, Longitude: -64.93},   // Charlotte Amalie
	"XK": {Latitude: 42.66, Longitude: 21.17},    // Pristina
	"YT": {Latitude: -12.78, Longitude: 45.23},   // Mamoudzou
}

// openCentroids are the sources of centroids whose licence allows the table to
// be passed on as it is.
var openCentroids = map[string]bool{"360info": true}

// places returns a point for every country that has a free one.
func places(countries []country) map[string]geo.Coordinates {
	points := make(map[string]geo.Coordinates, len(countries)+len(capitals))
	for _, c := range countries {
		if openCentroids[c.CentroidSource] {
			points[c.Code] = c.Centroid
		}
	}
	maps.Copy(points, capitals)
	return points
}
