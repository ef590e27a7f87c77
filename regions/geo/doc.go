// Package geo knows places and the round trips to expect between them: the
// built-in regions, great-circle distances, measured averages between regions
// (Prior) and round trips from the clients of a country to a region (ClientRTT).
//
// It measures nothing and holds no state: what a gateway measures is package
// regions' business, and where a client is package regions/locate's. It imports
// the standard library only.
package geo
