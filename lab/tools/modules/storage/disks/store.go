package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	volumes   = "volumes"
	snapshots = "snapshots"
)

// store is a directory with a directory for each disk and for each snapshot. What is half made has a name of its own.
type store struct{ root string }

func (s store) prepare() error {
	for _, kind := range []string{volumes, snapshots} {
		if err := os.MkdirAll(filepath.Join(s.root, kind), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// find returns the directory of a disk or a snapshot of this region.
func (s store) find(kind, id string) (string, error) {
	if id == "" || id != filepath.Base(id) || strings.HasPrefix(id, ".") {
		return "", status.Errorf(codes.NotFound, "%q is none of this region's %s", id, kind)
	}
	path := filepath.Join(s.root, kind, id)
	if _, err := os.Stat(path); err != nil {
		return "", status.Errorf(codes.NotFound, "%q is none of this region's %s", id, kind)
	}
	return path, nil
}

// create makes a disk, empty or from a snapshot. The same name makes the same disk, so a call may be repeated.
func (s store) create(name, snapshot string) (string, error) {
	id := "vol-" + digest(name)
	if _, err := s.find(volumes, id); err == nil {
		return id, nil
	}
	source := ""
	if snapshot != "" {
		found, err := s.find(snapshots, snapshot)
		if err != nil {
			return "", err
		}
		source = found
	}
	return id, s.make(volumes, id, source)
}

// snapshot copies a disk. Each file is as it was when its turn came: a copy takes a moment, which a real snapshot does not.
func (s store) snapshot(name, volume string) (string, time.Time, error) {
	id := "snap-" + digest(name)
	if path, err := s.find(snapshots, id); err == nil {
		taken, err := modified(path + ".taken")
		return id, taken, err
	}
	source, err := s.find(volumes, volume)
	if err != nil {
		return "", time.Time{}, err
	}
	mark := filepath.Join(s.root, snapshots, id+".taken")
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return "", time.Time{}, err
	}
	if err := s.make(snapshots, id, source); err != nil {
		return "", time.Time{}, err
	}
	taken, err := modified(mark)
	return id, taken, err
}

func (s store) make(kind, id, source string) error {
	path := filepath.Join(s.root, kind, id)
	half, err := os.MkdirTemp(filepath.Join(s.root, kind), ".half-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(half)
	if source == "" {
		// As a new ext4 file system is: only root may write, and mkfs has left this directory.
		err = os.Mkdir(filepath.Join(half, "lost+found"), 0o700)
		err = errors.Join(err, os.Chmod(half, 0o755))
	} else if err = copyAll(source, half); err == nil {
		err = os.Chtimes(half, time.Now(), time.Now())
	}
	if err != nil {
		return err
	}
	return os.Rename(half, path)
}

// copyAll keeps owners, modes and times. A file that goes while it is copied is no failure: it is not in the snapshot.
func copyAll(source, target string) error {
	said, err := exec.Command("cp", "--archive", "--no-target-directory", "--reflink=auto", source, target).CombinedOutput()
	if err == nil {
		return nil
	}
	for _, line := range strings.Split(strings.TrimSpace(string(said)), "\n") {
		if !strings.HasSuffix(line, "No such file or directory") {
			return fmt.Errorf("cp: %s", line)
		}
	}
	return nil
}

// remove deletes a disk or a snapshot. One that is not there counts as deleted.
func (s store) remove(kind, id string) error {
	path, err := s.find(kind, id)
	if err != nil {
		return nil
	}
	return errors.Join(os.RemoveAll(path), os.RemoveAll(path+".taken"))
}

func modified(path string) (time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])[:17]
}

func isMount(path string) (bool, error) {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	defer mounts.Close()
	lines := bufio.NewScanner(mounts)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && fields[4] == path {
			return true, nil
		}
	}
	if _, err := os.Stat(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return false, lines.Err()
}
