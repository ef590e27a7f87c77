package gateway

import (
	"github.com/edgegate/edgegate/caddymodule/options"
	"github.com/edgegate/edgegate/ratelimit/redisconn"
	"github.com/edgegate/edgegate/routing/projects"
)

// ResolveKey is options.ResolveSecret for keys and secrets that no builder of
// projects checks: it refuses what cannot have been meant as one, such as a PEM
// file or a text with typographic quotation marks.
func ResolveKey(text string) (string, error) {
	resolved, err := options.ResolveSecret(text)
	if err == nil {
		err = projects.CheckSecret(resolved)
	}
	return resolved, err
}

// ParseRedisURL fills in {env.NAME} and reads the URL of a Redis. Its errors have
// no password in them.
func ParseRedisURL(url string) (redisconn.Config, error) {
	resolved, err := ResolveKey(url)
	if err != nil {
		return redisconn.Config{}, err
	}
	return redisconn.Parse(resolved)
}

// CheckRedisURL returns what is wrong with a URL in a Caddyfile. One with {env.NAME}
// in it is checked when the configuration is loaded.
func CheckRedisURL(url string) error {
	if options.HasEnv(url) {
		return nil
	}
	_, err := ParseRedisURL(url)
	return err
}
