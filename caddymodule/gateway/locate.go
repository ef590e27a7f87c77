package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/regions"
	"github.com/edgegate/edgegate/regions/geo"
	"github.com/edgegate/edgegate/regions/locate"
	"github.com/edgegate/edgegate/regions/spelling"
)

// Locate says how the location of a client is found: from the first of the headers,
// then of the files, that has one.
type Locate struct {
	// Headers with the client's country, which only trusted proxies may set. With
	// CF-IPCountry, CloudFront-Viewer-Country and X-Vercel-IP-Country, the headers of
	// the same services for latitude and longitude are used too.
	Headers []string `json:"headers,omitempty"`

	// MMDB files in the layout of MaxMind or DB-IP. They are read again when they
	// change.
	MMDB []string `json:"mmdb,omitempty"`
}

// provisionLocator builds the locator. Missing files are warnings here and errors at
// the start.
func (a *App) provisionLocator() error {
	if a.Locate == nil {
		return nil
	}
	config := locate.Config{Headers: a.Locate.Headers}
	for i, path := range a.Locate.MMDB {
		if path == "" {
			return fmt.Errorf("locate: mmdb[%d]: must not be empty", i)
		}
		absolute, err := caddy.FastAbs(path)
		if err != nil {
			return fmt.Errorf("locate: mmdb %q: %w", path, err)
		}
		config.MMDB = append(config.MMDB, absolute)
	}
	locator, err := locate.New(config)
	if err != nil {
		return fmt.Errorf("locate: %w", err)
	}
	for _, err := range locator.Check() {
		a.logger.Warn("location database not readable; the gateway does not start without it", zap.Error(err))
	}
	a.locator = locator
	return nil
}

// client returns the location of the client of a request.
func (a *App) client(r *http.Request) geo.Client {
	if a.locator == nil {
		return geo.Client{}
	}
	ctx := r.Context()
	trusted, _ := caddyhttp.GetVar(ctx, caddyhttp.TrustedProxyVarKey).(bool)
	text, _ := caddyhttp.GetVar(ctx, caddyhttp.ClientIPVarKey).(string)
	// The place of a client without an address is unknown.
	address, _ := netip.ParseAddr(text)
	client := a.locator.Locate(r.Header.Get, trusted, address)
	a.shared.fleet.CountCall(client)
	return client
}

// parseLocate reads
//
//	locate {
//		header <name...>
//		mmdb <file...>
//	}
func (a *App) parseLocate(d *caddyfile.Dispenser) error {
	if a.Locate != nil {
		return d.Errf("locate: given twice, put everything into one block")
	}
	if d.NextArg() {
		return d.Errf("locate: unexpected %q; it has a block only", d.Val())
	}
	at := *d
	a.Locate = new(Locate)
	err := options.Block(d, options.Table{
		"header": func(d *caddyfile.Dispenser) error { return options.Strings(d, &a.Locate.Headers) },
		"mmdb":   func(d *caddyfile.Dispenser) error { return options.Strings(d, &a.Locate.MMDB) },
	})
	if err != nil {
		return err
	}
	if len(a.Locate.Headers)+len(a.Locate.MMDB) == 0 {
		return at.Errf("locate: nothing is in it; add `header CF-IPCountry` or `mmdb FILE`")
	}
	if _, err := locate.New(locate.Config{Headers: a.Locate.Headers, MMDB: a.Locate.MMDB}); err != nil {
		return at.Errf("locate: %s", options.OneLine(err))
	}
	return nil
}

// Location is the place of the gateway: the name of a region, or coordinates in
// degrees.
type Location struct {
	Region    string   `json:"region,omitempty"`
	Latitude  *float64 `json:"latitude,omitempty"`
	Longitude *float64 `json:"longitude,omitempty"`
}

func (l *Location) place(set *regions.Set) (geo.Place, error) {
	switch {
	case (l.Latitude == nil) != (l.Longitude == nil):
		return geo.Place{}, errors.New("location: give latitude and longitude, not one of them")
	case l.Latitude != nil && l.Region != "":
		return geo.Place{}, errors.New("location: give a region or coordinates, not both")
	case l.Latitude != nil:
		c := geo.Coordinates{Latitude: *l.Latitude, Longitude: *l.Longitude}
		if err := c.Valid(); err != nil {
			return geo.Place{}, fmt.Errorf("location: %w", err)
		}
		return geo.Place{Coordinates: c, Known: true}, nil
	}
	place, ok := set.Place(l.Region)
	if !ok {
		return geo.Place{}, fmt.Errorf("location: the place of region %q is not known%s; name a region, or give latitude and longitude",
			l.Region, spelling.DidYouMean(l.Region, slices.Concat(set.Names(), geo.KnownNames())))
	}
	return place, nil
}

// gatewayLocation returns the location of this gateway, which may be unknown.
func (a *App) gatewayLocation(set *regions.Set) (regions.Location, error) {
	if a.Location == nil {
		return regions.Location{Source: regions.LocationUnknown}, nil
	}
	place, err := a.Location.place(set)
	return regions.Location{Place: place, Source: regions.LocationConfigured}, err
}

// parseLocation reads `location REGION` or `location LATITUDE LONGITUDE`.
func (a *App) parseLocation(d *caddyfile.Dispenser) error {
	args, err := options.PlainArguments(d, 1, 2)
	if err != nil {
		return err
	}
	if len(args) == 1 {
		a.Location = &Location{Region: args[0]}
		return nil
	}
	lat, lon, err := options.Coordinates(d, "location", args)
	a.Location = &Location{Latitude: &lat, Longitude: &lon}
	return err
}
