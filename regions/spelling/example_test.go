package spelling_test

import (
	"fmt"

	"github.com/edgegate/edgegate/regions/spelling"
)

func Example() {
	options := []string{"verify_jwt", "cors", "html"}
	near, ok := spelling.ClosestName("verifyjwt", options)
	fmt.Println(near, ok)
	_, ok = spelling.ClosestName("wall_clock", options)
	fmt.Println(ok)
	// Output:
	// verify_jwt true
	// false
}
