//go:build tools

// Package tools keeps the command that the lab builds from this module in go.mod.
package tools

import _ "github.com/prometheus/prometheus/cmd/promtool"
