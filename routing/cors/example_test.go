package cors_test

import (
	"fmt"
	"net/http"

	"github.com/edgegate/edgegate/routing/cors"
)

func Example() {
	policy, err := cors.New(cors.Config{Origins: []string{"https://app.example.org"}, Credentials: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := http.Header{"Origin": {"https://app.example.org"}, "Access-Control-Request-Method": {"POST"}}
	fmt.Println("preflight:", cors.IsPreflight(http.MethodOptions, request))

	answer := make(http.Header)
	policy.Gateway(answer, cors.Origin(request))
	fmt.Println(answer.Get("Access-Control-Allow-Origin"), answer.Get("Vary"))
	// Output:
	// preflight: true
	// https://app.example.org Origin
}
