//go:build tools

// Package tools keeps the commands that the lab builds from this module in go.mod.
package tools

import (
	_ "github.com/vmware-tanzu/velero-plugin-for-aws/hack/cp-plugin"
	_ "github.com/vmware-tanzu/velero-plugin-for-aws/velero-plugin-for-aws"
	_ "github.com/vmware-tanzu/velero/cmd/velero"
)
