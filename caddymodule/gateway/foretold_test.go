package gateway

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Contract 9.8: a call that one limit refuses takes tokens of none, not of its wider networks either, and what limits in shadow
// count is what they refuse without shadow. The same calls, from nested networks, against a reference.
func TestShadowForetellsRefusals(t *testing.T) {
	const calls = 250
	random := rand.New(rand.NewPCG(14, 48)) // #nosec G404 -- a test's
	var addresses []string
	for range calls {
		addresses = append(addresses, fmt.Sprintf("2001:db8:%x:%x::1", random.IntN(2), random.IntN(3)<<8+random.IntN(6)))
	}
	answer := func(shadow, function string, network int) (statuses []int, refused, shadowed uint64) {
		s := serve(t, "nearest client\nlocate {\nheader CF-IPCountry\n}\n"+
			fmt.Sprintf("rate_limit client_ip 2/1h%s\nrate_limit client_ip 3/1d%[1]s\nrate_limit function 40/1d%[1]s\n", shadow)+public(function), "", functions)
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}} // the harness trusts it as a proxy
		client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
		t.Cleanup(client.CloseIdleConnections)
		before := runningApp(t).shared.limiter.Stats()
		for _, address := range addresses {
			request, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/functions/v1/"+function, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("X-Forwarded-For", strings.Replace(address, "db8", fmt.Sprint("db", network), 1)) // buckets outlive a configuration
			res, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			statuses = append(statuses, res.StatusCode)
		}
		after := runningApp(t).shared.limiter.Stats()
		return statuses, after.Refused - before.Refused, after.Shadowed - before.Shadowed
	}

	taken := map[string]int{}
	var want []int
	var refusals uint64
	for _, address := range addresses {
		var high, low int
		if _, err := fmt.Sscanf(address, "2001:db8:%x:%x::1", &high, &low); err != nil {
			t.Fatal(err)
		}
		buckets := map[string]int{ // and what each holds
			fmt.Sprint("own ", high, low):        2,
			fmt.Sprint("56 bits ", high, low>>8): 8,
			fmt.Sprint("48 bits ", high):         32,
			"function":                           40,
		}
		status := 200
		for bucket, most := range buckets {
			if taken[bucket] == most {
				status = 429
			}
		}
		if status == 200 {
			for bucket := range buckets {
				taken[bucket]++
			}
		} else {
			refusals++
		}
		want = append(want, status)
	}

	got, refused, _ := answer("", "hello", 0)
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("call %d from %s was answered %d, want %d", i, addresses[i], got[i], want[i])
		}
	}
	if refused != refusals {
		t.Errorf("%d refused, want %d of %d", refused, refusals, calls)
	}
	got, refused, shadowed := answer(" shadow", "world", 1)
	for i := range got {
		if got[i] != 200 {
			t.Fatalf("in shadow, call %d was answered %d", i, got[i])
		}
	}
	if refused != 0 || shadowed != refusals {
		t.Errorf("in shadow, %d refused and %d foretold; without, %d are refused", refused, shadowed, refusals)
	}
}
