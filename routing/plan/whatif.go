package plan

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/capacity"
)

// WhatIf has assumptions about the regions.
type WhatIf struct {
	Down []string           // regions that are down
	Load map[string]float64 // load by region: requests in flight divided by capacity
}

// ParseLoad reads the supposed load of a region, such as sa-east-1=0.95.
func ParseLoad(text string) (region string, load float64, err error) {
	region, number, _ := strings.Cut(text, "=")
	load, err = strconv.ParseFloat(number, 64)
	if err != nil || region == "" || !(load >= 0 && load <= 1000) {
		return "", 0, fmt.Errorf("%q: must be a region and its load, such as sa-east-1=0.95", text)
	}
	return region, load, nil
}

var country = regexp.MustCompile(`^[A-Z]{2}$`)

// ValidCountry reports whether text can be a country, as two capital letters.
func ValidCountry(text string) bool { return country.MatchString(text) }

// Suppose returns v under the assumptions. The error names a region that v does not
// have.
func Suppose(v *regions.View, what WhatIf) (*regions.View, error) {
	changed := *v
	changed.Regions = append([]regions.RegionView(nil), v.Regions...)
	for _, name := range what.Down {
		i, ok := changed.Lookup(name)
		if !ok {
			return nil, unknown(v, name)
		}
		r := &changed.Regions[i]
		r.Healthy, r.Health = 0, regions.StateDown
		if r.State != regions.StateDraining && r.State != regions.StateDrained {
			r.State = regions.StateDown
		}
	}
	for name, load := range what.Load {
		i, ok := changed.Lookup(name)
		if !ok {
			return nil, unknown(v, name)
		}
		if !(load >= 0 && load <= math.MaxFloat64) { // NaN is neither
			return nil, fmt.Errorf("load of %s: must be a number from 0 on", name)
		}
		changed.Regions[i].Load = capacity.FixedLoad(load)
	}
	return &changed, nil
}

func unknown(v *regions.View, name string) error {
	return &InvalidRegionError{Region: name, Allowed: Allowed(v, nil)}
}
