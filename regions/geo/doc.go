// Package geo knows places and the round trips to expect between them before
// anything is measured: the built-in regions (Known), great-circle distances,
// measured averages between regions (Prior), and round trips from the clients of a
// country to a region (ClientRTT).
//
//	frankfurt, _ := geo.PlaceOf("eu-central-1")
//	rtt, ok := geo.ClientRTT(geo.Client{Country: "KE"}, geo.TargetOf(frankfurt))
//
// It measures nothing and holds no state: package regions measures, and package
// regions/locate finds the place of a client. It imports the standard library only.
package geo
