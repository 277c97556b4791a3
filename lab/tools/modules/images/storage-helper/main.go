// Command storage-helper makes or removes the directory of one volume on a node.
//
// local-path-provisioner runs it in a pod as `COMMAND -p DIRECTORY -s BYTES -m MODE -a create|delete`. COMMAND is the setupCommand
// and teardownCommand of its configuration (/storage-helper), or without them `/bin/sh /script/setup`; the image has this program at
// /bin/sh too, and a script's name in front of the flags is skipped, for the action says all there is to do.
package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "storage-helper:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) > 0 && !strings.HasPrefix(arguments[0], "-") {
		arguments = arguments[1:]
	}
	flags := flag.NewFlagSet("storage-helper", flag.ContinueOnError)
	directory := flags.String("p", "", "the volume's directory")
	action := flags.String("a", "", "create or delete")
	flags.String("s", "", "the volume's size in bytes; a directory has none")
	flags.String("m", "", "the volume's mode; only Filesystem is served")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if !filepath.IsAbs(*directory) || filepath.Dir(*directory) == "/" {
		return fmt.Errorf("-p %q is not the directory of a volume: want an absolute path below another directory", *directory)
	}
	switch *action {
	case "create":
		return create(*directory)
	case "delete":
		return os.RemoveAll(*directory)
	}
	return fmt.Errorf("-a %q is unknown: want create or delete", *action)
}

// create makes the directory writable by any user: a pod's user is not known here. Mkdir alone would leave that to the umask.
func create(directory string) error {
	if err := os.MkdirAll(directory, fs.ModePerm); err != nil {
		return err
	}
	return os.Chmod(directory, fs.ModePerm)
}
