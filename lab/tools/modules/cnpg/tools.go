//go:build tools

// Package tools keeps the commands that the lab builds from this module in go.mod.
package tools

import (
	_ "github.com/cloudnative-pg/cloudnative-pg/cmd/manager"
	_ "github.com/cloudnative-pg/plugin-barman-cloud/cmd/manager"
)
