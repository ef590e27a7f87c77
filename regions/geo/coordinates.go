package geo

import (
	"fmt"
	"math"
)

// earthRadiusKm is the mean radius R1 of the earth (IUGG).
const earthRadiusKm = 6371.0088

// Coordinates are a point on the earth in decimal degrees: latitude north,
// longitude east. The zero value is a real place in the Gulf of Guinea, so
// optional Coordinates need a flag beside them.
type Coordinates struct {
	Latitude, Longitude float64
}

// Valid returns an error unless the latitude is within -90 to 90 and the
// longitude within -180 to 180 degrees. NaN and infinities are not valid.
func (c Coordinates) Valid() error {
	// Written as "not inside" so that NaN, which is neither, is refused.
	if !(c.Latitude >= -90 && c.Latitude <= 90) {
		return fmt.Errorf("latitude %v is not within -90 to 90 degrees", c.Latitude)
	}
	if !(c.Longitude >= -180 && c.Longitude <= 180) {
		return fmt.Errorf("longitude %v is not within -180 to 180 degrees", c.Longitude)
	}
	return nil
}

// DistanceKm returns the great-circle distance to other in kilometres, by the
// haversine formula on a sphere of radius 6371.0088 km. It is off by at most
// 0.6 % from the ellipsoid, far less than routes differ from great circles.
func (c Coordinates) DistanceKm(other Coordinates) float64 {
	const radian = math.Pi / 180
	sinLat := math.Sin((other.Latitude - c.Latitude) * radian / 2)
	sinLon := math.Sin((other.Longitude - c.Longitude) * radian / 2)
	h := sinLat*sinLat + math.Cos(c.Latitude*radian)*math.Cos(other.Latitude*radian)*sinLon*sinLon
	// Rounding can push h of antipodes above 1, where Asin is NaN.
	return 2 * earthRadiusKm * math.Asin(math.Sqrt(min(1, h)))
}
