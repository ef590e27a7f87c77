package rewrite_test

import (
	"fmt"
	"net/http"

	"github.com/edgegate/edgegate/routing/rewrite"
)

func Example() {
	h := http.Header{"Content-Type": {"Text/HTML; charset=utf-8"}, "Set-Cookie": {"a=b"}}
	rewrite.SharedHost(h, http.StatusOK)
	if rewrite.Header(h) == rewrite.Plain {
		rewrite.MakePlain(h)
	}
	fmt.Println(h.Get("Content-Type"), h.Get("Content-Security-Policy"), len(h["Set-Cookie"]))
	// Output: text/plain default-src 'none'; sandbox 0
}
