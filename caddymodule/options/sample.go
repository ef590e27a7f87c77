package options

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// allSampled is the largest share, in percent.
const allSampled = 100

// CheckSample returns an error that names the option if a share, in percent, is not
// above 0 and at most 100. 0 stands for the default, and is right.
func CheckSample(option string, share float64) error {
	if !(share >= 0 && share <= allSampled) {
		return fmt.Errorf("%s: sample: must be above 0 and at most 100, in percent", option)
	}
	return nil
}

// Sample reads an option of the form
//
//	<option> {
//		sample <percent>
//	}
//
// of which the block may be left out. The dispenser is on the option's name.
func Sample(d *caddyfile.Dispenser, option string, into *float64) error {
	if d.NextArg() {
		return d.Errf("%s: unexpected %q; write `%s`", option, d.Val(), Form(option))
	}
	return Block(d, Table{"sample": func(d *caddyfile.Dispenser) error {
		var text string
		if err := String(d, &text); err != nil {
			return err
		}
		number, percent := strings.CutSuffix(text, "%")
		share, err := strconv.ParseFloat(number, 64)
		if err != nil || !percent || !(share > 0 && share <= allSampled) {
			return d.Errf("sample %q: must be above 0%% and at most 100%%; write `%s`", text, Form("sample"))
		}
		*into = share
		return nil
	}})
}
