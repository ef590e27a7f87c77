package supabase_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/edgegate/edgegate/caddymodule/supabase"
)

// The functions of a folder as Supabase's command line lays it out.
func ExampleRead() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	function := filepath.Join(dir, "supabase", "functions", "hello")
	if err := os.MkdirAll(function, 0o700); err != nil {
		panic(err)
	}
	for file, text := range map[string]string{
		filepath.Join(function, "index.ts"):           "Deno.serve(() => new Response('hello'))",
		filepath.Join(dir, "supabase", "config.toml"): "[functions.hello]\nverify_jwt = false\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			panic(err)
		}
	}
	project, err := supabase.Read(dir, "abcdefghijklmnopqrst")
	if err != nil {
		panic(err)
	}
	for _, f := range project.Functions {
		fmt.Println(f.Slug, f.VerifyJWT(), f.Enabled())
	}
	// Output: hello false true
}
