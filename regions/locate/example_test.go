package locate_test

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/edgegate/edgegate/regions/locate"
)

func ExampleLocator_Locate() {
	locator, err := locate.New(locate.Config{Headers: []string{"CF-IPCountry"}})
	if err != nil {
		panic(err)
	}
	header := http.Header{}
	header.Set("CF-IPCountry", "KE")
	client := netip.MustParseAddr("203.0.113.7")
	for _, trusted := range []bool{true, false} {
		found := locator.Locate(header.Get, trusted, client)
		fmt.Printf("%q %s\n", found.Country, found.Source)
	}
	// Output:
	// "KE" header:CF-IPCountry
	// "" unknown
}
