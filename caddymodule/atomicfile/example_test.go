package atomicfile_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/edgegate/edgegate/caddymodule/atomicfile"
)

// Readers see nothing of a file until it is committed.
func Example() {
	dir, err := os.MkdirTemp("", "atomicfile")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "projects.json")
	file, err := atomicfile.Create(path, 0o644)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Discard()
	fmt.Fprint(file, `{"projects":[]}`)
	_, err = os.Stat(path)
	fmt.Println("before:", os.IsNotExist(err))
	err = file.Commit()
	data, _ := os.ReadFile(path)
	fmt.Println("after:", string(data), err)
	// Output:
	// before: true
	// after: {"projects":[]} <nil>
}
