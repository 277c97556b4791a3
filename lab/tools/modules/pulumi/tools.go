//go:build tools

// Package tools keeps the commands that the lab builds from this module in go.mod.
package tools

import (
	_ "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
)
