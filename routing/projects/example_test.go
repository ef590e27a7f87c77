package projects_test

import (
	"fmt"

	"github.com/edgegate/edgegate/routing/projects"
)

func Example() {
	builder, err := projects.NewBuilder(projects.BuilderConfig{Apex: "example.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	input, err := projects.SplitFile([]byte(`{
		"organizations": [{"id": "acme", "plan": "pro"}],
		"projects": [{"ref": "abcdefghijklmnopqrst", "organization": "acme", "functions": [{"slug": "hello"}]}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	snapshot, _, err := builder.Build(input)
	if err != nil {
		fmt.Println(err)
		return
	}
	match, ok := snapshot.Find("abcdefghijklmnopqrst.functions.example.com")
	fmt.Println(ok, match.HostForm, match.Project.Organization.ID)
	quota, hard := match.Project.Organization.Allowance()
	fmt.Println(quota, hard)
	// Output:
	// true true acme
	// 2000000 true
}
