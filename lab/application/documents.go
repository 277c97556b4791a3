package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// documents keeps each document that it is sent as a file in a directory, which is a volume. It has no index: what is in the directory
// is what it has.
type documents struct{ directory string }

// addDocuments serves the directory. POST answers 201 once the file would outlive a power cut; GET answers all that is there.
func addDocuments(mux *http.ServeMux, identity answer, kept documents) {
	mux.HandleFunc("POST /documents", func(w http.ResponseWriter, r *http.Request) {
		o, problem := readRequest(w, r)
		if problem != "" {
			writeJSON(w, http.StatusBadRequest, refusal{problem})
			return
		}
		o.WrittenIn, o.WrittenBy, o.RecordedAt = identity.Region, identity.Pod, time.Now().UTC()
		if err := kept.write(o); err != nil {
			refuse(w, err)
			return
		}
		writeJSON(w, http.StatusCreated, orderAnswer{Region: identity.Region, Pod: identity.Pod, order: o})
	})
	mux.HandleFunc("GET /documents", func(w http.ResponseWriter, _ *http.Request) {
		all, err := kept.read()
		if err != nil {
			refuse(w, err)
			return
		}
		writeJSON(w, http.StatusOK, all)
	})
}

// write puts the whole file into place at once, so that a snapshot has it whole or not at all.
func (d documents) write(o order) error {
	half, err := os.CreateTemp(d.directory, ".half-")
	if err != nil {
		return err
	}
	defer os.Remove(half.Name())
	err = errors.Join(json.NewEncoder(half).Encode(o), half.Sync(), half.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(half.Name(), filepath.Join(d.directory, fmt.Sprintf("%08d.json", o.Sequence))); err != nil {
		return err
	}
	directory, err := os.Open(d.directory)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

// read returns every document. A file that cannot be read as one is an error: it must not look like one that was lost.
func (d documents) read() ([]order, error) {
	entries, err := fs.ReadDir(os.DirFS(d.directory), ".")
	if err != nil {
		return nil, err
	}
	all := []order{}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") || !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(d.directory, entry.Name()))
		if err != nil {
			return nil, err
		}
		var o order
		if err := json.Unmarshal(content, &o); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
		all = append(all, o)
	}
	return all, nil
}
