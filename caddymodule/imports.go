package caddymodule

import (
	_ "github.com/edgegate/edgegate/caddymodule/admin"      // the admin API: admin.api.edge_functions
	_ "github.com/edgegate/edgegate/caddymodule/exporters"  // where usage goes: export file, webhook, stripe
	_ "github.com/edgegate/edgegate/caddymodule/gateway"    // the app, the handler, their Caddyfile
	_ "github.com/edgegate/edgegate/caddymodule/permission" // certificates on demand: tls.permission.edge_functions
	_ "github.com/edgegate/edgegate/caddymodule/sources"    // where projects come from: projects file, redis
)
