package redisconn

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, url string
		want      Config
		text      string // of Config.String
	}{
		{"one server", "redis://h1:6380", Config{Addresses: []string{"h1:6380"}}, "redis://h1:6380"},
		{"standard port", "redis://h1", Config{Addresses: []string{"h1:6379"}}, "redis://h1:6379"},
		{"a slash behind", "redis://h1/", Config{Addresses: []string{"h1:6379"}}, "redis://h1:6379"},
		{"database", "redis://h1:6379/3", Config{Addresses: []string{"h1:6379"}, DB: 3}, "redis://h1:6379/3"},
		{"IPv4", "redis://127.0.0.1", Config{Addresses: []string{"127.0.0.1:6379"}}, "redis://127.0.0.1:6379"},
		{"IPv6", "redis://[::1]", Config{Addresses: []string{"[::1]:6379"}}, "redis://[::1]:6379"},
		{"IPv6 with port", "redis://[::1]:1", Config{Addresses: []string{"[::1]:1"}}, "redis://[::1]:1"},
		{"TLS", "rediss://h1", Config{Addresses: []string{"h1:6379"}, TLS: true}, "rediss://h1:6379"},
		{"password", "redis://:topsecret@h1", Config{Addresses: []string{"h1:6379"}, Password: "topsecret"}, "redis://h1:6379"},
		{"user", "redis://ann:topsecret@h1", Config{Addresses: []string{"h1:6379"}, Username: "ann", Password: "topsecret"}, "redis://h1:6379"},
		{"password encoded", "redis://:a%2Fb%3F%23%40%25:c@h1", Config{Addresses: []string{"h1:6379"}, Password: "a/b?#@%:c"}, "redis://h1:6379"},
		{"password with an @", "redis://:a@b@h1", Config{Addresses: []string{"h1:6379"}, Password: "a@b"}, "redis://h1:6379"},
		{"mode single", "redis://h1?mode=single", Config{Addresses: []string{"h1:6379"}, Mode: ModeSingle}, "redis://h1:6379"},
		{
			"cluster", "redis://:topsecret@h1,h2:7000,[::1]?mode=cluster",
			Config{Addresses: []string{"h1:6379", "h2:7000", "[::1]:6379"}, Mode: ModeCluster, Password: "topsecret"},
			"redis://h1:6379,h2:7000,[::1]:6379?mode=cluster",
		},
		{
			"sentinel", "redis://h1,h2:7000/2?master=main&mode=sentinel",
			Config{Addresses: []string{"h1:26379", "h2:7000"}, Mode: ModeSentinel, Master: "main", DB: 2},
			"redis://h1:26379,h2:7000/2?mode=sentinel&master=main",
		},
		{
			"sentinel with a password", "redis://:topsecret@h1?mode=sentinel&master=main&sentinel_password=top%26secret",
			Config{Addresses: []string{"h1:26379"}, Mode: ModeSentinel, Master: "main", Password: "topsecret", SentinelPassword: "top&secret"},
			"redis://h1:26379?mode=sentinel&master=main",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.url)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("Parse(%q) = %#v, %v", tt.url, got, err)
			}
			if got.String() != tt.text || strings.Contains(fmt.Sprintf("%v %+v %#v %s", got, got, got, got.Location()), "secret") {
				t.Errorf("written %q, want %q", got.String(), tt.text)
			}
			if again, err := Parse(got.String()); err != nil || again.String() != tt.text {
				t.Errorf("read again: %v, %v", again, err)
			}
		})
	}
}

// Each mistake has its remedy in the error, and no error has a password.
func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, url, want string }{
		{"empty", "", "must be redis://"},
		{"no scheme", "h1:6379", "must be redis://"},
		{"another scheme", "http://:topsecret@h1", "must be redis://"},
		{"no host", "redis://", "write redis://HOST:6379"},
		{"no host behind a password", "redis://:topsecret@", "write redis://HOST:6379"},
		{"a host missing in a list", "redis://h1,,h2?mode=cluster", "a host is missing"},
		{"host twice", "redis://h1,h1:6379?mode=cluster", `host "h1:6379": listed twice`},
		{"port no number", "redis://h1:x", `host "h1": the port must be a number`},
		{"the host forgotten", "redis://ann:topsecret", "the port must be a number"},
		{"the host forgotten before a port", "redis://ann:topsecret:6379", "several colons"},
		{"port 0", "redis://h1:0", "the port must be a number"},
		{"port too high", "redis://h1:65536", "the port must be a number"},
		{"bare IPv6", "redis://::1", "written [::1]:6379"},
		{"open bracket", "redis://[::1", "written [::1]:6379"},
		{"no IPv6 in brackets", "redis://[h1]", "written [::1]:6379"},
		{"something behind brackets", "redis://[::1]x", "written [::1]:6379"},
		{"space in a host", "redis://h 1", "must be a bare name"},
		{"a list without mode", "redis://h1,h2", "2 addresses: several need mode=cluster"},
		{"database no number", "redis://h1/x", "the path must be the number of a database"},
		{"database negative", "redis://h1/-1", "the path must be the number of a database"},
		{"database in a cluster", "redis://h1/1?mode=cluster", "a cluster has only database 0"},
		{"sentinel without master", "redis://h1?mode=sentinel", "mode=sentinel needs master=NAME"},
		{"master without sentinel", "redis://h1?master=x", "need mode=sentinel"},
		{"unknown mode", "redis://h1?mode=clustre", `mode "clustre": allowed are single, sentinel, cluster`},
		{"parameter nearly right", "redis://h1?mastre=x", "did you mean master?"},
		{"parameter in capitals", "redis://h1?Mode=cluster", "did you mean mode?"},
		{"database as a parameter", "redis://h1?db=1", "the database is the path"},
		{"TLS as a parameter", "redis://h1?tls=true", "write rediss:// for TLS"},
		{"unknown parameter", "redis://h1?topsecret=x", "allowed are mode, master, sentinel_password"},
		{"parameter twice", "redis://h1?mode=cluster&mode=single", "parameter mode: given twice"},
		{"parameter empty", "redis://h1?mode=", "parameter mode: is empty"},
		{"parameter badly encoded", "redis://h1?sentinel_password=topsecret%zz", "a % itself is written %25"},
		{"password badly encoded", "redis://:topsecret%zz@h1", "a % itself is written %25"},
		{"password empty", "redis://:@h1", "the password is empty"},
		{"password of a user empty", "redis://ann:@h1", "the password is empty"},
		{"password without colon", "redis://topsecret@h1", "written :PASSWORD@"},
		{"slash in a password", "redis://:top/secret@h1", "written %2F"},
		{"question mark in a password", "redis://:top?secret@h1", "a ? %3F"},
		{"hash in a password", "redis://:top#secret@h1", "written %23"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.url)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Parse(%q): %v, want in it %q", tt.url, err, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error has the password in it: %v", err)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config Config
		want   string
	}{
		{"nothing", Config{}, "no address"},
		{"no port", Config{Addresses: []string{"h1"}}, "must be HOST:PORT"},
		{"negative database", Config{Addresses: []string{"h1:1"}, DB: -1}, "must not be negative"},
		{"negative timeout", Config{Addresses: []string{"h1:1"}, ReadTimeout: -1}, "timeouts must not be negative"},
		{"a user alone", Config{Addresses: []string{"h1:1"}, Username: "ann"}, "has no password"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Open(tt.config); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want in it %q", err, tt.want)
			}
		})
	}
}

// A cluster's nodes are often dialed by IP addresses that no certificate has.
func TestServerName(t *testing.T) {
	for url, want := range map[string]string{
		"rediss://h1?mode=cluster":             "h1",
		"rediss://h1,h2?mode=cluster":          "",
		"rediss://h1?mode=sentinel&master=abc": "",
		"rediss://h1":                          "",
	} {
		config, err := Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		if got := config.tls().ServerName; got != want {
			t.Errorf("%s asks for the certificate of %q, want %q", url, got, want)
		}
	}
	if (Config{}).tls() != nil {
		t.Error("TLS without rediss://")
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"h1:6379/1", ":x@h1,h2?mode=cluster", "h?mode=sentinel&master=m", "[::1]:1", "@", "?&=", "a:b@[", "%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// a password that cannot be part of an error by chance
		const password = "Zq9-topsecret-Zq9"
		for _, url := range []string{"redis://" + text, "redis://:" + password + "@" + text, "rediss://u:" + password + text, "redis://" + text + "?mode=" + "cluster"} {
			c, err := Parse(url)
			if err != nil {
				if strings.Contains(err.Error(), "topsecret") && !strings.Contains(text, "topsecret") {
					t.Errorf("Parse(%q): %v", url, err)
				}
				continue
			}
			again, err := Parse(c.String())
			if err != nil || again.String() != c.String() {
				t.Errorf("Parse(%q) is written %q, and that %v, %v", url, c, again, err)
			}
		}
	})
}
