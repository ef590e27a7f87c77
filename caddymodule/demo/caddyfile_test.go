package demo

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// still is a demo that has not been started, with everything that is random fixed.
func still() *demo {
	return &demo{
		listen: listenAddress{host: "localhost", port: 8000, bind: []string{"127.0.0.1", "::1"}},
		admin:  "localhost:2019",
		keys:   keys{jwtSecret: "c0ffee", anon: "a.b.c", publishable: "sb_publishable_p", secret: "sb_secret_s"},
		regions: []*region{
			{name: regionPlan[0].name, delay: regionPlan[0].delay, addr: "127.0.0.1:1001"},
			{name: regionPlan[1].name, delay: regionPlan[1].delay, addr: "127.0.0.1:1002"},
			{name: regionPlan[2].name, delay: regionPlan[2].delay, addr: "127.0.0.1:1003"},
		},
		runtime: samples{},
		state:   "/tmp/state",
	}
}

const goldenCaddyfile = `{
	admin localhost:2019
	persist_config off
	auto_https off
	grace_period 5s
	log {
		output stderr
		format edge_functions {
			wrap console
		}
		level WARN
	}
	servers {
		protocols h1
	}
	edge_functions {
		location eu-central-1
		store embedded "/tmp/state"
		region eu-central-1 {
			backend http://127.0.0.1:1001
		}
		region us-east-1 {
			backend http://127.0.0.1:1002
		}
		region ap-southeast-1 {
			backend http://127.0.0.1:1003
		}
		project default {
			jwt_secret c0ffee
			api_key publishable sb_publishable_p
			api_key secret sb_secret_s
			function hello
			function echo
			function page {
				verify_jwt off
			}
			function clock {
				verify_jwt off
			}
			function ws {
				verify_jwt off
			}
			function slow
			function crash
			function status
		}
	}
}
http://:8000 {
	bind 127.0.0.1 [::1]
	edge_functions
}
`

func TestCaddyfileGolden(t *testing.T) {
	got := still().caddyfile()
	if string(got) != goldenCaddyfile {
		t.Errorf("got:\n%s", got)
	}
	if formatted := caddyfile.Format(got); string(formatted) != string(got) {
		t.Errorf("not as `edgegate fmt` writes it:\n%s", formatted)
	}
}

func TestCaddyfileOnEveryInterfaceHasNoBind(t *testing.T) {
	d := still()
	d.listen = listenAddress{port: 8000}
	if got := string(d.caddyfile()); strings.Contains(got, "bind") || !strings.Contains(got, "http://:8000 {") {
		t.Errorf("got:\n%s", got)
	}
}
