package fleet_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/edgegate/edgegate/caddymodule/fleet"
	"github.com/edgegate/edgegate/regions"
)

func ExampleDrainStore() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "drains.json")
	order := regions.Drain{Since: time.Now(), Over: 5 * time.Minute}
	if err := fleet.NewDrainStore(path, nil).Save(context.Background(), "eu-west-1", order); err != nil {
		fmt.Println(err)
		return
	}
	orders, err := fleet.NewDrainStore(path, nil).Load() // after a restart
	fmt.Println(len(orders), orders["eu-west-1"].Over, err)
	// Output: 1 5m0s <nil>
}
