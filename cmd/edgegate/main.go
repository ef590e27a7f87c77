package main

import (
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/coder/websocket"
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/google/uuid"
	_ "github.com/spf13/cobra"
	_ "github.com/spf13/pflag"
	_ "go.uber.org/goleak"
	_ "go.uber.org/zap"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

func main() { caddycmd.Main() }
