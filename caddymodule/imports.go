package caddymodule

import (
	_ "github.com/edgegate/edgegate/caddymodule/gateway" // the app, the handler, their Caddyfile
)
