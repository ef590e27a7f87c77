package jwks_test

import (
	"fmt"

	"github.com/edgegate/edgegate/routing/auth/jwks"
)

func Example() {
	set, remarks, err := jwks.Parse([]byte(`{"keys":[
		{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"a",
		 "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
		{"kty":"oct","kid":"b","k":"c2VjcmV0"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(set.Len(), "key,", len(remarks), "remark")
	fmt.Println(len(set.Candidates("ES256", "a")), len(set.Candidates("ES256", "unknown")))
	// Output:
	// 1 key, 1 remark
	// 1 0
}
